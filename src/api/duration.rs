//! Durations as manifests spell them, and the limits that fields set.

use kube::core::Rule;

use super::{Code, Problem, rules};

/// Seconds of a duration such as `1h30m`; `None` for what is no duration.
pub fn seconds(text: &str) -> Option<u64> {
    if !rules::DURATION.holds(text) {
        return None;
    }
    let mut total = 0;
    let mut number = 0;
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => number = number * 10 + u64::from(digit),
            None => {
                let unit = match c {
                    'h' => 3600,
                    'm' => 60,
                    _ => 1,
                };
                total += number * unit;
                number = 0;
            }
        }
    }
    Some(total)
}

/// The limits of a duration field. What is no duration at all breaks [`rules::DURATION`] alone.
#[derive(Debug)]
pub struct DurationRule {
    /// Shortest, in seconds.
    pub min: u64,
    /// Longest, in seconds.
    pub max: u64,
    /// The variable's unit, in seconds: only whole units can be written.
    pub unit: u64,
    /// The sentence: what is expected, and how to fix it.
    pub message: &'static str,
}

/// Minutes that Timbr counts in: from one minute to a day.
pub static MINUTES: DurationRule = DurationRule {
    min: 60,
    max: 24 * 3600,
    unit: 60,
    message: "must be whole minutes, from 1m to 24h: Timbr counts it in minutes",
};

/// How often groups may be synchronised: from a minute to 30 days.
pub static SYNC_INTERVAL: DurationRule =
    DurationRule { min: 60, max: 30 * 24 * 3600, unit: 1, message: "must be from 60s to 720h (30 days)" };

impl DurationRule {
    /// The rule for the CRD's schema; the message begins with the code.
    pub fn cel(&self) -> Rule {
        let Self { min, max, unit, message } = self;
        let rule = format!(
            "!self.matches(r'{}') || (duration(self) >= duration('{min}s') && duration(self) <= duration('{max}s') && duration(self).getSeconds() % {unit} == 0)",
            rules::DURATION.pattern.text
        );
        Rule::new(rule).message(format!("{}: {message}", Code::DurationOutOfRange).as_str())
    }

    /// The problems of `value` at `path`.
    pub fn check(&self, path: &str, value: &str) -> Option<Problem> {
        match seconds(value) {
            None => rules::DURATION.check(path, value),
            Some(seconds) if (self.min..=self.max).contains(&seconds) && seconds.is_multiple_of(self.unit) => None,
            Some(_) => Some(Problem::error(path, Code::DurationOutOfRange, self.message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, wanted) in
            [("24h", Some(86_400)), ("1h30m", Some(5400)), ("90s", Some(90)), ("0s", Some(0)), ("10m10m", Some(1200))]
        {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        for text in ["", "10", "h", "1d", "-1h", "1.5h", " 1h", "1h ", "1H", "9999999s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn cel_and_rust_agree() {
        use kube::core::cel::{Validator, compile_schema};
        for rule in [&MINUTES, &SYNC_INTERVAL] {
            let schema = serde_json::json!({"type": "string", "x-kubernetes-validations": [rule.cel()]});
            let compiled = compile_schema(&schema);
            assert!(!compiled.has_errors(), "{:?}", compiled.compilation_errors());
            for text in [
                "1m",
                "59s",
                "60s",
                "61s",
                "24h",
                "24h1m",
                "24h1s",
                "1h30m",
                "720h",
                "720h1s",
                "0s",
                "999999h999999h9h",
            ] {
                let cel = Validator::new().validate_compiled(&compiled, &serde_json::json!(text), None).is_ok();
                assert_eq!(cel, rule.check("spec.x", text).is_none(), "{text}");
            }
        }
    }
}
