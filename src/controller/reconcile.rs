//! One look at one installation: read, compose, write, say what came of it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    apply::Writer,
    compose::{Failure, InstallationKey, Memory, Outcome, ResourceStatus, compose, statuses},
    metrics::Metrics,
    world::{Index, Reader},
};

/// Reconciles installations.
#[derive(Clone)]
pub struct Reconciler {
    reader: Reader,
    writer: Writer,
    index: Arc<RwLock<Index>>,
    metrics: Metrics,
    /// Installations whose statuses tell of every write.
    recorded: Arc<Mutex<HashSet<InstallationKey>>>,
}

/// What is left to do after a look, from the least to the most urgent; of two retries the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Next {
    /// Nothing until something changes.
    Wait,
    /// Look again in a while, in case a change went unnoticed.
    Slowly,
    /// Try again soon; the API server may have said when.
    Retry(Option<Duration>),
}

impl Reconciler {
    /// A reconciler.
    pub fn new(reader: Reader, writer: Writer, index: Arc<RwLock<Index>>, metrics: Metrics) -> Self {
        Self { reader, writer, index, metrics, recorded: Arc::default() }
    }

    /// Looks at one installation.
    pub async fn reconcile(&self, key: &InstallationKey) -> Next {
        let snapshot = match self.reader.snapshot(key).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(installation = %key, %error, "cannot look at the installation, trying again");
                return Next::Retry(None);
            }
        };
        let plan = compose(&snapshot);
        // Taken before the first write: a look that ends in a panic leaves no claim to have recorded it.
        let memory = self.take_memory(key);
        let mut next = Next::Wait;
        let mut outcomes = BTreeMap::new();
        for deployment in &plan.deployments {
            let outcome = match self.writer.deployment(&key.namespace, deployment).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let failure = error.failure();
                    tracing::warn!(installation = %key, deployment = deployment.name, %error, "cannot write the Deployment");
                    next = match failure {
                        Failure::Transient(_) => next.max(Next::Retry(error.retry_after())),
                        // A right or another hand: a watch may tell, or not.
                        Failure::Forbidden(_) | Failure::Conflict(_) => next.max(Next::Slowly),
                    };
                    Outcome::Failed(failure)
                }
            };
            outcomes.insert(deployment.name.clone(), outcome);
        }
        for change in statuses(&plan, &outcomes, memory, Timestamp::now()) {
            if !change.is_settled() {
                next = next.max(Next::Slowly);
            }
            if change.is_news() {
                next = self.write_status(key, change, next).await;
            }
        }
        // Every write was answered, and the statuses tell them all.
        if !plan.resources.is_empty() && !matches!(next, Next::Retry(_)) {
            self.recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
        next
    }

    fn take_memory(&self, key: &InstallationKey) -> Memory {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.remove(key) { Memory::Whole } else { Memory::Partial }
    }

    async fn write_status(&self, key: &InstallationKey, change: ResourceStatus, next: Next) -> Next {
        let holder = change.meta.holder();
        match self.writer.status(&change).await {
            Ok(false) => next.max(Next::Slowly),
            Ok(true) => {
                tracing::info!(installation = %key, resource = holder, ready = change.ready_reason(), "status written");
                self.metrics.ready(&change);
                let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
                index.record_status(&change.meta, change.status);
                next
            }
            Err(error) => {
                tracing::warn!(installation = %key, resource = holder, %error, "cannot write the status, trying again");
                next.max(Next::Retry(error.retry_after()))
            }
        }
    }
}
