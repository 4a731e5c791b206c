//! What of a resource is on the Deployments, and whether pods run with it.

use std::collections::{BTreeMap, HashMap};

use crate::api::{CommonStatus, ConditionStatus, ConditionType, Delivered, Reason};

use super::{DeploymentPlan, EnvEntry, EnvSource, Judgement, Memory, Outcome, Plan, PlannedContainer, Verdict};

/// What each holder has of a Deployment's plan, by container.
pub(super) type Held<'a> = HashMap<&'a str, Vec<(&'a PlannedContainer, Vec<&'a EnvEntry>)>>;

/// Reads the attribution of a plan the other way round.
pub(super) fn held(deployment: &DeploymentPlan) -> Held<'_> {
    let mut held = Held::new();
    for container in &deployment.containers {
        for env in container.variables() {
            for holder in deployment.attribution.holders((&container.name, &env.name)) {
                let of_holder = held.entry(holder).or_default();
                match of_holder.last_mut().filter(|(last, _)| std::ptr::eq(*last, container)) {
                    Some((_, entries)) => entries.push(env),
                    None => of_holder.push((container, vec![env])),
                }
            }
        }
    }
    held
}

/// What of the resource is on the Deployments now: where the write failed or was not tried, what
/// stood there before.
pub(super) fn delivered(
    judgement: &Judgement,
    before: Option<&CommonStatus>,
    plan: &Plan,
    held: &[Held<'_>],
    outcomes: &BTreeMap<String, Outcome>,
    memory: Memory,
) -> Vec<Delivered> {
    let mut delivered: Vec<Delivered> = Vec::new();
    let holder = judgement.meta.holder();
    for (deployment, held) in plan.deployments.iter().zip(held) {
        let Some(Outcome::Done { generation, changed, .. }) = outcomes.get(&deployment.name) else {
            let stays = before.into_iter().flat_map(|before| &before.delivered);
            delivered.extend(stays.filter(|there| there.deployment == deployment.name).cloned());
            continue;
        };
        delivered.extend(on_deployment(
            &deployment.name,
            held.get(holder.as_str()).map(Vec::as_slice).unwrap_or_default(),
            before.filter(|before| !changed && is_record(before, judgement, memory)),
            *generation,
        ));
    }
    // Nothing is taken off a Deployment that cannot be read, nor off any while nobody knows the
    // installation's Deployments: what stood there stays.
    let unknown = |there: &&Delivered| {
        let planned = plan.deployments.iter().any(|deployment| deployment.name == there.deployment);
        !planned && (judgement.deployments.is_empty() || plan.unread.contains(&there.deployment))
    };
    delivered.extend(before.into_iter().flat_map(|before| &before.delivered).filter(unknown).cloned());
    delivered
}

/// Whether the status before is a record of what is there. When it may not be (a write went unrecorded, and
/// the resource is another since; or nobody knew what came of the last write), the newest generation is the
/// safe answer.
fn is_record(before: &CommonStatus, judgement: &Judgement, memory: Memory) -> bool {
    memory == Memory::Whole
        || (before.observed_generation == judgement.meta.generation && said(before, ConditionType::Delivered))
}

/// Whether a status says that a condition is True.
fn said(status: &CommonStatus, type_: ConditionType) -> bool {
    let is_true = ConditionStatus::True.as_str();
    status.conditions.iter().any(|condition| condition.type_ == type_.as_str() && condition.status == is_true)
}

/// What of the resource is on one Deployment. The generation that a record tells moves only when the
/// template changed.
fn on_deployment(
    deployment: &str,
    held: &[(&PlannedContainer, Vec<&EnvEntry>)],
    record: Option<&CommonStatus>,
    generation: i64,
) -> Vec<Delivered> {
    let mut delivered = Vec::new();
    for (container, mine) in held {
        let mut variables: Vec<String> = mine.iter().map(|env| env.name.clone()).collect();
        variables.sort();
        let secret = mine.iter().find_map(|env| match &env.source {
            EnvSource::Secret { name, .. } => Some(name.clone()),
            EnvSource::Plain(_) => None,
        });
        let mut now = Delivered {
            deployment: deployment.to_owned(),
            container: container.name.clone(),
            variables,
            secret,
            generation,
        };
        if let Some(record) = record
            && let Some(same) = record.delivered.iter().find(|there| {
                there.generation <= generation && **there == Delivered { generation: there.generation, ..now.clone() }
            })
        {
            now.generation = same.generation;
        }
        delivered.push(now);
    }
    delivered
}

pub(super) fn delivered_verdict(
    judgement: &Judgement,
    before: Option<&CommonStatus>,
    delivered: &[Delivered],
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
) -> Verdict {
    // What it waits for is said in any case.
    let waits = judgement.delivered.cause == Some(Reason::WaitingForDeployment);
    let last_good = || {
        let names: Vec<&str> = delivered.iter().map(|there| there.deployment.as_str()).collect();
        let stays = format!("what was delivered before stays on Deployment {}", names.join(", "));
        match waits {
            true => Verdict {
                cause: judgement.delivered.cause,
                ..Verdict::yes(Reason::DeliveredLastGood, format!("{stays}; {}", judgement.delivered.message))
            },
            false => Verdict::yes(Reason::DeliveredLastGood, stays),
        }
    };
    if judgement.delivered.status == ConditionStatus::Unknown {
        // A part alone is not what it was.
        let was_whole = judgement.in_force || before.is_some_and(|before| said(before, ConditionType::Delivered));
        if waits && !was_whole {
            return judgement.delivered.clone();
        }
        return if delivered.is_empty() { judgement.delivered.clone() } else { last_good() };
    }
    if judgement.delivered.is_true() {
        let failures =
            plan.deployments.iter().filter(|deployment| judgement.deployments.contains(&deployment.name)).filter_map(
                |deployment| match outcomes.get(&deployment.name) {
                    Some(Outcome::Failed(failure)) => Some((&deployment.name, Some(failure))),
                    Some(Outcome::Done { .. }) => None,
                    None => Some((&deployment.name, None)),
                },
            );
        if let Some((name, failure)) = failures.into_iter().next() {
            return match failure {
                Some(failure) => failure.verdict(&format!("Deployment {name}")),
                None => Verdict::pending(format!("Deployment {name} was not reached; trying again")),
            };
        }
    }
    judgement.delivered.clone()
}

pub(super) fn rolled_out(
    judgement: &Judgement,
    before: Option<&CommonStatus>,
    delivered: &[Delivered],
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
) -> Verdict {
    if delivered.is_empty() {
        return Verdict::pending("nothing is delivered yet");
    }
    let was_rolled_out = before.is_some_and(|before| said(before, ConditionType::RolledOut));
    let recorded = before.map(|before| before.delivered.as_slice()).unwrap_or_default();
    for there in delivered {
        // Our content rolled out once stays rolled out, whatever others do to the Deployment.
        let changed = matches!(outcomes.get(&there.deployment), Some(Outcome::Done { changed: true, .. }));
        if was_rolled_out && !changed && recorded.contains(there) {
            continue;
        }
        let name = &there.deployment;
        let rollout = match outcomes.get(name) {
            Some(Outcome::Done { rollout, .. }) => rollout.clone(),
            _ => match plan.deployments.iter().find(|deployment| &deployment.name == name) {
                Some(deployment) => deployment.rollout.clone(),
                None => return Verdict::pending(format!("Deployment {name} was not read")),
            },
        };
        if rollout.is_complete(there.generation) {
            continue;
        }
        if rollout.paused {
            return Verdict::no(
                Reason::DeploymentPaused,
                format!(
                    "Deployment {name} is paused, so its pods are not replaced; run: kubectl rollout resume deployment/{name} -n {}",
                    judgement.meta.namespace
                ),
            );
        }
        if rollout.deadline_exceeded && rollout.observed_generation >= there.generation {
            return Verdict::no(
                Reason::ProgressDeadlineExceeded,
                format!(
                    "Deployment {name}: the new pods did not become ready in time ({}); look at: kubectl describe pods -n {}",
                    rollout.progress(),
                    judgement.meta.namespace
                ),
            );
        }
        return Verdict::no(Reason::RollingOut, format!("Deployment {name}: {}", rollout.progress()));
    }
    Verdict::yes(Reason::RolledOut, "the pods run with what is delivered")
}
