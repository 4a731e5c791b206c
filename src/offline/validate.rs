//! What `validate` prints.

use super::{
    Finding, Judged,
    by_hand::{Documented, Section, Service},
};

/// One line a finding.
pub fn text(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// All findings as one JSON array.
///
/// # Errors
/// Never, in practice: findings are strings and numbers.
pub fn json(findings: &[Finding]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(findings).map(|text| text + "\n")
}

/// One line for a person who looks on.
pub fn summary(judged: &Judged<'_>) -> String {
    let objects = judged.objects.ours.len();
    let errors = judged.findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = judged.findings.len() - errors;
    // What stands beside an integration sets up none.
    let sets_up = |documented: &Documented| documented.section != Section::Beside;
    let is_by_hand =
        |service: &&Service| service.variables.iter().any(|variable| variable.documented().is_some_and(sets_up));
    let by_hand = judged.services.iter().filter(is_by_hand).count();
    if objects == 0 && by_hand == 0 && judged.findings.is_empty() {
        return "nothing of identity.timbr.ai is in the input".to_owned();
    }
    let by_hand = match by_hand {
        0 => String::new(),
        n => format!(" and {} set up by hand", count(n, "service")),
    };
    format!("{}{by_hand}: {}, {}", count(objects, "resource"), count(errors, "error"), count(warnings, "warning"))
}

fn count(n: usize, word: &str) -> String {
    match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}
