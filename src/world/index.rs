//! What the watches have seen, by namespace, and which installations a change concerns. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{
        CLAIM, Component, GUARDS_SECRET, Kind, Meta, Object, Resource, Spec, Status, TimbrInstallationSpec, TrustedPair,
    },
    compose::{
        Charge, Consumer, Foreign, InstallationKey, LiveGuards, OurSecret, claimants, contenders, is_sound, keys,
        secret_refs, token_ref, wanted,
    },
};

use super::{
    Record,
    change::{Change, Known, Version},
    consumers::Consumers,
    namespace::{Kept, Labelled, Namespace},
    underway::Underway,
};

/// What the watches have seen.
#[derive(Debug, Default)]
pub struct Index {
    namespaces: BTreeMap<String, Namespace>,
    underway: Underway,
    /// Claims, also to namespaces that have nothing of ours.
    claims: BTreeMap<String, Record>,
    /// Which organization a namespace belongs to, the same.
    organizations: BTreeMap<String, String>,
    /// Who uses which Timbr.
    consumers: Consumers,
    /// The namespaces with providers that want a pair of issuer and audience.
    seekers: BTreeMap<TrustedPair, BTreeSet<String>>,
}

/// What other namespaces see of a namespace's providers.
#[derive(Debug, Default)]
struct Providers {
    /// The pairs that they want.
    wanted: BTreeSet<TrustedPair>,
    /// Those that they contend for: with the provider's name and UID, and whether it has the pair.
    contenders: BTreeSet<(TrustedPair, String, String, bool)>,
}

/// What of a namespace an installation's snapshot is made from.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its TimbrInstallations.
    pub installations: Vec<Resource<TimbrInstallationSpec>>,
    /// Its other resources.
    pub resources: Vec<Resource<Spec>>,
    /// What providers in other namespaces want of what those among them want.
    pub foreign: Vec<Foreign>,
    /// Its Deployments that carry our label.
    pub managed: BTreeSet<String>,
    /// Its Secrets that charts name.
    pub stable: BTreeSet<String>,
    /// The usual Deployments that Secrets were made for which are there still.
    pub owners: BTreeSet<String>,
    /// Its NetworkPolicies that we made.
    pub networks: BTreeSet<String>,
    /// Who runs that uses its Timbr.
    pub consumers: BTreeSet<Consumer>,
}

impl Index {
    /// Takes in a change; returns the installations that must be looked at again.
    pub fn apply(&mut self, change: Change) -> BTreeSet<InstallationKey> {
        let namespace = change.namespace().to_owned();
        let is_of_providers = change.is_of_providers();
        let before = if is_of_providers { self.providers(&namespace) } else { Providers::default() };
        let mut concerned = self.take_in(change);
        if is_of_providers {
            concerned.extend(self.moved(&namespace, &before));
        }
        if self.namespaces.get(&namespace).is_some_and(Namespace::is_empty) {
            self.namespaces.remove(&namespace);
        }
        concerned
    }

    fn take_in(&mut self, change: Change) -> BTreeSet<InstallationKey> {
        match change {
            Change::Object(object, version) => match *object {
                Object::Installation(installation) => self.installation(installation, version),
                Object::Resource(resource) => self.resource(resource, version),
            },
            Change::ObjectGone { kind, namespace, name } => self.gone(kind, &namespace, &name),
            Change::Deployment { namespace, name, managed, version } => {
                self.deployment(&namespace, name, managed, version)
            }
            Change::Secret { namespace, name, installation, ours } => {
                self.secret(&namespace, name, installation.map(|label| Labelled { label, ours }))
            }
            Change::Guards { namespace, seen } => self.guarded(&namespace, seen.map(|seen| *seen)),
            Change::Network { namespace, name, is_there } => self.network(&namespace, name, is_there),
            Change::Namespace { name, organization } => self.organization(name, organization),
            Change::Claim { namespace, record } => self.claimed(namespace, record),
            Change::Pod { namespace, name, target, seen } => {
                let seen = seen.map(|(of, consumer)| (of, *consumer));
                let concerned = self.consumers.set((target, namespace, name), seen);
                concerned.iter().flat_map(|of| self.keys(Some(of))).collect()
            }
        }
    }

    /// What an installation may look at.
    pub fn view(&self, namespace: &str) -> View {
        let Some(here) = self.namespaces.get(namespace) else { return View::default() };
        View {
            installations: here.installations().cloned().collect(),
            resources: here.resources().cloned().collect(),
            foreign: self.foreign(namespace, here),
            managed: here.managed.clone(),
            owners: here.owners(),
            networks: here.networks.clone(),
            consumers: self.consumers.of(namespace),
            stable: here.stable().map(|component| component.stable_secret().to_owned()).collect(),
        }
    }

    /// The TimbrInstallations of a namespace.
    pub fn installations(&self, namespace: &str) -> impl Iterator<Item = &Resource<TimbrInstallationSpec>> + Clone {
        self.namespaces.get(namespace).into_iter().flat_map(Namespace::installations)
    }

    /// The other resources of a namespace, each with whether nothing is wrong with it by itself.
    pub fn resources(&self, namespace: &str) -> impl Iterator<Item = (&Resource<Spec>, bool)> + Clone {
        self.namespaces.get(namespace).into_iter().flat_map(Namespace::judged)
    }

    /// By which access policies the Timbr of a namespace is guarded, as it is recorded.
    pub fn guards(&self, namespace: &str) -> Option<&LiveGuards> {
        self.namespaces.get(namespace)?.guards.as_deref()
    }

