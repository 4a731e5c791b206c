//! The work queue, as a pure data structure: debounced, bounded, one run at a time for a key.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// How long changes are collected before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A run starts after this much quiet,
    pub quiet: Duration,
    /// but at the latest this long after the first change.
    pub cap: Duration,
}

#[derive(Debug)]
struct Waiting {
    /// First change since the last run, if it was a change that put it here.
    first: Option<Instant>,
    due: Instant,
}

/// Keys waiting for a run.
#[derive(Debug)]
pub struct Queue<K> {
    timing: Timing,
    waiting: BTreeMap<K, Waiting>,
    running: BTreeSet<K>,
    /// Those that wait and do not run, by when they are due.
    order: BTreeSet<(Instant, K)>,
}

impl<K: Clone + Ord> Queue<K> {
    /// An empty queue.
    pub fn new(timing: Timing) -> Self {
        Self { timing, waiting: BTreeMap::new(), running: BTreeSet::new(), order: BTreeSet::new() }
    }

    /// Something changed: run after quiet, at the latest after the cap.
    pub fn changed(&mut self, key: K, now: Instant) {
        let before = self.waiting.remove(&key);
        let first = before.as_ref().and_then(|before| before.first).unwrap_or(now);
        if let Some(before) = before {
            self.order.remove(&(before.due, key.clone()));
        }
        let due = (now + self.timing.quiet).min(first + self.timing.cap);
        self.wait(key, Waiting { first: Some(first), due });
    }

    /// Run again after a delay; a change meanwhile is sooner.
    pub fn retry(&mut self, key: K, delay: Duration, now: Instant) {
        if !self.waiting.contains_key(&key) {
            self.wait(key, Waiting { first: None, due: now + delay });
        }
    }

    fn wait(&mut self, key: K, waiting: Waiting) {
        if !self.running.contains(&key) {
            self.order.insert((waiting.due, key.clone()));
        }
        self.waiting.insert(key, waiting);
    }

    /// Takes a key that is due and not running; it counts as running until [`Queue::done`].
    pub fn take(&mut self, now: Instant) -> Option<K> {
        self.next().filter(|due| *due <= now)?;
        let (_, key) = self.order.pop_first()?;
        self.waiting.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    /// A run has ended.
    pub fn done(&mut self, key: &K) {
        self.running.remove(key);
        if let Some(waiting) = self.waiting.get(key) {
            self.order.insert((waiting.due, key.clone()));
        }
    }

    /// When the next key is due that is not running.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { quiet: Duration::from_secs(1), cap: Duration::from_secs(3) };

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn changes_are_collected_until_quiet() {
        let start = Instant::now();
        let mut queue = Queue::new(TIMING);
        for millis in [0, 400, 800] {
            queue.changed("a", at(start, millis));
        }
        assert_eq!(queue.take(at(start, 1799)), None);
        assert_eq!(queue.take(at(start, 1800)), Some("a"));
        assert_eq!(queue.take(at(start, 9000)), None);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn unending_changes_run_at_the_cap_and_none_is_lost() {
        let start = Instant::now();
        let mut queue = Queue::new(TIMING);
        let mut runs = Vec::new();
        for millis in (0..10_000).step_by(500) {
            queue.changed("a", at(start, millis));
            if let Some(key) = queue.take(at(start, millis)) {
                runs.push(millis);
                queue.done(&key);
            }
        }
        assert_eq!(runs, [3000, 6500]);
        assert_eq!(queue.next(), Some(at(start, 10_000)));
    }

    #[test]
    fn one_run_at_a_time_and_a_change_meanwhile_is_kept() {
        let start = Instant::now();
        let mut queue = Queue::new(TIMING);
        queue.changed("a", start);
        assert_eq!(queue.take(at(start, 1000)), Some("a"));
        queue.changed("a", at(start, 1100));
        assert_eq!((queue.take(at(start, 5000)), queue.next()), (None, None));
        queue.done(&"a");
        assert_eq!(queue.take(at(start, 5000)), Some("a"));
    }

    #[test]
    fn a_retry_waits_and_a_change_is_sooner() {
        let start = Instant::now();
        let mut queue = Queue::new(TIMING);
        queue.retry("a", Duration::from_secs(60), start);
        assert_eq!(queue.next(), Some(at(start, 60_000)));
        queue.changed("a", at(start, 500));
        assert_eq!(queue.next(), Some(at(start, 1500)));
        // And a retry never delays a change.
        queue.retry("a", Duration::from_secs(60), at(start, 600));
        assert_eq!(queue.next(), Some(at(start, 1500)));
    }

    /// Whatever is asked of it, it runs what is due first, and never what runs.
    #[test]
    fn what_is_due_first_runs_first() {
        let start = Instant::now();
        let mut queue = Queue::new(TIMING);
        queue.changed("a", at(start, 300));
        queue.changed("b", at(start, 200));
        queue.retry("c", Duration::from_millis(100), start);
        assert_eq!((queue.next(), queue.take(at(start, 99))), (Some(at(start, 100)), None));
        assert_eq!(queue.take(at(start, 5000)), Some("c"));
        // Each is put off by another change, also one that runs.
        queue.changed("b", at(start, 600));
        queue.changed("c", at(start, 100));
        assert_eq!(queue.take(at(start, 5000)), Some("a"));
        assert_eq!(queue.take(at(start, 5000)), Some("b"));
        assert_eq!((queue.take(at(start, 5000)), queue.next(), queue.len()), (None, None, 1));
        queue.changed("c", at(start, 900));
        queue.done(&"c");
        assert_eq!(queue.next(), Some(at(start, 1900)));
        // A run that nothing waits for leaves nothing.
        queue.done(&"a");
        assert_eq!(queue.take(at(start, 5000)), Some("c"));
        assert_eq!((queue.take(at(start, 9000)), queue.next(), queue.len()), (None, None, 0));
    }
}
