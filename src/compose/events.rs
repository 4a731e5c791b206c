//! Which Events a change of status is worth.

use crate::api::{CommonStatus, ConditionType, Reason, Severity, Status, Violation};

use super::ResourceStatus;

/// Normal or Warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Good to know.
    Normal,
    /// Something is wrong.
    Warning,
}

/// One Event about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub type_: EventType,
    /// A word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// The Events of a change: a Warning when it becomes not ready or is so for another reason, a Normal
/// on delivery, one for each Warning that is new.
pub fn events(change: &ResourceStatus) -> Vec<Event> {
    let after = change.status.common();
    let before = change.previous.as_deref().map(Status::common);
    let state = |status: Option<&CommonStatus>, type_: ConditionType| {
        let conditions = status.into_iter().flat_map(|status| &status.conditions);
        conditions
            .filter(|condition| condition.type_ == type_.as_str())
            .map(|condition| (condition.status.clone(), condition.reason.clone(), condition.message.clone()))
            .next()
    };
    let mut events = Vec::new();
    let ready = state(Some(after), ConditionType::Ready);
    let was_ready = state(before, ConditionType::Ready);
    if let Some((status, reason, message)) = ready
        && status == "False"
        // Pods being replaced is how every change goes, and worth no warning.
        && reason != Reason::RollingOut.as_str()
        && was_ready.is_none_or(|(before, why, _)| (before, why) != (status, reason.clone()))
    {
        events.push(Event { type_: EventType::Warning, reason, message });
    }
    if let Some((status, reason, message)) = state(Some(after), ConditionType::Delivered)
        && status == "True"
        && reason == Reason::Delivered.as_str()
        && before.is_none_or(|before| before.delivered != after.delivered)
    {
        events.push(Event { type_: EventType::Normal, reason, message });
    }
    for problem in after.problems.iter().filter(|problem| problem.severity == Severity::Warning) {
        if before.is_none_or(|before| !before.problems.contains(problem)) {
            events.push(Event {
                type_: EventType::Warning,
                reason: problem.code.clone(),
                message: problem.message.clone(),
            });
        }
    }
    events.extend(intruders(change));
    events
}

/// Who runs and would not be let in any more, since the policies have changed or since it came.
fn intruders(change: &ResourceStatus) -> Option<Event> {
    let Status::InboundAccessPolicy(after) = &change.status else { return None };
    let before: &[Violation] = match change.previous.as_deref() {
        Some(Status::InboundAccessPolicy(before)) => &before.violations,
        _ => &[],
    };
    let new: Vec<_> = after.violations.iter().filter(|it| !before.contains(it)).collect();
    let named: Vec<_> = new.iter().take(5).map(|it| format!("{} {}/{}", it.kind, it.namespace, it.name)).collect();
    let more = if new.len() > named.len() { ", …" } else { "" };
    (!new.is_empty()).then(|| Event {
        type_: EventType::Warning,
        reason: NOT_ADMITTED.to_owned(),
        message: format!(
            "{}{more}: on no list, and running; nothing stops them, and whoever deploys them anew is refused where policies are enforced; see status.violations",
            named.join(", ")
        ),
    })
}

/// Why: somebody runs who would not be let in any more.
const NOT_ADMITTED: &str = "NotAdmitted";
