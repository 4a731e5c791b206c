//! A namespace as the API server would keep it, in memory: snapshots are made from it as the operator
//! makes them, and plans are applied to it as server-side apply would.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{
        ANNOTATION_CONTENT, ANNOTATION_DELIVERED, ANNOTATION_GUARDS, ANNOTATION_NOTE, Component, FIELD_MANAGER, Kind,
        LABEL_MANAGED, LABEL_MANAGED_BY, Resource, Sensitive, Spec, Status, TimbrInstallationSpec,
    },
    compose::{
        Change, DeploymentPlan, Displaced, Event, Failure, Foreign, GuardsStep, Hands, InstallationKey, Leftover,
        LiveDeployment, LiveEnv, LiveGuards, LiveNetwork, LiveSecret, LiveValue, Lookup, Mail, Memory, NameKey,
        NetworkPlan, NetworkStep, Outcome, Owner, Plan, ResourceStatus, SecretPlan, Settings, Snapshot, Step, Trials,
        Value, compose, keys, live_guards, live_network, needs, statuses,
    },
};

use crate::fixtures::NAMESPACE;

/// A container and a variable in it.
pub type Place = (String, String);

/// All that there is in a namespace.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub installations: Vec<Resource<TimbrInstallationSpec>>,
    pub resources: Vec<Resource<Spec>>,
    /// What providers in other namespaces want too.
    pub foreign: Vec<Foreign>,
    pub deployments: BTreeMap<String, Lookup<LiveDeployment>>,
    pub secrets: BTreeMap<String, Lookup<LiveSecret>>,
    /// The record of the access policies by which its Timbr is guarded.
    pub guards: Option<LiveGuards>,
    /// NetworkPolicies that we made, or that are called as if we had.
    pub networks: BTreeMap<String, LiveNetwork>,
    /// Whether there may be more of ours than is here, as in files.
    pub partial: bool,
    /// Deployments that refuse whatever is tried on them.
    pub refused: BTreeMap<String, Failure>,
    /// What the operator remembers of other hands.
    pub hands: BTreeMap<InstallationKey, Hands>,
    /// What the operator knows of checks; `None` where it tries nothing out.
    pub trials: Option<Trials>,
    /// What the containers got, after each single write.
    pub moments: Vec<Moment>,
}

/// What new pods get: by Deployment, container and variable.
pub type Moment = BTreeMap<(String, String, String), Sensitive>;

/// One look at one installation.
#[derive(Debug)]
pub struct Look {
    pub key: InstallationKey,
    /// As it was before anything was written.
    pub plan: Plan,
    pub statuses: Vec<ResourceStatus>,
    /// The requests that were sent.
    pub steps: Vec<&'static str>,
    /// The Events that they were worth.
    pub events: Vec<Event>,
}

/// Most requests that one Deployment may take.
const MOST_STEPS: usize = 6;

impl World {
    /// Every installation of the namespace, the implicit one included.
    pub fn keys(&self) -> Vec<InstallationKey> {
        let names: BTreeSet<&str> =
            self.installations.iter().map(|installation| installation.meta.name.as_str()).collect();
        keys(NAMESPACE, &names)
    }

    /// What the operator would read for an installation.
    pub fn snapshot(&self, key: &InstallationKey) -> Snapshot {
        let managed =
            self.deployments.iter().filter(|(_, lookup)| lookup.found().is_some_and(|live| live.managed.is_some()));
        let managed: BTreeSet<String> = managed.map(|(name, _)| name.clone()).collect();
        let is_there = |component: &Component| {
            self.secrets.get(component.stable_secret()).is_some_and(|lookup| lookup.found().is_some())
        };
        let stable = Component::ALL.into_iter().filter(is_there).collect();
        let networks = self.networks.keys().cloned().collect();
        let needs = needs(key, &self.installations, &self.resources, &managed, &stable, &networks);
        let missing = || Lookup::Missing;
        let deployments = needs.deployments.into_iter().map(|name| {
            let found = self.deployments.get(&name).cloned().unwrap_or(Lookup::Missing);
            (name, found)
        });
        let ours = self.secrets.iter().filter(|(_, lookup)| lookup.found().is_some_and(|secret| secret.ours));
        let secrets = needs.secrets.iter().chain(ours.map(|(name, _)| name)).map(|name| {
            let found = self.secrets.get(name).cloned().unwrap_or_else(missing);
            (name.clone(), found)
        });
        let guards = self.guards.is_some() || self.resources.iter().any(|it| it.meta.kind == Kind::InboundAccessPolicy);
        let networks = needs.networks.iter().map(|name| {
            let found = self.networks.get(name).cloned();
            (name.clone(), found.map_or(Lookup::Missing, Lookup::Found))
        });
        Snapshot {
            key: key.clone(),
            settings: Settings::default(),
            name_key: NameKey::new(&[7; 32]),
            installations: self.installations.clone(),
            resources: self.resources.clone(),
            foreign: self.foreign.clone(),
            complete: !self.partial,
            deployments: deployments.collect(),
            secrets: secrets.collect(),
            networks: networks.collect(),
            guards: guards.then(|| self.guards.clone().map_or(Lookup::Missing, Lookup::Found)),
            unguarded: BTreeMap::new(),
            consumers: Default::default(),
            hands: self.hands.get(key).cloned().unwrap_or_default(),
            trials: self.trials.clone(),
            refused: self.refused.clone(),
        }
    }

