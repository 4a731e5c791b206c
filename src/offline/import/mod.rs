//! Variables that were set by hand, as resources.
//!
//! Services ([`by_hand`](super::by_hand)) of one namespace are one Timbr; each kind of resource has a
//! [`Draft`](draft::Draft) that takes the variables it knows. A resource is made whole or not at all: half
//! of one may be worse than none, as tokens without their audience show. What is made is judged as any other
//! input ([`faults`](faults::faults)), and what would be refused is not made. What becomes of each variable
//! is told.

mod credential;
mod databricks;
mod draft;
mod duration;
mod faults;
mod installation;
mod ledger;
mod principal;
mod sign_on;
mod timbr;
mod tokens;

use serde_json::Value as Json;

use crate::compose::Settings;

use super::{
    Document,
    by_hand::{Stranger, Variable, services, strangers},
    objects::Reader,
};

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
        let (resources, secrets, ledger) = make(&timbr, documents, options);
        import.resources.extend(resources);
        import.secrets.extend(secrets);
        import.lines.extend(ledger.lines(&timbr, documents));
    }
    for Stranger { at, why, variables } in strangers(documents, &objects, namespace) {
        let line = |variable: Variable| {
            Line::new(&documents[at], variable.path, What::Left { name: variable.name, why: why.clone() })
        };
        import.lines.extend(variables.into_iter().map(line));
    }
    import
}

/// The resources for one Timbr, each of which would be accepted, and the Secrets for them.
fn make(timbr: &Timbr<'_>, documents: &[Document], options: &Options<'_>) -> (Vec<Json>, Vec<SecretManifest>, Ledger) {
    let mut ledger = Ledger::default();
    loop {
        let resources = [
            installation::make(timbr, &mut ledger),
            sign_on::make(timbr, options, &mut ledger),
            databricks::make(timbr, options, &mut ledger),
            principal::make(timbr, &mut ledger),
            tokens::make(timbr, &mut ledger),
        ];
        let resources: Vec<Json> = resources.into_iter().flatten().collect();
        let secrets = secret_manifests(timbr.namespace.as_deref(), &ledger, options.settings.require_secret_opt_in);
        let faults = faults::faults(&resources, &secrets, documents, options);
        if faults.is_empty() {
            return (resources, secrets, ledger);
        }
        // What is refused is not made again, so there is an end.
        let mut refused = ledger.refused;
        refused.extend(faults);
        ledger = Ledger { refused, ..Ledger::default() };
    }
}
