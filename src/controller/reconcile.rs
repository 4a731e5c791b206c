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

/// What is left to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let mut next = Next::Wait;
        let mut outcomes = BTreeMap::new();
        for deployment in &plan.deployments {
            let outcome = match self.writer.deployment(&key.namespace, deployment).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let failure = error.failure();
                    tracing::warn!(installation = %key, deployment = deployment.name, %error, "cannot write the Deployment");
                    next = match failure {
                        Failure::Transient(_) => Next::Retry(error.retry_after()),
                        // A right or another hand: a watch may tell, or not.
                        Failure::Forbidden(_) | Failure::Conflict(_) => at_least_slowly(next),
                    };
                    Outcome::Failed(failure)
                }
            };
            outcomes.insert(deployment.name.clone(), outcome);
        }
        for change in statuses(&plan, &outcomes, self.memory(key), Timestamp::now()) {
            if !change.is_settled() {
                next = at_least_slowly(next);
            }
            if change.is_news() {
                next = self.write_status(key, change, next).await;
            }
        }
        self.remember(key, next, !plan.resources.is_empty());
        next
    }

    fn memory(&self, key: &InstallationKey) -> Memory {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.contains(key) { Memory::Whole } else { Memory::Partial }
    }

    /// After a look in which every write was answered, the statuses tell all of them.
    fn remember(&self, key: &InstallationKey, next: Next, has_resources: bool) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if has_resources && !matches!(next, Next::Retry(_)) {
            recorded.insert(key.clone());
        } else {
            recorded.remove(key);
        }
    }

    async fn write_status(&self, key: &InstallationKey, change: ResourceStatus, next: Next) -> Next {
        let holder = change.meta.holder();
        match self.writer.status(&change).await {
            Ok(()) => {
                tracing::info!(installation = %key, resource = holder, ready = change.ready_reason(), "status written");
                self.metrics.ready(&change);
                let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
                index.record_status(&change.meta, change.status);
                next
            }
            Err(error) => {
                tracing::warn!(installation = %key, resource = holder, %error, "cannot write the status, trying again");
                Next::Retry(error.retry_after())
            }
        }
    }
}

fn at_least_slowly(next: Next) -> Next {
    if next == Next::Wait { Next::Slowly } else { next }
}
