//! Brings an installation's Deployments to their plan: one request after another, each decided from what the one
//! before left.

use std::{
    cmp::max,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    apply::WriteError,
    compose::{
        DeploymentPlan, Failure, InstallationKey, LiveDeployment, Lookup, Outcome, Plan, Snapshot, Step, compose,
        guards_title, network_title,
    },
};

use super::reconcile::{Next, Reconciler};

/// Most requests to one Deployment in one look: a variable that changes hands takes four.
const MOST_STEPS: u32 = 8;
/// Most requests to one Deployment in one look that came too late: while pods are replaced, its own controller
/// writes to it several times a second.
const MOST_OVERTAKEN: u32 = 8;
/// How much longer to wait each time before such a request is made anew; the first one is at once.
const PAUSE: Duration = Duration::from_millis(50);

/// The requests of one look.
pub(super) struct Delivery<'a> {
    reconciler: &'a Reconciler,
    key: &'a InstallationKey,
    progress: BTreeMap<String, Progress>,
    /// What is there, as far as it is known.
    pub snapshot: Snapshot,
    /// The plan for that.
    pub plan: Plan,
    /// What came of the Deployments; one that has none is not done yet.
    pub outcomes: BTreeMap<String, Outcome>,
    /// What is left to do after it.
    pub next: Next,
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

impl<'a> Delivery<'a> {
    /// Makes the plan; what must be on two Deployments or on none is tried on both before.
    pub async fn planned(reconciler: &'a Reconciler, key: &'a InstallationKey, snapshot: Snapshot) -> Self {
        let plan = compose(&snapshot);
        let (progress, outcomes) = (BTreeMap::new(), BTreeMap::new());
        let mut delivery = Self { reconciler, key, progress, snapshot, plan, outcomes, next: Next::Wait };
        delivery.try_pairs().await;
        delivery
    }

    /// Brings to the plan what keeps others out, before anything is delivered to what it guards.
    async fn guard(&mut self) {
        let mut rounds = 0;
        while let Some(step) = self.plan.guards.take() {
            rounds += 1;
            let written = match rounds {
                ..=MOST_STEPS => self.reconciler.writer.guards(&self.key.namespace, &step).await,
                _ => Err(WriteError::NotOurs(
                    "somebody changes what the operator writes there, each time: an admission policy?".to_owned(),
                )),
            };
            let look_again = match written {
                Ok(live) => {
                    self.snapshot.guards = Some(live.map_or(Lookup::Missing, Lookup::Found));
                    Ok(())
                }
                // Another installation of the namespace was quicker, mostly with the same.
                Err(WriteError::Overtaken) => {
                    let again = self.reconciler.reader.guarded_again(&mut self.snapshot).await;
                    again.map_err(|error| WriteError::Unreachable(error.to_string()))
                }
                Err(error) => Err(error),
            };
            let is_over = look_again.map_err(|error| self.cannot_guard(guards_title(), &error)).is_err();
            self.plan = compose(&self.snapshot);
            if is_over {
                break;
            }
        }
        let networks = std::mem::take(&mut self.plan.networks);
        for plan in &networks {
            match self.reconciler.writer.network_policy(&self.key.namespace, plan).await {
                Ok(live) => {
                    let live = live.map_or(Lookup::Missing, Lookup::Found);
                    self.snapshot.networks.insert(plan.name.clone(), live);
                }
                Err(error) => self.cannot_guard(network_title(&plan.name), &error),
            }
        }
        if !networks.is_empty() {
            self.plan = compose(&self.snapshot);
        }
    }

    fn cannot_guard(&mut self, object: String, error: &WriteError) {
        tracing::warn!(installation = %self.key, object, %error, "cannot be written");
        let failure = error.failure();
        self.next = max(self.next, after(&failure, error));
        self.snapshot.unguarded.insert(object, failure);
    }

    async fn try_pairs(&mut self) {
        for deployment in self.plan.trial() {
            if let Err(error) = self.reconciler.writer.try_deployment(&self.key.namespace, deployment).await {
                tracing::warn!(installation = %self.key, deployment = deployment.name, %error, "the Deployment refuses a trial");
                let failure = error.failure();
                self.next = max(self.next, after(&failure, &error));
                self.snapshot.refused.insert(deployment.name.clone(), failure);
            }
        }
        if !self.snapshot.refused.is_empty() {
            self.plan = compose(&self.snapshot);
        }
    }

    /// Sends requests until everything is as planned or has failed.
    pub async fn run(&mut self) {
        self.guard().await;
        while let Some(open) = self.plan.deployments.iter().find(|plan| !self.outcomes.contains_key(&plan.name)) {
            let deployment = open.clone();
            self.advance(&deployment).await;
        }
        for leftover in &self.plan.leftovers {
            if let Err(error) = self.reconciler.writer.leftover(&self.key.namespace, leftover).await {
                tracing::warn!(installation = %self.key, %error, "a Secret that no Deployment names any more cannot be taken away");
                self.next = max(self.next, after(&error.failure(), &error));
            }
        }
        self.reconciler.forget_others(self.key, &self.plan);
    }

