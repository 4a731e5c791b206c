//! How fast a host is asked: a thousand resources may name the same one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests to one host at once.
const AT_ONCE: usize = 5;
/// Requests to one host within [`SECOND`].
const PER_SECOND: usize = 10;
/// A little more than a second, as requests that set out apart may arrive together.
const SECOND: Duration = Duration::from_millis(1100);
/// Hosts that are remembered; resources name them.
const MOST_HOSTS: usize = 1000;

/// Gives each request its turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Arc<Mutex<HashMap<String, Arc<Lane>>>>);

/// What goes to one host.
#[derive(Debug)]
struct Lane {
    at_once: Arc<Semaphore>,
    turns: Mutex<Turns>,
}

/// When requests set out, or will: the latest [`PER_SECOND`] of them.
#[derive(Debug, Default)]
struct Turns(VecDeque<Instant>);

impl Turns {
    /// Takes the next turn: now, or as soon as there are not too many within a second.
    fn take(&mut self, now: Instant) -> Instant {
        let full = self.0.len() == PER_SECOND;
        let earliest = if full { self.0.pop_front().map(|first| first + SECOND) } else { None };
        let turn = earliest.map_or(now, |earliest| earliest.max(now));
        self.0.push_back(turn);
        turn
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.0.back().is_none_or(|last| *last + SECOND < now)
    }
}

impl Pace {
    /// Waits for a request's turn. It lasts for as long as what is returned is kept.
    pub async fn turn(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        let lane = self.lane(url.authority());
        let permit = Arc::clone(&lane.at_once).acquire_owned().await.ok();
        let turn = lane.turns.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        tokio::time::sleep_until(turn.into()).await;
        permit
    }

    fn lane(&self, host: &str) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= MOST_HOSTS {
            let now = Instant::now();
            let is_idle = |lane: &Lane| lane.turns.lock().unwrap_or_else(PoisonError::into_inner).is_idle(now);
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !is_idle(lane));
        }
        let lane = || Lane { at_once: Arc::new(Semaphore::new(AT_ONCE)), turns: Mutex::default() };
        Arc::clone(lanes.entry(host.to_owned()).or_insert_with(|| Arc::new(lane())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However they come, there are never more within a second, and nobody waits without need.
    #[test]
    fn no_more_than_so_many_within_a_second() {
        let start = Instant::now();
        let mut turns = Turns::default();
        let asked = (0..40).chain(3000..3005).chain((3300..9000).step_by(30));
        let taken: Vec<(Duration, Duration)> =
            asked.map(Duration::from_millis).map(|at| (at, turns.take(start + at).duration_since(start))).collect();
        for window in taken.windows(PER_SECOND + 1) {
            let ((asked, turn), first) = (window[PER_SECOND], window[0].1);
            assert_eq!(turn, asked.max(first + SECOND));
        }
        assert!(taken.iter().take(PER_SECOND).all(|(asked, turn)| asked == turn));
        assert!(!turns.is_idle(start + Duration::from_secs(9)) && turns.is_idle(start + Duration::from_secs(3600)));
    }

    #[tokio::test]
    async fn so_many_at_once_to_each_host() {
        let pace = Pace::default();
        let [one, other]: [Url; 2] =
            ["https://one.example.com/a", "https://other.example.com/"].map(|url| url.parse().unwrap());
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(pace.turn(&one).await);
        }
        let next = tokio::time::timeout(Duration::from_millis(50), pace.turn(&one)).await;
        assert!(next.is_err(), "a sixth at once");
        assert!(pace.turn(&other).await.is_some());
        held.pop();
        assert!(pace.turn(&one).await.is_some());
    }
}