    pub fn plan(&self, key: &InstallationKey) -> Plan {
        compose(&self.snapshot(key))
    }

    /// Looks once at every installation: composes, writes, notes the statuses.
    pub fn look(&mut self, now: Timestamp) -> Vec<Look> {
        let keys = self.keys();
        // The operator looks a last time at what is gone, and finds nothing to remember.
        self.hands.retain(|key, _| keys.contains(key));
        keys.into_iter().map(|key| self.look_at(key, now)).collect()
    }

    fn look_at(&mut self, key: InstallationKey, now: Timestamp) -> Look {
        let first = self.plan(&key);
        self.guard(&key);
        let (mut steps, mut events) = (Vec::new(), Vec::new());
        let (plan, outcomes) = self.deliver(&key, now, &mut steps, &mut events);
        let statuses = statuses(&plan, &outcomes, Memory::Partial, &Mail::default(), now).statuses;
        for change in &statuses {
            self.note(change);
        }
        Look { key, plan: first, statuses, steps, events }
    }

    /// Sends one request after another until nothing is left to send; returns the plan then, and what came
    /// of each Deployment.
    pub fn deliver(
        &mut self,
        key: &InstallationKey,
        now: Timestamp,
        steps: &mut Vec<&'static str>,
        events: &mut Vec<Event>,
    ) -> (Plan, BTreeMap<String, Outcome>) {
        let remembered = self.hands.get(key).map(|hands| hands.at(now)).unwrap_or_default();
        self.hands.insert(key.clone(), remembered);
        let first = self.plan(key);
        let mut outcomes = BTreeMap::new();
        let mut plan = first.clone();
        for name in first.deployments.iter().map(|plan| &plan.name) {
            let mut changed = false;
            let of = |plan: &Plan| plan.deployments.iter().find(|plan| plan.name == *name).cloned();
            let mut taken = 0;
            while let Some(deployment) = of(&plan) {
                let Some(step) = &deployment.next else {
                    self.write_secrets(&deployment);
                    break;
                };
                taken += 1;
                assert!(taken <= MOST_STEPS, "{name}: no end: {deployment:#?}");
                steps.push(step.name());
                events.extend(deployment.events().into_iter().map(|(_, event)| event));
                changed |= self.write(&deployment);
                if step.delivers() {
                    self.hands.entry(key.clone()).or_default().record(&deployment, now);
                }
                plan = self.plan(key);
            }
            if let Some(deployment) = of(&plan) {
                self.hands.entry(key.clone()).or_default().record(&deployment, now);
                let (generation, rollout) = (deployment.generation, deployment.rollout);
                outcomes.insert(name.clone(), Outcome::Done { generation, changed, rollout });
            }
        }
        self.hands.entry(key.clone()).or_default().retain(&plan.deployments);
        for leftover in &plan.leftovers {
            match leftover {
                Leftover::Delete { name, .. } => drop(self.secrets.insert(name.clone(), Lookup::Missing)),
                Leftover::Empty(secret) => self.create(secret),
            }
            self.moments.push(self.effective());
        }
        (plan, outcomes)
    }

