//! The plan of one Deployment: which variables, in which order, from which Secret, and the one apply
//! that brings them there. Nothing is written when the live object says all of it already.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::api::{ANNOTATION_DELIVERED, Component, FIELD_MANAGER, LABEL_COMPONENT, LABEL_INSTALLATION, LABEL_MANAGED, LABEL_MANAGED_BY, Reason};

use super::{
    Attribution, Demand, EnvName, LiveDeployment, LiveValue, Lookup, PlainValue, Rollout, Snapshot, Value, Verdict,
    installation::Target, ownership::Place, plan::Judgement,
};

/// What one resource claims of the installation's Deployments.
#[derive(Debug)]
pub struct Claim {
    /// `Kind/name`.
    pub holder: String,
    /// The variables it asks for; none while it is not active.
    pub demands: Vec<Demand>,
    /// Whether its demands count. Otherwise what it delivered before stays.
    pub active: bool,
    /// Whether an older resource has its place, so that nothing of it stays.
    pub displaced: bool,
}

/// The plan of one Deployment.
#[derive(Clone, Debug)]
pub struct DeploymentPlan {
    /// Its name.
    pub name: String,
    /// Its uid: an apply that carries it cannot create a Deployment that is gone. `None` offline.
    pub uid: Option<String>,
    /// The containers and what they get of us.
    pub containers: Vec<PlannedContainer>,
    /// Secrets that must be there before the apply.
    pub secrets: Vec<SecretPlan>,
    /// Which resource caused which variable.
    pub attribution: Attribution,
    /// The server-side apply; `None` when the live object needs none.
    pub apply: Option<Json>,
    /// Generation and rollout of the live object.
    pub generation: i64,
    /// How far its pods were when it was read.
    pub rollout: Rollout,
}

/// A container and all that is ours in it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedContainer {
    /// Its name.
    pub name: String,
    /// Our variables, in their order in the apply.
    pub env: Vec<EnvEntry>,
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

