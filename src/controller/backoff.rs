//! How long to wait before trying again: pure, the randomness is an argument.

use std::time::Duration;

/// First wait.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// The wait after the n-th failure in a row (from 1): doubling, of which a random half is taken off
/// (`random` in 0..1), but never shorter than what the server asked for.
pub fn delay(failures: u32, asked: Option<Duration>, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let jittered = doubled.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0);
    jittered.max(asked.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_five_minutes_with_jitter_and_honours_the_server() {
        let seconds = |failures, random| delay(failures, None, random).as_secs_f64();
        assert_eq!([seconds(1, 0.0), seconds(2, 0.0), seconds(5, 0.0)], [1.0, 2.0, 16.0]);
        assert_eq!([seconds(1, 1.0), seconds(5, 0.5)], [0.5, 12.0]);
        assert_eq!([seconds(30, 0.0), seconds(u32::MAX, 1.0)], [300.0, 150.0]);
        assert_eq!(delay(1, Some(Duration::from_secs(20)), 0.3), Duration::from_secs(20));
    }
}