    /// Sends the requests about what keeps others out of an installation; returns what they were.
    pub fn guard(&mut self, key: &InstallationKey) -> Vec<String> {
        let Plan { guards, networks: plans, .. } = self.plan(key);
        let told = guards.map(|step| match step {
            GuardsStep::Write { guards, note, version } => {
                assert_eq!(version.as_ref(), self.guards.as_ref().map(|live| &live.version), "another's");
                let version = version.map_or(0, |version| version.parse().expect("a number")) + 1;
                self.guards = Some(noted(&guards.write(), note, version));
                format!("record {}", guards.write())
            }
            GuardsStep::Delete { .. } => {
                self.guards.take().expect("it is there");
                "forget".to_owned()
            }
        });
        let networks = self.guard_network(&plans);
        told.into_iter().chain(networks).collect()
    }

    fn guard_network(&mut self, plans: &[NetworkPlan]) -> Vec<String> {
        plans
            .iter()
            .map(|plan| match &plan.next {
                NetworkStep::Apply { manifest, version } => {
                    let there = self.networks.get(&plan.name);
                    assert_eq!(version.as_ref(), there.map(|live| &live.version), "{}: another's", plan.name);
                    // As the API server has it: what is empty is left out.
                    let manifest = serde_json::to_value(manifest).expect("JSON");
                    self.networks.insert(plan.name.clone(), kept(manifest, self.networks.len()));
                    format!("apply {}", plan.name)
                }
                NetworkStep::Delete { .. } => {
                    self.networks.remove(&plan.name).expect("it is there");
                    format!("delete {}", plan.name)
                }
            })
            .collect()
    }

    /// Keeps a status, as the API server would.
    pub fn note(&mut self, change: &ResourceStatus) {
        let is = |meta: &timbr_identity::api::Meta| (meta.kind, &meta.name) == (change.meta.kind, &change.meta.name);
        let of_resource = self.resources.iter_mut().filter(|there| is(&there.meta)).map(|there| &mut there.status);
        let of_installation =
            self.installations.iter_mut().filter(|there| is(&there.meta)).map(|there| &mut there.status);
        for status in of_resource.chain(of_installation) {
            *status = Some(Arc::new(change.status.clone()));
        }
    }

    /// Sends a Deployment's next request: Secrets first. Whether the template changed.
    pub fn write(&mut self, plan: &DeploymentPlan) -> bool {
        self.write_secrets(plan);
        let Some(Lookup::Found(live)) = self.deployments.get_mut(&plan.name) else {
            panic!("{} is planned, but it is not there", plan.name);
        };
        let before = (live.containers.clone(), live.content.clone());
        match plan.next.as_ref().expect("something to do") {
            Step::Apply => server_side_apply(live, plan.apply.as_ref().expect("an apply")),
            Step::Record(apply) => server_side_apply(live, apply),
            Step::Rewrite { changes, .. } => changes.iter().for_each(|change| rewrite(live, change)),
            Step::HandOver { to, stay, whole, .. } => hand_over(live, to, stay, whole),
        }
        let changed = (&live.containers, &live.content) != (&before.0, &before.1);
        live.generation += i64::from(changed);
        assert!(plan.changes_template || !changed, "{}: pods are replaced unannounced", plan.name);
        self.moments.push(self.effective());
        changed
    }

    /// What a pod gets that is started now: `env` over `envFrom`, and of each the last over those before.
    pub fn effective(&self) -> Moment {
        let mut effective = Moment::new();
        let data = |secret: &str| self.secrets.get(secret).and_then(Lookup::found).map(|secret| &secret.data);
        let found = self.deployments.iter().filter_map(|(name, lookup)| Some((name, lookup.found()?)));
        for (deployment, container) in found.flat_map(|(name, live)| live.containers.iter().map(move |it| (name, it))) {
            let mut set = |variable: &str, value: Option<Sensitive>| {
                let place = (deployment.clone(), container.name.clone(), variable.to_owned());
                effective.remove(&place);
                effective.extend(value.map(|value| (place, value)));
            };
            for from in container.env_from.iter().filter(|from| !from.prefixed) {
                for (key, value) in data(&from.secret).into_iter().flatten() {
                    set(key, Some(value.clone()));
                }
            }
            for env in &container.env {
                let value = match &env.value {
                    LiveValue::Plain(value) => Some(value.clone()),
                    LiveValue::SecretKey { name, key } => data(name).and_then(|data| data.get(key).cloned()),
                    LiveValue::Other(_) => None,
                };
                set(&env.name, value);
            }
        }
        effective
    }

