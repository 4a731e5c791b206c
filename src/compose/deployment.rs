//! The plan of one Deployment: which variables, in which order, from which Secret, and the one apply
//! that brings them there. Nothing is written when the live object says all of it already.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashSet, HashSetExt as _};
use serde_json::{Value as Json, json};

use crate::api::{Code, Component, Kind, Meta};

use super::{
    Attribution, Demand, Event, EventType, LiveContainer, LiveDeployment, LiveValue, Rollout, Snapshot, Value,
    displaced::Displaced,
    hands::Demander,
    hindrance::Seizure,
    keep::{KeptValue, keep},
    ownership::{Place, PlaceRef, by_ref},
    patch::{Template, changes_template, is_as_planned, patch},
    secret::{SecretPlan, plan_secret},
    site::Site,
    stable::{self, Contents, Shelf},
    step::{Stand, Step},
};

/// What one resource claims of the installation's Deployments.
#[derive(Debug)]
pub struct Claim {
    /// `Kind/name`.
    pub holder: String,
    /// The components that its kind writes to.
    pub components: BTreeSet<Component>,
    /// The variables it asks for; none while it is not active.
    pub demands: Vec<Demand>,
    /// Whether its demands count. Otherwise what it delivered before stays.
    pub active: bool,
    /// The resource that has its place: nothing of it stays once that one delivers.
    pub displaced_by: Option<String>,
    /// Whether an older resource wants something else of what only one can have.
    pub collides: bool,
    /// Of a KeyVaultBinding: whether its variables outlive it.
    pub retains: Option<bool>,
    /// Its variables that become ours although another hand is, or was, on them.
    pub seizures: Vec<Seizure>,
    /// Its variables that are left to other hands, by Deployment.
    pub lost: Vec<(String, Place, Demander)>,
}

/// The plan of one Deployment.
#[derive(Clone, Debug)]
pub struct DeploymentPlan {
    /// Its name.
    pub name: String,
    /// Its uid: an apply that carries it cannot create a Deployment that is gone. `None` offline.
    pub uid: Option<String>,
    /// The version of it that the plan was made for: the apply is refused once it is another. `None` offline.
    pub version: Option<String>,
    /// The containers and what they get of us.
    pub containers: Vec<PlannedContainer>,
    /// Secrets that must be there before the apply.
    pub secrets: Vec<SecretPlan>,
    /// Which resource caused which variable.
    pub attribution: Attribution,
    /// The server-side apply that brings the live object to the plan; `None` when it is as planned.
    pub apply: Option<Json>,
    /// The next request; often there is more than one before the plan is reached.
    pub next: Option<Step>,
    /// Variables that become ours although another hand is, or was, on them.
    pub seized: BTreeMap<Place, Seizure>,
    /// Variables that are left to other hands, and to which demand they are lost.
    pub lost: BTreeMap<Place, Demander>,
    /// Whether the next request replaces pods.
    pub changes_template: bool,
    /// Variables that only a deleted KeyVaultBinding stands for.
    pub orphans: BTreeSet<Place>,
    /// An Event about the Deployment, once the apply has succeeded.
    pub retained: Option<Event>,
    /// Whether a resource that is on both Deployments or on neither is, or was, on this one.
    pub has_pair: bool,
    /// Generation and rollout of the live object.
    pub generation: i64,
    /// How far its pods were when it was read.
    pub rollout: Rollout,
}

impl DeploymentPlan {
    /// Whether the next request makes a rollout.
    pub fn replaces_pods(&self) -> bool {
        self.changes_template && self.rollout.replicas > 0 && !self.rollout.paused
    }

    /// The Events that the next request is worth once it has succeeded: about a resource, or about the
    /// Deployment.
    pub fn events(&self) -> Vec<(Option<&Meta>, Event)> {
        let delivers = self.next.as_ref().is_some_and(Step::delivers);
        let seizures = self.seized.values().filter(|_| delivers).map(|seizure| (Some(&seizure.by), seizure.event()));
        let retained = self.retained.iter().filter(|_| self.next == Some(Step::Apply));
        seizures.chain(retained.map(|event| (None, event.clone()))).collect()
    }
}

