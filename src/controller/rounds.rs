//! When the checks of a resource are tried: a pure data structure.
//!
//! What is new is tried at once, and again at 2 s, at 5 s and every 8 s for two minutes, until it passes: credentials
//! that Entra has just made are refused for a while. After that it is tried at intervals; where nobody could be asked,
//! sooner at first.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{CheckLevel, CheckResult},
    compose::{FRESH, Trial, Tried},
};

/// Waits after the first and the second try of what is new,
const FIRST: [SignedDuration; 2] = [SignedDuration::from_secs(2), SignedDuration::from_secs(3)];
/// and after each that follows.
const THEN: SignedDuration = SignedDuration::from_secs(8);
/// Where nobody can be asked, how much of the time for which that has been so is waited for.
const PART: i64 = 8;
/// Nobody is let wait longer by who is asked.
const LONGEST_ASKED: SignedDuration = SignedDuration::from_hours(1);
/// A round that is not over by then never will be.
const LOST: SignedDuration = SignedDuration::from_mins(15);
/// By how much an interval is longer or shorter, so that not all are over at once.
const JITTER: f64 = 0.1;

/// The checks of one resource.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// What is known of each, by name.
    pub trials: BTreeMap<String, Trial>,
    /// Since when the newest of them is tried.
    begun: Timestamp,
    /// How often since then.
    count: usize,
    /// When they are to be tried next.
    due: Timestamp,
    /// Since when they are being tried.
    running: Option<Timestamp>,
}

/// What came of one check.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The check's name.
    pub name: String,
    /// Of what was tried.
    pub key: String,
    /// What depends on it.
    pub level: CheckLevel,
    /// What came of it.
    pub tried: Tried,
    /// When the service wants to be asked again, at the earliest.
    pub not_before: Option<Timestamp>,
}

impl Rounds {
    /// None yet.
    pub fn new(now: Timestamp) -> Self {
        Self { trials: BTreeMap::new(), begun: now, count: 0, due: now, running: None }
    }

    /// These are the checks now, by name and key: what is known of others is forgotten, and what is new is due.
    pub fn are(&mut self, checks: &[(&str, &str)], now: Timestamp) {
        self.trials.retain(|name, trial| checks.contains(&(name.as_str(), trial.key.as_str())));
        for (name, key) in checks {
            if !self.trials.contains_key(*name) {
                self.trials.insert((*name).to_owned(), Trial::begin((*key).to_owned(), now));
                (self.begun, self.count, self.due) = (now, 0, now);
                // What is being tried is something else.
                self.running = None;
            }
        }
    }

    /// Whether they are to be tried now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due().is_none_or(|due| due <= now) && self.running.is_none_or(|since| now.duration_since(since) > LOST)
    }

    /// When they are to be tried next; `None` while they are being tried.
    pub fn due(&self) -> Option<Timestamp> {
        self.running.is_none().then_some(self.due)
    }

    /// They are being tried.
    pub fn begin(&mut self, now: Timestamp) {
        self.running = Some(now);
    }

    /// Since when there is something that has not been tried yet.
    pub fn untried_since(&self) -> Option<Timestamp> {
        self.trials.values().any(|trial| trial.last.is_none()).then_some(self.begun)
    }

    /// They were tried, from `begun` on; `jitter` is between 0 and 1. What is not tried any more by now is forgotten.
    pub fn end(
        &mut self,
        begun: Timestamp,
        answered: Vec<Answered>,
        interval: SignedDuration,
        now: Timestamp,
        jitter: f64,
    ) {
        let again = answered.iter().any(|it| wants_again(it.level, it.tried.reason.finding()));
        let is_unknown =
            |it: &Answered| it.level == CheckLevel::Required && it.tried.reason.finding() == CheckResult::Unknown;
        let nobody_knows = answered.iter().any(is_unknown);
        let not_before = answered.iter().filter_map(|it| it.not_before).max();
        for Answered { name, key, tried, .. } in answered {
            if let Some(trial) = self.trials.get_mut(&name).filter(|trial| trial.key == key) {
                let passed = trial.passed.is_some() && trial.failed.is_none();
                trial.end(tried, now);
                if passed && trial.failed.is_some() {
                    // It is looked at as closely as what is new: a refusal may be a passing one.
                    (self.begun, self.count) = (now, 0);
                }
            }
        }
        // Else another round is on its way, of what has come since.
        if self.running == Some(begun) {
            self.running = None;
            self.count += 1;
            let wait = self.wait(again, nobody_knows, interval, now, jitter);
            let asked = not_before.map(|at| at.min(after(now, LONGEST_ASKED)));
            self.due = after(now, wait).max(asked.unwrap_or(now));
        }
    }

    fn wait(
        &self,
        again: bool,
        nobody_knows: bool,
        interval: SignedDuration,
        now: Timestamp,
        jitter: f64,
    ) -> SignedDuration {
        let age = now.duration_since(self.begun);
        if again && age < FRESH {
            return FIRST.get(self.count - 1).copied().unwrap_or(THEN).min(interval);
        }
        let factor = 1.0 + JITTER * (2.0 * jitter - 1.0);
        let interval = SignedDuration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(interval);
        if nobody_knows { SignedDuration::from_secs(age.as_secs() / PART).max(THEN).min(interval) } else { interval }
    }
}

/// Whether something that is new is tried again soon. What an application may not read it seldom may later.
fn wants_again(level: CheckLevel, result: CheckResult) -> bool {
    match result {
        CheckResult::Pass => false,
        CheckResult::Fail => true,
        CheckResult::Unknown => level == CheckLevel::Required,
    }
}

