//! What is said of every resource once the writing is done: pure, from the plan and what came of it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    CommonStatus, ConditionStatus, ConditionType, Meta, Problem, Reason, Resources, Severity, Status,
    TimbrInstallationStatus, message,
};

use super::{
    Judgement, Plan, Rollout, Verdict,
    delivered::{Held, delivered, delivered_verdict, held, rolled_out},
    mapping::{Look, Mail, Statement, advance},
    plan::InstallationJudgement,
    summary::{Summary, conditions, summarise},
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

/// Why an object could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operator lacks a right; says which.
    Forbidden(String),
    /// Somebody else holds what we would set; says who and what.
    Conflict(String),
    /// Passing trouble, or the object has just been replaced: tried again.
    Transient(String),
}

impl Failure {
    /// What it means for a resource that needs the object to be written, such as `Deployment timbr-api`.
    pub fn verdict(&self, object: &str) -> Verdict {
        let (reason, text) = match self {
            Failure::Forbidden(text) => (Reason::Forbidden, text),
            Failure::Conflict(text) => (Reason::Conflict, text),
            Failure::Transient(text) => {
                return Verdict::pending(format!("{object}: {text}; trying again"));
            }
        };
        Verdict::no(reason, format!("{object}: {text}"))
    }
}

/// What to write as the status of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceStatus {
    /// Whose.
    pub meta: Meta,
    /// What stands there now.
    pub previous: Option<Arc<Status>>,
    /// What is to stand there.
    pub status: Status,
}

impl ResourceStatus {
    /// Whether anything changes.
    pub fn is_news(&self) -> bool {
        self.previous.as_deref() != Some(&self.status)
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

/// All there is to say about an installation, and what follows from it.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The status of everything in the plan.
    pub statuses: Vec<ResourceStatus>,
    /// The statement to send, once the statuses are written: they record it.
    pub send: Option<Statement>,
    /// When there is more to do, though nothing changes.
    pub again: Option<Timestamp>,
}

/// The status of everything in the plan. Deployments that have no outcome were not reached.
pub fn statuses(
    plan: &Plan,
    outcomes: &BTreeMap<String, Outcome>,
    memory: Memory,
    mail: &Mail,
    now: Timestamp,
) -> Said {
    let mut said = Said::default();
    let held = plan.deployments.iter().map(held).collect();
    let teller = Teller { plan, held, outcomes, memory, mail, now };
    for judgement in &plan.resources {
        let status = teller.resource_status(judgement, &mut said);
        said.statuses.push(status);
    }
    if let Some(installation) = &plan.installation {
        let status = installation_status(installation, &said.statuses, now);
        said.statuses.push(status);
    }
    said
}

struct Teller<'a> {
    plan: &'a Plan,
    /// What each holder has of each Deployment of the plan.
    held: Vec<Held<'a>>,
    outcomes: &'a BTreeMap<String, Outcome>,
    memory: Memory,
    mail: &'a Mail,
    now: Timestamp,
}

