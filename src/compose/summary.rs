//! Conditions from verdicts: Ready, Reconciling and Stalled as kstatus wants them, and each with its
//! time.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{CommonStatus, ConditionStatus, ConditionType, Reason, message};

use super::Verdict;

/// Ready, Reconciling and Stalled, from the steps before them.
pub(super) fn summarise(
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
