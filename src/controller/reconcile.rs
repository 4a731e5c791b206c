//! One look at one installation: read, compose, write, say what came of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard},
    time::{Duration, Instant},
};

use crate::{
    apply::{WriteError, Writer},
    compose::{
        DeploymentPlan, Failure, Hands, InstallationKey, LiveDeployment, Lookup, Memory, Outcome, Plan, ResourceStatus,
        Snapshot, Step, compose, statuses,
    },
    metrics::Metrics,
    world::{Index, Reader},
};

use super::{Clock, Post, Rollouts, cleanup::Cleaner};

/// Most requests to one Deployment in one look: a variable that changes hands takes four.
const MOST_STEPS: u32 = 8;
/// Most requests to one Deployment in one look that came too late: while pods are replaced, its own controller
/// writes to it several times a second.
const MOST_OVERTAKEN: u32 = 8;
/// How much longer to wait each time before such a request is made anew; the first one is at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Reconciles installations.
#[derive(Clone)]
pub struct Reconciler {
    reader: Reader,
    writer: Writer,
    index: Arc<RwLock<Index>>,
    metrics: Metrics,
    post: Post,
    clock: Clock,
    cleaner: Cleaner,
    /// How many rollouts are open.
    rollouts: Arc<Mutex<Rollouts>>,
    /// What is remembered of other hands.
    hands: Arc<Mutex<HashMap<InstallationKey, Hands>>>,
    /// Installations whose statuses tell of every write.
    recorded: Arc<Mutex<HashSet<InstallationKey>>>,
}

