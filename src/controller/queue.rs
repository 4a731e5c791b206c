//! The work queue, as a pure data structure: debounced, bounded, one run at a time for a key.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
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
    waiting: HashMap<K, Waiting>,
    running: HashSet<K>,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new(timing: Timing) -> Self {
        Self { timing, waiting: HashMap::new(), running: HashSet::new() }
    }

    /// Something changed: run after quiet, at the latest after the cap.
    pub fn changed(&mut self, key: K, now: Instant) {
        let waiting = self.waiting.entry(key).or_insert(Waiting { first: None, due: now });
        let first = *waiting.first.get_or_insert(now);
        waiting.due = (now + self.timing.quiet).min(first + self.timing.cap);
    }

    /// Run again after a delay; a change meanwhile is sooner.
    pub fn retry(&mut self, key: K, delay: Duration, now: Instant) {
        self.waiting.entry(key).or_insert(Waiting { first: None, due: now + delay });
    }

    /// Takes a key that is due and not running; it counts as running until [`Queue::done`].
    pub fn take(&mut self, now: Instant) -> Option<K> {
        let due = self.waiting.iter().filter(|(key, waiting)| waiting.due <= now && !self.running.contains(key));
        let key = due.min_by_key(|(_, waiting)| waiting.due).map(|(key, _)| key.clone())?;
        self.waiting.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    /// A run has ended.
    pub fn done(&mut self, key: &K) {
        self.running.remove(key);
    }

    /// When the next key is due that is not running.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.iter().filter(|(key, _)| !self.running.contains(key)).map(|(_, waiting)| waiting.due).min()
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
}
