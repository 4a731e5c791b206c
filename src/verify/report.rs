//! What came of checks, for a person and for programs.

use serde::Serialize;

use crate::{
    api::{CheckLevel, CheckResult, Meta},
    compose::Check,
    table,
};

use super::Outcome;

/// A check of a resource, and what came of it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The resource.
    pub meta: Meta,
    /// What the check is called.
    pub name: String,
    /// What depends on it.
    pub level: CheckLevel,
    /// What came of it.
    pub outcome: Outcome,
}

/// As JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    namespace: &'a str,
    kind: &'static str,
    name: &'a str,
    check: &'a str,
    level: &'static str,
    result: &'static str,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl Checked {
    /// What came of a check.
    pub fn new(meta: &Meta, check: &Check, outcome: Outcome) -> Self {
        Self { meta: meta.clone(), name: check.name.clone(), level: check.level, outcome }
    }

    fn line(&self) -> Line<'_> {
        Line {
            namespace: &self.meta.namespace,
            kind: self.meta.kind.name(),
            name: &self.meta.name,
            check: &self.name,
            level: self.level.as_str(),
            result: self.outcome.finding().as_str(),
            reason: self.outcome.reason.as_str(),
            message: &self.outcome.message,
            expires: self.outcome.expires.map(|at| at.to_string()),
        }
    }
}

/// A table of all, and under it what is to be done about those that did not pass.
pub fn table(checked: &[Checked]) -> String {
    let heads = ["NAMESPACE", "RESOURCE", "CHECK", "LEVEL", "RESULT", "REASON"].map(str::to_owned);
    let rows = checked.iter().map(Checked::line).map(|line| {
        [
            line.namespace.to_owned(),
            format!("{}/{}", line.kind, line.name),
            line.check.to_owned(),
            line.level.to_owned(),
            line.result.to_owned(),
            line.reason.to_owned(),
        ]
    });
    let rows: Vec<_> = [heads].into_iter().chain(rows).collect();
    let mut table = table::table(&rows);
    for line in checked.iter().map(Checked::line).filter(|line| line.result != CheckResult::Pass.as_str()) {
        let Line { namespace, kind, name, check, result, message, .. } = line;
        table += &format!("\n{result}: {namespace} {kind}/{name}, {check}\n    {message}\n");
    }
    table
}

/// A JSON array of all.
///
/// # Errors
/// None: it is all text.
pub fn json(checked: &[Checked]) -> serde_json::Result<String> {
    let lines: Vec<Line<'_>> = checked.iter().map(Checked::line).collect();
    Ok(serde_json::to_string_pretty(&lines)? + "\n")
}

/// How many passed, failed, and nobody knows of.
pub fn summary(checked: &[Checked]) -> String {
    let count = |result| checked.iter().filter(|checked| checked.outcome.finding() == result).count();
    format!(
        "{} checks: {} passed, {} failed, {} unknown",
        checked.len(),
        count(CheckResult::Pass),
        count(CheckResult::Fail),
        count(CheckResult::Unknown)
    )
}
