//! What is said of every resource once the writing is done: pure, from the plan and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    CommonStatus, ConditionStatus, ConditionType, Meta, Problem, Reason, Resources, Severity, Status,
    TimbrInstallationStatus, message,
};

use super::{
    Judgement, Plan, Rollout, Verdict,
    delivered::{delivered, delivered_verdict, rolled_out},
    plan::InstallationJudgement,
    summary::{conditions, summarise},
};

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