impl EnvEntry {
    fn json(&self) -> Json {
        match &self.source {
            EnvSource::Plain(value) => json!({"name": self.name, "value": value}),
            EnvSource::Secret { name, key } => {
                json!({"name": self.name, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
            }
        }
    }

    fn is(&self, live: &LiveValue) -> bool {
        match (&self.source, live) {
            (EnvSource::Plain(value), LiveValue::Plain(live)) => value.as_bytes() == live.expose(),
            (EnvSource::Secret { name, key }, LiveValue::SecretKey { name: live_name, key: live_key }) => {
                name == live_name && key == live_key
            }
            _ => false,
        }
    }
}

/// A Secret that carries sensitive values to a container.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretPlan {
    /// Its name, chosen by its content.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// uid of the Deployment that owns it. `None` offline.
    pub owner: Option<String>,
    /// Variable names and values.
    pub data: BTreeMap<String, Value>,
    /// It is there already, with this content and this owner.
    pub present: bool,
}

/// Plans a Deployment. Resources that cannot be delivered are told so in their judgement, and their
/// claim is set aside: the others go on.
pub fn plan_deployment(
    snapshot: &Snapshot,
    name: &str,
    lookup: &Lookup<LiveDeployment>,
    targets: &[&Target],
    judgements: &mut [Judgement],
    claims: &mut [Claim],
) -> Option<DeploymentPlan> {
    let components: BTreeSet<Component> = targets.iter().map(|target| target.component).collect();
    let wanting: Vec<usize> = (0..claims.len())
        .filter(|&i| claims[i].active && claims[i].demands.iter().any(|demand| components.contains(&demand.component)))
        .collect();
    let refuse = |i: usize, verdict: Verdict, judgements: &mut [Judgement], claims: &mut [Claim]| {
        judgements[i].delivered = verdict;
        claims[i].active = false;
        claims[i].demands.clear();
    };
    let live = match lookup {
        Lookup::Found(live) => Some(live),
        Lookup::NotInInput => None,
        Lookup::Missing | Lookup::Forbidden => {
            for i in wanting {
                let namespace = &snapshot.key.namespace;
                let verdict = match lookup {
                    Lookup::Forbidden => Verdict::no(
                        Reason::Forbidden,
                        format!("Deployment {name}: the operator may not read Deployments in namespace {namespace}; grant its ServiceAccount get, list, watch and patch on deployments there"),
                    ),
                    _ => Verdict::no(
                        Reason::DeploymentNotFound,
                        format!("Deployment {name} does not exist in namespace {namespace}; install Timbr there, or name its Deployment in a TimbrInstallation"),
                    ),
                };
                refuse(i, verdict, judgements, claims);
            }
            return None;
        }
    };

    // Every component's container, or the sentence that says why there is none.
    let containers: BTreeMap<Component, Result<String, String>> = targets
        .iter()
        .map(|target| {
            let found = match live {
                Some(live) => target.find_container(live).map_err(|candidates| container_sentence(name, target, &candidates)),
                None => Ok(target.presumed_container()),
            };
            (target.component, found)
        })
        .collect();
    for i in wanting {
        let places: Vec<(Result<&String, &String>, &Demand)> = claims[i]
            .demands
            .iter()
            .filter_map(|demand| Some((containers.get(&demand.component)?.as_ref(), demand)))
            .collect();
        let mut verdict = None;
        for (container, demand) in places {
            let found = match (container, live) {
                (Err(sentence), _) => Some(Verdict::no(Reason::ContainerNotFound, sentence.clone())),
                (Ok(container), Some(live)) => set_elsewhere(snapshot, name, live, container, demand).and_then(|set| {
                    let verdict = hindrance(&set, live);
                    judgements[i].set_elsewhere.push(set);
                    verdict
                }),
                (Ok(_), None) => None,
            };
            verdict = verdict.or(found);
        }
        match verdict {
            Some(verdict) => refuse(i, verdict, judgements, claims),
            None => judgements[i].delivered = Verdict::yes(Reason::Delivered, format!("the variables are on Deployment {name}")),
        }
    }

    // What is wanted, by place, with its holders; the first (oldest) to want a place has it.
    let mut attribution = Attribution::default();
    let mut order: Vec<Place> = Vec::new();
    let mut wanted: BTreeMap<Place, &Value> = BTreeMap::new();
    for claim in claims.iter() {
        for demand in &claim.demands {
            let Some(Ok(container)) = containers.get(&demand.component) else { continue };
            let place: Place = (container.clone(), demand.name.to_owned());
            if !wanted.contains_key(&place) {
                wanted.insert(place.clone(), &demand.value);
                order.push(place.clone());
            }
            attribution.add(&place, &claim.holder);
        }
    }
    // What stays: ours, not wanted by an active resource, but caused by one that still exists.
    let mut kept: BTreeMap<Place, &LiveValue> = BTreeMap::new();
    if let Some(live) = live {
        let before = Attribution::read(live.delivered.as_deref());
        for place in live.ownership.ours.iter().filter(|place| !wanted.contains_key(place)) {
            let there = live.container(&place.0).and_then(|container| container.variables(&place.1).next());
            let Some(value) = there.filter(|value| could_be_ours(value)) else { continue };
            for holder in before.holders(place).filter(|holder| keeps(snapshot, claims, holder)) {
                attribution.add(place, holder);
                kept.insert(place.clone(), value);
            }
        }
    }

    let uid = live.map(|live| live.uid.clone());
    let component_of = |container: &str| {
        containers.iter().find(|(_, found)| found.as_deref() == Ok(container)).map_or(Component::Platform, |(component, _)| *component)
    };
    let mut secrets: BTreeMap<String, SecretPlan> = BTreeMap::new();
    for container in order.iter().map(|(container, _)| container).collect::<BTreeSet<_>>() {
        let data: BTreeMap<String, Value> = wanted
            .iter()
            .filter(|((place, _), value)| place == container && !matches!(value, Value::Plain(_)))
            .map(|((_, variable), value)| (variable.clone(), (*value).clone()))
            .collect();
        if !data.is_empty() {
            let plan = plan_secret(snapshot, name, uid.as_deref(), component_of(container), container, data);
            secrets.insert(container.clone(), plan);
        }
    }

    // Order is a fixed point: what is live keeps its order, what is new follows. Re-sorting would be
    // a rollout.
    let mut places: Vec<Place> = Vec::new();
    let mut seen = BTreeSet::new();
    let live_order = live.iter().flat_map(|live| &live.containers).flat_map(|container| {
        container.env.iter().map(|env| (container.name.clone(), env.name.clone()))
    });
    for place in live_order.chain(order) {
        if (wanted.contains_key(&place) || kept.contains_key(&place)) && seen.insert(place.clone()) {
            places.push(place);
        }
    }
    let mut planned: Vec<PlannedContainer> = Vec::new();
    for (container, variable) in places {
        let place = (container, variable);
        let source = match wanted.get(&place) {
            Some(Value::Plain(value)) => EnvSource::Plain(value.as_str().to_owned()),
            Some(_) => {
                let Some(secret) = secrets.get(&place.0) else { continue };
                EnvSource::Secret { name: secret.name.clone(), key: place.1.clone() }
            }
            None => match kept.get(&place) {
                Some(LiveValue::Plain(value)) => EnvSource::Plain(String::from_utf8_lossy(value.expose()).into_owned()),
                Some(LiveValue::SecretKey { name, key }) => EnvSource::Secret { name: name.clone(), key: key.clone() },
                _ => continue,
            },
        };
        let (container, name) = place;
        let entry = EnvEntry { name, source };
        match planned.iter_mut().find(|planned| planned.name == container) {
            Some(planned) => planned.env.push(entry),
            None => planned.push(PlannedContainer { name: container, env: vec![entry] }),
        }
    }

    let apply = match live {
        Some(live) if is_as_planned(live, &planned, &attribution) => None,
        None if planned.is_empty() => None,
        _ => Some(patch(snapshot, name, uid.as_deref(), &planned, &attribution)),
    };
    Some(DeploymentPlan {
        name: name.to_owned(),
        uid,
        containers: planned,
        secrets: secrets.into_values().collect(),
        attribution,
        apply,
        generation: live.map(|live| live.generation).unwrap_or_default(),
        rollout: live.map(|live| live.rollout.clone()).unwrap_or_default(),
    })
}

/// Whether a holder still exists but cannot speak for itself, so that what it delivered stays: it is
/// invalid, waiting, in conflict or suspended, or nobody can tell where it belongs.
fn keeps(snapshot: &Snapshot, claims: &[Claim], holder: &str) -> bool {
    match claims.iter().find(|claim| claim.holder == holder) {
        Some(claim) => !claim.active && !claim.displaced,
        None => {
            let unclear = super::plan::belongs_nowhere(snapshot);
            unclear.iter().any(|meta| meta.holder() == holder)
        }
    }
}

/// Whether we could have written a value. What somebody made of ours since, and we could not write, is
/// theirs to keep.
fn could_be_ours(value: &LiveValue) -> bool {
    match value {
        LiveValue::Plain(value) => {
            std::str::from_utf8(value.expose()).is_ok_and(|value| PlainValue::new("", value).is_ok())
        }
        LiveValue::SecretKey { .. } => true,
        LiveValue::Other => false,
    }
}

fn container_sentence(deployment: &str, target: &Target, candidates: &[String]) -> String {
    let component = target.component.name();
    let there = candidates.join(", ");
    match &target.container {
        Some(container) => format!(
            "Deployment {deployment} has no container {container} (there are: {there}); correct spec.components.{component}.container of the TimbrInstallation"
        ),
        None => format!(
            "Deployment {deployment} has several containers ({there}) and none is called {}; name one in spec.components.{component}.container of a TimbrInstallation",
            target.component.usual_containers().join(" or ")
        ),
    }
}

/// A variable that a resource asks for and that somebody else sets in the live Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetElsewhere {
    /// The Deployment.
    pub deployment: String,
    /// The container.
    pub container: String,
    /// The variable.
    pub variable: EnvName,
    /// How often the container lists it.
    pub entries: usize,
    /// Whether it is set to just what the resource asks for.
    pub equal: bool,
}

