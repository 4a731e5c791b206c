//! What came of a check.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;

use crate::api::{CheckReason, CheckResult, Discovery};

use super::{Answer, Trouble};

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub reason: CheckReason,
    /// What was asked, what was expected and what came, and what to do about it.
    pub message: String,
    /// When the service wants to be asked again, at the earliest.
    pub retry_after: Option<Duration>,
    /// When what was checked ends, where that was told.
    pub expires: Option<Timestamp>,
    /// The keys that were found.
    pub keys: Option<Box<Discovery>>,
}

impl Outcome {
    /// An outcome.
    pub fn new(reason: CheckReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None, expires: None, keys: None }
    }

    /// Of what could not be asked: `what` is whom.
    pub fn of_trouble(what: &str, trouble: &Trouble) -> Self {
        let (reason, fix) = match trouble {
            Trouble::Refused(_) => {
                return Self::new(CheckReason::HostNotAllowed, format!("{what} is not asked: {trouble}"));
            }
            Trouble::Unresolved(_) => (CheckReason::Unreachable, "check the host's name, and the cluster's DNS"),
            Trouble::Unconnected(_) | Trouble::TimedOut(_) | Trouble::BrokeOff(_) => (
                CheckReason::Unreachable,
                "check that the operator's pod may reach it, by firewall, NetworkPolicy or HTTPS_PROXY",
            ),
            Trouble::Untrusted(_) => (CheckReason::Untrusted, "check who answers there"),
            Trouble::TooLong | Trouble::Redirected(_) | Trouble::Unreadable(_) => {
                (CheckReason::Unreadable, "check the URL, and that no proxy answers in its place")
            }
        };
        Self::new(reason, format!("{what}: {trouble}; {fix}"))
    }

    /// Of a service that has too much to do, or a fault of its own. `None` when the answer is one.
    pub fn of_busy(what: &str, answer: &Answer, now: Timestamp) -> Option<Self> {
        let (reason, cause) = match answer.status {
            StatusCode::TOO_MANY_REQUESTS => (CheckReason::RateLimited, "asks for fewer requests".to_owned()),
            status if status.is_server_error() => {
                (CheckReason::ServiceFailed, format!("answers with status {}", status.as_u16()))
            }
            _ => return None,
        };
        let message = format!("{what} {cause}; nothing to do but to ask again later");
        Some(Self { retry_after: answer.retry_after(now), ..Self::new(reason, message) })
    }

    /// What it has found.
    pub fn finding(&self) -> CheckResult {
        self.reason.finding()
    }
}
