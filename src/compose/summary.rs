//! Conditions from verdicts: Ready, Reconciling and Stalled as kstatus wants them, and each with its
//! time.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{CommonStatus, ConditionStatus, ConditionType, Reason, message};

use super::Verdict;

/// What a summary needs beside the steps.
pub(super) struct Summary {
    /// Whether the resource, or its installation, is suspended.
    pub suspended: bool,
    /// Whether something of it is delivered.
    pub delivered: bool,
    /// Why something is still to be done, although every step is.
    pub pending: Option<String>,
    /// Ready, when nothing is wrong and nothing is left to do.
    pub done: Verdict,
}

/// Ready, Reconciling and Stalled, from the steps before them.
pub(super) fn summarise(steps: &[(ConditionType, Verdict)], summary: Summary) -> (Verdict, Verdict, Option<Verdict>) {
    let Summary { suspended, delivered, pending, done } = summary;
    const SUSPENDED: &str = "suspended: nothing is checked or changed; set suspend: false to go on";
    let settled = Verdict::no(Reason::Settled, "nothing to do");
    if suspended && delivered {
        return (Verdict::yes(Reason::Suspended, SUSPENDED), settled, None);
    }
    if suspended {
        return (Verdict::no(Reason::Suspended, SUSPENDED), settled, Some(Verdict::yes(Reason::Suspended, SUSPENDED)));
    }
    if let Some((_, first)) = steps.iter().find(|(_, verdict)| verdict.status == ConditionStatus::False) {
        let ready = first.clone();
        return match waits_for(first) {
            Some(reason) => (ready, Verdict::yes(reason, first.message.clone()), None),
            None => (ready, settled, Some(Verdict::yes(first.reason, first.message.clone()))),
        };
    }
    // Somebody is to change what deploys a Deployment.
    let waiting = steps.iter().find(|(_, verdict)| verdict.cause == Some(Reason::WaitingForDeployment));
    if let Some((_, waiting)) = waiting {
        let message = &waiting.message;
        return (Verdict::pending(message.clone()), Verdict::yes(Reason::WaitingForDeployment, message.clone()), None);
    }
    // Nothing is wrong; is something not known yet? What was not verified is said, and gates nothing.
    let unknown = steps
        .iter()
        .find(|(type_, verdict)| *type_ != ConditionType::Verified && verdict.status == ConditionStatus::Unknown);
    if let Some((type_, unknown)) = unknown {
        let reason = if *type_ == ConditionType::Delivered { Reason::Retrying } else { Reason::Progressing };
        return (Verdict::pending(unknown.message.clone()), Verdict::yes(reason, unknown.message.clone()), None);
    }
    if let Some(pending) = pending {
        return (Verdict::pending(pending.clone()), Verdict::yes(Reason::Progressing, pending), None);
    }
    (done, settled, None)
}

/// What the operator waits for when a step failed for this reason; `None`: a person must act.
fn waits_for(verdict: &Verdict) -> Option<Reason> {
    match verdict.reason {
        Reason::InstallationNotFound
        | Reason::SecretNotFound
        | Reason::SecretKeyNotFound
        | Reason::AzureSsoNotReady
        | Reason::JwtAuthenticationMissing => Some(Reason::WaitingForReference),
        // Of two Deployments one waits for the other.
        Reason::PartnerBlocked => match verdict.cause {
            Some(Reason::DeploymentNotFound | Reason::Pending) => Some(Reason::Retrying),
            _ => None,
        },
        // What was made just now is refused for a while.
        Reason::CheckFailed => verdict.cause.filter(|cause| *cause == Reason::Retrying),
        Reason::BlockedByVerification => Some(Reason::Retrying),
        Reason::DeploymentNotFound => Some(Reason::WaitingForDeployment),
        Reason::RollingOut | Reason::DeploymentPaused => Some(Reason::RollingOut),
        _ => None,
    }
}

/// Gives each verdict its time: the old one while the status is the same.
pub(super) fn conditions(
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
