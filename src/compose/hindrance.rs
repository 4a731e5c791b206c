//! What keeps a resource from being delivered: no Deployment, no container, or another hand on a
//! variable. Judged for a resource as a whole, before anything is planned: one variable that cannot
//! be ours leaves out all of the resource, and the others go on.

use crate::api::Reason;

use super::{
    Demand, EnvName, LiveDeployment, LiveValue, Lookup, Snapshot, Value, Verdict, deployment::Claim, ownership::Place,
    plan::Judgement, site::Site,
};

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

/// Judges whether each active claim can be delivered; one that cannot is no longer active.
pub fn judge_delivery(snapshot: &Snapshot, sites: &[Site<'_>], judgements: &mut [Judgement], claims: &mut [Claim]) {
    for (judgement, claim) in judgements.iter_mut().zip(claims).filter(|(_, claim)| claim.active) {
        let placed: Vec<_> = claim
            .demands
            .iter()
            .filter_map(|demand| {
                let (site, container) =
                    sites.iter().find_map(|site| Some((site, site.container(demand.component)?)))?;
                Some((demand, site, container))
            })
            .collect();
        // Nobody knows its Deployments: the TimbrInstallation cannot be read.
        if placed.is_empty() {
            continue;
        }
        let verdicts: Vec<Verdict> = placed
            .into_iter()
            .filter_map(|(demand, site, container)| {
                if let Some(absence) = site.absence(&snapshot.key.namespace) {
                    return Some(absence);
                }
                let container = match container {
                    Ok(container) => container,
                    Err(sentence) => return Some(Verdict::no(Reason::ContainerNotFound, sentence)),
                };
                let live = site.live()?;
                let set = set_elsewhere(snapshot, site.name, live, container, demand)?;
                let verdict = hindrance(&set, live);
                judgement.set_elsewhere.push(set);
                verdict
            })
            .collect();
        judgement.delivered = match verdicts.into_iter().next() {
            Some(verdict) => {
                claim.active = false;
                claim.demands.clear();
                verdict
            }
            None => {
                let names: Vec<&str> = judgement.deployments.iter().map(String::as_str).collect();
                Verdict::yes(Reason::Delivered, format!("the variables are on Deployment {}", names.join(", ")))
            }
        };
    }
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
        [value] => is_equal(snapshot, &demand.value, value),
        _ => false,
    };
    let (deployment, container) = (deployment.to_owned(), container.to_owned());
    Some(SetElsewhere { deployment, container, variable, entries: values.len(), equal })
}

fn is_equal(snapshot: &Snapshot, wanted: &Value, live: &LiveValue) -> bool {
    match (wanted, live) {
        (Value::Plain(wanted), LiveValue::Plain(live)) => wanted.as_str().as_bytes() == live.expose(),
        // A reference that others hold too is the wanted one when it leads to the value in a Secret of ours.
        (Value::Sensitive(wanted), LiveValue::SecretKey { name, key }) => {
            let secret = snapshot.secrets.get(name).and_then(Lookup::found);
            secret.is_some_and(|secret| secret.ours && secret.data.get(key) == Some(wanted))
        }
        _ => false,
    }
}

/// What keeps a variable from being ours: another manager's different entry, or two entries. Values
/// are never quoted: another's plain value may be a secret.
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
