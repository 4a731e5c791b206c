//! One look at one installation: read, compose, write, say what came of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use crate::{
    apply::{WriteError, Writer},
    compose::{Failure, InstallationKey, Memory, Outcome, ResourceStatus, compose, statuses},
    metrics::Metrics,
    world::{Index, Reader},
};

use super::{Clock, Post};

/// Reconciles installations.
#[derive(Clone)]
pub struct Reconciler {
    reader: Reader,
    writer: Writer,
    index: Arc<RwLock<Index>>,
    metrics: Metrics,
    post: Post,
    clock: Clock,
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
    /// Look again after this long: something is due then.
    After(Reverse<Duration>),
    /// Try again soon; the API server may have said when.
    Retry(Option<Duration>),
}

impl Reconciler {
    /// A reconciler.
    pub fn new(
        reader: Reader,
        writer: Writer,
        index: Arc<RwLock<Index>>,
        metrics: Metrics,
        post: Post,
        clock: Clock,
    ) -> Self {
        Self { reader, writer, index, metrics, post, clock, recorded: Arc::default() }
    }

    /// Looks at one installation.
    pub async fn reconcile(&self, key: &InstallationKey) -> Next {
        let mut snapshot = match self.reader.snapshot(key).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(installation = %key, %error, "cannot look at the installation, trying again");
                return Next::Retry(None);
            }
        };
        let mut plan = compose(&snapshot);
        let mut next = Next::Wait;
        for deployment in plan.trial() {
            if let Err(error) = self.writer.try_deployment(&key.namespace, deployment).await {
                tracing::warn!(installation = %key, deployment = deployment.name, %error, "the Deployment refuses a trial");
                let failure = error.failure();
                next = next.max(after(&failure, &error));
                snapshot.refused.insert(deployment.name.clone(), failure);
            }
        }
        if !snapshot.refused.is_empty() {
            plan = compose(&snapshot);
        }
        // Taken before the first write: a look that ends in a panic leaves no claim to have recorded it.
        let memory = self.take_memory(key);
        let mut outcomes = BTreeMap::new();
        for deployment in &plan.deployments {
            let outcome = match self.writer.deployment(&key.namespace, deployment).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let failure = error.failure();
                    tracing::warn!(installation = %key, deployment = deployment.name, %error, "cannot write the Deployment");
                    next = next.max(after(&failure, &error));
                    Outcome::Failed(failure)
                }
            };
            outcomes.insert(deployment.name.clone(), outcome);
        }
        let said = statuses(&plan, &outcomes, memory, &self.post.mail(key), self.clock.now());
        if let Some(again) = said.again {
            next = next.max(Next::After(Reverse(self.clock.until(again))));
        }
        if let Some(statement) = &said.send {
            self.post.announce(key, statement);
        }
        let mut is_recorded = true;
        for change in said.statuses {
            if !change.is_settled() {
                next = next.max(Next::Slowly);
            }
            if change.is_news() {
                let records = said.send.as_ref().is_some_and(|statement| statement.owner == change.meta.holder());
                is_recorded &= self.write_status(key, change, &mut next).await || !records;
            }
        }
        // Not before it is on record that it may have been sent; what becomes of other statuses is no matter.
        if let Some(statement) = said.send.filter(|_| is_recorded) {
            self.post.send(key, statement);
        }
        // Every write was answered, and the statuses tell them all. A refusal says nothing of an earlier write
        // whose answer was lost.
        let is_told = memory == Memory::Whole || outcomes.values().all(|it| matches!(it, Outcome::Done { .. }));
        if is_told && !plan.resources.is_empty() && !matches!(next, Next::Retry(_)) {
            self.recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
        next
    }

    fn take_memory(&self, key: &InstallationKey) -> Memory {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.remove(key) { Memory::Whole } else { Memory::Partial }
    }

    /// Whether the status is written.
    async fn write_status(&self, key: &InstallationKey, change: ResourceStatus, next: &mut Next) -> bool {
        let holder = change.meta.holder();
        match self.writer.status(&change).await {
            Ok(None) => {
                *next = (*next).max(Next::Slowly);
                false
            }
            Ok(Some(version)) => {
                tracing::info!(installation = %key, resource = holder, ready = change.ready_reason(), "status written");
                self.metrics.ready(&change);
                let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
                index.record_status(&change.meta, change.status, &version);
                true
            }
            Err(error) => {
                tracing::warn!(installation = %key, resource = holder, %error, "cannot write the status, trying again");
                *next = (*next).max(Next::Retry(error.retry_after()));
                false
            }
        }
    }
}

/// When to try again what failed.
fn after(failure: &Failure, error: &WriteError) -> Next {
    match failure {
        Failure::Transient(_) => Next::Retry(error.retry_after()),
        // A right or another hand: a watch may tell, or not.
        Failure::Forbidden(_) | Failure::Conflict(_) => Next::Slowly,
    }
}
