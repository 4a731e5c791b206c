//! What this process is writing, and what of it the watches have yet to deliver: their delivering it is no news. Pure.
//!
//! Kept apart from what is known of the namespaces, as there are many of those and little is under way at any time.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{Kind, Meta, Status},
    compose::InstallationKey,
};

use super::change::Version;

#[derive(Debug, Default)]
pub(super) struct Underway {
    /// Statuses that are being written: namespace, kind, name.
    statuses: BTreeMap<(String, Kind, String), Status>,
    /// Deployments that are being written (namespace, name), by whom, and the newest version that was seen of them
    /// meanwhile: perhaps the write itself, perhaps another's.
    deployments: BTreeMap<(String, String), BTreeMap<InstallationKey, Option<Version>>>,
    /// Versions of Deployments that were written, and by whom, until a watch delivers them.
    written: BTreeMap<(String, String), (Version, InstallationKey)>,
    /// Secrets that are made for them (namespace, name), until a watch delivers them.
    secrets: BTreeSet<(String, String)>,
}

impl Underway {
    /// A status is about to be written.
    pub fn announce_status(&mut self, meta: &Meta, status: Status) {
        self.statuses.insert(status_place(meta), status);
    }

    /// It was, or it was not, or nobody knows.
    pub fn withdraw_status(&mut self, meta: &Meta) {
        self.statuses.remove(&status_place(meta));
    }

    /// The status of an object that is being written.
    pub fn status(&self, meta: &Meta) -> Option<&Status> {
        self.statuses.get(&status_place(meta))
    }

    /// A Deployment is about to be written, and Secrets to be made for it.
    pub fn write_begins(&mut self, by: &InstallationKey, deployment: &str, secrets: impl Iterator<Item = String>) {
        self.deployments.entry(place(&by.namespace, deployment)).or_default().insert(by.clone(), None);
        self.secrets.extend(secrets.map(|name| (by.namespace.clone(), name)));
    }

    /// What version came of the write, if it is known. Returns whether there is news for the installation all the
    /// same: the Deployment was seen in a later version, or in one that may be another's.
    pub fn write_ends(
        &mut self,
        by: &InstallationKey,
        deployment: &str,
        secrets: &BTreeSet<String>,
        version: Option<&str>,
    ) -> bool {
        let place = place(&by.namespace, deployment);
        let writers = self.deployments.get_mut(&place);
        let seen = writers.and_then(|writers| writers.remove(by)).flatten();
        if self.deployments.get(&place).is_some_and(BTreeMap::is_empty) {
            self.deployments.remove(&place);
        }
        let Some(written) = version.and_then(Version::parse) else {
            self.secrets.retain(|(namespace, name)| *namespace != by.namespace || !secrets.contains(name));
            return seen.is_some();
        };
        if seen < Some(written) {
            self.written.insert(place, (written, by.clone()));
        }
        seen > Some(written)
    }

    /// The installations to which a version of a Deployment that is seen is no news: whoever wrote it, or a later one,
    /// and whoever is writing and will say when that is answered.
    pub fn seen(&mut self, namespace: &str, deployment: &str, version: Version) -> BTreeSet<InstallationKey> {
        let place = place(namespace, deployment);
        let mut known = BTreeSet::new();
        for (by, seen) in self.deployments.get_mut(&place).into_iter().flatten() {
            *seen = (*seen).max(Some(version));
            known.insert(by.clone());
        }
        if let Some((written, by)) = self.written.get(&place).cloned() {
            if version >= written {
                self.written.remove(&place);
            }
            if version <= written {
                known.insert(by);
            }
        }
        known
    }

    /// A Deployment is not there any more, or not ours.
    pub fn forget(&mut self, namespace: &str, deployment: &str) {
        self.written.remove(&place(namespace, deployment));
    }

    /// Whether a Secret that is seen is one that was made for a Deployment and not seen since.
    pub fn take_secret(&mut self, namespace: &str, name: &str) -> bool {
        self.secrets.remove(&place(namespace, name))
    }

    /// Whether nothing is.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        let Self { statuses, deployments, written, secrets } = self;
        statuses.is_empty() && deployments.is_empty() && written.is_empty() && secrets.is_empty()
    }
}

fn status_place(meta: &Meta) -> (String, Kind, String) {
    (meta.namespace.clone(), meta.kind, meta.name.clone())
}

fn place(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}