/// Whether somebody else sets a variable that a resource asks for.
fn set_elsewhere(
    snapshot: &Snapshot,
    deployment: &str,
    live: &LiveDeployment,
    container: &str,
    demand: &Demand,
) -> Option<SetElsewhere> {
    let variable = demand.name;
    let values: Vec<&LiveValue> = live.container(container)?.variables(variable).collect();
    let place: Place = (container.to_owned(), variable.to_owned());
    let ours_alone = live.ownership.ours.contains(&place) && !live.ownership.others.contains_key(&place);
    let equal = match values.as_slice() {
        [] => return None,
        [_] if ours_alone => return None,
        [value] => match (&demand.value, value) {
            (Value::Plain(wanted), LiveValue::Plain(live)) => wanted.as_str().as_bytes() == live.expose(),
            (Value::Sensitive(wanted), LiveValue::SecretKey { name, key }) => {
                let secret = snapshot.secrets.get(name).and_then(Lookup::found);
                secret.is_some_and(|secret| secret.ours && secret.data.get(key) == Some(wanted))
            }
            _ => false,
        },
        _ => false,
    };
    let (deployment, container) = (deployment.to_owned(), container.to_owned());
    Some(SetElsewhere { deployment, container, variable, entries: values.len(), equal })
}

/// What keeps a variable from being ours: another manager's different entry, or two entries.
fn hindrance(set: &SetElsewhere, live: &LiveDeployment) -> Option<Verdict> {
    let SetElsewhere { deployment, container, variable, .. } = set;
    let place: Place = (container.clone(), (*variable).to_owned());
    let at = format!("Deployment {deployment}, container {container}: variable {variable}");
    let who = live.ownership.others_of(&place).unwrap_or_else(|| "an unknown manager".to_owned());
    if set.entries > 1 {
        return Some(Verdict::no(
            Reason::DuplicateVariable,
            format!("{at} is listed {} times, by {who}; keep one at most there", set.entries),
        ));
    }
    let plain = live
        .container(container)
        .is_some_and(|container| container.variables(variable).any(|value| matches!(value, LiveValue::Plain(_))));
    let how = if plain { "value" } else { "valueFrom" };
    (!set.equal).then(|| {
        Verdict::no(
            Reason::Conflict,
            format!("{at} is set by {who} (as {how}); remove it there, and this resource delivers it"),
        )
    })
}

