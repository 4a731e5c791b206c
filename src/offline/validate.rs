//! What `validate` prints.

use super::{Finding, Judged};

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
    if objects == 0 && judged.findings.is_empty() {
        return "nothing of identity.timbr.ai is in the input".to_owned();
    }
    format!("{}: {}, {}", count(objects, "resource"), count(errors, "error"), count(warnings, "warning"))
}

fn count(n: usize, word: &str) -> String {
    match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}
