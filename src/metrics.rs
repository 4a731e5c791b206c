//! Prometheus metrics. Labels come from closed lists only: no object names, no messages.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::{
    api::{CheckReason, Meta},
    compose::{InstallationKey, ResourceStatus},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    verb: &'static str,
    resource: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    kind: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabel {
    webhook: &'static str,
    result: &'static str,
}

/// The one label set with names of objects: an alert has to say whose secret ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ResourceLabel {
    namespace: String,
    kind: &'static str,
    name: String,
}

/// The operator's metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    reconciles: Family<ResultLabel, Counter>,
    duration: Histogram,
    writes: Family<WriteLabel, Counter>,
    statuses: Family<StatusLabel, Counter>,
    statements: Family<ResultLabel, Counter>,
    checks: Family<CheckLabel, Counter>,
    reviews: Family<ReviewLabel, Counter>,
    secret_ends: Family<ResourceLabel, Gauge>,
    /// The resources of each installation that are in it.
    with_end: Arc<Mutex<HashMap<InstallationKey, BTreeSet<ResourceLabel>>>>,
    waiting: Gauge,
    running: Gauge,
    leader: Gauge,
    left_alone: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Arc::default(),
            reconciles: Family::default(),
            duration: Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            writes: Family::default(),
            statuses: Family::default(),
            statements: Family::default(),
            checks: Family::default(),
            reviews: Family::default(),
            secret_ends: Family::default(),
            with_end: Arc::default(),
            waiting: Gauge::default(),
            running: Gauge::default(),
            leader: Gauge::default(),
            left_alone: Gauge::default(),
        };
        let mut registry = Registry::with_prefix("timbr_identity");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The running version", Info::new(version));
        registry.register("reconciles", "Looks at an installation", metrics.reconciles.clone());
        registry.register("reconcile_duration_seconds", "Duration of a look", metrics.duration.clone());
        registry.register("api_writes", "Writes sent to the API server", metrics.writes.clone());
        registry.register("status_changes", "Statuses written, by the reason of Ready", metrics.statuses.clone());
        registry.register("sql_statements", "Statements sent to Timbr", metrics.statements.clone());
        registry.register("checks", "Checks, by what they found", metrics.checks.clone());
        registry.register("admission_reviews", "Answers of the webhook", metrics.reviews.clone());
        let help = "When the client secret that a resource names ends, as far as that is known";
        registry.register("client_secret_expiry_timestamp_seconds", help, metrics.secret_ends.clone());
        registry.register("queue_waiting", "Installations waiting to be looked at", metrics.waiting.clone());
        registry.register("queue_running", "Installations being looked at", metrics.running.clone());
        registry.register("leader", "1 while this process leads, else 0", metrics.leader.clone());
        let help = "Namespaces that are left alone: another operator has them, or they cannot be claimed";
        registry.register("namespaces_left_alone", help, metrics.left_alone.clone());
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    /// A look has ended.
    pub fn reconciled(&self, failed: bool, duration: Duration) {
        let result = if failed { "retry" } else { "ok" };
        self.reconciles.get_or_create(&ResultLabel { result }).inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// The webhook has answered.
    pub fn admitted(&self, webhook: &'static str, result: &'static str) {
        self.reviews.get_or_create(&ReviewLabel { webhook, result }).inc();
    }

    /// A write was sent.
    pub fn write(&self, verb: &'static str, resource: &'static str, result: &'static str) {
        self.writes.get_or_create(&WriteLabel { verb, resource, result }).inc();
    }

    /// A status was written.
    pub fn ready(&self, change: &ResourceStatus) {
        let label = StatusLabel { kind: change.meta.kind.name(), reason: change.ready_reason().to_owned() };
        self.statuses.get_or_create(&label).inc();
    }

    /// A statement was sent to Timbr, or could not be.
    pub fn statement(&self, result: &'static str) {
        self.statements.get_or_create(&ResultLabel { result }).inc();
    }

    /// Something was tried out.
    pub fn checked(&self, reason: CheckReason) {
        let label = CheckLabel { result: reason.finding().as_str(), reason: reason.as_str() };
        self.checks.get_or_create(&label).inc();
    }

    /// When the client secrets of an installation's resources end, in seconds of Unix time.
    pub fn secrets_end(&self, key: &InstallationKey, ends: impl Iterator<Item = (Meta, i64)>) {
        let ends = ends.map(|(meta, at)| {
            let label = ResourceLabel { namespace: meta.namespace, kind: meta.kind.name(), name: meta.name };
            self.secret_ends.get_or_create(&label).set(at);
            label
        });
        let now: BTreeSet<ResourceLabel> = ends.collect();
        let mut all = self.with_end.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if now.is_empty() { all.remove(key) } else { all.insert(key.clone(), now.clone()) };
        for gone in before.unwrap_or_default().difference(&now) {
            self.secret_ends.remove(gone);
        }
    }

    /// Another says from now on when client secrets of a namespace end, or of all.
    pub fn forget_ends(&self, namespace: Option<&str>) {
        let mut all = self.with_end.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |key: &InstallationKey| namespace.is_none_or(|only| only == key.namespace);
        for (_, labels) in all.extract_if(|key, _| is_gone(key)) {
            for label in labels {
                self.secret_ends.remove(&label);
            }
        }
    }

    /// How long the queue is.
    pub fn queue(&self, waiting: usize, running: usize) {
        self.waiting.set(gauge(waiting));
        self.running.set(gauge(running));
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// In how many namespaces nothing is done.
    pub fn left_alone(&self, namespaces: usize) {
        self.left_alone.set(gauge(namespaces));
    }

    /// The metrics in OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }
}

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
