//! What is known of one namespace. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    api::{Component, Kind, Resource, Spec, Status, TimbrInstallationSpec},
    compose::{InstallationKey, LiveGuards, OurSecret, named},
};

use super::change::Version;

#[derive(Debug, Default)]
pub(super) struct Namespace {
    /// Its TimbrInstallations by name. Boxed, as are the others: a map makes room for eleven at once.
    pub installations: BTreeMap<String, Box<Kept<TimbrInstallationSpec>>>,
    /// Its other resources.
    pub resources: BTreeMap<(Kind, String), Box<Kept<Spec>>>,
    /// Deployments that carry our label.
    pub managed: BTreeSet<String>,
    /// Secrets that we made, or that are called as if we had.
    pub secrets: BTreeMap<String, Box<Labelled>>,
    /// NetworkPolicies that we made.
    pub networks: BTreeSet<String>,
    /// By which access policies its Timbr is guarded, as it is recorded.
    pub guards: Option<Box<LiveGuards>>,
}

/// A Secret that we made, or that is called as if we had.
#[derive(Clone, Debug)]
pub(super) struct Labelled {
    /// The label that names its installation.
    pub label: String,
    /// When it is surely ours: all that there is to know of it.
    pub ours: Option<OurSecret>,
}

/// One of our objects.
#[derive(Debug)]
pub(super) struct Kept<S> {
    /// What it says.
    pub resource: Resource<S>,
    /// Whether nothing is wrong with it by itself: the webhook asks often, and it is not judged anew each time.
    pub sound: bool,
    /// Its newest version that is known: seen, or of our own writing.
    version: Option<Version>,
}

impl<S: PartialEq> Kept<S> {
    /// An object that a watch delivers, after what was known of it. One that comes late knows nothing of a status
    /// that was written since.
    pub fn after(before: Option<&Self>, mut seen: Resource<S>, version: Option<Version>) -> Self {
        let known = before.and_then(|before| before.version);
        if let Some(before) = before.filter(|before| before.resource.meta.uid == seen.meta.uid)
            && version.is_some_and(|version| known > Some(version))
        {
            seen.status.clone_from(&before.resource.status);
        }
        Self { resource: seen, sound: true, version: known.max(version) }
    }

    /// The same, with whether nothing is wrong with it by itself.
    pub fn judged(self, sound: bool) -> Self {
        Self { sound, ..self }
    }

    /// Whether it is as it was before, but for a status that is being written.
    pub fn is_no_news(&self, before: &Self, announced: Option<&Status>) -> bool {
        let (before, now) = (&before.resource, &self.resource);
        let is_same_status = before.status == now.status || (announced.is_some() && announced == now.status.as_deref());
        is_same_status && before.meta == now.meta && before.spec == now.spec
    }

    /// Notes a status that was written to the object with this uid, unless somebody has written since, and that was
    /// seen.
    pub fn record(&mut self, uid: &str, status: Status, version: Option<Version>) {
        if version.is_some_and(|version| self.version > Some(version)) {
            return;
        }
        self.version = version.or(self.version);
        if self.resource.meta.uid == uid {
            self.resource.status = Some(Arc::new(status));
        }
    }
}

impl Namespace {
    /// Its ExternalTokenProviders.
    pub fn providers(&self) -> impl Iterator<Item = &Resource<Spec>> {
        const KIND: Kind = Kind::ExternalTokenProvider;
        let from = self.resources.range((KIND, String::new())..);
        from.map(|(_, kept)| &kept.resource).take_while(|resource| resource.meta.kind == KIND)
    }

    /// Its TimbrInstallations.
    pub fn installations(&self) -> impl Iterator<Item = &Resource<TimbrInstallationSpec>> + Clone {
        self.installations.values().map(|kept| &kept.resource)
    }

    /// Its other resources.
    pub fn resources(&self) -> impl Iterator<Item = &Resource<Spec>> + Clone {
        self.resources.values().map(|kept| &kept.resource)
    }

    /// The same, each with whether nothing is wrong with it by itself.
    pub fn judged(&self) -> impl Iterator<Item = (&Resource<Spec>, bool)> + Clone {
        self.resources.values().map(|kept| (&kept.resource, kept.sound))
    }

    /// The names of its TimbrInstallations.
    pub fn names(&self) -> BTreeSet<&str> {
        self.installations.keys().map(String::as_str).collect()
    }

    /// The usual Deployments that Secrets which are there were made for.
    pub fn owners(&self) -> BTreeSet<String> {
        let owners = self.secrets.values().filter_map(|secret| secret.ours.as_ref()?.owner.clone());
        owners.filter(|owner| Component::ALL.iter().any(|it| it.usual_deployment() == owner)).collect()
    }

    /// The components whose Secrets that charts name are there.
    pub fn stable(&self) -> impl Iterator<Item = Component> {
        Component::ALL.into_iter().filter(|component| self.secrets.contains_key(component.stable_secret()))
    }

    /// Whether there is nothing of ours in it.
    pub fn is_empty(&self) -> bool {
        self.installations.is_empty()
            && self.resources.is_empty()
            && self.managed.is_empty()
            && self.secrets.is_empty()
            && self.networks.is_empty()
            && self.guards.is_none()
    }

    /// The implicit installation, when there are Deployments of other installations that none names any more:
    /// it takes off what is on them, but not before it is where it belongs now.
    pub fn releasing(&self, namespace: &str) -> Option<InstallationKey> {
        if self.installations.is_empty() {
            return None;
        }
        let is_given_up = || {
            let named: BTreeSet<String> = self.installations().flat_map(named).collect();
            self.managed.iter().any(|deployment| !named.contains(deployment))
        };
        // A Secret that charts name, of an installation that is gone, holds what is on its way, too.
        let is_left = || {
            let mut stable = Component::ALL.iter().filter_map(|component| self.secrets.get(component.stable_secret()));
            stable.any(|secret| self.key_of_label(namespace, &secret.label).name.is_none())
        };
        (is_given_up() || is_left()).then(|| InstallationKey { namespace: namespace.to_owned(), name: None })
    }

    /// The installation with this label, else the implicit one.
    pub fn key_of_label(&self, namespace: &str, label: &str) -> InstallationKey {
        let key = |name| InstallationKey { namespace: namespace.to_owned(), name };
        let mut named = self.installations.keys().map(|name| key(Some(name.clone())));
        named.find(|key| key.label() == label).unwrap_or_else(|| key(None))
    }

    /// The installation that speaks for a resource: its own, else the implicit one.
    pub fn key_of(&self, namespace: &str, resource: &Resource<Spec>) -> InstallationKey {
        resource.key(&self.names()).unwrap_or_else(|_| InstallationKey { namespace: namespace.to_owned(), name: None })
    }
}