    fn write_secrets(&mut self, plan: &DeploymentPlan) {
        for secret in plan.secrets.iter().filter(|secret| !secret.present) {
            self.create(secret);
            self.moments.push(self.effective());
        }
    }

    fn create(&mut self, plan: &SecretPlan) {
        for value in plan.data.values() {
            let is_known = match value {
                Value::Sensitive(_) => true,
                Value::Plain(_) => plan.stable,
                Value::Placeholder(_) => false,
            };
            assert!(is_known, "{value:?} cannot be in a Secret");
        }
        let there = self.secrets.get(&plan.name).and_then(Lookup::found);
        assert!(!plan.stable || there == plan.replaces.as_ref(), "{} is written over unseen", plan.name);
        assert!(there.is_none_or(|there| there.ours), "{} is not ours", plan.name);
        self.secrets.insert(plan.name.clone(), Lookup::Found(plan.live()));
    }

    /// The status that stands at a resource.
    pub fn status(&self, name: &str) -> &timbr_identity::api::CommonStatus {
        let resource = self.resources.iter().find(|resource| resource.meta.name == name).expect("the resource");
        resource.status.as_deref().map(Status::common).expect("a status")
    }

    pub fn live(&self, deployment: &str) -> &LiveDeployment {
        self.deployments.get(deployment).and_then(Lookup::found).expect("the Deployment")
    }

    /// Changes a Deployment by other hands than ours.
    pub fn live_mut(&mut self, deployment: &str) -> &mut LiveDeployment {
        match self.deployments.get_mut(deployment) {
            Some(Lookup::Found(live)) => live,
            other => panic!("{other:?}"),
        }
    }
}

/// Applies our patch. Panics where the API server would refuse, because no plan may come to that: another
/// uid, or a value that another manager holds; and where it would leave an empty variable.
fn server_side_apply(live: &mut LiveDeployment, patch: &Json) {
    assert_eq!(patch["metadata"]["uid"], live.uid.as_str(), "the patch is for another object");
    let wanted = entries(patch);
    for (place, value) in &wanted {
        let held = live.ownership.others.contains_key(place) || live.ownership.transient.contains(place);
        let container = live.containers.iter_mut().find(|container| container.name == place.0);
        let container = container.expect("an apply never makes a container");
        match container.env.iter_mut().find(|env| env.name == place.1) {
            Some(there) if there.value == *value => {}
            Some(there) => {
                assert!(!held, "conflict with another manager at {place:?}");
                there.value = value.clone();
            }
            None => container.env.push(LiveEnv { name: place.1.clone(), value: value.clone() }),
        }
    }
    let places: BTreeSet<Place> = wanted.into_iter().map(|(place, _)| place).collect();
    for place in live.ownership.ours.difference(&places) {
        assert!(!live.ownership.rootless.contains(place), "another's value goes with our entry at {place:?}");
        if live.ownership.others.contains_key(place) || live.ownership.transient.contains(place) {
            continue;
        }
        for there in live.containers.iter_mut().filter(|there| there.name == place.0) {
            let is_left = live.ownership.shells.contains_key(place) && there.env.iter().any(|env| env.name == place.1);
            assert!(!is_left, "an empty variable is left at {place:?}");
            there.env.retain(|env| env.name != place.1);
        }
    }
    live.ownership.ours = places;
    live.ownership.bare.clear();
    let metadata = &patch["metadata"];
    live.managed = metadata["labels"][LABEL_MANAGED].as_str().map(str::to_owned);
    live.delivered = metadata["annotations"][ANNOTATION_DELIVERED].as_str().map(str::to_owned);
    live.ownership.metadata = live.managed.is_some();
    let content = &patch["spec"]["template"]["metadata"]["annotations"][ANNOTATION_CONTENT];
    if let Some(content) = content.as_str() {
        live.content = Some(content.to_owned());
    } else if live.ownership.content {
        live.content = None;
    }
    live.ownership.content = content.is_string();
}

