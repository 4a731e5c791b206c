//! Leases: read, and written by compare-and-swap. By one replicas agree on who writes, by others operators on who
//! looks after a namespace.

use std::{collections::BTreeMap, fmt, time::Duration};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::ObjectReference,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::{
    api::{CLAIM, FIELD_MANAGER, LABEL_MANAGED_BY, LEASE},
    world::{Record, describe},
};

use super::WRITE_TIMEOUT;

/// The Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It is another than the one last read.
    #[error("the Lease was changed meanwhile")]
    Overtaken,
    /// A right is missing.
    #[error(
        "Lease {lease} may not be read or written ({message}); grant the operator's ServiceAccount get, create and update on leases (coordination.k8s.io) in {place}"
    )]
    Forbidden {
        /// Namespace and name.
        lease: String,
        /// The API server's words.
        message: String,
        /// Where the right is missing, and who would grant it.
        place: String,
    },
    /// The API server failed.
    #[error("Lease {lease} cannot be read or written: {message}")]
    Failed {
        /// Namespace and name.
        lease: String,
        /// Why.
        message: String,
    },
}

/// A Lease, and what it was when last seen.
pub struct LeaseStore {
    api: Api<Lease>,
    namespace: String,
    name: &'static str,
    /// Where rights to it are granted.
    place: String,
    last: Option<Lease>,
}

impl LeaseStore {
    /// The Lease in the operator's own namespace, by which replicas agree on who writes.
    pub fn leader(client: Client, namespace: String) -> Self {
        Self::new(client, namespace, LEASE, "its own namespace, as deploy/rbac.yaml does".to_owned())
    }

    /// The Lease in a namespace that is watched, by which operators agree on who looks after it.
    pub fn claim(client: Client, namespace: String) -> Self {
        let place = format!(
            "namespace {namespace}, as deploy/namespaced/rbac.yaml does, or take {namespace} from --watch-namespaces"
        );
        Self::new(client, namespace, CLAIM, place)
    }

    fn new(client: Client, namespace: String, name: &'static str, place: String) -> Self {
        Self { api: Api::namespaced(client, &namespace), namespace, name, place, last: None }
    }

    /// What Events about it are about.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(self.name.to_owned()),
            namespace: Some(self.namespace.clone()),
            uid: self.last.as_ref().and_then(|lease| lease.metadata.uid.clone()),
            ..Default::default()
        }
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
        let read = tokio::time::timeout(limit.min(WRITE_TIMEOUT), self.api.get_opt(self.name)).await;
        self.last = match read {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(self.failed(&error)),
            Err(_) => return Err(self.timed_out()),
        };
        Ok(self.last.as_ref().map(Record::read))
    }

    /// Writes it, if it is still as it was last seen. Not a write as others are: it is what they wait for.
    ///
    /// # Errors
    /// The failed write; after a time-out it may have been done all the same.
    pub async fn write(&mut self, record: &Record, limit: Duration) -> Result<Record, LeaseError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        let before = self.last.clone();
        let lease = manifest(self.name, before.clone(), record);
        let write = async {
            match &before {
                Some(_) => self.api.replace(self.name, &params, &lease).await,
                None => self.api.create(&params, &lease).await,
            }
        };
        match tokio::time::timeout(limit.min(WRITE_TIMEOUT), write).await {
            Ok(Ok(written)) => {
                let record = Record::read(&written);
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
        let (lease, message) = (self.to_string(), describe(error));
        match error {
            kube::Error::Api(status) if status.code == 403 => {
                LeaseError::Forbidden { lease, message, place: self.place.clone() }
            }
            _ => LeaseError::Failed { lease, message },
        }
    }

    fn timed_out(&self) -> LeaseError {
        LeaseError::Failed { lease: self.to_string(), message: "no answer in time".to_owned() }
    }
}

impl fmt::Display for LeaseStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What was there, with what is ours to say: others may have labelled it.
fn manifest(name: &str, before: Option<Lease>, record: &Record) -> Lease {
    let mut lease = before.unwrap_or_else(|| Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
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
    use jiff::Timestamp;

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
        let mut lease = manifest(LEASE, None, &held);
        assert_eq!(Record::read(&lease), held);
        lease.metadata.resource_version = Some("7".to_owned());
        lease.metadata.annotations = Some(BTreeMap::from([("theirs".to_owned(), "kept".to_owned())]));
        let released = Record { transitions: 3, ..Record::default() };
        let written = manifest(LEASE, Some(lease.clone()), &released);
        assert_eq!(Record::read(&written), released);
        assert_eq!(written.metadata, lease.metadata);
        let short = Record { duration: Some(Duration::from_millis(1500)), ..held };
        assert_eq!(Record::read(&manifest(LEASE, None, &short)).duration, Some(Duration::from_secs(2)));
    }
}