/// How far the requests to one Deployment are.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Requests that were carried out.
    steps: u32,
    /// Requests that came too late.
    overtaken: u32,
    /// Whether its template was changed.
    changed: bool,
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
        rollouts: Rollouts,
    ) -> Self {
        let cleaner = Cleaner::new(reader.clone(), writer.clone(), Arc::clone(&index), clock);
        let rollouts = Arc::new(Mutex::new(rollouts));
        let (hands, recorded) = (Arc::default(), Arc::default());
        Self { reader, writer, index, metrics, post, clock, cleaner, rollouts, hands, recorded }
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
        snapshot.hands = self.hands(key).at(self.clock.now());
        let mut next = Next::Wait;
        let plan = self.tried(key, &mut snapshot, &mut next).await;
        // Taken before the first write: a look that ends in a panic leaves no claim to have recorded it.
        let memory = self.take_memory(key);
        let (snapshot, plan, outcomes) = self.write(key, snapshot, plan, &mut next).await;
        self.follow_rollouts(key, &plan, memory);
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
        // What failed comes first: it is tried again soon.
        if !matches!(next, Next::Retry(_)) {
            next = next.max(self.cleaner.clean_up(key, &snapshot, &plan).await);
        }
        next
    }

    /// The plan, after what must be on two Deployments or on none was tried on both.
    async fn tried(&self, key: &InstallationKey, snapshot: &mut Snapshot, next: &mut Next) -> Plan {
        let plan = compose(snapshot);
        for deployment in plan.trial() {
            if let Err(error) = self.writer.try_deployment(&key.namespace, deployment).await {
                tracing::warn!(installation = %key, deployment = deployment.name, %error, "the Deployment refuses a trial");
                let failure = error.failure();
                *next = (*next).max(after(&failure, &error));
                snapshot.refused.insert(deployment.name.clone(), failure);
            }
        }
        if snapshot.refused.is_empty() { plan } else { compose(snapshot) }
    }

    /// Sends one request after another, each decided from what the one before left, until every Deployment
    /// is as planned or has failed.
    async fn write(
        &self,
        key: &InstallationKey,
        mut snapshot: Snapshot,
        mut plan: Plan,
        next: &mut Next,
    ) -> (Snapshot, Plan, BTreeMap<String, Outcome>) {
        let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
        let mut written: BTreeMap<String, Progress> = BTreeMap::new();
        while let Some(deployment) = plan.deployments.iter().find(|plan| !outcomes.contains_key(&plan.name)) {
            let name = deployment.name.clone();
            let mut progress = written.get(&name).copied().unwrap_or_default();
            if deployment.replaces_pods() && !self.may_roll_out(key, &name) {
                let why = "other Deployments are being rolled out, and no more at once (--max-concurrent-rollouts)";
                outcomes.insert(name, Outcome::Failed(Failure::Transient(why.to_owned())));
                *next = (*next).max(Next::Slowly);
                continue;
            }
            let result = match progress.steps {
                MOST_STEPS.. => Err(WriteError::Overtaken),
                _ => self.write_deployment(key, deployment).await,
            };
            match result {
                Ok(Some(live)) => {
                    progress.changed |= deployment.changes_template && live.generation != deployment.generation;
                    progress.steps += 1;
                    written.insert(name.clone(), progress);
                    if deployment.next.as_ref().is_some_and(Step::delivers) {
                        self.remember(key, deployment);
                    }
                    snapshot.hands = self.hands(key).at(self.clock.now());
                    snapshot.take_in(deployment, live);
                    plan = compose(&snapshot);
                }
                Ok(None) => {
                    self.remember(key, deployment);
                    let (generation, rollout) = (deployment.generation, deployment.rollout.clone());
                    outcomes.insert(name, Outcome::Done { generation, changed: progress.changed, rollout });
                }
                // Somebody else wrote to it in between: the next request is made for what is there now.
                Err(WriteError::Overtaken) if progress.steps < MOST_STEPS && progress.overtaken < MOST_OVERTAKEN => {
                    tokio::time::sleep(PAUSE * progress.overtaken).await;
                    let secrets = deployment.secrets.iter().map(|secret| secret.name.clone()).collect();
                    match self.reader.again(&mut snapshot, &name, secrets).await {
                        Ok(()) => {
                            let was_to_change = deployment.changes_template;
                            plan = compose(&snapshot);
                            let now = plan.deployments.iter().find(|plan| plan.name == name);
                            // It was: by a request of ours that arrived twice, or by another replica.
                            progress.changed |= was_to_change && now.is_some_and(|now| !now.changes_template);
                            progress.overtaken += 1;
                            written.insert(name, progress);
                        }
                        Err(error) => {
                            *next = (*next).max(Next::Retry(None));
                            outcomes.insert(name, Outcome::Failed(Failure::Transient(error.to_string())));
                        }
                    }
                }
                Err(error) => {
                    let failure = error.failure();
                    tracing::warn!(installation = %key, deployment = name, %error, "cannot write the Deployment");
                    *next = (*next).max(after(&failure, &error));
                    let refuses_pair = deployment.has_pair && !matches!(failure, Failure::Transient(_));
                    outcomes.insert(name.clone(), Outcome::Failed(failure.clone()));
                    if refuses_pair {
                        // What is on two Deployments or on none comes off the plan of the other, too.
                        snapshot.refused.insert(name, failure);
                        plan = compose(&snapshot);
                    } else if deployment.has_pair {
                        // Nobody knows yet: the other waits for the next look.
                        let others = plan.deployments.iter().filter(|plan| plan.has_pair);
                        let unreached = Failure::Transient(format!("waits for Deployment {name}"));
                        let unreached: Vec<_> = others
                            .filter(|plan| plan.next.is_some() && !outcomes.contains_key(&plan.name))
                            .map(|plan| (plan.name.clone(), Outcome::Failed(unreached.clone())))
                            .collect();
                        outcomes.extend(unreached);
                    }
                }
            }
        }
        for leftover in &plan.leftovers {
            if let Err(error) = self.writer.leftover(&key.namespace, leftover).await {
                tracing::warn!(installation = %key, %error, "a Secret that no Deployment names any more cannot be taken away");
                *next = (*next).max(after(&error.failure(), &error));
            }
        }
        if let Entry::Occupied(mut hands) = self.all_hands().entry(key.clone()) {
            hands.get_mut().retain(&plan.deployments);
            if hands.get().is_empty() {
                hands.remove();
            }
        }
        (snapshot, plan, outcomes)
    }

    /// Sends a Deployment's next request. What the watches deliver of that is no news.
    async fn write_deployment(
        &self,
        key: &InstallationKey,
        plan: &DeploymentPlan,
    ) -> Result<Option<LiveDeployment>, WriteError> {
        let mut write = Write::begin(self, key, plan);
        let result = self.writer.deployment(&key.namespace, plan).await;
        write.version = result.as_ref().ok().and_then(Option::as_ref).map(|live| live.version.clone());
        result
    }

    fn index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_roll_out(&self, key: &InstallationKey, deployment: &str) -> bool {
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

    fn hands(&self, key: &InstallationKey) -> Hands {
        self.all_hands().get(key).cloned().unwrap_or_default()
    }

    fn remember(&self, key: &InstallationKey, plan: &DeploymentPlan) {
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

/// A request about a Deployment that is under way. It ends when it is dropped: whatever comes of it, nothing that
/// was seen meanwhile is lost.
struct Write<'a> {
    reconciler: &'a Reconciler,
    key: &'a InstallationKey,
    deployment: &'a str,
    secrets: BTreeSet<String>,
    version: Option<String>,
}

impl<'a> Write<'a> {
    fn begin(reconciler: &'a Reconciler, key: &'a InstallationKey, plan: &'a DeploymentPlan) -> Self {
        let made = plan.secrets.iter().filter(|secret| !secret.present && !secret.stable);
        let secrets: BTreeSet<String> = made.map(|secret| secret.name.clone()).collect();
        reconciler.index().write_begins(key, &plan.name, &secrets);
        Self { reconciler, key, deployment: &plan.name, secrets, version: None }
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let Self { reconciler, key, deployment, secrets, version } = self;
        let is_news = reconciler.index().write_ends(key, deployment, secrets, version.as_deref());
        if is_news {
            reconciler.post.wake(key.clone());
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
