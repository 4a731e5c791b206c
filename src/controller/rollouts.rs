//! How many rollouts are open at once: an upgrade of the operator must not restart a thousand Timbrs
//! together. A pure data structure.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::compose::InstallationKey;

/// An open rollout counts no longer than this: the time in which Kubernetes gives one up, unless told otherwise.
const LONGEST: Duration = Duration::from_secs(600);

/// A Deployment: its namespace and name.
type Deployment = (String, String);

/// Open rollouts, and who waits for one to end.
#[derive(Debug)]
pub struct Rollouts {
    most: usize,
    open: HashMap<Deployment, Instant>,
    waiting: BTreeSet<InstallationKey>,
}

impl Rollouts {
    /// At most so many at once.
    pub fn new(most: usize) -> Self {
        Self { most, open: HashMap::new(), waiting: BTreeSet::new() }
    }

    /// Whether a Deployment of an installation may be rolled out now; if not, the installation waits until
    /// [`Rollouts::ended`] names it.
    pub fn begin(&mut self, installation: &InstallationKey, deployment: &str, now: Instant) -> bool {
        let key = (installation.namespace.clone(), deployment.to_owned());
        self.open.retain(|_, begun| now.saturating_duration_since(*begun) < LONGEST);
        if !self.open.contains_key(&key) && self.open.len() >= self.most {
            self.waiting.insert(installation.clone());
            return false;
        }
        // Another change of one that is open prolongs nothing.
        self.open.entry(key).or_insert(now);
        true
    }

    /// A Deployment is being rolled out, whoever began that.
    pub fn note(&mut self, namespace: &str, deployment: &str, now: Instant) {
        self.open.entry((namespace.to_owned(), deployment.to_owned())).or_insert(now);
    }

    /// A Deployment's pods are as its template says, or will not become so by waiting; returns who may go on.
    pub fn ended(&mut self, namespace: &str, deployment: &str) -> BTreeSet<InstallationKey> {
        let was_open = self.open.remove(&(namespace.to_owned(), deployment.to_owned())).is_some();
        if was_open { std::mem::take(&mut self.waiting) } else { BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> InstallationKey {
        InstallationKey { namespace: "ns".to_owned(), name: Some(name.to_owned()) }
    }

    #[test]
    fn so_many_at_once_and_the_others_when_one_has_ended() {
        let now = Instant::now();
        let mut rollouts = Rollouts::new(2);
        assert!(rollouts.begin(&key("a"), "a", now) && rollouts.begin(&key("b"), "b", now));
        assert!(!rollouts.begin(&key("c"), "c", now) && !rollouts.begin(&key("d"), "d", now));
        // What is open already may change again.
        assert!(rollouts.begin(&key("a"), "a", now));
        assert_eq!(rollouts.ended("ns", "e"), BTreeSet::new());
        assert_eq!(rollouts.ended("other", "a"), BTreeSet::new());
        assert_eq!(rollouts.ended("ns", "a"), BTreeSet::from([key("c"), key("d")]));
        assert_eq!(rollouts.ended("ns", "a"), BTreeSet::new());
        assert!(rollouts.begin(&key("c"), "c", now) && !rollouts.begin(&key("d"), "d", now));
    }

    #[test]
    fn what_another_has_begun_is_open_too() {
        let now = Instant::now();
        let mut rollouts = Rollouts::new(1);
        rollouts.note("ns", "a", now);
        // It may be one more than are allowed.
        rollouts.note("ns", "b", now);
        assert!(!rollouts.begin(&key("c"), "c", now));
        assert_eq!(rollouts.ended("ns", "a"), BTreeSet::from([key("c")]));
        assert!(!rollouts.begin(&key("c"), "c", now));
        assert_eq!(rollouts.ended("ns", "b"), BTreeSet::from([key("c")]));
        assert!(rollouts.begin(&key("c"), "c", now));
    }

    #[test]
    fn one_that_never_ends_stands_in_nobodys_way_for_ever() {
        let now = Instant::now();
        let mut rollouts = Rollouts::new(1);
        assert!(rollouts.begin(&key("a"), "a", now));
        assert!(!rollouts.begin(&key("b"), "b", now + Duration::from_secs(599)));
        assert!(rollouts.begin(&key("b"), "b", now + Duration::from_secs(600)));
    }
}
