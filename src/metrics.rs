//! Prometheus metrics. Labels come from closed lists only: no object names, no messages.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::{api::CheckReason, compose::ResourceStatus};

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