/// A container and all that is ours in it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedContainer {
    /// Its name.
    pub name: String,
    /// Our variables, in their order in the apply.
    pub env: Vec<EnvEntry>,
    /// Variables that the chart takes from the Secret that it names, by name.
    pub referenced: Vec<EnvEntry>,
}

impl PlannedContainer {
    /// All variables that it has of us, however they come.
    pub fn variables(&self) -> impl Iterator<Item = &EnvEntry> {
        self.env.iter().chain(&self.referenced)
    }
}

/// Whether a place has an entry of ours in a plan.
pub fn has_entry(planned: &[PlannedContainer], (container, variable): &Place) -> bool {
    planned.iter().any(|planned| planned.name == *container && planned.env.iter().any(|env| env.name == *variable))
}

/// The places that have an entry of ours in a plan.
pub fn places(planned: &[PlannedContainer]) -> impl Iterator<Item = PlaceRef<'_>> {
    planned.iter().flat_map(|container| container.env.iter().map(|env| (container.name.as_str(), env.name.as_str())))
}

/// A variable of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvEntry {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub source: EnvSource,
}

/// Where a variable of ours gets its value.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvSource {
    /// From the template.
    Plain(String),
    /// From a Secret.
    Secret {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
}

impl EnvSource {
    /// As an entry in the template has it; `None` of what is never ours.
    pub(super) fn of(value: &LiveValue) -> Option<Self> {
        match value {
            LiveValue::Plain(value) => Some(Self::Plain(String::from_utf8_lossy(value.expose()).into_owned())),
            LiveValue::SecretKey { name, key } => Some(Self::Secret { name: name.clone(), key: key.clone() }),
            LiveValue::Other(_) => None,
        }
    }
}

