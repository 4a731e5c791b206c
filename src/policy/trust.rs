//! Whom an installation trusts, and for what.

use std::collections::BTreeMap;

use crate::api::normal_issuer;

use super::Workload;

/// What an answer depends on besides policies and caller.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// What this cluster is called (`--cluster-name`). Without it, rules that name a cluster match nobody.
    pub cluster: Option<String>,
    /// The directory that people sign in to: of single sign-on. Groups and users are its own; client ids too, where a
    /// rule names no other.
    pub directory: Option<String>,
    /// Where directories' tokens come from.
    pub entra: Directory,
    /// Issuers of Kubernetes service accounts' tokens, in their normal form, and the cluster of each; `None`: this one.
    pub clusters: BTreeMap<String, Option<String>>,
    /// Applications that are registered in the directory, by their client ids in lower case: what
    /// `AzureAdApplication`s of NAIS say.
    pub registered: BTreeMap<String, Workload>,
    /// What holds for a component that no policy speaks of.
    pub unlisted: Unlisted,
}

/// What holds where there is no policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// Everybody comes in: `accessPolicy: Optional`.
    #[default]
    Open,
    /// Nobody does: `accessPolicy: Required`.
    Closed,
}

/// How a directory of Entra names itself as an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Of tokens of version 1, without a trailing slash.
    pub v1: String,
    /// Of tokens of version 2, without a trailing slash: the host where people sign in.
    pub v2: String,
}

impl Default for Directory {
    /// Azure public's. Source: Microsoft, "Access tokens in the Microsoft identity platform", issuers.
    fn default() -> Self {
        Self { v1: "https://sts.windows.net".to_owned(), v2: "https://login.microsoftonline.com".to_owned() }
    }
}

impl Directory {
    /// The two issuers of a directory, in their normal form.
    pub fn issuers(&self, tenant: &str) -> [String; 2] {
        let tenant = tenant.to_ascii_lowercase();
        [format!("{}/{tenant}", self.v1), format!("{}/{tenant}/v2.0", self.v2)].map(|issuer| normal_issuer(&issuer))
    }

    /// Whether an issuer is this directory.
    pub(super) fn is(&self, tenant: &str, issuer: &str) -> bool {
        self.issuers(tenant).contains(&normal_issuer(issuer))
    }
}