fn after(then: Timestamp, wait: SignedDuration) -> Timestamp {
    then.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use crate::api::CheckReason;

    use super::*;

    const INTERVAL: SignedDuration = SignedDuration::from_mins(10);

    fn start() -> Timestamp {
        "2026-11-28T10:00:00Z".parse().unwrap()
    }

    fn answered(level: CheckLevel, reason: CheckReason) -> Answered {
        let tried = Tried { reason, message: String::new(), expires: None, keys: None };
        Answered { name: "a".to_owned(), key: "1".to_owned(), level, tried, not_before: None }
    }

    /// The seconds at which something is tried that always ends so, in the first `minutes`.
    fn tries(level: CheckLevel, reason: CheckReason, minutes: i64) -> Vec<i64> {
        let mut rounds = Rounds::new(start());
        let mut now = start();
        let mut tries = Vec::new();
        while now < after(start(), SignedDuration::from_mins(minutes)) {
            rounds.are(&[("a", "1")], now);
            assert!(rounds.is_due(now));
            tries.push(now.duration_since(start()).as_secs());
            rounds.begin(now);
            assert!(!rounds.is_due(now) && rounds.due().is_none());
            rounds.end(now, vec![answered(level, reason)], INTERVAL, now, 0.5);
            now = rounds.due().unwrap();
        }
        tries
    }

    #[test]
    fn what_is_new_is_tried_soon_again_and_then_at_intervals() {
        use CheckLevel::{Advisory, Required};
        let fresh: Vec<i64> = [0, 2].into_iter().chain((5..=125).step_by(8)).collect();
        let [failing, unknown] = [CheckReason::ClientSecretInvalid, CheckReason::Unreachable];
        assert_eq!(tries(Required, failing, 20), [fresh.clone(), vec![725]].concat());
        assert_eq!(tries(Advisory, failing, 20), [fresh.clone(), vec![725]].concat());
        assert_eq!(tries(Required, CheckReason::Passed, 25), [0, 600, 1200]);
        assert_eq!(tries(Advisory, CheckReason::NotPermitted, 25), [0, 600, 1200]);
        // Nobody answers: each wait is an eighth of the time for which that has been so, until it is an interval.
        let tries = tries(Required, unknown, 24 * 60);
        assert_eq!(tries[..fresh.len()], fresh);
        let rest = &tries[fresh.len() - 1..];
        for pair in rest.windows(2) {
            assert_eq!(pair[1] - pair[0], (pair[0] / 8).clamp(8, 600), "{rest:?}");
        }
        assert!(tries.len() < 190, "{}", tries.len());
    }

    #[test]
    fn who_is_asked_says_when_to_come_again() {
        for (asked, waited) in [(1, 2), (30, 30), (86_400, 3600)] {
            let mut rounds = Rounds::new(start());
            rounds.are(&[("a", "1")], start());
            rounds.begin(start());
            let not_before = Some(after(start(), SignedDuration::from_secs(asked)));
            let answer = Answered { not_before, ..answered(CheckLevel::Required, CheckReason::RateLimited) };
            rounds.end(start(), vec![answer], INTERVAL, start(), 0.5);
            assert_eq!(rounds.due().unwrap().duration_since(start()).as_secs(), waited);
        }
    }

    #[test]
    fn intervals_differ() {
        let due = |jitter: f64| {
            let mut rounds = Rounds::new(start());
            rounds.are(&[("a", "1")], start());
            rounds.begin(start());
            let answer = answered(CheckLevel::Required, CheckReason::Passed);
            rounds.end(start(), vec![answer], INTERVAL, start(), jitter);
            rounds.due().unwrap().duration_since(start()).as_secs()
        };
        assert_eq!([due(0.0), due(0.5), due(1.0)], [540, 600, 660]);
    }

    /// What has passed for long and fails is looked at as closely as what is new.
    #[test]
    fn a_fail_after_a_pass_is_tried_soon_again() {
        let mut rounds = Rounds::new(start());
        let mut at = |seconds: i64, reason: CheckReason| {
            let now = after(start(), SignedDuration::from_secs(seconds));
            rounds.are(&[("a", "1")], now);
            rounds.begin(now);
            rounds.end(now, vec![answered(CheckLevel::Required, reason)], INTERVAL, now, 0.5);
            rounds.due().unwrap().duration_since(start()).as_secs()
        };
        assert_eq!(at(0, CheckReason::Passed), 600);
        assert_eq!(at(600, CheckReason::ClientSecretInvalid), 602);
        assert_eq!(at(602, CheckReason::ClientSecretInvalid), 605);
        assert_eq!(at(605, CheckReason::ClientSecretInvalid), 613);
        assert_eq!(at(613, CheckReason::Passed), 1213);
    }

    /// What comes of an old secret says nothing of the new one.
    #[test]
    fn an_answer_to_something_else_is_forgotten() {
        let mut rounds = Rounds::new(start());
        rounds.are(&[("a", "0"), ("b", "1")], start());
        rounds.begin(start());
        assert_eq!(rounds.untried_since(), Some(start()));
        let later = after(start(), SignedDuration::from_secs(1));
        rounds.are(&[("a", "1")], later);
        assert!(rounds.is_due(later));
        rounds.begin(later);
        let old = Answered { key: "0".to_owned(), ..answered(CheckLevel::Required, CheckReason::Passed) };
        rounds.end(start(), vec![old], INTERVAL, later, 0.5);
        assert_eq!(rounds.trials["a"], Trial::begin("1".to_owned(), later));
        assert_eq!((rounds.due(), rounds.untried_since(), rounds.trials.len()), (None, Some(later), 1));
        rounds.end(later, vec![answered(CheckLevel::Required, CheckReason::Passed)], INTERVAL, later, 0.5);
        assert_eq!(rounds.trials["a"].passed.as_ref().unwrap().0, later);
        assert_eq!(rounds.untried_since(), None);
    }
}