impl Teller<'_> {
    fn resource_status(&self, judgement: &Judgement, said: &mut Said) -> ResourceStatus {
        let Self { plan, outcomes, memory, now, .. } = *self;
        let before = judgement.previous.as_deref().map(Status::common);
        let delivered = delivered(judgement, before, plan, &self.held, outcomes, memory);
        let delivered_verdict = delivered_verdict(judgement, before, &delivered, plan, outcomes);
        let rolled_out = rolled_out(judgement, before, &delivered, plan, outcomes);
        let mut problems = judgement.problems.clone();
        let mut details = judgement.details.clone();
        let is_rolled_out = delivered_verdict.is_true() && rolled_out.is_true();
        if let Some(client_secret) = &judgement.client_secret {
            let (warning, again) = client_secret.warning(now);
            problems.extend(warning);
            said.again = said.again.into_iter().chain(again).min();
            if let Status::AzureSso(status) = &mut details {
                status.client_secret_expires = client_secret.ends;
            }
        }
        let pending = self.statements(judgement, is_rolled_out, &mut details, &mut problems, said);
        let mut steps = vec![(ConditionType::Accepted, judgement.accepted.clone())];
        let kind = judgement.meta.kind;
        if kind.is_delivered() {
            steps.push((ConditionType::ReferencesResolved, judgement.references.clone()));
        }
        steps.push((ConditionType::Verified, judgement.verified.clone()));
        if kind.is_delivered() {
            steps.extend([(ConditionType::Delivered, delivered_verdict), (ConditionType::RolledOut, rolled_out)]);
        }
        // What is not recorded may not be kept by the network either.
        let (guards, network) = (judgement.guards.as_ref(), judgement.network.as_ref());
        let is_refused = |verdict: &&Verdict| verdict.status == ConditionStatus::False;
        let refused = guards.into_iter().chain(network).find(is_refused);
        let of_policy = refused.or(guards.filter(|_| network.is_some())).or(network);
        steps.extend(of_policy.map(|verdict| (ConditionType::Delivered, verdict.clone())));
        let pending = pending.or_else(|| Some(judgement.guards.as_ref()?.message.clone()));
        let done = done(&details, judgement);
        said.again = said.again.into_iter().chain(judgement.again).min();
        let summary = Summary { suspended: judgement.suspended, delivered: !delivered.is_empty(), pending, done };
        let (ready, reconciling, stalled) = summarise(&steps, summary);
        let mut verdicts = steps;
        verdicts.extend([(ConditionType::Ready, ready), (ConditionType::Reconciling, reconciling)]);
        verdicts.extend(stalled.map(|stalled| (ConditionType::Stalled, stalled)));
        let common = CommonStatus {
            observed_generation: judgement.meta.generation,
            conditions: conditions(verdicts, before, judgement.meta.generation, now),
            warnings: warnings(&problems),
            problems: problems.iter().map(printable).collect(),
            checks: [&judgement.tried[..], &judgement.recorded].concat(),
            delivered,
        };
        *details.common_mut() = common;
        ResourceStatus { meta: judgement.meta.clone(), previous: judgement.previous.clone(), status: details }
    }

    /// Where the statements of a RoleGroupSync stand; returns why not all are applied, while that is a
    /// matter of waiting.
    fn statements(
        &self,
        judgement: &Judgement,
        rolled_out: bool,
        details: &mut Status,
        problems: &mut Vec<Problem>,
        said: &mut Said,
    ) -> Option<String> {
        let Status::RoleGroupSync(status) = details else { return None };
        let before = match judgement.previous.as_deref() {
            Some(Status::RoleGroupSync(before)) => Some(before),
            _ => None,
        };
        let accepted = judgement.accepted.is_true() && !judgement.suspended;
        let Some(spec) = judgement.groups.as_ref().filter(|_| accepted) else {
            // Nothing is sent, and nothing is forgotten.
            if let Some(before) = before {
                status.mappings.clone_from(&before.mappings);
                status.statements.clone_from(&before.statements);
                status.orphaned_mappings.clone_from(&before.orphaned_mappings);
                status.sync.clone_from(&before.sync);
            }
            return None;
        };
        let look = Look {
            holder: &judgement.meta.holder(),
            sql: &self.plan.sql,
            rolled_out,
            is_open: judgement.is_open,
            mail: self.mail,
            requested: judgement.meta.sync_requested_at.as_deref(),
            now: self.now,
        };
        let mut progress = advance(spec, before, &look);
        status.mappings = progress.mappings;
        status.statements = progress.statements;
        status.orphaned_mappings = progress.orphans;
        status.sync = progress.sync;
        problems.append(&mut progress.problems);
        said.send = said.send.take().or(progress.send);
        said.again = said.again.into_iter().chain(progress.again).min();
        progress.pending
    }
}

/// Ready, when nothing is wrong and nothing is left to do.
fn done(details: &Status, judgement: &Judgement) -> Verdict {
    match details {
        Status::ExternalTokenProvider(_) if judgement.untrusted => Verdict::yes(
            Reason::TrustOnly,
            "the provider is recorded as not trusted (enabled: false); there is nothing to deliver",
        ),
        Status::ExternalTokenProvider(_) => Verdict::yes(
            Reason::TrustOnly,
            "the provider is recorded as trusted; there is nothing to deliver, and nothing in this version asks for it yet",
        ),
        Status::InboundAccessPolicy(_) => Verdict::yes(
            Reason::Ready,
            match &judgement.network {
                Some(network) => format!("the policy is accepted; {}", network.message),
                None => "the policy is accepted".to_owned(),
            },
        ),
        Status::RoleGroupSync(status) if !status.statements.is_empty() => {
            let done = delivered_and(&judgement.verified);
            let message = format!("{}; run the statements in status.statements in Timbr's SQL Lab", done.message);
            Verdict { message, ..done }
        }
        _ => delivered_and(&judgement.verified),
    }
}

/// Ready, of what is delivered and rolled out.
fn delivered_and(verified: &Verdict) -> Verdict {
    match verified.is_true() {
        true => Verdict::yes(Reason::Ready, "delivered, rolled out and verified"),
        false => Verdict::yes(Reason::DeliveredUnverified, format!("delivered and rolled out; {}", verified.message)),
    }
}

fn installation_status(
    installation: &InstallationJudgement,
    resources: &[ResourceStatus],
    now: Timestamp,
) -> ResourceStatus {
    let before = installation.previous.as_deref().map(Status::common);
    let something_delivered = resources.iter().any(|resource| !resource.status.common().delivered.is_empty());
    let steps = [
        (ConditionType::Accepted, installation.accepted.clone()),
        (ConditionType::ReferencesResolved, installation.references.clone()),
    ];
    let summary = Summary {
        suspended: installation.suspended,
        delivered: something_delivered,
        pending: None,
        done: Verdict::yes(Reason::Ready, "the installation is accepted; its resources have conditions of their own"),
    };
    let (ready, reconciling, stalled) = summarise(&steps, summary);
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
                checks: vec![],
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
