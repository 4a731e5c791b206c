//! What is said of every resource once the writing is done: pure, from the plan and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{
    CommonStatus, ConditionStatus, ConditionType, Delivered, Meta, Problem, Reason, Resources, Severity, Status,
    TimbrInstallationStatus, message,
};

use super::{DeploymentPlan, EnvSource, Judgement, Plan, Rollout, Verdict, plan::InstallationJudgement};

/// What came of a Deployment's plan.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The live object was as planned, or is now.
    Done {
        /// Its generation now.
        generation: i64,
        /// Whether this run's apply changed its template.
        changed: bool,
        /// How far its pods are.
        rollout: Rollout,
    },
    /// It could not be written.
    Failed(Failure),
}

/// Why a Deployment could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operator lacks a right; says which.
    Forbidden(String),
    /// Somebody else holds what we would set; says who and what.
    Conflict(String),
    /// Passing trouble, or the object has just been replaced: tried again.
    Transient(String),
}

/// What to write as the status of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceStatus {
    /// Whose.
    pub meta: Meta,
    /// What stands there now.
    pub previous: Option<Status>,
    /// What is to stand there.
    pub status: Status,
}

impl ResourceStatus {
    /// Whether anything changes.
    pub fn is_news(&self) -> bool {
        self.previous.as_ref() != Some(&self.status)
    }

    /// Whether nothing is left to do or to wait for.
    pub fn is_settled(&self) -> bool {
        is_ready(&self.status)
    }

    /// The reason of Ready, for logs and metrics.
    pub fn ready_reason(&self) -> &str {
        ready(&self.status).map_or("", |condition| condition.reason.as_str())
    }
}

/// Whether the statuses speak of every write that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// They do: this process has looked before, and everything it wrote was recorded.
    Whole,
    /// They may not: a predecessor may have died between a write and its record, or a write failed
    /// whose outcome nobody knows.
    Partial,
}

/// The status of everything in the plan. Deployments that have no outcome were not reached.
pub fn statuses(
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
    memory: Memory,
    now: Timestamp,
) -> Vec<ResourceStatus> {
    let mut statuses: Vec<ResourceStatus> =
        plan.resources.iter().map(|judgement| resource_status(judgement, plan, outcomes, memory, now)).collect();
    if let Some(installation) = &plan.installation {
        let status = installation_status(installation, &statuses, now);
        statuses.push(status);
    }
    statuses
}

fn resource_status(
    judgement: &Judgement,
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
    memory: Memory,
    now: Timestamp,
) -> ResourceStatus {
    let before = judgement.previous.as_ref().map(Status::common);
    let delivered = delivered(judgement, before, plan, outcomes, memory);
    let delivered_verdict = delivered_verdict(judgement, &delivered, plan, outcomes);
    let rolled_out = rolled_out(judgement, before, &delivered, plan, outcomes);
    let verified = Verdict {
        status: ConditionStatus::Unknown,
        reason: Reason::NotChecked,
        message: "the credentials were not tried out".to_owned(),
    };
    let steps = [
        (ConditionType::Accepted, judgement.accepted.clone()),
        (ConditionType::ReferencesResolved, judgement.references.clone()),
        (ConditionType::Verified, verified),
        (ConditionType::Delivered, delivered_verdict),
        (ConditionType::RolledOut, rolled_out),
    ];
    let (ready, reconciling, stalled) = summarise(&steps, judgement.suspended, !delivered.is_empty());
    let mut verdicts: Vec<(ConditionType, Verdict)> = steps.into();
    verdicts.extend([(ConditionType::Ready, ready), (ConditionType::Reconciling, reconciling)]);
    verdicts.extend(stalled.map(|stalled| (ConditionType::Stalled, stalled)));
    let common = CommonStatus {
        observed_generation: judgement.meta.generation,
        conditions: conditions(verdicts, before, judgement.meta.generation, now),
        warnings: warnings(&judgement.problems),
        problems: judgement.problems.iter().map(printable).collect(),
        delivered,
    };
    ResourceStatus {
        meta: judgement.meta.clone(),
        previous: judgement.previous.clone(),
        status: judgement.details.status(common),
    }
}

