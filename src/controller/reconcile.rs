//! One look at one installation: read, compose, write, say what came of it.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    api::Meta,
    apply::Writer,
    compose::{DeploymentPlan, Hands, InstallationKey, Memory, Outcome, Plan, ResourceStatus, statuses},
    metrics::Metrics,
    world::{Index, Reader},
};

use super::{Checker, Clock, Post, Rollouts, cleanup::Cleaner, delivery::Delivery};

/// Reconciles installations.
#[derive(Clone)]
pub struct Reconciler {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    index: Arc<RwLock<Index>>,
    metrics: Metrics,
    pub(super) post: Post,
    /// Tries things out; `None` where nothing is.
    checker: Option<Checker>,
    clock: Clock,
    cleaner: Cleaner,
    /// How many rollouts are open.
    rollouts: Arc<Mutex<Rollouts>>,
    /// What is remembered of other hands.
    hands: Arc<Mutex<HashMap<InstallationKey, Hands>>>,
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

/// When the client secrets of a plan's resources end.
fn ends(plan: &Plan) -> impl Iterator<Item = (Meta, i64)> {
    plan.resources.iter().filter_map(|judgement| {
        let ends = judgement.client_secret.as_ref()?.ends?;
        Some((judgement.meta.clone(), ends.as_second()))
    })
}

impl Reconciler {
    /// A reconciler.
    pub fn new(
        reader: Reader,
        writer: Writer,
        index: Arc<RwLock<Index>>,
        metrics: Metrics,
        post: Post,
        checker: Option<Checker>,
        rollouts: Rollouts,
    ) -> Self {
        let clock = post.clock;
        let cleaner = Cleaner::new(reader.clone(), writer.clone(), Arc::clone(&index), clock);
        let rollouts = Arc::new(Mutex::new(rollouts));
        let (hands, recorded) = (Arc::default(), Arc::default());
        Self { reader, writer, index, metrics, post, checker, clock, cleaner, rollouts, hands, recorded }
    }