    /// What providers in other namespaces want of what a namespace's want.
    fn foreign(&self, namespace: &str, here: &Namespace) -> Vec<Foreign> {
        let pairs: BTreeSet<TrustedPair> = here.providers().flat_map(wanted).collect();
        let organization = self.organizations.get(namespace);
        self.others(namespace, &pairs)
            .flat_map(|(other, there)| {
                let common = organization.filter(|here| self.organizations.get(other) == Some(here));
                let contenders = contenders(there.providers(), &there.names()).into_iter();
                let contenders = contenders.filter(|it| pairs.contains(&it.pair));
                contenders.map(|it| Foreign { organization: common.cloned(), ..it }).collect::<Vec<_>>()
            })
            .collect()
    }

    /// What other namespaces see of a namespace's providers.
    fn providers(&self, namespace: &str) -> Providers {
        let Some(here) = self.namespaces.get(namespace) else { return Providers::default() };
        let contenders = contenders(here.providers(), &here.names()).into_iter();
        Providers {
            wanted: here.providers().flat_map(wanted).collect(),
            contenders: contenders.map(|it| (it.pair, it.meta.name, it.meta.uid, it.holds)).collect(),
        }
    }

    /// Takes in what has become of a namespace's providers; returns whom it concerns elsewhere.
    fn moved(&mut self, namespace: &str, before: &Providers) -> BTreeSet<InstallationKey> {
        let now = self.providers(namespace);
        for pair in before.wanted.difference(&now.wanted) {
            if let Some(seekers) = self.seekers.get_mut(pair) {
                seekers.remove(namespace);
                if seekers.is_empty() {
                    self.seekers.remove(pair);
                }
            }
        }
        for pair in now.wanted.difference(&before.wanted) {
            self.seekers.entry(pair.clone()).or_default().insert(namespace.to_owned());
        }
        let pairs = now.contenders.symmetric_difference(&before.contenders).map(|(pair, ..)| pair.clone()).collect();
        self.rivals(namespace, &pairs)
    }

    /// Other namespaces with providers that want one of these pairs.
    fn others(&self, namespace: &str, pairs: &BTreeSet<TrustedPair>) -> impl Iterator<Item = (&String, &Namespace)> {
        let names: BTreeSet<&String> = pairs.iter().filter_map(|pair| self.seekers.get(pair)).flatten().collect();
        let others = names.into_iter().filter(move |other| *other != namespace);
        others.filter_map(|other| self.namespaces.get_key_value(other))
    }

    /// The installations in other namespaces with providers that want one of these pairs.
    fn rivals(&self, namespace: &str, pairs: &BTreeSet<TrustedPair>) -> BTreeSet<InstallationKey> {
        self.others(namespace, pairs)
            .flat_map(|(other, there)| {
                let rivals = there.providers().filter(|it| wanted(it).iter().any(|pair| pairs.contains(pair)));
                rivals.map(|it| there.key_of(other, it))
            })
            .collect()
    }

    /// Whom it concerns that a namespace belongs to another organization than before.
    fn organization(&mut self, name: String, organization: Option<String>) -> BTreeSet<InstallationKey> {
        if self.organizations.get(&name) == organization.as_ref() {
            return BTreeSet::new();
        }
        let here = self.namespaces.get(&name);
        let mut concerned: BTreeSet<InstallationKey> =
            here.into_iter().flat_map(|here| here.providers().map(|it| here.key_of(&name, it))).collect();
        concerned.extend(self.rivals(&name, &self.providers(&name).wanted));
        match organization {
            Some(organization) => self.organizations.insert(name, organization),
            None => self.organizations.remove(&name),
        };
        concerned
    }

    /// What the claim to a namespace says, if there is one.
    pub fn claim(&self, namespace: &str) -> Option<&Record> {
        self.claims.get(namespace)
    }

    /// The Secrets that we made and that an installation looks after.
    pub fn secrets(&self, key: &InstallationKey) -> Vec<OurSecret> {
        let Some(here) = self.namespaces.get(&key.namespace) else { return Vec::new() };
        if here.secrets.is_empty() {
            return Vec::new();
        }
        let charge = Charge::of(key, here.installations());
        here.secrets
            .values()
            .filter_map(|secret| secret.ours.as_ref())
            .filter(|secret| charge.has(secret))
            .cloned()
            .collect()
    }

    /// Every installation of a namespace, or of all.
    pub fn keys(&self, namespace: Option<&str>) -> BTreeSet<InstallationKey> {
        let here = self.namespaces.iter().filter(|(name, _)| namespace.is_none_or(|only| only == name.as_str()));
        here.filter(|(_, here)| !here.is_empty()).flat_map(|(name, here)| keys(name, &here.names())).collect()
    }