/// What of the resource is on the Deployments now: where the write failed or was not tried, what
/// stood there before.
fn delivered(
    judgement: &Judgement,
    before: Option<&CommonStatus>,
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
    memory: Memory,
) -> Vec<Delivered> {
    let mut delivered: Vec<Delivered> = Vec::new();
    for deployment in &plan.deployments {
        let Some(Outcome::Done { generation, changed, .. }) = outcomes.get(&deployment.name) else {
            let stays = before.into_iter().flat_map(|before| &before.delivered);
            delivered.extend(stays.filter(|there| there.deployment == deployment.name).cloned());
            continue;
        };
        delivered.extend(on_deployment(
            judgement,
            deployment,
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

/// Whether the status before is a record of what is there. When it may not be (a write went
/// unrecorded, and the resource is another since), the newest generation is the safe answer.
fn is_record(before: &CommonStatus, judgement: &Judgement, memory: Memory) -> bool {
    memory == Memory::Whole || before.observed_generation == judgement.meta.generation
}

/// What of the resource is on one Deployment. The generation that a record tells moves only when the
/// template changed.
fn on_deployment(
    judgement: &Judgement,
    deployment: &DeploymentPlan,
    record: Option<&CommonStatus>,
    generation: i64,
) -> Vec<Delivered> {
    let holder = judgement.meta.holder();
    let mut delivered = Vec::new();
    for container in &deployment.containers {
        let mine: Vec<_> = container
            .env
            .iter()
            .filter(|env| {
                deployment.attribution.holders(&(container.name.clone(), env.name.clone())).any(|name| name == holder)
            })
            .collect();
        if mine.is_empty() {
            continue;
        }
        let mut variables: Vec<String> = mine.iter().map(|env| env.name.clone()).collect();
        variables.sort();
        let secret = mine.iter().find_map(|env| match &env.source {
            EnvSource::Secret { name, .. } => Some(name.clone()),
            EnvSource::Plain(_) => None,
        });
        let mut now = Delivered {
            deployment: deployment.name.clone(),
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

fn delivered_verdict(
    judgement: &Judgement,
    delivered: &[Delivered],
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
) -> Verdict {
    let last_good = || {
        let names: Vec<&str> = delivered.iter().map(|there| there.deployment.as_str()).collect();
        Verdict::yes(
            Reason::DeliveredLastGood,
            format!("what was delivered before stays on Deployment {}", names.join(", ")),
        )
    };
    if judgement.delivered.status == ConditionStatus::Unknown {
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
                Some(Failure::Forbidden(text)) => Verdict::no(Reason::Forbidden, format!("Deployment {name}: {text}")),
                Some(Failure::Conflict(text)) => Verdict::no(Reason::Conflict, format!("Deployment {name}: {text}")),
                Some(Failure::Transient(text)) => Verdict::pending(format!("Deployment {name}: {text}; trying again")),
                None => Verdict::pending(format!("Deployment {name} was not reached; trying again")),
            };
        }
    }
    judgement.delivered.clone()
}

fn rolled_out(
    judgement: &Judgement,
    before: Option<&CommonStatus>,
    delivered: &[Delivered],
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
) -> Verdict {
    if delivered.is_empty() {
        return Verdict::pending("nothing is delivered yet");
    }
    let was_rolled_out = before.is_some_and(|before| {
        before
            .conditions
            .iter()
            .any(|condition| condition.type_ == ConditionType::RolledOut.as_str() && condition.status == "True")
    });
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

/// Ready, Reconciling and Stalled, from the steps before them.
fn summarise(
    steps: &[(ConditionType, Verdict)],
    suspended: bool,
    something_delivered: bool,
) -> (Verdict, Verdict, Option<Verdict>) {
    const SUSPENDED: &str = "suspended: nothing is checked or changed; set suspend: false to go on";
    let settled = Verdict::no(Reason::Settled, "nothing to do");
    if suspended && something_delivered {
        return (Verdict::yes(Reason::Suspended, SUSPENDED), settled, None);
    }
    if suspended {
        return (Verdict::no(Reason::Suspended, SUSPENDED), settled, Some(Verdict::yes(Reason::Suspended, SUSPENDED)));
    }
    if let Some((_, first)) = steps.iter().find(|(_, verdict)| verdict.status == ConditionStatus::False) {
        let ready = first.clone();
        return match waits_for(first.reason) {
            Some(reason) => (ready, Verdict::yes(reason, first.message.clone()), None),
            None => (ready, settled, Some(Verdict::yes(first.reason, first.message.clone()))),
        };
    }
    // Nothing is wrong; is something not known yet? What was not verified is said, and gates nothing.
    let unknown = steps
        .iter()
        .find(|(type_, verdict)| *type_ != ConditionType::Verified && verdict.status == ConditionStatus::Unknown);
    if let Some((type_, unknown)) = unknown {
        let reason = if *type_ == ConditionType::Delivered { Reason::Retrying } else { Reason::Progressing };
        return (Verdict::pending(unknown.message.clone()), Verdict::yes(reason, unknown.message.clone()), None);
    }
    let verified = steps.iter().any(|(type_, verdict)| *type_ == ConditionType::Verified && verdict.is_true());
    let ready = if verified {
        Verdict::yes(Reason::Ready, "delivered, rolled out and verified")
    } else {
        Verdict::yes(Reason::DeliveredUnverified, "delivered and rolled out; the credentials were not tried out")
    };
    (ready, settled, None)
}

/// What the operator waits for when a step failed for this reason; `None`: a person must act.
fn waits_for(reason: Reason) -> Option<Reason> {
    match reason {
        Reason::InstallationNotFound | Reason::SecretNotFound | Reason::SecretKeyNotFound => {
            Some(Reason::WaitingForReference)
        }
        Reason::DeploymentNotFound => Some(Reason::WaitingForDeployment),
        Reason::RollingOut | Reason::DeploymentPaused => Some(Reason::RollingOut),
        _ => None,
    }
}

fn installation_status(
    installation: &InstallationJudgement,
    resources: &[ResourceStatus],
    now: Timestamp,
) -> ResourceStatus {
    let before = installation.previous.as_ref().map(Status::common);
    let something_delivered = resources.iter().any(|resource| !resource.status.common().delivered.is_empty());
    let steps = [(ConditionType::Accepted, installation.accepted.clone())];
    let (mut ready, reconciling, stalled) = summarise(&steps, installation.suspended, something_delivered);
    if ready.reason == Reason::DeliveredUnverified {
        ready = Verdict::yes(Reason::Ready, "the installation is accepted; its resources have conditions of their own");
    }
    let mut verdicts: Vec<(ConditionType, Verdict)> = steps.into();
    verdicts.extend([(ConditionType::Ready, ready), (ConditionType::Reconciling, reconciling)]);
    verdicts.extend(stalled.map(|stalled| (ConditionType::Stalled, stalled)));
    let ready = resources.iter().filter(|resource| is_ready(&resource.status)).count();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let generation = installation.meta.generation;
    ResourceStatus {
        meta: installation.meta.clone(),
        previous: installation.previous.clone(),
        status: Status::TimbrInstallation(TimbrInstallationStatus {
            common: CommonStatus {
                observed_generation: generation,
                conditions: conditions(verdicts, before, generation, now),
                warnings: warnings(&installation.problems),
                problems: installation.problems.iter().map(printable).collect(),
                delivered: vec![],
            },
            components: installation.components.clone(),
            resources: Some(Resources {
                total: count(resources.len()),
                ready: count(ready),
                summary: format!("{ready}/{}", resources.len()),
            }),
        }),
    }
}

fn ready(status: &Status) -> Option<&Condition> {
    status.common().conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str())
}

fn is_ready(status: &Status) -> bool {
    ready(status).is_some_and(|condition| condition.status == ConditionStatus::True.as_str())
}

fn warnings(problems: &[Problem]) -> Option<u32> {
    let count = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    u32::try_from(count).ok().filter(|count| *count > 0)
}

fn printable(problem: &Problem) -> Problem {
    Problem { message: message(&problem.message), ..problem.clone() }
}

/// Gives each verdict its time: the old one while the status is the same.
fn conditions(
    verdicts: Vec<(ConditionType, Verdict)>,
    before: Option<&CommonStatus>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    // Kubernetes keeps whole seconds; anything finer would never compare equal again.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    verdicts
        .into_iter()
        .map(|(type_, verdict)| {
            let same = before
                .into_iter()
                .flat_map(|before| &before.conditions)
                .find(|condition| condition.type_ == type_.as_str() && condition.status == verdict.status.as_str());
            // The default in the schema has no clock: its time is no transition.
            let since = same.map(|condition| condition.last_transition_time.0).filter(|since| since.as_second() > 0);
            Condition {
                type_: type_.to_string(),
                status: verdict.status.as_str().to_owned(),
                reason: verdict.reason.to_string(),
                message: message(&verdict.message),
                observed_generation: Some(generation),
                last_transition_time: Time(since.unwrap_or(now)),
            }
        })
        .collect()
}
