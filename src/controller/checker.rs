//! Has the checks of resources tried when they are due, and keeps what came of them.
//!
//! A look at an installation says what there is to try, and what is due is tried in a task of its own; its answers are
//! an input of the next look. Values of Secrets are with the task alone: when something is due again, the installation is
//! looked at again, and read again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use crate::{
    compose::{Check, InstallationKey, Judgement, Plan, Trials, Tried},
    metrics::Metrics,
    verify::{Http, Outcome, Services, Session},
};

use super::{
    Clock, Post,
    rounds::{Answered, Rounds},
};

/// Resources of an installation, and checks of each, that are tried at once.
const AT_ONCE: usize = 5;
/// Installations for which something is tried at once: each has values of Secrets at hand.
const MOST_TASKS: usize = 16;
/// Who was woken and is not looked at by then has lost its turn.
const LATE: Duration = Duration::from_secs(30);
/// From one round to the next in a namespace.
const APART: Duration = Duration::from_secs(1);
/// So long nothing is said of what is being tried for the first time: mostly it is known by then.
const SILENT: SignedDuration = SignedDuration::from_secs(2);

/// How checks are tried.
#[derive(Clone, Debug)]
pub struct Checking {
    /// Sends.
    pub http: Http,
    /// Where Microsoft's services are.
    pub services: Services,
    /// How often what has passed is tried again.
    pub interval: SignedDuration,
    /// How long new content waits while nobody can be asked.
    pub unknown_grace: SignedDuration,
}

/// Tries things out.
#[derive(Clone)]
pub struct Checker {
    checking: Arc<Checking>,
    clock: Clock,
    metrics: Metrics,
    post: Post,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What is known of the checks of each resource, by its uid.
    of: HashMap<InstallationKey, HashMap<String, Rounds>>,
    tasks: usize,
    /// Who waits for a task to end, in the order in which they came.
    waiting: VecDeque<InstallationKey>,
    /// Who was woken for a task that has ended, and has not been looked at yet.
    called: HashMap<InstallationKey, Instant>,
    /// When the last round in each namespace began.
    last: HashMap<String, Instant>,
}

/// A task's place among those that run: another may have it once this one ends, however it does.
struct Seat(Checker);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.tasks -= 1;
        state.call(&self.0.post);
    }
}

impl State {
    /// Wakes as many of those who wait as there are places for tasks.
    fn call(&mut self, post: &Post) {
        self.called.retain(|_, since| since.elapsed() < LATE);
        let free = MOST_TASKS.saturating_sub(self.tasks + self.called.len());
        for key in self.waiting.drain(..free.min(self.waiting.len())) {
            self.called.insert(key.clone(), Instant::now());
            post.wake(key);
        }
    }
}

/// The checks of one resource that are being tried.
struct Round {
    uid: String,
    begun: Timestamp,
    checks: Vec<(Check, String)>,
}

impl Checker {
    /// One that knows nothing yet; what comes in wakes the installations of `post`.
    pub fn new(checking: Checking, metrics: Metrics, post: Post) -> Self {
        Self { checking: Arc::new(checking), clock: post.clock, metrics, post, state: Arc::default() }
    }

    /// What is known of an installation's checks.
    pub fn trials(&self, key: &InstallationKey) -> Trials {
        let state = self.state();
        let of = state.of.get(key).into_iter().flatten();
        let Checking { unknown_grace, interval, .. } = *self.checking;
        Trials {
            now: self.clock.now(),
            unknown_grace,
            interval,
            of: of.map(|(uid, rounds)| (uid.clone(), rounds.trials.clone())).collect(),
        }
    }

