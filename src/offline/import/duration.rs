//! Numbers of seconds and minutes as durations.

const UNITS: [(u64, char); 3] = [(3600, 'h'), (60, 'm'), (1, 's')];

/// `24h`, `90m`, `45s`: a number of units, each of so many seconds, in the largest unit that it is a whole
/// number of.
pub fn of(number: &str, seconds: u64) -> Option<String> {
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    let (unit, letter) = UNITS.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, 's'));
    Some(format!("{}{letter}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_largest_unit() {
        let table =
            [("86400", 1, "24h"), ("90", 60, "90m"), ("45", 1, "45s"), ("3661", 1, "3661s"), ("1440", 60, "24h")];
        for (number, unit, expected) in table {
            assert_eq!(of(number, unit).as_deref(), Some(expected));
        }
        assert_eq!((of("18446744073709551615", 60), of("1.5", 60)), (None, None));
    }
}
