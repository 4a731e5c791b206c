//! Variables that were set by hand, as resources.
//!
//! Services ([`by_hand`](super::by_hand)) of one namespace are one Timbr; each kind of resource has a
//! [`Draft`](draft::Draft) that takes the variables it knows. A resource is made whole or not at all: half
//! of one may be worse than none, as tokens without their audience show. What becomes of each variable is
//! told.

mod credential;
mod databricks;
mod draft;
mod duration;
mod installation;
mod ledger;
mod principal;
mod sign_on;
mod timbr;
mod tokens;

use serde_json::Value as Json;

use crate::compose::Settings;

use super::{Document, by_hand::services, objects::Reader};

pub use credential::{SecretManifest, secret_manifests};
pub use ledger::{Line, What};

use ledger::Ledger;
use timbr::Timbr;

/// What no variable says.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The namespace of documents that name none, where it was given.
    pub namespace: Option<&'a str>,
    /// The address under which people open Timbr.
    pub public_url: Option<&'a str>,
    /// The host of the Databricks workspace.
    pub workspace_host: Option<&'a str>,
    /// Where tokens come from.
    pub settings: &'a Settings,
}

/// What came of it.
#[derive(Debug)]
pub struct Import {
    /// The resources, as manifests.
    pub resources: Vec<Json>,
    /// The Secrets that they name and that have to be made.
    pub secrets: Vec<SecretManifest>,
    /// What became of each variable, in the order of the input.
    pub lines: Vec<Line>,
}

impl Import {
    /// Whether every variable found its place.
    pub fn is_whole(&self) -> bool {
        !self.lines.iter().any(|line| matches!(line.what, What::Left { .. }))
    }
}

/// Makes resources from what was set by hand.
pub fn import(documents: &[Document], options: &Options<'_>) -> Import {
    let namespace = options.namespace.unwrap_or("default");
    let (objects, _) = Reader::read(documents, namespace);
    let services = services(documents, &objects, namespace);
    let mut import = Import { resources: vec![], secrets: vec![], lines: vec![] };
    for timbr in Timbr::all(&services, &objects, options) {
        let mut ledger = Ledger::default();
        let resources = [
            installation::make(&timbr),
            sign_on::make(&timbr, options, &mut ledger),
            databricks::make(&timbr, options, &mut ledger),
            principal::make(&timbr, options.settings, &mut ledger),
            tokens::make(&timbr, &mut ledger),
        ];
        import.resources.extend(resources.into_iter().flatten());
        import.secrets.extend(secret_manifests(timbr.namespace.as_deref(), &ledger));
        import.lines.extend(ledger.lines(&timbr, documents));
    }
    import
}