    /// Names of what is known of a kind in a namespace, or in all: what a relist must confirm.
    pub fn known(&self, what: Known, namespace: Option<&str>) -> BTreeSet<(String, String)> {
        if what == Known::Namespace {
            return self.organizations.keys().map(|name| (String::new(), name.clone())).collect();
        }
        if let Known::Pod(target) = what {
            return self.consumers.pods(target, namespace);
        }
        if what == Known::Claim {
            let claimed = self.claims.keys().filter(|name| namespace.is_none_or(|only| only == name.as_str()));
            return claimed.map(|namespace| (namespace.clone(), CLAIM.to_owned())).collect();
        }
        let guards_secret = GUARDS_SECRET.to_owned();
        let here = self.namespaces.iter().filter(|(name, _)| namespace.is_none_or(|only| only == name.as_str()));
        here.flat_map(|(namespace, here)| {
            let names: Vec<&String> = match what {
                Known::Object(Kind::TimbrInstallation) => here.installations.keys().collect(),
                Known::Object(kind) => {
                    here.resources.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name).collect()
                }
                Known::Deployment => here.managed.iter().collect(),
                Known::Secret => {
                    let record = here.guards.as_ref().map(|_| &guards_secret);
                    here.secrets.keys().chain(record).collect()
                }
                Known::Network => here.networks.iter().collect(),
                Known::Namespace | Known::Claim | Known::Pod(_) => Vec::new(),
            };
            names.into_iter().map(|name| (namespace.clone(), name.clone())).collect::<Vec<_>>()
        })
        .collect()
    }

    /// Notes that a status is about to be written: the watch may be quicker than the answer.
    pub fn announce_status(&mut self, meta: &Meta, status: Status) {
        self.underway.announce_status(meta, status);
    }

    /// Notes that it was not, or that nobody knows.
    pub fn withdraw_status(&mut self, meta: &Meta) {
        self.underway.withdraw_status(meta);
    }

    /// Notes a status that was just written, so that the next look compares with it and not with
    /// what the watch has yet to deliver. Returns whom it concerns in other namespaces.
    pub fn record_status(&mut self, meta: &Meta, status: Status, version: &str) -> BTreeSet<InstallationKey> {
        let before = self.providers(&meta.namespace);
        self.withdraw_status(meta);
        let Some(here) = self.namespaces.get_mut(&meta.namespace) else { return BTreeSet::new() };
        let version = Version::parse(version);
        if meta.kind == Kind::TimbrInstallation {
            if let Some(kept) = here.installations.get_mut(&meta.name) {
                kept.record(&meta.uid, status, version);
            }
        } else if let Some(kept) = here.resources.get_mut(&(meta.kind, meta.name.clone())) {
            kept.record(&meta.uid, status, version);
        }
        match meta.kind {
            Kind::ExternalTokenProvider => self.moved(&meta.namespace, &before),
            _ => BTreeSet::new(),
        }
    }

    /// Notes that an installation is about to write a Deployment, and to make Secrets for it: what the watches
    /// deliver of that is no news to it.
    pub fn write_begins(&mut self, by: &InstallationKey, deployment: &str, secrets: &BTreeSet<String>) {
        let here = self.namespaces.get(&by.namespace);
        let is_there = |name: &&String| here.is_some_and(|here| here.secrets.contains_key(*name));
        let new = secrets.iter().filter(|name| !is_there(name)).cloned();
        self.underway.write_begins(by, deployment, new);
    }

    /// Notes what version came of the write, if it is known; returns whether there is news for the installation all
    /// the same: the Deployment was seen in a later version, or in one that may be another's.
    pub fn write_ends(
        &mut self,
        by: &InstallationKey,
        deployment: &str,
        secrets: &BTreeSet<String>,
        version: Option<&str>,
    ) -> bool {
        self.underway.write_ends(by, deployment, secrets, version)
    }

    fn installation(
        &mut self,
        installation: Resource<TimbrInstallationSpec>,
        version: Option<Version>,
    ) -> BTreeSet<InstallationKey> {
        let (namespace, name) = (installation.meta.namespace.clone(), installation.meta.name.clone());
        let announced = self.underway.status(&installation.meta);
        let here = self.namespaces.entry(namespace.clone()).or_default();
        let before = here.installations.get(&name).map(Box::as_ref);
        let now = Box::new(Kept::after(before, installation, version));
        if before.is_some_and(|before| now.is_no_news(before, announced)) {
            here.installations.insert(name, now);
            return BTreeSet::new();
        }
        // Which installation any resource belongs to may change with it.
        let mut concerned: BTreeSet<_> = keys(&namespace, &here.names()).into_iter().collect();
        here.installations.insert(name, now);
        concerned.extend(keys(&namespace, &here.names()));
        concerned
    }

    fn resource(&mut self, resource: Resource<Spec>, version: Option<Version>) -> BTreeSet<InstallationKey> {
        let namespace = resource.meta.namespace.clone();
        let announced = self.underway.status(&resource.meta);
        let here = self.namespaces.entry(namespace.clone()).or_default();
        let place = (resource.meta.kind, resource.meta.name.clone());
        let before = here.resources.get(&place).map(Box::as_ref);
        let sound = is_sound(&resource);
        let now = Box::new(Kept::after(before, resource, version).judged(sound));
        // Our own status coming back is no news.
        if before.is_some_and(|before| now.is_no_news(before, announced)) {
            here.resources.insert(place, now);
            return BTreeSet::new();
        }
        let after = here.key_of(&namespace, &now.resource);
        let is_shared = is_shared(place.0);
        let before = here.resources.insert(place, now);
        let before = before.map(|before| here.key_of(&namespace, &before.resource));
        let others = is_shared.then(|| keys(&namespace, &here.names())).into_iter().flatten();
        before.into_iter().chain([after]).chain(here.releasing(&namespace)).chain(others).collect()
    }

    fn gone(&mut self, kind: Kind, namespace: &str, name: &str) -> BTreeSet<InstallationKey> {
        let Some(here) = self.namespaces.get_mut(namespace) else { return BTreeSet::new() };
        if kind == Kind::TimbrInstallation {
            let concerned = keys(namespace, &here.names()).into_iter().collect();
            return here.installations.remove(name).map(|_| concerned).unwrap_or_default();
        }
        let before = here.resources.remove(&(kind, name.to_owned()));
        let Some(before) = before else { return BTreeSet::new() };
        let others = is_shared(kind).then(|| keys(namespace, &here.names())).into_iter().flatten();
        [here.key_of(namespace, &before.resource)].into_iter().chain(here.releasing(namespace)).chain(others).collect()
    }

    fn deployment(
        &mut self,
        namespace: &str,
        name: String,
        managed: bool,
        version: Option<Version>,
    ) -> BTreeSet<InstallationKey> {
        let known_to = match version.filter(|_| managed) {
            Some(version) => self.underway.seen(namespace, &name, version),
            None => {
                self.underway.forget(namespace, &name);
                BTreeSet::new()
            }
        };
        if managed {
            self.namespaces.entry(namespace.to_owned()).or_default().managed.insert(name.clone());
        }
        let Some(here) = self.namespaces.get_mut(namespace) else { return BTreeSet::new() };
        let was_managed = if managed { true } else { here.managed.remove(&name) };
        let mut concerned = claimants(namespace, &name, here.installations());
        let is_unclaimed = concerned.is_empty();
        // Without claimants: the implicit installation's, or one that must be released.
        let usual = Component::ALL.iter().any(|component| component.usual_deployment() == name);
        // One that may have named a Secret of ours, too: that goes once nothing names it.
        let implicit =
            usual && here.installations.is_empty() && (!here.resources.is_empty() || here.stable().next().is_some());
        if is_unclaimed && (was_managed || implicit) {
            concerned.insert(InstallationKey { namespace: namespace.to_owned(), name: None });
        }
        if is_unclaimed {
            // Its Secrets may be needed no more; whoever their labels name looks after them.
            let owned = here.secrets.values().filter_map(|secret| Some((&secret.label, secret.ours.as_ref()?)));
            let owned = owned.filter(|(_, secret)| secret.owner.as_deref() == Some(name.as_str()));
            concerned.extend(owned.map(|(label, _)| here.key_of_label(namespace, label)));
        } else {
            // What goes from another Deployment to this one may be here by now.
            concerned.extend(here.releasing(namespace));
        }
        concerned.retain(|key| !known_to.contains(key));
        concerned
    }

    fn secret(&mut self, namespace: &str, name: String, seen: Option<Labelled>) -> BTreeSet<InstallationKey> {
        if let Some(seen) = &seen {
            let here = self.namespaces.entry(namespace.to_owned()).or_default();
            let is_new = here.secrets.insert(name.clone(), Box::new(seen.clone())).is_none();
            if is_new && seen.ours.is_some() && self.underway.take_secret(namespace, &name) {
                return BTreeSet::new();
            }
        }
        let Some(here) = self.namespaces.get_mut(namespace) else { return BTreeSet::new() };
        let known = seen.or_else(|| here.secrets.remove(&name).map(|known| *known));
        let owner = known.as_ref().and_then(|known| known.ours.as_ref()?.owner.clone());
        let labelled = known.map(|known| known.label);
        let named = here.resources().filter(|resource| secret_refs(resource).iter().any(|secret| secret.name == name));
        let mut concerned: BTreeSet<_> = named.map(|resource| here.key_of(namespace, resource)).collect();
        let with_token = here
            .installations()
            .filter(|installation| token_ref(installation).is_some_and(|secret| secret.name == name));
        concerned.extend(with_token.map(|installation| InstallationKey {
            namespace: namespace.to_owned(),
            name: Some(installation.meta.name.clone()),
        }));
        // Of a namespace's installations, one has it.
        if Component::ALL.iter().any(|component| component.stable_secret() == name) {
            concerned.extend(keys(namespace, &here.names()));
        }
        if let Some(label) = labelled {
            let labelled = keys(namespace, &here.names()).into_iter().filter(|key| key.label() == label);
            let before = concerned.len();
            concerned.extend(labelled.filter(|key| key.name.is_some() || here.installations.is_empty()));
            if concerned.len() == before {
                // Its installation has another name by now, or somebody took its label.
                concerned.extend(keys(namespace, &here.names()));
            }
        }
        // The Deployment may have gone to another installation since.
        concerned.extend(owner.into_iter().flat_map(|owner| claimants(namespace, &owner, here.installations())));
        concerned
    }

    /// It is every installation's of its namespace.
    fn guarded(&mut self, namespace: &str, seen: Option<LiveGuards>) -> BTreeSet<InstallationKey> {
        // One that is being deleted is gone twice, and may have been read in between.
        if seen.is_some() && self.guards(namespace) == seen.as_ref() {
            return BTreeSet::new();
        }
        let here = self.namespaces.entry(namespace.to_owned()).or_default();
        here.guards = seen.map(Box::new);
        keys(namespace, &here.names()).into_iter().collect()
    }

    /// Whose it is tells the Deployment that it guards, so it may be of any: there are few.
    fn network(&mut self, namespace: &str, name: String, is_there: bool) -> BTreeSet<InstallationKey> {
        if is_there {
            self.namespaces.entry(namespace.to_owned()).or_default().networks.insert(name);
        } else if let Some(here) = self.namespaces.get_mut(namespace) {
            here.networks.remove(&name);
        }
        let here = self.namespaces.get(namespace);
        here.into_iter().flat_map(|here| keys(namespace, &here.names())).collect()
    }

    /// Every renewal concerns all that is there: whoever keeps out begins to count anew.
    fn claimed(&mut self, namespace: String, record: Option<Record>) -> BTreeSet<InstallationKey> {
        let concerned = self.keys(Some(&namespace));
        match record {
            Some(record) => self.claims.insert(namespace, record),
            None => self.claims.remove(&namespace),
        };
        concerned
    }
}

