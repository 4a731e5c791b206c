//! The API server's audit log: the honest counter of what a user wrote.
//!
//! A write counts when the API server has answered it, whatever the answer; what changes nothing by
//! its nature does not count: dry runs, and the reviews with which one asks about tokens and access.

use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DeleteParams;
use kube::{Api, Config};
use serde::Deserialize;

use crate::ports::random;
use crate::users::{ServiceAccount, client};

/// How long a marker may take to appear.
const DEADLINE: Duration = Duration::from_secs(30);

/// One write as the API server recorded it; a request of any kind where that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`; of a read `get`, `list` or `watch`.
    pub verb: String,
    /// The API group, empty for the core's.
    pub group: String,
    /// The resource in the plural, `deployments`.
    pub resource: String,
    /// The subresource, `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty outside of one.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The status code of the answer.
    pub code: u16,
    /// The request's path and query.
    pub uri: String,
    /// The client's user agent.
    pub user_agent: String,
    /// When the request arrived, RFC 3339.
    pub time: String,
}

impl Write {
    /// Whether the API server carried it out.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// Selections among writes.
pub trait Writes: Sized {
    /// Those that concern one namespace.
    #[must_use]
    fn in_namespace(self, namespace: &str) -> Self;
    /// Those of one resource, `deployments`, whatever its subresource.
    #[must_use]
    fn of(self, resource: &str) -> Self;
    /// All but Events.
    #[must_use]
    fn without_events(self) -> Self;
    /// All but Leases.
    #[must_use]
    fn without_leases(self) -> Self;
    /// Those the API server carried out.
    #[must_use]
    fn succeeded(self) -> Self;
}

impl Writes for Vec<Write> {
    fn in_namespace(mut self, namespace: &str) -> Self {
        self.retain(|write| write.namespace == namespace);
        self
    }

    fn of(mut self, resource: &str) -> Self {
        self.retain(|write| write.resource == resource);
        self
    }

    fn without_events(mut self) -> Self {
        self.retain(|write| write.resource != "events");
        self
    }

    fn without_leases(mut self) -> Self {
        self.retain(|write| write.resource != "leases");
        self
    }

    fn succeeded(mut self) -> Self {
        self.retain(Write::succeeded);
        self
    }
}

/// The audit log of one control plane.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    admin: Config,
    read: Mutex<Reading>,
}

/// How far the file was read, and what was found there.
#[derive(Debug, Default)]
struct Reading {
    offset: u64,
    writes: HashMap<String, Vec<Write>>,
    /// All requests of service accounts, dry runs and reads too.
    requests: HashMap<String, Vec<Write>>,
    /// The markers seen, by name.
    markers: Vec<String>,
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf, admin: Config) -> Self {
        Self { path, admin, read: Mutex::default() }
    }

    /// All writes of a user that the API server had answered before this call, in the order of the
    /// log. Writes through another's certificate or token are the other's.
    ///
    /// # Panics
    /// When the API server cannot be reached.
    pub async fn writes_of(&self, username: &str) -> Vec<Write> {
        self.catch_up().await;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).writes.get(username).cloned().unwrap_or_default()
    }

    /// All requests of a service account that the API server had answered before this call, reads and dry runs too.
    /// A watch is answered when it ends, or is refused.
    ///
    /// # Panics
    /// When the API server cannot be reached.
    pub async fn requests_of(&self, account: &ServiceAccount) -> Vec<Write> {
        self.catch_up().await;
        let reading = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        reading.requests.get(&account.username).cloned().unwrap_or_default()
    }

    /// Those that were forbidden.
    ///
    /// # Panics
    /// When the API server cannot be reached.
    pub async fn forbidden_to(&self, account: &ServiceAccount) -> Vec<Write> {
        let mut requests = self.requests_of(account).await;
        requests.retain(|request| request.code == 403);
        requests
    }

    /// Sends a request of its own and waits for its line: what was answered before is in then too.
    async fn catch_up(&self) {
        let marker = format!("{MARKER}{:016x}", random());
        let end = Instant::now() + DEADLINE;
        // A new client for each call, since a client lives on the runtime that made it. Deleting
        // what is not there leaves a line and nothing else.
        let markers: Api<ConfigMap> = Api::namespaced(client(self.admin.clone()), "default");
        match markers.delete(&marker, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => panic!("the audit log's marker request failed: {other:?}"),
        }
        loop {
            if self.read_on(&marker) {
                break;
            }
            assert!(Instant::now() < end, "the marker {marker} is not in the audit log after {DEADLINE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // An answer larger than the server's buffer reaches the client a moment before its line
        // reaches the log, and the marker's line could be quicker than that one.
        tokio::time::sleep(Duration::from_millis(25)).await;
        self.read_on(&marker);
    }

    /// Reads what is new in the file and says whether the marker has been seen.
    fn read_on(&self, marker: &str) -> bool {
        let mut reading = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let read = std::fs::File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(reading.offset))?;
            file.read_to_string(&mut text)
        });
        read.unwrap_or_else(|error| panic!("cannot read the audit log: {error}"));
        // The last piece may be half a line still being written.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        for line in text[..whole].lines() {
            let event: Event =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("not an audit event: {error}: {line}"));
            if let Some(marker) = event.marker() {
                reading.markers.push(marker);
                continue;
            }
            let (counts, username) = (event.counts(), event.user.username.clone());
            let request = Write::from(event);
            if username.starts_with("system:serviceaccount:") {
                reading.requests.entry(username.clone()).or_default().push(request.clone());
            }
            if counts {
                reading.writes.entry(username).or_default().push(request);
            }
        }
        reading.offset += whole as u64;
        reading.markers.iter().any(|seen| seen == marker)
    }
}

const MARKER: &str = "testkit-marker-";

/// An audit event, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl Event {
    fn marker(&self) -> Option<String> {
        let ObjectRef { resource, name, .. } = &self.object_ref;
        (resource == "configmaps" && name.starts_with(MARKER)).then(|| name.clone())
    }

    fn counts(&self) -> bool {
        self.stage == "ResponseComplete"
            && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
            && !is_dry_run(&self.request_uri)
            && !is_review(&self.object_ref.resource)
    }
}

/// Whether a request's path and query ask for a dry run.
pub(crate) fn is_dry_run(uri: &str) -> bool {
    uri.contains("dryRun=")
}

/// Whether a resource is a question put as a create: about a token, an access or oneself.
pub(crate) fn is_review(resource: &str) -> bool {
    matches!(
        resource,
        "tokenreviews"
            | "subjectaccessreviews"
            | "localsubjectaccessreviews"
            | "selfsubjectaccessreviews"
            | "selfsubjectrulesreviews"
            | "selfsubjectreviews"
    )
}

impl From<Event> for Write {
    fn from(event: Event) -> Self {
        let ObjectRef { resource, subresource, namespace, name, api_group } = event.object_ref;
        Self {
            verb: event.verb,
            group: api_group,
            resource,
            subresource,
            namespace,
            name,
            code: event.response_status.code,
            uri: event.request_uri,
            user_agent: event.user_agent,
            time: event.request_received_timestamp,
        }
    }
}