    /// Every installation that is known.
    pub fn installations(&self) -> BTreeSet<InstallationKey> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).keys(None)
    }

    /// Forgets what was known from earlier looks at a namespace, or at all: another may have written since.
    pub fn forget(&self, namespace: Option<&str>) {
        let stays = |key: &InstallationKey| namespace.is_some_and(|only| only != key.namespace);
        self.all_hands().retain(|key, _| stays(key));
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).retain(stays);
        self.post.forget(namespace);
        self.checker.iter().for_each(|checker| checker.forget(namespace));
        self.metrics.forget_ends(namespace);
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
        snapshot.hands = self.hands(key);
        snapshot.trials = self.checker.as_ref().map(|checker| checker.trials(key));
        let mut delivery = Delivery::planned(self, key, snapshot).await;
        let due = self.checker.as_ref().and_then(|checker| checker.look(key, &delivery.plan));
        // Taken before the first write: a look that ends in a panic leaves no claim to have recorded it.
        let memory = self.take_memory(key);
        delivery.run().await;
        let Delivery { snapshot, plan, outcomes, mut next, .. } = delivery;
        self.follow_rollouts(key, &plan, memory);
        self.metrics.secrets_end(key, ends(&plan));
        let said = statuses(&plan, &outcomes, memory, &self.post.mail(key), self.clock.now());
        let after = |then: Timestamp| Next::After(Reverse(self.clock.until(then)));
        next = due.into_iter().chain(said.again).map(after).fold(next, Next::max);
        if let Some(statement) = &said.send {
            self.post.announce(key, statement);
        }
        // What was changed is told in any case.
        let has_changed = outcomes.values().any(|it| matches!(it, Outcome::Done { changed: true, .. }));
        let silence = |change: &ResourceStatus| {
            let checker = self.checker.as_ref().filter(|_| !has_changed)?;
            checker.silent_until(key, &change.meta.uid)
        };
        let (mut is_recorded, mut is_silent) = (true, false);
        for change in said.statuses {
            if !change.is_settled() {
                next = next.max(Next::Slowly);
            }
            if change.is_news() {
                let records = said.send.as_ref().is_some_and(|statement| statement.owner == change.meta.holder());
                if let Some(until) = silence(&change) {
                    (is_silent, is_recorded) = (true, is_recorded && !records);
                    next = next.max(after(until));
                    continue;
                }
                is_recorded &= self.write_status(key, change, &mut next).await || !records;
            }
        }
        // Not before it is on record that it may have been sent; what becomes of other statuses is no matter.
        if let Some(statement) = said.send.filter(|_| is_recorded) {
            self.post.send(key, statement);
        }
        // Every write was answered, and the statuses tell them all. A refusal says nothing of an earlier write
        // whose answer was lost.
        let is_told =
            memory == Memory::Whole || (!is_silent && outcomes.values().all(|it| matches!(it, Outcome::Done { .. })));
        if is_told && !plan.resources.is_empty() && !matches!(next, Next::Retry(_)) {
            self.recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
        // What failed comes first: it is tried again soon.
        if !matches!(next, Next::Retry(_)) {
            next = next.max(self.cleaner.clean_up(key, &snapshot, &plan).await);
        }
        next
    }

    /// What is known of the cluster, to be changed.
    pub(super) fn index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a Deployment's pods may be replaced now; if so, its rollout is open.
    pub(super) fn may_roll_out(&self, key: &InstallationKey, deployment: &str) -> bool {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner).begin(key, deployment, Instant::now())
    }

    /// Lets others roll out once the pods of a Deployment are as they are going to be. One that another operator
    /// has begun, before this one leads, is open too.
    fn follow_rollouts(&self, key: &InstallationKey, plan: &Plan, memory: Memory) {
        let mut rollouts = self.rollouts.lock().unwrap_or_else(PoisonError::into_inner);
        for deployment in &plan.deployments {
            if deployment.rollout.is_settled(deployment.generation) {
                for waiting in rollouts.ended(&key.namespace, &deployment.name) {
                    self.post.wake(waiting);
                }
            } else if memory == Memory::Partial && deployment.next.is_none() && !deployment.containers.is_empty() {
                rollouts.note(&key.namespace, &deployment.name, Instant::now());
            }
        }
    }

    fn all_hands(&self) -> MutexGuard<'_, HashMap<InstallationKey, Hands>> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of other hands on an installation's Deployments still counts.
    pub(super) fn hands(&self, key: &InstallationKey) -> Hands {
        self.all_hands().get(key).map(|hands| hands.at(self.clock.now())).unwrap_or_default()
    }

    /// Forgets what was known of other hands on Deployments that the plan does not speak of any more.
    pub(super) fn forget_others(&self, key: &InstallationKey, plan: &Plan) {
        if let Entry::Occupied(mut hands) = self.all_hands().entry(key.clone()) {
            hands.get_mut().retain(&plan.deployments);
            if hands.get().is_empty() {
                hands.remove();
            }
        }
    }

    /// Notes what was written to a Deployment, and what was left to others.
    pub(super) fn remember(&self, key: &InstallationKey, plan: &DeploymentPlan) {
        self.all_hands().entry(key.clone()).or_default().record(plan, self.clock.now());
    }

    fn take_memory(&self, key: &InstallationKey) -> Memory {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.remove(key) { Memory::Whole } else { Memory::Partial }
    }

    /// Whether the status is written.
    async fn write_status(&self, key: &InstallationKey, change: ResourceStatus, next: &mut Next) -> bool {
        let holder = change.meta.holder();
        self.index().announce_status(&change.meta, change.status.clone());
        let written = self.writer.status(&change).await;
        if !matches!(written, Ok(Some(_))) {
            self.index().withdraw_status(&change.meta);
        }
        match written {
            Ok(None) => {
                *next = (*next).max(Next::Slowly);
                false
            }
            Ok(Some(version)) => {
                tracing::info!(installation = %key, resource = holder, ready = change.ready_reason(), "status written");
                self.metrics.ready(&change);
                // Before its Events, which take their time: a watch may be quicker.
                let concerned = self.index().record_status(&change.meta, change.status.clone(), &version);
                concerned.into_iter().for_each(|key| self.post.wake(key));
                self.writer.events(&change).await;
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
