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

use crate::{compose::InstallationKey, metrics::Metrics, world::Sync};

use super::{Reconciler, Timing, backoff, queue::Queue, reconcile::Next};

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
    /// Runs until `stop`, then lets running reconciliations end.
    pub async fn run(self, mut triggers: mpsc::UnboundedReceiver<InstallationKey>, stop: CancellationToken) {
        let Self { reconciler, sync, timing, concurrency, metrics, heartbeat } = self;
        let mut queue = Queue::new(timing);
        let mut failures: HashMap<InstallationKey, u32> = HashMap::new();
        let mut running: JoinSet<(InstallationKey, Next)> = JoinSet::new();
        loop {
            heartbeat.beat();
            let now = Instant::now();
            while running.len() < concurrency && sync.is_complete() {
                let Some(key) = queue.take(now) else { break };
                running.spawn(look(reconciler.clone(), key, metrics.clone()));
            }
            metrics.queue(queue.len(), running.len());
            let free = running.len() < concurrency && sync.is_complete();
            let due = queue.next().filter(|_| free).map_or(TURN, |due| due.saturating_duration_since(now));
            // Before everything is listed nothing wakes the loop but the watches: look often.
            let wait = if sync.is_complete() { due.min(TURN) } else { Duration::from_millis(50) };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(key) = triggers.recv() => queue.changed(key, Instant::now()),
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

/// One reconciliation; a panic in it is one failure of one installation.
async fn look(reconciler: Reconciler, key: InstallationKey, metrics: Metrics) -> (InstallationKey, Next) {
    let begun = Instant::now();
    let next = std::panic::AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().await;
    let next = next.unwrap_or_else(|_| {
        tracing::error!(installation = %key, "reconciliation panicked, trying again");
        Next::Retry(None)
    });
    metrics.reconciled(matches!(next, Next::Retry(_)), begun.elapsed());
    (key, next)
}
