//! A namespace as the API server would keep it, in memory: snapshots are made from it as the operator
//! makes them, and plans are applied to it as server-side apply would.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value as Json;
use timbr_identity::{
    api::{ANNOTATION_DELIVERED, LABEL_MANAGED, Resource, Sensitive, Spec, Status, TimbrInstallationSpec},
    compose::{
        DeploymentPlan, Failure, InstallationKey, LiveDeployment, LiveEnv, LiveSecret, LiveValue, Lookup, Mail, Memory,
        NameKey, Outcome, Plan, ResourceStatus, SecretPlan, Settings, Snapshot, Value, compose, keys, needs, statuses,
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
    pub deployments: BTreeMap<String, Lookup<LiveDeployment>>,
    pub secrets: BTreeMap<String, Lookup<LiveSecret>>,
    /// Whether there may be more of ours than is here, as in files.
    pub partial: bool,
    /// Deployments that refuse whatever is tried on them.
    pub refused: BTreeMap<String, Failure>,
}

/// One look at one installation.
#[derive(Debug)]
pub struct Look {
    pub key: InstallationKey,
    pub plan: Plan,
    pub statuses: Vec<ResourceStatus>,
}

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
        let needs = needs(key, &self.installations, &self.resources, &managed);
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
        Snapshot {
            key: key.clone(),
            settings: Settings::default(),
            name_key: NameKey::new(&[7; 32]),
            installations: self.installations.clone(),
            resources: self.resources.clone(),
            complete: !self.partial,
            deployments: deployments.collect(),
            secrets: secrets.collect(),
            refused: self.refused.clone(),
        }
    }

    pub fn plan(&self, key: &InstallationKey) -> Plan {
        compose(&self.snapshot(key))
    }

    /// Looks once at every installation: composes, writes, notes the statuses.
    pub fn look(&mut self, now: Timestamp) -> Vec<Look> {
        self.keys().into_iter().map(|key| self.look_at(key, now)).collect()
    }

    fn look_at(&mut self, key: InstallationKey, now: Timestamp) -> Look {
        let plan = self.plan(&key);
        let outcomes: BTreeMap<String, Outcome> =
            plan.deployments.iter().map(|plan| (plan.name.clone(), self.write(plan))).collect();
        let statuses = statuses(&plan, &outcomes, Memory::Partial, &Mail::default(), now).statuses;
        for change in &statuses {
            self.note(change);
        }
        Look { key, plan, statuses }
    }

    /// Keeps a status, as the API server would.
    pub fn note(&mut self, change: &ResourceStatus) {
        let is = |meta: &timbr_identity::api::Meta| (meta.kind, &meta.name) == (change.meta.kind, &change.meta.name);
        let of_resource = self.resources.iter_mut().filter(|there| is(&there.meta)).map(|there| &mut there.status);
        let of_installation =
            self.installations.iter_mut().filter(|there| is(&there.meta)).map(|there| &mut there.status);
        for status in of_resource.chain(of_installation) {
            *status = Some(change.status.clone());
        }
    }

    /// Writes a Deployment's plan: Secrets first, then the apply.
    pub fn write(&mut self, plan: &DeploymentPlan) -> Outcome {
        for secret in plan.secrets.iter().filter(|secret| !secret.present) {
            self.create(secret);
        }
        let Some(Lookup::Found(live)) = self.deployments.get_mut(&plan.name) else {
            panic!("{} is planned, but it is not there", plan.name);
        };
        let changed = plan.apply.as_ref().is_some_and(|patch| server_side_apply(live, patch));
        Outcome::Done { generation: live.generation, changed, rollout: live.rollout.clone() }
    }

    fn create(&mut self, plan: &SecretPlan) {
        let value = |value: &Value| match value {
            Value::Sensitive(value) => value.clone(),
            other => panic!("{other:?} cannot be in a Secret"),
        };
        let secret = LiveSecret {
            type_: "Opaque".to_owned(),
            ours: true,
            opted_in: false,
            immutable: true,
            owner: plan.owner.clone(),
            data: plan.data.iter().map(|(name, sensitive)| (name.clone(), value(sensitive))).collect(),
        };
        self.secrets.insert(plan.name.clone(), Lookup::Found(secret));
    }

    /// The status that stands at a resource.
    pub fn status(&self, name: &str) -> &timbr_identity::api::CommonStatus {
        let resource = self.resources.iter().find(|resource| resource.meta.name == name).expect("the resource");
        resource.status.as_ref().map(Status::common).expect("a status")
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

/// Applies our patch; whether the template changed. Panics where the API server would refuse, because
/// no plan may come to that: another uid, or a value that another manager holds.
fn server_side_apply(live: &mut LiveDeployment, patch: &Json) -> bool {
    assert_eq!(patch["metadata"]["uid"], live.uid.as_str(), "the patch is for another object");
    let before = live.containers.clone();
    let wanted = entries(patch);
    for (place, value) in &wanted {
        let held = live.ownership.others.contains_key(place);
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
    for (container, variable) in live.ownership.ours.difference(&places) {
        if live.ownership.others.contains_key(&(container.clone(), variable.clone())) {
            continue;
        }
        for there in live.containers.iter_mut().filter(|there| there.name == *container) {
            there.env.retain(|env| env.name != *variable);
        }
    }
    live.ownership.ours = places;
    let metadata = &patch["metadata"];
    live.managed = metadata["labels"][LABEL_MANAGED].as_str().map(str::to_owned);
    live.delivered = metadata["annotations"][ANNOTATION_DELIVERED].as_str().map(str::to_owned);
    live.ownership.metadata = live.managed.is_some();
    let changed = live.containers != before;
    live.generation += i64::from(changed);
    changed
}

/// The variables in a patch, in their order.
pub fn entries(patch: &Json) -> Vec<(Place, LiveValue)> {
    let text = |value: &Json| value.as_str().expect("a string").to_owned();
    let containers = patch["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .flat_map(|container| {
            let env = container["env"].as_array().into_iter().flatten();
            env.map(|env| {
                let secret = &env["valueFrom"]["secretKeyRef"];
                let value = match env.get("value") {
                    Some(value) => LiveValue::Plain(Sensitive::from(text(value).as_str())),
                    None => LiveValue::SecretKey { name: text(&secret["name"]), key: text(&secret["key"]) },
                };
                ((text(&container["name"]), text(&env["name"])), value)
            })
        })
        .collect()
}
