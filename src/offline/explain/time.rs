//! From when until when a token holds.

use jiff::Timestamp;

use super::{
    Token,
    finding::{TOKEN, TokenCheck, TokenFinding, TokenResult},
};

/// What a token says about time.
pub fn findings(token: &Token, now: Timestamp) -> Vec<TokenFinding> {
    let find = |claim: &str, code, result, message: String| TokenFinding::new(TOKEN, claim, code, result, message);
    let mut findings = vec![match read(token, "exp") {
        Some(Ok(end)) if end <= now => find(
            "exp",
            TokenCheck::Expired,
            TokenResult::Wrong,
            format!("expired at {end}, {} ago; get a new one", between(end, now)),
        ),
        Some(Ok(end)) => {
            find("exp", TokenCheck::Expired, TokenResult::Ok, format!("holds until {end}, for {}", between(now, end)))
        }
        Some(Err(())) => {
            find("exp", TokenCheck::Expired, TokenResult::Wrong, "is no time; get another token".to_owned())
        }
        None => find(
            "exp",
            TokenCheck::Expired,
            TokenResult::Unknown,
            "the token does not say when it ends; a token that never ends is not to be trusted".to_owned(),
        ),
    }];
    for claim in ["nbf", "iat"] {
        let what = if claim == "nbf" { "holds from" } else { "was issued at" };
        findings.extend(read(token, claim).map(|time| match time {
            Ok(start) if start > now => find(
                claim,
                TokenCheck::NotYetValid,
                TokenResult::Wrong,
                format!(
                    "not yet valid: {what} {start}, in {}; if it has just been issued, the clocks of its issuer and of this machine differ: correct them",
                    between(now, start)
                ),
            ),
            Ok(start) => find(claim, TokenCheck::NotYetValid, TokenResult::Ok, format!("{what} {start}")),
            Err(()) => {
                find(claim, TokenCheck::NotYetValid, TokenResult::Wrong, "is no time; get another token".to_owned())
            }
        }));
    }
    findings
}

/// A claim as a time, in whole seconds: a fraction is legal.
fn read(token: &Token, claim: &str) -> Option<Result<Timestamp, ()>> {
    let seconds = token.claims.get(claim)?.as_f64().map(f64::floor);
    #[allow(clippy::cast_possible_truncation)]
    Some(seconds.ok_or(()).and_then(|seconds| Timestamp::from_second(seconds as i64).map_err(|_| ())))
}

/// How much time is between two times: the two largest units.
fn between(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second() - from.as_second();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units.iter().skip(first).take(2) {
        let count = rest / size;
        rest %= size;
        if count > 0 || parts.is_empty() {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let span = |seconds| between(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).expect("a time"));
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_600, "1 h"), (7_500, "2 h 5 min"), (90_061, "1 d 1 h")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
