//! Failed writes, sorted by what to do about them.

use std::{fmt::Debug, future::Future, time::Duration};

use kube::{
    Api,
    api::{DeleteParams, Patch, Preconditions},
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{api::foreign, compose::Failure, world::describe};

use super::{WRITE_TIMEOUT, Writer};

/// What the API server says of a JSON Patch whose test did not hold.
const TEST_FAILED: &str = "the server rejected our request due to an error in our request";

/// A write that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused; carries its Status.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The API server could not be reached, or its answer was lost.
    #[error("the API server could not be reached: {0}")]
    Unreachable(String),
    /// No answer in time; the write may or may not have happened.
    #[error("no answer within 5 seconds")]
    TimedOut,
    /// The object is another than the request was made for: made anew from the next look.
    #[error("the object was changed meanwhile")]
    Overtaken,
    /// A request that cannot be put into words.
    #[error("the request cannot be written: {0}")]
    Unsendable(String),
    /// Not sent: another replica leads, or may by now.
    #[error("this process does not have the lease; the replica that has it writes")]
    NotLeading,
    /// An object that ought to be ours is somebody else's.
    #[error("{0}")]
    NotOurs(String),
}

impl WriteError {
    /// What it means for the Deployment's plan.
    pub fn failure(&self) -> Failure {
        match self {
            WriteError::Refused(status) if matches!(status.code, 400 | 403 | 413 | 422) => Failure::Forbidden(format!(
                "the API server refused ({}); grant the operator's ServiceAccount the rights of its manifest, or look at the admission policy that refused",
                foreign(&status.message)
            )),
            // An apply's conflict names manager and field; any other 409 means that the object has moved on.
            WriteError::Refused(status) if is_apply_conflict(status) => {
                Failure::Conflict(format!("{}; remove it there", foreign(&status.message)))
            }
            WriteError::NotOurs(sentence) => Failure::Conflict(sentence.clone()),
            other => Failure::Transient(other.to_string()),
        }
    }

    /// How long the API server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            WriteError::Refused(status) => {
                let seconds = status.details.as_ref()?.retry_after_seconds;
                (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
            }
            _ => None,
        }
    }

    /// Whether the API server says that there is no such object.
    pub fn is_code(&self, code: u16) -> bool {
        matches!(self, WriteError::Refused(status) if status.code == code)
    }

    /// A request about a Deployment that is another by now. A JSON Patch whose test did not hold is refused like an
    /// invalid object, but without saying which; an apply by a conflict that is with no manager.
    pub(super) fn of_deployment<T>(self, patch: &Patch<T>) -> Self
    where
        T: Serialize,
    {
        match self {
            WriteError::Refused(status) if status.code == 409 && !is_apply_conflict(&status) => WriteError::Overtaken,
            WriteError::Refused(status)
                if status.code == 422 && status.message == TEST_FAILED && matches!(patch, Patch::Json(_)) =>
            {
                WriteError::Overtaken
            }
            other => other,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            WriteError::Refused(status) => match status.code {
                403 => "forbidden",
                404 => "not_found",
                409 if status.reason == "Conflict" && !is_apply_conflict(status) => "overtaken",
                409 => "conflict",
                422 => "invalid",
                429 => "throttled",
                _ => "error",
            },
            WriteError::Unreachable(_) => "unreachable",
            WriteError::TimedOut => "timeout",
            WriteError::NotOurs(_) => "not_ours",
            WriteError::Overtaken => "overtaken",
            WriteError::Unsendable(_) => "unsendable",
            WriteError::NotLeading => "not_leading",
        }
    }
}

/// A precondition did not hold: somebody wrote in between.
pub(super) fn overtaken(error: WriteError) -> WriteError {
    if error.is_code(409) { WriteError::Overtaken } else { error }
}

fn is_apply_conflict(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 409 && causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => WriteError::Refused(status),
            other => WriteError::Unreachable(describe(&other)),
        }
    }
}

impl Writer {
    /// Deletes an object that is still what it was; one that is gone already is no failure.
    pub(super) async fn delete_exactly<K>(
        &self,
        api: &Api<K>,
        resource: &'static str,
        name: &str,
        preconditions: Preconditions,
    ) -> Result<(), WriteError>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let params = DeleteParams::default().preconditions(preconditions);
        match self.send("delete", resource, api.delete(name, &params)).await {
            Err(error) if !error.is_code(404) => Err(overtaken(error)),
            _ => Ok(()),
        }
    }

    /// Sends a write once, within its time limit, and counts it; nothing is sent unless this process leads.
    pub(super) async fn send<T>(
        &self,
        verb: &'static str,
        resource: &'static str,
        write: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        if !self.leadership.may_write() {
            return Err(WriteError::NotLeading);
        }
        let result = match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(result) => result.map_err(WriteError::from),
            Err(_) => Err(WriteError::TimedOut),
        };
        let outcome = result.as_ref().err().map_or("ok", WriteError::label);
        self.metrics.write(verb, resource, outcome);
        result
    }
}
