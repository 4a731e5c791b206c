//! The input as snapshots, one an installation, and what compose makes of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{Component, Kind, Object, Resource, Spec, TimbrInstallationSpec, TrustedPair},
    compose::{
        Foreign, Hands, Lookup, NameKey, Plan, Settings, Snapshot, compose, contenders, keys, needs, secret_refs,
        token_ref, wanted,
    },
};

use super::{
    Document, Finding,
    by_hand::{self, Service},
    findings::of_installation,
    objects::{Objects, Ours, Reader},
};

/// Everything there is to print about an input.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The input.
    pub documents: &'a [Document],
    /// What of it concerns us.
    pub(super) objects: Objects,
    /// What is wrong with it: in the order of the input, then of paths.
    pub findings: Vec<Finding>,
    /// Its installations, sorted.
    pub installations: Vec<Installation>,
    /// What decisions depend on besides.
    pub(super) settings: Settings,
    /// Parts of Timbr that were set up by hand.
    pub(super) services: Vec<Service>,
}

/// An installation and its plan.
#[derive(Debug)]
pub struct Installation {
    /// What compose saw.
    pub snapshot: Snapshot,
    /// What it made of that.
    pub plan: Plan,
}

/// The resources of one namespace.
#[derive(Debug, Default)]
struct Namespace {
    installations: Vec<Resource<TimbrInstallationSpec>>,
    resources: Vec<Resource<Spec>>,
}

impl Judged<'_> {
    /// Adds what is wrong with variables that are set by hand. It keeps no resource from being delivered,
    /// so it is for those only who ask.
    pub fn add_set_by_hand(&mut self) {
        self.add(by_hand::findings(&self.services, self.documents, &self.settings));
    }

    fn add(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
        self.findings.sort();
        self.findings.dedup();
    }
}

/// Judges an input; documents without a namespace count as in `namespace`.
pub fn judge<'a>(documents: &'a [Document], namespace: &'a str, settings: &Settings) -> Judged<'a> {
    let (objects, mut findings) = Reader::read(documents, namespace);
    let mut installations = Vec::new();
    let namespaces = namespaces(&objects);
    for (name, here) in &namespaces {
        let names: BTreeSet<&str> = here.installations.iter().map(|found| found.meta.name.as_str()).collect();
        let foreign = elsewhere(name, &namespaces, &objects);
        for key in keys(name, &names) {
            let snapshot = Snapshot { foreign: foreign.clone(), ..snapshot(key, here, &objects, settings) };
            let plan = compose(&snapshot);
            installations.push(Installation { snapshot, plan });
        }
    }
    for installation in &installations {
        findings.extend(of_installation(installation, documents, &objects));
    }
    let services = by_hand::beside_resources(by_hand::services(documents, &objects, namespace), &installations);
    let mut judged =
        Judged { documents, objects, findings: vec![], installations, settings: settings.clone(), services };
    judged.add(findings);
    judged
}

fn namespaces(objects: &Objects) -> BTreeMap<String, Namespace> {
    let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
    // A Deployment that carries our label is an installation too: what is ours on it may have to go.
    for ((namespace, _), deployment) in &objects.deployments {
        if deployment.live.managed.is_some() {
            namespaces.entry(namespace.clone()).or_default();
        }
    }
    for ours in &objects.ours {
        let here = namespaces.entry(ours.object.meta().namespace.clone()).or_default();
        match &ours.object {
            Object::Installation(installation) => here.installations.push(installation.clone()),
            Object::Resource(resource) => here.resources.extend(claimant(ours, resource)),
        }
    }
    namespaces
}

/// What providers in other namespaces want too.
fn elsewhere(name: &str, namespaces: &BTreeMap<String, Namespace>, objects: &Objects) -> Vec<Foreign> {
    let organization = |name: &str| objects.organizations.get(name);
    let providers = namespaces[name].resources.iter().filter(|it| it.meta.kind == Kind::ExternalTokenProvider);
    let here: BTreeSet<TrustedPair> = providers.flat_map(wanted).collect();
    let others = namespaces.iter().filter(|(other, _)| *other != name);
    others
        .flat_map(|(other, there)| {
            let common = organization(name).filter(|here| organization(other) == Some(here));
            let names = there.installations.iter().map(|found| found.meta.name.as_str()).collect();
            let contenders = contenders(&there.resources, &names).into_iter().filter(|it| here.contains(&it.pair));
            contenders.map(|it| Foreign { organization: common.cloned(), ..it }).collect::<Vec<_>>()
        })
        .collect()
}

/// The resource as compose is to see it.
fn claimant(ours: &Ours, resource: &Resource<Spec>) -> Option<Resource<Spec>> {
    // A guess at its place would accuse others.
    if ours.adrift {
        return None;
    }
    let mut resource = resource.clone();
    // A cluster would not take it, so nothing of it is delivered; but it keeps its place, and what can
    // be said of its references is said.
    if let Ok(spec) = &mut resource.spec
        && ours.is_refused()
    {
        spec.set_suspend();
    }
    Some(resource)
}

fn snapshot(
    key: crate::compose::InstallationKey,
    here: &Namespace,
    objects: &Objects,
    settings: &Settings,
) -> Snapshot {
    let of = |name: &String| (key.namespace.clone(), name.clone());
    let in_namespace = |(namespace, _): &&(String, String)| *namespace == key.namespace;
    let managed = objects.deployments.iter().filter(|(name, found)| in_namespace(name) && found.live.managed.is_some());
    let managed: BTreeSet<String> = managed.map(|((_, name), _)| name.clone()).collect();
    let is_there = |component: &Component| objects.secrets.contains_key(&of(&component.stable_secret().to_owned()));
    let stable = Component::ALL.into_iter().filter(is_there).collect();
    let mut needs = needs(&key, &here.installations, &here.resources, &managed, &stable, &BTreeSet::new());
    // Also for resources that belong to no installation: nothing that they name is missing here.
    let tokens = here.installations.iter().filter_map(token_ref);
    let references = here.resources.iter().flat_map(secret_refs).chain(tokens);
    needs.secrets.extend(references.map(|reference| reference.name.clone()));
    // Ours too: their content decides whether a name can stay.
    let ours = objects.secrets.iter().filter(|(name, found)| in_namespace(name) && found.ours);
    needs.secrets.extend(ours.map(|((_, name), _)| name.clone()));
    let deployments = needs.deployments.iter().map(|name| {
        let found = objects.deployments.get(&of(name)).map(|found| found.live.clone());
        (name.clone(), found.map_or(Lookup::NotInInput, Lookup::Found))
    });
    let secrets = needs.secrets.iter().map(|name| {
        let found = objects.secrets.get(&of(name)).cloned();
        (name.clone(), found.map_or(Lookup::NotInInput, Lookup::Found))
    });
    Snapshot {
        settings: settings.clone(),
        name_key: NameKey::Offline,
        installations: here.installations.clone(),
        resources: here.resources.clone(),
        foreign: vec![],
        complete: false,
        deployments: deployments.collect(),
        secrets: secrets.collect(),
        networks: needs.networks.into_iter().map(|name| (name, Lookup::NotInInput)).collect(),
        guards: objects.guards.get(&key.namespace).cloned().map(Lookup::Found),
        unguarded: BTreeMap::new(),
        consumers: BTreeSet::new(),
        hands: Hands::default(),
        trials: None,
        refused: BTreeMap::new(),
        key: key.clone(),
    }
}