    /// Has tried what is due of a plan; returns when something is due next.
    pub fn look(&self, key: &InstallationKey, plan: &Plan) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut state = self.state();
        state.called.remove(key);
        let next = self.begin(&mut state, key, plan, now);
        // Whoever needs no place leaves it to the next.
        state.call(&self.post);
        next
    }

    fn begin(&self, state: &mut State, key: &InstallationKey, plan: &Plan, now: Timestamp) -> Option<Timestamp> {
        let State { of, tasks, waiting, called, last } = state;
        let with_checks = || plan.resources.iter().filter(|judgement| !judgement.tried.is_empty());
        if with_checks().next().is_none() {
            of.remove(key);
            waiting.retain(|other| other != key);
            return None;
        }
        let of = of.entry(key.clone()).or_default();
        of.retain(|uid, _| with_checks().any(|judgement| judgement.meta.uid == *uid));
        let mut due = Vec::new();
        for judgement in with_checks() {
            let rounds = of.entry(judgement.meta.uid.clone()).or_insert_with(|| Rounds::new(now));
            let names: Vec<(&str, &str)> =
                judgement.tried.iter().map(|check| (check.name.as_str(), check.key.as_str())).collect();
            rounds.are(&names, now);
            if rounds.is_due(now) {
                due.push(judgement);
            }
        }
        let next = of.values().filter(|rounds| !rounds.is_due(now)).filter_map(Rounds::due).min();
        if due.is_empty() {
            waiting.retain(|other| other != key);
            return next;
        }
        last.retain(|_, begun| begun.elapsed() < APART);
        if let Some(begun) = last.get(&key.namespace) {
            let rest = SignedDuration::try_from(APART.saturating_sub(begun.elapsed())).unwrap_or_default();
            let then = now.saturating_add(rest).unwrap_or(now);
            return Some(next.map_or(then, |next| next.min(then)));
        }
        if *tasks + called.len() >= MOST_TASKS {
            if !waiting.contains(key) {
                waiting.push_back(key.clone());
            }
            return next;
        }
        waiting.retain(|other| other != key);
        *tasks += 1;
        last.insert(key.namespace.clone(), Instant::now());
        let rounds = due.into_iter().map(|judgement| {
            of.entry(judgement.meta.uid.clone()).or_insert_with(|| Rounds::new(now)).begin(now);
            Round::of(judgement, now)
        });
        tokio::spawn(Seat(self.clone()).run(key.clone(), rounds.collect()));
        next
    }

    /// Until when nothing is said of a resource, as something of it has yet to be tried.
    pub fn silent_until(&self, key: &InstallationKey, uid: &str) -> Option<Timestamp> {
        let state = self.state();
        let since = state.of.get(key)?.get(uid)?.untried_since()?;
        let until = since.saturating_add(SILENT).unwrap_or(since);
        (self.clock.now() < until).then_some(until)
    }

    /// Forgets what is known of a namespace, or at all: another may lead now, and what it found counts.
    pub fn forget(&self, namespace: Option<&str>) {
        let mut state = self.state();
        let stays = |key: &InstallationKey| namespace.is_some_and(|only| only != key.namespace);
        state.of.retain(|key, _| stays(key));
        state.waiting.retain(stays);
        state.called.retain(|key, _| stays(key));
    }

    fn answered(&self, check: Check, key: String, outcome: Outcome) -> Answered {
        let Outcome { reason, message, retry_after, expires, keys } = outcome;
        let not_before = retry_after.and_then(|wait| self.clock.now().saturating_add(wait).ok());
        let tried = Tried { reason, message, expires, keys };
        Answered { name: check.name, key, level: check.level, tried, not_before }
    }

    fn keep(&self, key: &InstallationKey, uid: &str, begun: Timestamp, answered: Vec<Answered>) {
        let mut state = self.state();
        if let Some(rounds) = state.of.get_mut(key).and_then(|of| of.get_mut(uid)) {
            rounds.end(begun, answered, self.checking.interval, self.clock.now(), rand::random());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Tries the checks of each resource, and wakes the installation when those of one are known.
    async fn run(self, key: InstallationKey, rounds: Vec<Round>) {
        let Self(checker) = &self;
        let Checking { http, services, .. } = &*checker.checking;
        let session = Session::new(http, services, Timestamp::now());
        let run = async |Round { uid, begun, checks }| {
            let tried = checks.into_iter().map(async |(check, key): (Check, String)| {
                let outcome = session.run(&check.probe).await;
                checker.metrics.checked(outcome.reason);
                checker.answered(check, key, outcome)
            });
            let answered: Vec<Answered> = stream::iter(tried).buffered(AT_ONCE).collect().await;
            checker.keep(&key, &uid, begun, answered);
            checker.post.wake(key.clone());
        };
        stream::iter(rounds).for_each_concurrent(AT_ONCE, run).await;
    }
}

impl Round {
    fn of(judgement: &Judgement, begun: Timestamp) -> Self {
        let keys = judgement.tried.iter().map(|check| check.key.clone());
        Self { uid: judgement.meta.uid.clone(), begun, checks: judgement.checks.iter().cloned().zip(keys).collect() }
    }
}