impl EnvEntry {
    pub(super) fn json(&self) -> Json {
        match &self.source {
            EnvSource::Plain(value) => json!({"name": self.name, "value": value}),
            EnvSource::Secret { name, key } => {
                json!({"name": self.name, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
            }
        }
    }

    pub(super) fn is(&self, live: &LiveValue) -> bool {
        match (&self.source, live) {
            (EnvSource::Plain(value), LiveValue::Plain(live)) => value.as_bytes() == live.expose(),
            (EnvSource::Secret { name, key }, LiveValue::SecretKey { name: live_name, key: live_key }) => {
                name == live_name && key == live_key
            }
            _ => false,
        }
    }
}

/// Plans a Deployment from the claims that can be delivered. `None` when there is nothing to plan with.
pub fn plan_deployment(
    snapshot: &Snapshot,
    site: &Site<'_>,
    claims: &[Claim],
    adrift: &[&Meta],
) -> Option<DeploymentPlan> {
    if site.absence(&snapshot.key.namespace).is_some() {
        return None;
    }
    let live = site.live();
    let uid = live.map(|live| live.uid.clone());
    let mut attribution = Attribution::default();
    let wanted = Wanted::of(site, claims, &mut attribution);
    let is_wanted =
        |(container, variable): &Place| wanted.values.contains_key(&(container.as_str(), variable.as_str()));
    let kept =
        live.map(|live| keep(snapshot, site, live, claims, adrift, is_wanted, &mut attribution)).unwrap_or_default();
    if !kept.orphans.is_empty() {
        attribution.note(RETAINED_NOTE);
    }
    let kept_values: BTreeMap<PlaceRef<'_>, KeptValue<'_>> =
        kept.values.iter().map(|(place, value)| (by_ref(place), *value)).collect();
    let mut shelves = shelves(snapshot, site, &wanted, &kept_values);
    let secrets = Secrets::plan(snapshot, site, &wanted, &kept_values, &shelves);

    let mut containers: Vec<PlannedContainer> = Vec::new();
    let planned = |containers: &mut Vec<PlannedContainer>, name: &str| -> usize {
        let found = containers.iter().position(|planned| planned.name == name);
        found.unwrap_or_else(|| {
            containers.push(PlannedContainer { name: name.to_owned(), env: vec![], referenced: vec![] });
            containers.len() - 1
        })
    };
    for place in order(live, &wanted, &kept_values) {
        let (container, name) = place;
        let shelf = shelves.get(container);
        if shelf.is_some_and(|shelf| shelf.has(name)) {
            continue;
        }
        let of = |secret: &SecretPlan| EnvSource::Secret { name: secret.name.clone(), key: name.to_owned() };
        let source = match (shelf.and_then(|shelf| shelf.stay.get(name)), wanted.values.get(&place)) {
            (Some(stays), _) => Some(stays.clone()),
            (None, Some(Value::Plain(value))) => Some(EnvSource::Plain(value.as_str().to_owned())),
            (None, Some(_)) => secrets.wanted.get(container).map(of),
            (None, None) => match kept_values.get(&place) {
                Some(KeptValue::Entry(value)) => EnvSource::of(value),
                Some(KeptValue::Shelved(_)) => secrets.kept.get(container).map(of),
                None => None,
            },
        };
        let Some(source) = source else { continue };
        let at = planned(&mut containers, container);
        containers[at].env.push(EnvEntry { name: name.to_owned(), source });
    }
    let content = stable::content(snapshot, site, &shelves);
    for (container, shelf) in shelves.iter_mut().filter(|(_, shelf)| !shelf.referenced.is_empty()) {
        let at = planned(&mut containers, container);
        containers[at].referenced = std::mem::take(&mut shelf.referenced);
    }
    let stable_secrets: Vec<SecretPlan> = shelves.into_values().filter_map(|shelf| shelf.secret).collect();

    // As in the live object, for the same reason as the variables.
    let position =
        |name: &str| live.and_then(|live| live.containers.iter().position(|container| container.name == name));
    containers.sort_by_key(|planned| position(&planned.name));

    let seized: BTreeMap<Place, Seizure> = of_site(site, claims.iter().flat_map(|claim| &claim.seizures), |seizure| {
        (&seizure.deployment, (seizure.place.clone(), seizure.clone()))
    });
    displace(site, &seized, &containers, &mut attribution);
    let is_held = !containers.is_empty() || stable_secrets.iter().any(|secret| secret.stays && !secret.data.is_empty());
    let template =
        Template { containers: &containers, content: content.as_deref(), record: is_held.then_some(&attribution) };
    let apply = match live {
        Some(live) if is_as_planned(site, live, &template) => None,
        None if containers.is_empty() => None,
        _ => Some(patch(snapshot, site.name, uid.as_deref(), &template)),
    };
    let next = match live {
        None => apply.as_ref().map(|_| Step::Apply),
        Some(live) => {
            let is_as_planned = apply.is_none();
            Stand {
                snapshot,
                site,
                live,
                planned: &containers,
                content: content.as_deref(),
                attribution: &attribution,
                seized: &seized,
                is_as_planned,
            }
            .next()
        }
    };
    let changes_template = match &next {
        Some(Step::Apply) => live.is_none_or(|live| changes_template(site, live, &template)),
        Some(Step::Rewrite { .. }) => true,
        Some(Step::Record(_) | Step::HandOver { .. }) | None => false,
    };
    let lost = of_site(site, claims.iter().flat_map(|claim| &claim.lost), |(deployment, place, demander)| {
        (deployment, (place.clone(), demander.clone()))
    });
    Some(DeploymentPlan {
        next,
        seized,
        lost,
        name: site.name.to_owned(),
        uid,
        version: live.map(|live| live.version.clone()).filter(|version| !version.is_empty()),
        containers,
        secrets: secrets.wanted.into_values().chain(secrets.kept.into_values()).chain(stable_secrets).collect(),
        changes_template,
        has_pair: has_pair(live, &attribution),
        retained: retained_event(&kept.orphans).filter(|_| kept.newly_orphaned),
        orphans: kept.orphans,
        attribution,
        apply,
        generation: live.map(|live| live.generation).unwrap_or_default(),
        rollout: live.map(|live| live.rollout.clone()).unwrap_or_default(),
    })
}

/// What of all claims is about one Deployment, by place.
fn of_site<'a, T: 'a, U>(
    site: &Site<'_>,
    all: impl Iterator<Item = &'a T>,
    split: impl Fn(&'a T) -> (&'a String, (Place, U)),
) -> BTreeMap<Place, U> {
    all.map(split).filter(|(deployment, _)| *deployment == site.name).map(|(_, of_place)| of_place).collect()
}

/// Records what stood in the places of what is ours: as before, or as it stands there now.
fn displace(
    site: &Site<'_>,
    seized: &BTreeMap<Place, Seizure>,
    planned: &[PlannedContainer],
    attribution: &mut Attribution,
) {
    let new: BTreeMap<PlaceRef<'_>, &Displaced> =
        seized.iter().filter_map(|(place, seizure)| Some((by_ref(place), seizure.displaced.as_ref()?))).collect();
    for place in places(planned) {
        let displaced = new.get(&place).copied().or_else(|| site.displaced(place));
        if let Some(displaced) = displaced {
            attribution.displace(place, displaced.clone());
        }
    }
}

/// What the annotation tells whoever finds variables of a deleted KeyVaultBinding.
pub const RETAINED_NOTE: &str = "retained after their KeyVaultBinding was deleted, so that no datasource loses its password; to drop them, apply a KeyVaultBinding with deletionPolicy: Remove and delete it";

fn retained_event(orphans: &BTreeSet<Place>) -> Option<Event> {
    let variables: Vec<&str> = orphans.iter().map(|(_, variable)| variable.as_str()).collect();
    (!variables.is_empty()).then(|| Event {
        type_: EventType::Warning,
        reason: Code::KeyVaultRetained.to_string(),
        message: format!("{} are {RETAINED_NOTE}", variables.join(", ")),
    })
}

/// Whether a resource that is on two Deployments or on none is, or was, on this one.
fn has_pair(live: Option<&LiveDeployment>, attribution: &Attribution) -> bool {
    let pair = Kind::DatabricksPassthrough.name();
    // Its text need not be read for that: too much is tried out at worst.
    let before = live.and_then(|live| live.delivered.as_deref()).is_some_and(|before| before.contains(pair));
    before || attribution.all_holders().any(|holder| holder.starts_with(pair))
}

/// What is asked for, by place.
struct Wanted<'a> {
    values: BTreeMap<PlaceRef<'a>, &'a Value>,
    /// The places in the order in which they were asked for.
    order: Vec<PlaceRef<'a>>,
}

impl<'a> Wanted<'a> {
    /// Claims are in the order of age: the first to want a place has it.
    fn of(site: &'a Site<'_>, claims: &'a [Claim], attribution: &mut Attribution) -> Self {
        let mut wanted = Self { values: BTreeMap::new(), order: Vec::new() };
        let mut places: Vec<(&str, Vec<PlaceRef<'a>>)> = Vec::new();
        for claim in claims {
            let mut of_claim = Vec::new();
            for demand in &claim.demands {
                let Some(Ok(container)) = site.container(demand.component) else { continue };
                let place = (container, demand.name.as_ref());
                wanted.values.entry(place).or_insert(&demand.value);
                attribution.add(place, &claim.holder);
                of_claim.push(place);
            }
            places.push((&claim.holder, of_claim));
        }
        // New ones come in the order of kind and name: ages are a cluster's, and the same files give
        // the same template everywhere.
        places.sort_by_key(|(holder, _)| *holder);
        wanted.order = places.into_iter().flat_map(|(_, places)| places).collect();
        wanted
    }
}

/// What of each container is left to the Secret that charts name.
fn shelves(
    snapshot: &Snapshot,
    site: &Site<'_>,
    wanted: &Wanted<'_>,
    kept: &BTreeMap<PlaceRef<'_>, KeptValue<'_>>,
) -> BTreeMap<String, Shelf> {
    let shelf = |container: &str| {
        let is_here = |(of, _): &PlaceRef<'_>| *of == container;
        let wanted = wanted.values.iter().filter(|(place, _)| is_here(place));
        let kept = kept.iter().filter(|(place, _)| is_here(place));
        let contents = Contents {
            wanted: wanted.map(|((_, variable), value)| (*variable, *value)).collect(),
            kept: kept.map(|((_, variable), value)| (*variable, value)).collect(),
        };
        (container.to_owned(), Shelf::plan(snapshot, site, container, &contents))
    };
    site.component_containers().map(shelf).collect()
}

/// The Secrets that entries of ours name, by container.
struct Secrets {
    /// For what is asked for.
    wanted: BTreeMap<String, SecretPlan>,
    /// For what stays, and has been in the Secret only that charts name.
    kept: BTreeMap<String, SecretPlan>,
}

impl Secrets {
    fn plan(
        snapshot: &Snapshot,
        site: &Site<'_>,
        wanted: &Wanted<'_>,
        kept: &BTreeMap<PlaceRef<'_>, KeptValue<'_>>,
        shelves: &BTreeMap<String, Shelf>,
    ) -> Self {
        let has_entry = |(container, variable): &PlaceRef<'_>| {
            shelves.get(*container).is_none_or(|shelf| !shelf.has(variable) && !shelf.stay.contains_key(*variable))
        };
        let plan = |values: &mut dyn Iterator<Item = (PlaceRef<'_>, Value)>| {
            let mut data: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
            for ((container, variable), value) in values {
                data.entry(container.to_owned()).or_default().insert(variable.to_owned(), value);
            }
            let planned = data.into_iter().filter_map(|(container, data)| {
                let component = site.component(&container)?;
                let plan = plan_secret(snapshot, site, component, &container, data, kept);
                Some((container, plan))
            });
            planned.collect()
        };
        let by_secret = wanted.values.iter().filter(|(_, value)| !matches!(value, Value::Plain(_)));
        let shelved = kept.iter().filter_map(|(place, value)| match value {
            KeptValue::Shelved(value) => Some((*place, Value::Sensitive((*value).clone()))),
            KeptValue::Entry(_) => None,
        });
        Self {
            wanted: plan(
                &mut by_secret.map(|(place, value)| (*place, (*value).clone())).filter(|(it, _)| has_entry(it)),
            ),
            kept: plan(&mut shelved.filter(|(place, _)| has_entry(place))),
        }
    }
}

/// Order is a fixed point: what is live keeps its order, what is new follows. Re-sorting would be a
/// rollout.
fn order<'a>(
    live: Option<&'a LiveDeployment>,
    wanted: &Wanted<'a>,
    kept: &BTreeMap<PlaceRef<'a>, KeptValue<'_>>,
) -> Vec<PlaceRef<'a>> {
    let in_container =
        |container: &'a LiveContainer| container.env.iter().map(|env| (container.name.as_str(), env.name.as_str()));
    let is_ours = |place: &PlaceRef<'a>| wanted.values.contains_key(place) || kept.contains_key(place);
    let there = live.into_iter().flat_map(|live| &live.containers).flat_map(in_container).filter(is_ours);
    let mut seen = HashSet::with_capacity(wanted.order.len());
    // What was in a Secret only that charts name, and is to have an entry, comes last.
    let all = there.chain(wanted.order.iter().copied()).chain(kept.keys().copied());
    all.filter(|place| seen.insert(*place)).collect()
}