/// Exchanges one entry, as an update of the transient manager: it owns what changes, and who had it keeps
/// the entry without a value.
fn rewrite(live: &mut LiveDeployment, change: &Change) {
    let ownership = &mut live.ownership;
    let (Change::Put(place, _) | Change::Remove(place)) = change;
    let container = live.containers.iter_mut().find(|container| container.name == place.0).expect("the container");
    match change {
        Change::Put(_, entry) => {
            let value = value_of(entry);
            match container.env.iter_mut().find(|env| env.name == place.1) {
                Some(there) if there.value == value => return,
                Some(there) => there.value = value,
                None => container.env.push(LiveEnv { name: place.1.clone(), value }),
            }
            let owners = ownership.others.remove(place).unwrap_or_default();
            if !owners.is_empty() {
                ownership.shells.entry(place.clone()).or_default().extend(owners);
            }
            if ownership.ours.contains(place) {
                ownership.bare.insert(place.clone());
            }
            ownership.transient.insert(place.clone());
            ownership.has_transient = true;
            ownership.rootless.remove(place);
        }
        Change::Remove(_) => {
            container.env.retain(|env| env.name != place.1);
            ownership.ours.remove(place);
            ownership.bare.remove(place);
            ownership.rootless.remove(place);
            ownership.transient.remove(place);
            ownership.others.remove(place);
            ownership.shells.remove(place);
        }
    }
}

fn hand_over(
    live: &mut LiveDeployment,
    to: &BTreeMap<Place, Displaced>,
    stay: &BTreeSet<Place>,
    whole: &BTreeMap<Place, Owner>,
) {
    let ownership = &mut live.ownership;
    for (place, displaced) in to {
        let owner = displaced.owner();
        if let Some(shells) = ownership.shells.get_mut(place) {
            shells.remove(&owner);
        }
        ownership.others.entry(place.clone()).or_default().insert(owner);
    }
    ownership.shells.retain(|_, owners| !owners.is_empty());
    ownership.transient.clone_from(stay);
    ownership.has_transient = !stay.is_empty();
    for place in whole.keys() {
        ownership.rootless.remove(place);
    }
}

/// What an entry of a patch says.
fn value_of(entry: &Json) -> LiveValue {
    let text = |value: &Json| value.as_str().expect("a string").to_owned();
    let source = &entry["valueFrom"];
    let secret = &source["secretKeyRef"];
    match (entry.get("value"), secret.get("optional")) {
        (Some(value), _) => LiveValue::Plain(Sensitive::from(text(value).as_str())),
        (None, None) if secret.is_object() => {
            LiveValue::SecretKey { name: text(&secret["name"]), key: text(&secret["key"]) }
        }
        (None, _) if source.is_object() => LiveValue::Other(source.clone()),
        (None, _) => LiveValue::Plain(Sensitive::from("")),
    }
}

/// The variables in a patch, in their order.
pub fn entries(patch: &Json) -> Vec<(Place, LiveValue)> {
    let text = |value: &Json| value.as_str().expect("a string").to_owned();
    let containers = patch["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .flat_map(|container| {
            let env = container["env"].as_array().into_iter().flatten();
            env.map(|env| ((text(&container["name"]), text(&env["name"])), value_of(env)))
        })
        .collect()
}

/// A NetworkPolicy of ours as the API server keeps it and answers with it.
pub fn kept(mut manifest: Json, version: usize) -> LiveNetwork {
    manifest["metadata"]["uid"] = "uid-of-the-network-policy".into();
    manifest["metadata"]["resourceVersion"] = version.to_string().into();
    manifest["metadata"]["managedFields"] =
        json!([{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:podSelector": {}}}}]);
    let spec = manifest["spec"].as_object_mut().expect("a spec");
    spec.retain(|_, value| *value != json!([]));
    live_network(serde_json::from_value(manifest).expect("a NetworkPolicy"))
}

/// The record of access policies that says this.
pub fn recorded(guards: &str) -> LiveGuards {
    noted(guards, None, 1)
}

fn noted(guards: &str, note: Option<String>, version: u32) -> LiveGuards {
    let mut annotations = BTreeMap::from([(ANNOTATION_GUARDS.to_owned(), guards.to_owned())]);
    annotations.extend(note.map(|note| (ANNOTATION_NOTE.to_owned(), note)));
    live_guards(&ObjectMeta {
        labels: Some(BTreeMap::from([(LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())])),
        annotations: Some(annotations),
        resource_version: Some(version.to_string()),
        ..Default::default()
    })
}