/// The Secret for a container's sensitive values. A live one of ours with equal content keeps its
/// name: a lost name key is no reason to replace pods.
fn plan_secret(
    snapshot: &Snapshot,
    deployment: &str,
    uid: Option<&str>,
    component: Component,
    container: &str,
    data: BTreeMap<String, Value>,
) -> SecretPlan {
    let sensitive: BTreeMap<String, _> = data
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Sensitive(value) => Some((name.clone(), value.clone())),
            _ => None,
        })
        .collect();
    let prefix = format!("timbr-{}-identity-", component.name());
    let labels = BTreeMap::from([
        (LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned()),
        (LABEL_COMPONENT.to_owned(), component.name().to_owned()),
        (LABEL_INSTALLATION.to_owned(), snapshot.key.label().to_owned()),
    ]);
    let equal = snapshot.secrets.iter().find(|(name, lookup)| {
        name.starts_with(&prefix)
            && lookup.found().is_some_and(|secret| {
                secret.ours && secret.immutable && secret.data == sensitive && secret.owner.as_deref() == uid
            })
    });
    SecretPlan {
        name: match equal {
            Some((name, _)) => name.clone(),
            None => prefix + &snapshot.name_key.suffix(deployment, container, &sensitive),
        },
        labels,
        owner: uid.map(str::to_owned),
        data,
        present: equal.is_some(),
    }
}

/// Whether the live object says all that we would say, and our manager owns exactly that.
fn is_as_planned(live: &LiveDeployment, planned: &[PlannedContainer], attribution: &Attribution) -> bool {
    let places: BTreeSet<Place> = planned
        .iter()
        .flat_map(|container| container.env.iter().map(|env| (container.name.clone(), env.name.clone())))
        .collect();
    if places != live.ownership.ours {
        return false;
    }
    let as_planned = planned.iter().all(|container| {
        live.container(&container.name).is_some_and(|there| {
            container.env.iter().all(|env| there.variables(&env.name).any(|value| env.is(value)))
        })
    });
    let metadata = if planned.is_empty() {
        !live.ownership.metadata
    } else {
        live.ownership.metadata
            && live.managed.as_deref() == Some("true")
            && live.delivered.as_deref() == Some(&attribution.write())
    };
    as_planned && metadata
}

/// The server-side apply. What it does not list and we own is released.
fn patch(snapshot: &Snapshot, name: &str, uid: Option<&str>, planned: &[PlannedContainer], attribution: &Attribution) -> Json {
    let mut patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": snapshot.key.namespace},
    });
    if let Some(uid) = uid {
        patch["metadata"]["uid"] = uid.into();
    }
    if !planned.is_empty() {
        patch["metadata"]["labels"] = json!({LABEL_MANAGED: "true"});
        patch["metadata"]["annotations"] = json!({ANNOTATION_DELIVERED: attribution.write()});
        let containers: Vec<Json> = planned
            .iter()
            .map(|container| json!({"name": container.name, "env": container.env.iter().map(EnvEntry::json).collect::<Vec<_>>()}))
            .collect();
        patch["spec"] = json!({"template": {"spec": {"containers": containers}}});
    }
    patch
}
