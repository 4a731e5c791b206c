//! Gives the queue a clock: collects triggers, runs what is due, tries again what failed.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::FutureExt;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{apply::Leadership, compose::InstallationKey, metrics::Metrics, world::Sync};

use super::{Claims, Reconciler, Timing, backoff, claims::Permit, queue::Queue, reconcile::Next};

/// A look at what is not ready although no change was noticed.
const SLOW: Duration = Duration::from_secs(600);
/// The loop turns at least this often, and `/livez` believes in it this long.
const TURN: Duration = Duration::from_secs(5);
/// Longest wait for running reconciliations at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// When the loop last turned.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    fn beat(&self) {
        self.0.store(seconds(), Ordering::Relaxed);
    }

    /// Whether the loop turns, or has not begun.
    pub fn is_alive(&self) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        last == 0 || seconds().saturating_sub(last) < 12 * TURN.as_secs()
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Works off the queue.
pub struct Runner {
    /// Looks at an installation.
    pub reconciler: Reconciler,
    /// Nothing runs but while this process leads.
    pub leadership: Leadership,
    /// Nothing runs in a namespace that another operator looks after.
    pub claims: Claims,
    /// Nothing runs before the watches have listed everything once.
    pub sync: Arc<Sync>,
    /// Debounce.
    pub timing: Timing,
    /// Installations looked at at the same time.
    pub concurrency: usize,
    /// Counts.
    pub metrics: Metrics,
    /// Tells `/livez` that the loop turns.
    pub heartbeat: Heartbeat,
}

impl Runner {
    /// Runs until `stop`, then lets running reconciliations end. While another leads it stands by: the watches
    /// go on, so that everything is known when it takes over.
    pub async fn run(self, mut triggers: mpsc::UnboundedReceiver<InstallationKey>, stop: CancellationToken) {
        let Self { reconciler, leadership, claims, sync, timing, concurrency, metrics, heartbeat } = self;
        let mut queue = Queue::new(timing);
        let mut failures: HashMap<InstallationKey, u32> = HashMap::new();
        let mut running: JoinSet<(InstallationKey, Next)> = JoinSet::new();
        let mut changes = leadership.changes();
        let mut term = None;
        let mut holds: HashMap<String, u64> = HashMap::new();
        loop {
            heartbeat.beat();
            let current = changes.borrow_and_update().clone();
            if current.as_ref().map(|term| term.number) != term {
                // What still runs is of a term that has ended.
                running.shutdown().await;
                (queue, failures, holds) = (Queue::new(timing), HashMap::new(), HashMap::new());
                term = current.as_ref().map(|term| term.number);
                reconciler.forget(None);
                if term.is_some() {
                    let now = Instant::now();
                    reconciler.installations().into_iter().for_each(|key| queue.changed(key, now));
                }
            }
            let now = Instant::now();
            let runs = current.is_some() && sync.is_complete();
            while runs && running.len() < concurrency {
                let Some(key) = queue.take(now) else { break };
                match claims.permit(&key.namespace) {
                    Permit::Granted(hold) => {
                        let before = holds.insert(key.namespace.clone(), hold.number);
                        if before.is_some_and(|before| before != hold.number) {
                            // Another may have had it in between.
                            reconciler.forget(Some(&key.namespace));
                        }
                        running.spawn(look(reconciler.clone(), key, metrics.clone(), hold.over));
                    }
                    Permit::Refused(until) => {
                        queue.done(&key);
                        if holds.remove(&key.namespace).is_some() {
                            // Another has it now, and says what there is to say.
                            reconciler.forget(Some(&key.namespace));
                        }
                        if let Some(until) = until {
                            queue.retry(key, until.saturating_duration_since(now), now);
                        }
                    }
                }
            }
            metrics.queue(queue.len(), running.len());
            let free = runs && running.len() < concurrency;
            let due = queue.next().filter(|_| free).map_or(TURN, |due| due.saturating_duration_since(now));
            // Before everything is listed nothing wakes the loop but the watches: look often.
            let wait = if sync.is_complete() { due.min(TURN) } else { Duration::from_millis(50) };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(key) = triggers.recv() => {
                    claims.notice(&key.namespace);
                    // A new leader looks at all of them anyway.
                    if term.is_some() {
                        queue.changed(key, Instant::now());
                    }
                }
                Ok(()) = changes.changed() => {}
                Some(ended) = running.join_next() => {
                    if let Ok((key, next)) = ended {
                        queue.done(&key);
                        requeue(&mut queue, &mut failures, key, next);
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
        tracing::info!(running = running.len(), "stopping: finishing what is running");
        let drain = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!("stopping although reconciliations are still running");
        }
    }
}

fn requeue(
    queue: &mut Queue<InstallationKey>,
    failures: &mut HashMap<InstallationKey, u32>,
    key: InstallationKey,
    next: Next,
) {
    let now = Instant::now();
    match next {
        Next::Retry(asked) => {
            let count = failures.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            let delay = backoff::delay(*count, asked, rand::random());
            queue.retry(key, delay, now);
        }
        Next::Slowly => {
            failures.remove(&key);
            queue.retry(key, SLOW.mul_f64(1.0 + rand::random::<f64>() / 5.0), now);
        }
        Next::After(Reverse(delay)) => {
            failures.remove(&key);
            queue.retry(key, delay.min(SLOW), now);
        }
        Next::Wait => {
            failures.remove(&key);
        }
    }
}

/// One reconciliation; a panic in it is one failure of one installation. It is abandoned where it is when the
/// term, or the hold on the namespace, is over.
async fn look(
    reconciler: Reconciler,
    key: InstallationKey,
    metrics: Metrics,
    over: CancellationToken,
) -> (InstallationKey, Next) {
    let begun = Instant::now();
    let looked = std::panic::AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind();
    let next = tokio::select! {
        biased;
        () = over.cancelled() => {
            tracing::info!(installation = %key, "reconciliation abandoned: this process may write there no more");
            return (key, Next::Wait);
        }
        next = looked => next,
    };
    let next = next.unwrap_or_else(|_| {
        tracing::error!(installation = %key, "reconciliation panicked, trying again");
        Next::Retry(None)
    });
    metrics.reconciled(matches!(next, Next::Retry(_)), begun.elapsed());
    (key, next)
}
