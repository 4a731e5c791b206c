//! The Lease by which replicas agree on who writes: read, and written by compare-and-swap.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::{
    api::{FIELD_MANAGER, LABEL_MANAGED_BY, LEASE},
    world::describe,
};

use super::WRITE_TIMEOUT;

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it.
    pub holder: Option<String>,
    /// How long it is the holder's after each renewal.
    pub duration: Option<Duration>,
    /// Since when, by the holder's clock. Nobody decides by it.
    pub acquired: Option<Timestamp>,
    /// When it was last renewed, by the holder's clock: what tells one renewal from another.
    pub renewed: Option<Timestamp>,
    /// How often it has changed hands.
    pub transitions: i32,
}

/// The Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It is another than the one last read.
    #[error("Lease {LEASE} was changed meanwhile")]
    Overtaken,
    /// A right is missing.
    #[error(
        "Lease {namespace}/{LEASE} may not be read or written ({message}); grant the operator's ServiceAccount get, create and update on leases (coordination.k8s.io) in its own namespace, as deploy/rbac.yaml does"
    )]
    Forbidden {
        /// The operator's namespace.
        namespace: String,
        /// The API server's words.
        message: String,
    },
    /// The API server failed.
    #[error("Lease {namespace}/{LEASE} cannot be read or written: {message}")]
    Failed {
        /// The operator's namespace.
        namespace: String,
        /// Why.
        message: String,
    },
}

/// The Lease in the operator's own namespace, and what it was when last seen.
pub struct LeaseStore {
    api: Api<Lease>,
    namespace: String,
    last: Option<Lease>,
}

impl LeaseStore {
    /// The Lease of a namespace.
    pub fn new(client: Client, namespace: String) -> Self {
        Self { api: Api::namespaced(client, &namespace), namespace, last: None }
    }

    /// Whether it was seen, and nothing showed since that it is another by now.
    pub fn is_known(&self) -> bool {
        self.last.is_some()
    }

    /// What it says now; `None` when there is none.
    ///
    /// # Errors
    /// The failed read.
    pub async fn read(&mut self, limit: Duration) -> Result<Option<Record>, LeaseError> {
        let read = tokio::time::timeout(limit.min(WRITE_TIMEOUT), self.api.get_opt(LEASE)).await;
        self.last = match read {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(self.failed(&error)),
            Err(_) => return Err(self.timed_out()),
        };
        Ok(self.last.as_ref().map(record))
    }

    /// Writes it, if it is still as it was last seen. Not a write as others are: it is what they wait for.
    ///
    /// # Errors
    /// The failed write; after a time-out it may have been done all the same.
    pub async fn write(&mut self, record: &Record, limit: Duration) -> Result<Record, LeaseError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        let before = self.last.clone();
        let lease = manifest(before.clone(), record);
        let write = async {
            match &before {
                Some(_) => self.api.replace(LEASE, &params, &lease).await,
                None => self.api.create(&params, &lease).await,
            }
        };
        match tokio::time::timeout(limit.min(WRITE_TIMEOUT), write).await {
            Ok(Ok(written)) => {
                let record = self::record(&written);
                self.last = Some(written);
                Ok(record)
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 || (status.code == 404 && before.is_some()) => {
                self.last = None;
                Err(LeaseError::Overtaken)
            }
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn failed(&self, error: &kube::Error) -> LeaseError {
        let (namespace, message) = (self.namespace.clone(), describe(error));
        match error {
            kube::Error::Api(status) if status.code == 403 => LeaseError::Forbidden { namespace, message },
            _ => LeaseError::Failed { namespace, message },
        }
    }

    fn timed_out(&self) -> LeaseError {
        LeaseError::Failed { namespace: self.namespace.clone(), message: "no answer in time".to_owned() }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map(Duration::from_secs),
        acquired: spec.acquire_time.map(|time| time.0),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}

/// What was there, with what is ours to say: others may have labelled it.
fn manifest(before: Option<Lease>, record: &Record) -> Lease {
    let mut lease = before.unwrap_or_else(|| Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.to_owned()),
            labels: Some(BTreeMap::from([(LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())])),
            ..Default::default()
        },
        ..Default::default()
    });
    // Whole seconds are all that a Lease knows; the longer is the safer.
    let seconds = record.duration.map(|duration| duration.as_millis().div_ceil(1000).max(1));
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(record.holder.clone().unwrap_or_default()),
        lease_duration_seconds: seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
        acquire_time: record.acquired.map(MicroTime),
        renew_time: record.renewed.map(MicroTime),
        lease_transitions: Some(record.transitions),
        ..lease.spec.unwrap_or_default()
    });
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_so_does_what_others_wrote() {
        let at = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
        let held = Record {
            holder: Some("a".to_owned()),
            duration: Some(Duration::from_secs(15)),
            acquired: Some(at),
            renewed: Some(at),
            transitions: 3,
        };
        let mut lease = manifest(None, &held);
        assert_eq!(record(&lease), held);
        lease.metadata.resource_version = Some("7".to_owned());
        lease.metadata.annotations = Some(BTreeMap::from([("theirs".to_owned(), "kept".to_owned())]));
        let released = Record { transitions: 3, ..Record::default() };
        let written = manifest(Some(lease.clone()), &released);
        assert_eq!(record(&written), released);
        assert_eq!(written.metadata, lease.metadata);
        let short = Record { duration: Some(Duration::from_millis(1500)), ..held };
        assert_eq!(record(&manifest(None, &short)).duration, Some(Duration::from_secs(2)));
    }
}
