//! The operator's clock.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Time as the operator sees it: the wall clock, or for tests one that runs faster.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: (Instant, Timestamp),
    rate: f64,
}

impl Clock {
    /// A clock that runs `rate` times as fast as the wall clock from now on.
    pub fn new(rate: f64) -> Self {
        Self { begun: (Instant::now(), Timestamp::now()), rate }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        if self.rate == 1.0 {
            // Follows whoever sets the machine's clock.
            return Timestamp::now();
        }
        let elapsed = SignedDuration::try_from(self.begun.0.elapsed().mul_f64(self.rate)).unwrap_or_default();
        self.begun.1.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// What this clock showed when the wall clock showed `then`: to compare times that others wrote with its own.
    pub fn shown(&self, then: Timestamp) -> Timestamp {
        let rest = then.duration_since(self.begun.1).as_secs_f64() * (self.rate - 1.0);
        let rest = SignedDuration::try_from_secs_f64(rest).unwrap_or_default();
        then.checked_add(rest).unwrap_or(then)
    }

    /// How long to wait, really, until `then`.
    pub fn until(&self, then: Timestamp) -> Duration {
        let wait = then.duration_since(self.now());
        Duration::try_from(wait).unwrap_or_default().div_f64(self.rate)
    }

    /// How much faster than the wall clock it runs.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_waits_less() {
        let clock = Clock::new(60.0);
        let then = clock.now().checked_add(SignedDuration::from_mins(60)).unwrap();
        let wait = clock.until(then);
        assert!(wait <= Duration::from_secs(60) && wait > Duration::from_secs(50), "{wait:?}");
        assert_eq!(clock.until(Timestamp::MIN), Duration::ZERO);
    }

    #[test]
    fn what_others_wrote_ages_as_fast() {
        let begun = Timestamp::now();
        let at = |seconds: i64| begun.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        for (rate, seconds) in [(1.0, 10), (60.0, 600), (60.0, -600)] {
            let clock = Clock { begun: (Instant::now(), begun), rate };
            assert_eq!(clock.shown(at(seconds / rate as i64)), at(seconds), "{rate}");
        }
    }
}
