//! Numbers of seconds and minutes as durations.

const UNITS: [(u64, char); 3] = [(3600, 'h'), (60, 'm'), (1, 's')];

/// `24h`, `90m`, `45s`: in the largest unit that it is a whole number of.
pub fn of_seconds(seconds: u64) -> String {
    let (unit, letter) = UNITS.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_largest_unit() {
        for (seconds, expected) in [(86400, "24h"), (5400, "90m"), (45, "45s"), (3661, "3661s"), (600, "10m")] {
            assert_eq!(of_seconds(seconds), expected);
        }
    }
}