/// Whether a resource is every installation's of its namespace: they are guarded together.
fn is_shared(kind: Kind) -> bool {
    kind == Kind::InboundAccessPolicy
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::AzureSsoStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, json};

    fn object(kind: Kind, name: &str, spec: serde_json::Value) -> Change {
        let meta = ObjectMeta {
            namespace: Some("ns".into()),
            name: Some(name.into()),
            uid: Some(format!("uid-{name}")),
            ..Default::default()
        };
        Change::Object(Box::new(Object::read(kind, &meta, &json!({"spec": spec}))), None)
    }

    fn sso(name: &str, installation: Option<&str>) -> Change {
        let mut spec = json!({
            "tenantId": "contoso.com", "clientId": "11111111-2222-3333-4444-555555555555",
            "clientSecretRef": {"name": "entra", "key": "client-secret"}, "publicUrl": "https://a.b"
        });
        if let Some(name) = installation {
            spec["installationRef"] = json!({"name": name});
        }
        object(Kind::AzureSso, name, spec)
    }

    fn installation(name: &str, platform: &str) -> Change {
        object(Kind::TimbrInstallation, name, json!({"components": {"platform": {"deployment": platform}}}))
    }

    fn secret(name: &str, installation: Option<&str>) -> Change {
        let installation = installation.map(str::to_owned);
        Change::Secret { namespace: "ns".into(), name: name.into(), installation, ours: None }
    }

    fn deployment(name: &str, managed: bool) -> Change {
        Change::Deployment { namespace: "ns".into(), name: name.into(), managed, version: None }
    }

    fn key(name: &str) -> InstallationKey {
        InstallationKey { namespace: "ns".into(), name: (name != "-").then(|| name.to_owned()) }
    }

    fn names(keys: BTreeSet<InstallationKey>) -> Vec<String> {
        keys.into_iter().map(|key| key.name.unwrap_or_else(|| "-".to_owned())).collect()
    }

    #[test]
    fn a_change_concerns_exactly_the_installations_it_can_matter_to() {
        let mut index = Index::default();
        // Nothing of ours yet: other people's objects concern nobody and are not kept.
        assert_eq!(names(index.apply(deployment("timbr-platform", false))), [] as [&str; 0]);
        assert_eq!(names(index.apply(secret("entra", None))), [] as [&str; 0]);
        assert!(index.namespaces.is_empty());

        assert_eq!(names(index.apply(sso("sso", None))), ["-"]);
        assert_eq!(names(index.apply(sso("sso", None))), [] as [&str; 0]);
        assert_eq!(names(index.apply(deployment("timbr-platform", false))), ["-"]);
        assert_eq!(names(index.apply(secret("entra", None))), ["-"]);
        assert_eq!(names(index.apply(secret("other", None))), [] as [&str; 0]);

        assert_eq!(names(index.apply(installation("a", "web"))), ["-", "a"]);
        assert_eq!(names(index.apply(deployment("web", true))), ["a"]);
        assert_eq!(names(index.apply(deployment("timbr-platform", false))), [] as [&str; 0]);
        assert_eq!(names(index.apply(secret("entra", None))), ["a"]);

        // A second installation: the resource without a reference belongs to none.
        assert_eq!(names(index.apply(installation("b", "web-b"))), ["-", "a", "b"]);
        assert_eq!(names(index.apply(secret("entra", None))), ["-"]);
        assert_eq!(names(index.apply(sso("sso", Some("b")))), ["-", "b"]);
        assert_eq!(names(index.apply(secret("timbr-platform-identity-x", Some("b")))), ["b"]);
        assert_eq!(names(index.apply(secret("timbr-platform-identity-x", None))), ["b"]);
        // From the time of the implicit installation.
        assert_eq!(names(index.apply(secret("timbr-platform-identity-y", Some("default")))), ["-", "a", "b"]);

        let gone = |kind, name: &str| Change::ObjectGone { kind, namespace: "ns".into(), name: name.into() };
        assert_eq!(names(index.apply(gone(Kind::TimbrInstallation, "a"))), ["-", "a", "b"]);
        // "web" carries our label, and nobody names it any more.
        assert_eq!(names(index.apply(deployment("web", true))), ["-"]);
        // And may have been waiting for what it held to arrive elsewhere.
        assert_eq!(names(index.apply(deployment("web-b", true))), ["-", "b"]);
        assert_eq!(names(index.apply(gone(Kind::AzureSso, "sso"))), ["-", "b"]);
        assert_eq!(names(index.apply(gone(Kind::AzureSso, "sso"))), [] as [&str; 0]);
    }

    #[test]
    fn a_secret_of_ours_concerns_whoever_has_its_deployment() {
        let mut index = Index::default();
        let made = |name: &str, label: &str, owner: &str| Change::Secret {
            namespace: "ns".into(),
            name: name.into(),
            installation: Some(label.into()),
            ours: Some(OurSecret {
                name: name.into(),
                uid: "u".into(),
                created: None,
                installation: label.into(),
                owner: Some(owner.into()),
            }),
        };
        let in_charge = |index: &Index, name: Option<&str>| -> Vec<String> {
            let key = InstallationKey { namespace: "ns".into(), name: name.map(str::to_owned) };
            index.secrets(&key).into_iter().map(|secret| secret.name).collect()
        };
        assert_eq!(names(index.apply(made("x", "default", "web"))), ["-"]);
        assert_eq!(index.view("ns").owners, BTreeSet::new());
        index.apply(made("y", "default", "timbr-server"));
        assert_eq!(index.view("ns").owners, BTreeSet::from(["timbr-server".to_owned()]));
        index.apply(secret("y", None));
        assert_eq!(in_charge(&index, None), ["x"]);
        // One that is expected wakes nobody when it comes, but when it changes.
        let new = BTreeSet::from(["new".to_owned()]);
        index.write_begins(&key("-"), "web", &new);
        assert_eq!(names(index.apply(made("new", "default", "web"))), [] as [&str; 0]);
        assert_eq!(names(index.apply(made("new", "default", "web"))), ["-"]);
        assert_eq!(names(index.apply(secret("new", None))), ["-"]);
        // Unless it is somebody else's.
        index.write_begins(&key("-"), "web", &new);
        assert_eq!(names(index.apply(secret("new", Some("default")))), ["-"]);
        assert_eq!(names(index.apply(secret("new", None))), ["-"]);
        // Or nobody knows whether it was made.
        assert!(!index.write_ends(&key("-"), "web", &new, None), "nothing was seen");
        assert_eq!(names(index.apply(made("new", "default", "web"))), ["-"]);
        assert_eq!(names(index.apply(secret("new", None))), ["-"]);
        // Released, and no resource is left: the Secret is reason enough to look.
        assert_eq!(names(index.apply(deployment("web", false))), ["-"]);
        assert_eq!(names(index.apply(deployment("other", false))), [] as [&str; 0]);

        index.apply(installation("a", "web"));
        index.apply(installation("b", "web-b"));
        assert_eq!((in_charge(&index, None), in_charge(&index, Some("a"))), (vec![], vec!["x".to_owned()]));
        assert_eq!(names(index.apply(made("y", "b", "web"))), ["a", "b"]);
        assert_eq!(in_charge(&index, Some("a")), ["x", "y"]);
        assert_eq!(names(index.apply(made("z", "b", "before"))), ["b"]);
        assert_eq!(in_charge(&index, Some("b")), ["z"]);
        assert_eq!(names(index.apply(deployment("before", false))), ["b"]);
        assert_eq!(names(index.apply(secret("y", None))), ["a", "b"]);
        assert_eq!(in_charge(&index, Some("a")), ["x"]);
        // Somebody took its label: it is watched, and no longer ours to clear away.
        index.apply(secret("x", Some("default")));
        assert_eq!(in_charge(&index, Some("a")), [] as [&str; 0]);
    }

    #[test]
    fn a_claim_concerns_all_that_is_there_and_is_kept_where_nothing_is() {
        let mut index = Index::default();
        let claimed = |by: Option<&str>| Change::Claim {
            namespace: "ns".into(),
            record: by.map(|by| Record { holder: Some(by.to_owned()), ..Record::default() }),
        };
        assert_eq!(names(index.apply(claimed(Some("other")))), [] as [&str; 0]);
        assert_eq!(index.claim("ns").and_then(|record| record.holder.as_deref()), Some("other"));
        assert_eq!(index.known(Known::Claim, None), [("ns".to_owned(), CLAIM.to_owned())].into());
        assert_eq!(index.known(Known::Claim, Some("elsewhere")), BTreeSet::new());
        index.apply(installation("a", "web"));
        index.apply(installation("b", "web-b"));
        index.apply(sso("sso", Some("b")));
        let all = names(index.keys(Some("ns")));
        assert_eq!(names(index.apply(claimed(Some("other")))), all, "renewed");
        assert_eq!(names(index.apply(claimed(None))), all, "gone");
        assert_eq!((index.claim("ns"), index.known(Known::Claim, None)), (None, BTreeSet::new()));
    }

    #[test]
    fn what_we_delivered_coming_back_is_no_news() {
        let mut index = Index::default();
        let wrote = |index: &mut Index, version: &str| {
            index.write_begins(&key("a"), "web", &BTreeSet::new());
            assert!(!index.write_ends(&key("a"), "web", &BTreeSet::new(), Some(version)));
        };
        index.apply(installation("a", "web"));
        let seen = |name: &str, managed: bool, version: &str| Change::Deployment {
            namespace: "ns".into(),
            name: name.into(),
            managed,
            version: Version::parse(version),
        };
        wrote(&mut index, "7");
        assert_eq!(names(index.apply(seen("web", true, "6"))), [] as [&str; 0]);
        assert_eq!(names(index.apply(seen("web", true, "7"))), [] as [&str; 0]);
        assert!(index.view("ns").managed.contains("web"));
        assert_eq!(names(index.apply(seen("web", true, "7"))), ["a"], "once");
        wrote(&mut index, "9");
        assert_eq!(names(index.apply(seen("web", true, "10"))), ["a"]);
        assert_eq!(names(index.apply(seen("web", true, "9"))), ["a"], "nothing is left of what is over");
        // What was taken off wakes who looks after the Secrets, and what arrived lets go of what it came from.
        wrote(&mut index, "11");
        assert_eq!(names(index.apply(seen("web", false, "11"))), ["a"]);
        index.apply(seen("old", true, "12"));
        wrote(&mut index, "13");
        assert_eq!(names(index.apply(seen("web", true, "13"))), ["-"]);
        // To another that names it too it is news.
        index.apply(installation("b", "web"));
        wrote(&mut index, "14");
        assert_eq!(names(index.apply(seen("web", true, "14"))), ["-", "b"]);
        // One that is made anew has nothing of that.
        wrote(&mut index, "16");
        index.apply(seen("web", false, "17"));
        assert_eq!(names(index.apply(seen("web", true, "15"))), ["-", "a", "b"]);
    }

    /// What a chart takes from the usual Secret goes once it has arrived elsewhere: somebody has to look.
    #[test]
    fn a_secret_of_an_installation_that_is_gone_is_looked_after() {
        let mut index = Index::default();
        index.apply(installation("a", "web"));
        let seen = || Change::Deployment { namespace: "ns".into(), name: "web".into(), managed: true, version: None };
        assert_eq!(names(index.apply(seen())), ["a"]);
        for (label, concerned) in [("default", &["-", "a"][..]), ("gone", &["-", "a"][..]), ("a", &["a"][..])] {
            index.apply(secret("timbr-platform-identity", Some(label)));
            assert_eq!(names(index.apply(seen())), concerned, "{label}");
        }
    }

    /// The watch may be quicker than the answer.
    #[test]
    fn what_comes_while_we_write_is_news_if_it_is_not_ours() {
        let mut index = Index::default();
        index.apply(installation("a", "web"));
        let seen = |managed: bool, version: &str| Change::Deployment {
            namespace: "ns".into(),
            name: "web".into(),
            managed,
            version: Version::parse(version),
        };
        let nobody: [&str; 0] = [];
        let none = BTreeSet::new();
        for (comes, answered, is_news) in
            [("7", Some("7"), false), ("6", Some("7"), false), ("8", Some("7"), true), ("7", None, true)]
        {
            index.write_begins(&key("a"), "web", &none);
            assert_eq!(names(index.apply(seen(true, comes))), nobody);
            assert_eq!(index.write_ends(&key("a"), "web", &none, answered), is_news, "{comes} and {answered:?}");
        }
        // What is not ours for sure does not wait for the answer.
        index.write_begins(&key("a"), "web", &none);
        assert_eq!(names(index.apply(seen(false, "9"))), ["a"]);
        assert!(!index.write_ends(&key("a"), "web", &none, Some("9")));
        // What arrived lets go of what it came from.
        let old = Change::Deployment { namespace: "ns".into(), name: "old".into(), managed: true, version: None };
        index.apply(old);
        index.write_begins(&key("a"), "web", &none);
        assert_eq!(names(index.apply(seen(true, "10"))), ["-"]);
        assert!(!index.write_ends(&key("a"), "web", &none, Some("10")));
        // Of two that write, each learns of the other's.
        index.apply(installation("b", "web"));
        index.write_begins(&key("a"), "web", &none);
        index.write_begins(&key("b"), "web", &none);
        assert_eq!(names(index.apply(seen(true, "12"))), ["-"]);
        assert!(index.write_ends(&key("a"), "web", &none, Some("11")));
        assert!(!index.write_ends(&key("b"), "web", &none, Some("12")));
    }

    /// There are thousands of namespaces, and nothing stays of a write in any of them.
    #[test]
    fn what_is_over_leaves_nothing() {
        let mut index = Index::default();
        index.apply(installation("a", "web"));
        index.apply(sso("sso", None));
        let meta = index.view("ns").resources[0].meta.clone();
        let status = || Status::AzureSso(AzureSsoStatus::default());
        let (made, none) = (BTreeSet::from(["made".to_owned()]), BTreeSet::new());
        let seen = |managed: bool, version: &str| Change::Deployment {
            namespace: "ns".into(),
            name: "web".into(),
            managed,
            version: Version::parse(version),
        };
        // Written and seen, before or after the answer.
        index.write_begins(&key("a"), "web", &none);
        index.apply(seen(true, "7"));
        index.write_ends(&key("a"), "web", &none, Some("7"));
        index.write_begins(&key("a"), "web", &none);
        index.write_ends(&key("a"), "web", &none, Some("8"));
        assert!(!index.underway.is_empty(), "it is to be seen still");
        index.apply(seen(true, "9"));
        index.announce_status(&meta, status());
        index.record_status(&meta, status(), "9");
        // Written, and gone before it is seen.
        index.write_begins(&key("a"), "web", &none);
        index.write_ends(&key("a"), "web", &none, Some("10"));
        index.apply(seen(false, "11"));
        // Not written.
        index.write_begins(&key("a"), "web", &made);
        index.write_ends(&key("a"), "web", &made, None);
        index.announce_status(&meta, status());
        index.withdraw_status(&meta);
        assert!(index.underway.is_empty());
    }

    fn provider(namespace: &str, audience: &str) -> Change {
        let meta = ObjectMeta {
            name: Some("it".into()),
            namespace: Some(namespace.into()),
            generation: Some(1),
            ..ObjectMeta::default()
        };
        let data = json!({"spec": {
            "displayName": "it", "audiences": [audience], "userClaim": "upn", "issuerUrl": "https://login.example.com",
        }});
        Change::Object(Box::new(Object::read(Kind::ExternalTokenProvider, &meta, &data)), None)
    }

    /// What a provider wants concerns all who want it too, and so does who belongs together.
    #[test]
    fn providers_of_other_namespaces_are_told() {
        let keys = |keys: BTreeSet<InstallationKey>| keys.iter().map(|key| key.namespace.clone()).collect::<Vec<_>>();
        let organization = |name: &str, organization: Option<&str>| Change::Namespace {
            name: name.into(),
            organization: organization.map(str::to_owned),
        };
        let foreign = |index: &Index, namespace: &str| -> Vec<(String, Option<String>)> {
            let foreign = index.view(namespace).foreign.into_iter();
            foreign.map(|it| (it.meta.namespace, it.organization)).collect()
        };
        let acme = || Some("acme".to_owned());
        let mut index = Index::default();
        assert_eq!(keys(index.apply(provider("a", "x"))), ["a"]);
        assert_eq!(keys(index.apply(provider("b", "y"))), ["b"]);
        assert_eq!(foreign(&index, "a"), []);
        assert_eq!(keys(index.apply(provider("b", "x"))), ["a", "b"]);
        assert_eq!(foreign(&index, "a"), [("b".to_owned(), None)]);
        assert_eq!(foreign(&index, "elsewhere"), []);
        // Nothing new is no news, and nothing else of a namespace is another's business.
        assert_eq!(keys(index.apply(provider("b", "x"))), [] as [&str; 0]);
        let seen = Change::Deployment { namespace: "b".into(), name: "timbr-api".into(), managed: true, version: None };
        assert_eq!(keys(index.apply(seen)), ["b"]);
        let claim = Change::Claim { namespace: "b".into(), record: Some(Record::default()) };
        assert_eq!(keys(index.apply(claim)), ["b"]);

        assert_eq!(keys(index.apply(organization("a", Some("acme")))), ["a", "b"]);
        assert_eq!(foreign(&index, "a"), [("b".to_owned(), None)]);
        assert_eq!(keys(index.apply(organization("b", Some("acme")))), ["a", "b"]);
        assert_eq!(keys(index.apply(organization("b", Some("acme")))), [] as [&str; 0]);
        assert_eq!(foreign(&index, "a"), [("b".to_owned(), acme())]);
        assert_eq!(foreign(&index, "b"), [("a".to_owned(), acme())]);
        assert_eq!(index.known(Known::Namespace, None).len(), 2);
        assert_eq!(keys(index.apply(organization("a", Some("other")))), ["a", "b"]);
        assert_eq!(foreign(&index, "b"), [("a".to_owned(), None)]);
        assert_eq!(keys(index.apply(organization("nothing-here", Some("acme")))), [] as [&str; 0]);

        // A pair that is held, or let go of, by what we wrote ourselves.
        let meta = index.view("a").resources[0].meta.clone();
        let status = |generation: i64, holds: Value| {
            let status = json!({"observedGeneration": generation, "holds": holds});
            Status::ExternalTokenProvider(serde_json::from_value(status).unwrap())
        };
        let pair = json!([{"issuer": "https://login.example.com", "audience": "x"}]);
        assert_eq!(keys(index.record_status(&meta, status(1, pair.clone()), "7")), ["b"]);
        assert_eq!(keys(index.record_status(&meta, status(1, pair.clone()), "8")), [] as [&str; 0]);
        assert_eq!(foreign(&index, "b").len(), 1);
        assert_eq!(keys(index.record_status(&meta, status(1, json!([])), "9")), ["b"]);
        assert_eq!(foreign(&index, "b"), [], "it was judged, and did not get it");
        // An answer that comes after what somebody wrote since.
        assert_eq!(keys(index.record_status(&meta, status(1, pair), "6")), [] as [&str; 0]);
        assert_eq!(foreign(&index, "b"), []);

        let gone = Change::ObjectGone { kind: Kind::ExternalTokenProvider, namespace: "b".into(), name: "it".into() };
        assert_eq!(keys(index.apply(gone)), ["a", "b"]);
        assert_eq!(foreign(&index, "a"), []);
        assert_eq!(index.seekers.len(), 1);
    }

    #[test]
    fn our_own_status_coming_back_is_no_news() {
        let mut index = Index::default();
        index.apply(sso("sso", None));
        let status = json!({"observedGeneration": 1, "conditions": []});
        let meta = index.view("ns").resources[0].meta.clone();
        index.record_status(&meta, Status::AzureSso(serde_json::from_value(status.clone()).unwrap()), "7");
        // What the watch delivers from before the write does not undo it.
        let seen = |version: &str| {
            let Change::Object(object, _) = sso("sso", None) else { unreachable!() };
            Change::Object(object, Version::parse(version))
        };
        assert_eq!(names(index.apply(seen("6"))), [] as [&str; 0]);
        assert!(index.view("ns").resources[0].status.is_some());
        let Change::Object(mut object, _) = sso("sso", None) else { unreachable!() };
        if let Object::Resource(resource) = object.as_mut() {
            resource.status = Some(Arc::new(Status::AzureSso(serde_json::from_value(status).unwrap())));
        }
        assert_eq!(names(index.apply(Change::Object(object, Version::parse("7")))), [] as [&str; 0]);
        // What somebody else wrote later counts.
        assert_eq!(names(index.apply(seen("8"))), ["-"]);
    }

    /// The watch may be quicker than the answer.
    #[test]
    fn a_status_that_is_being_written_is_no_news() {
        let status = |reason: &str| {
            let conditions = json!([{
                "type": "Ready", "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2024-01-01T00:00:00Z",
            }]);
            let status = json!({"observedGeneration": 1, "conditions": conditions});
            Status::AzureSso(serde_json::from_value(status).unwrap())
        };
        let seen = |edits: i64, reason: &str, version: &str| {
            let Change::Object(mut object, _) = sso("sso", None) else { unreachable!() };
            if let Object::Resource(resource) = object.as_mut() {
                resource.status = Some(Arc::new(status(reason)));
                resource.meta.generation += edits;
            }
            Change::Object(object, Version::parse(version))
        };
        let nobody: [&str; 0] = [];
        let mut index = Index::default();
        index.apply(sso("sso", None));
        let meta = index.view("ns").resources[0].meta.clone();
        index.announce_status(&meta, status("Ours"));
        assert_eq!(names(index.apply(seen(0, "Ours", "7"))), nobody);
        assert_eq!(index.view("ns").resources[0].status.as_deref(), Some(&status("Ours")));
        // Somebody edits it in the meantime, or writes a status too.
        assert_eq!(names(index.apply(seen(1, "Ours", "8"))), ["-"]);
        assert_eq!(names(index.apply(seen(1, "Theirs", "9"))), ["-"]);
        assert_eq!(index.record_status(&meta, status("Ours"), "7"), BTreeSet::new());
        assert_eq!(
            index.view("ns").resources[0].status.as_deref(),
            Some(&status("Theirs")),
            "the answer is older than that"
        );
        // It is over, or nobody knows.
        assert_eq!(names(index.apply(seen(1, "Ours", "10"))), ["-"]);
        index.announce_status(&meta, status("Other"));
        index.withdraw_status(&meta);
        assert_eq!(names(index.apply(seen(1, "Other", "11"))), ["-"]);
    }
}
