//! The flags of whoever tries things out: where Microsoft Graph is, whom to trust, and where a resource may lead.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

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
}

impl ServicesArgs {
    /// Where to ask, and how.
    ///
    /// # Errors
    /// A sentence on which flag is wrong.
    pub fn services(&self, settings: &Settings, graph: Option<&str>) -> Result<(Services, Http), ServicesError> {
        let graph = self.graph_url.as_deref().or(graph).ok_or(ServicesError::NoGraph)?;
        if !graph.starts_with("https://") {
            return Err(ServicesError::Url { flag: "graph-url", url: graph.to_owned() });
        }
        let services = Services::new(&settings.authority_url, graph, &settings.vault_suffix)
            .map_err(|_| ServicesError::Url { flag: "graph-url", url: graph.to_owned() })?;
        let suffixes = vec![settings.vault_suffix.clone()];
        let guard = Guard { allowed: self.allow_cidr.clone(), suffixes, ..Guard::default() };
        let path = self.ca_bundle.clone().unwrap_or_default();
        let unusable = |error: String| ServicesError::Bundle { path: path.clone(), error };
        let bundle = match &self.ca_bundle {
            Some(path) => std::fs::read(path).map_err(|error| unusable(error.to_string()))?,
            None => Vec::new(),
        };
        let http = Http::new(guard, &bundle, Limits::default()).map_err(|error| unusable(error.to_string()))?;
        Ok((services, http))
    }
}
