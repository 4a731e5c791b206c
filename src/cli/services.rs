//! The flags of whoever tries things out: where Microsoft Graph is, whom to trust, and where a resource may lead.

use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;
use url::Url;

use crate::{
    compose::Settings,
    verify::{Guard, Http, Limits, Services},
};

/// Flags of whoever tries things out.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// Where Microsoft Graph is, instead of the cloud's own.
    #[arg(long, env = "TIMBR_IDENTITY_GRAPH_URL", value_name = "URL")]
    graph_url: Option<String>,
    /// Certificates of authorities to trust beside the system's, in PEM form.
    #[arg(long, env = "TIMBR_IDENTITY_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Networks that the URLs of resources may lead to although they are private, as 10.20.0.0/16; may be repeated.
    #[arg(long, env = "TIMBR_IDENTITY_ALLOW_CIDR", value_delimiter = ',', value_name = "CIDR")]
    allow_cidr: Vec<IpNet>,
}

/// Flags that do not go together.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// Nobody says where Graph is.
    #[error("--cloud custom needs --graph-url, where Microsoft Graph is")]
    NoGraph,
    /// Where a credential goes is an address.
    #[error("--{flag} {url} must be https:// and a host, optionally with a path")]
    Url {
        /// The flag.
        flag: &'static str,
        /// What it says.
        url: String,
    },
    /// The bundle cannot be read.
    #[error("--ca-bundle {}: {error}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// There is no TLS to be had, with or without a bundle.
    #[error("no certificate can be checked here: {0}")]
    Tls(String),
}

impl ServicesArgs {
    /// Where to ask, and how.
    ///
    /// # Errors
    /// A sentence on which flag is wrong.
    pub fn services(&self, settings: &Settings, graph: Option<&str>) -> Result<(Services, Http), ServicesError> {
        let graph = self.graph_url.as_deref().or(graph).ok_or(ServicesError::NoGraph)?;
        let services = Services::new(
            address("authority-url", &settings.authority_url)?,
            address("graph-url", graph)?,
            &settings.vault_suffix,
        );
        let suffixes = vec![settings.vault_suffix.clone()];
        let guard = Guard { allowed: self.allow_cidr.clone(), suffixes, ..Guard::default() };
        let bundle = self.ca_bundle.as_deref().map_or(Ok(Vec::new()), read_bundle)?;
        let http =
            Http::new(guard, &bundle, Limits::default()).map_err(|error| ServicesError::Tls(error.to_string()))?;
        Ok((services, http))
    }
}

/// An address to which credentials are sent.
fn address(flag: &'static str, text: &str) -> Result<Url, ServicesError> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    url.ok_or_else(|| ServicesError::Url { flag, url: text.to_owned() })
}

fn read_bundle(path: &Path) -> Result<Vec<u8>, ServicesError> {
    let unusable = |error: String| ServicesError::Bundle { path: path.to_owned(), error };
    let bundle = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    // A file without any is taken for an empty list by whoever reads it.
    match String::from_utf8_lossy(&bundle).contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(bundle),
        false => Err(unusable("holds no certificate in PEM form".to_owned())),
    }
}