    /// Sends a Deployment's next request.
    async fn advance(&mut self, deployment: &DeploymentPlan) {
        let name = &deployment.name;
        if deployment.replaces_pods() && !self.reconciler.may_roll_out(self.key, name) {
            let why = "other Deployments are being rolled out, and no more at once (--max-concurrent-rollouts)";
            self.next = max(self.next, Next::Slowly);
            self.fail(name, Failure::Transient(why.to_owned()));
            return;
        }
        let Progress { steps, overtaken, .. } = *self.progress_of(name);
        let result = match steps {
            MOST_STEPS.. => Err(WriteError::Overtaken),
            _ => self.write(deployment).await,
        };
        match result {
            Ok(Some(live)) => self.written(deployment, live),
            Ok(None) => self.done(deployment),
            Err(WriteError::Overtaken) if steps < MOST_STEPS && overtaken < MOST_OVERTAKEN => {
                self.look_again(deployment).await;
            }
            Err(error) => self.refused(deployment, &error),
        }
    }

    /// What the watches deliver of a request of ours is no news.
    async fn write(&self, plan: &DeploymentPlan) -> Result<Option<LiveDeployment>, WriteError> {
        let mut write = Write::begin(self.reconciler, self.key, plan);
        let result = self.reconciler.writer.deployment(&self.key.namespace, plan).await;
        write.version = result.as_ref().ok().and_then(Option::as_ref).map(|live| live.version.clone());
        result
    }

    fn written(&mut self, deployment: &DeploymentPlan, live: LiveDeployment) {
        let progress = self.progress_of(&deployment.name);
        progress.changed |= deployment.changes_template && live.generation != deployment.generation;
        progress.steps += 1;
        if deployment.next.as_ref().is_some_and(Step::delivers) {
            self.reconciler.remember(self.key, deployment);
        }
        self.snapshot.hands = self.reconciler.hands(self.key);
        self.snapshot.take_in(deployment, live);
        self.plan = compose(&self.snapshot);
    }

    fn done(&mut self, deployment: &DeploymentPlan) {
        self.reconciler.remember(self.key, deployment);
        let changed = self.progress_of(&deployment.name).changed;
        let (generation, rollout) = (deployment.generation, deployment.rollout.clone());
        self.outcomes.insert(deployment.name.clone(), Outcome::Done { generation, changed, rollout });
    }

    /// Somebody else wrote to it in between: the next request is made for what is there now.
    async fn look_again(&mut self, deployment: &DeploymentPlan) {
        let name = &deployment.name;
        tokio::time::sleep(PAUSE * self.progress_of(name).overtaken).await;
        let secrets = deployment.secrets.iter().map(|secret| secret.name.clone()).collect();
        if let Err(error) = self.reconciler.reader.again(&mut self.snapshot, name, secrets).await {
            self.next = max(self.next, Next::Retry(None));
            self.fail(name, Failure::Transient(error.to_string()));
            return;
        }
        self.plan = compose(&self.snapshot);
        let now = self.plan.deployments.iter().find(|plan| plan.name == *name);
        // It was changed after all: by a request of ours that arrived twice, or by another replica.
        let is_changed = deployment.changes_template && now.is_some_and(|now| !now.changes_template);
        let progress = self.progress_of(name);
        progress.changed |= is_changed;
        progress.overtaken += 1;
    }

    fn refused(&mut self, deployment: &DeploymentPlan, error: &WriteError) {
        let (name, failure) = (&deployment.name, error.failure());
        tracing::warn!(installation = %self.key, deployment = name, %error, "cannot write the Deployment");
        self.next = max(self.next, after(&failure, error));
        self.fail(name, failure.clone());
        if !deployment.has_pair {
            return;
        }
        if matches!(failure, Failure::Transient(_)) {
            // Nobody knows yet: the other waits for the next look.
            let others = self.plan.deployments.iter().filter(|plan| plan.has_pair && plan.next.is_some());
            let others: Vec<String> = others.map(|plan| plan.name.clone()).collect();
            for other in others {
                let waits = Outcome::Failed(Failure::Transient(format!("waits for Deployment {name}")));
                self.outcomes.entry(other).or_insert(waits);
            }
        } else {
            // What is on two Deployments or on none comes off the plan of the other, too.
            self.snapshot.refused.insert(name.clone(), failure);
            self.plan = compose(&self.snapshot);
        }
    }

    fn fail(&mut self, deployment: &str, failure: Failure) {
        self.outcomes.insert(deployment.to_owned(), Outcome::Failed(failure));
    }

    fn progress_of(&mut self, deployment: &str) -> &mut Progress {
        self.progress.entry(deployment.to_owned()).or_default()
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
