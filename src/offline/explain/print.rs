//! What `explain` prints.

use serde::Serialize;

use crate::{
    api::{foreign, message},
    policy::{CallerKind, CallerName, Decision},
};

use super::{Explained, TokenFinding, TokenResult};

/// A decision as JSON: its own fields.
///
/// # Errors
/// Never, in practice: it is strings.
pub fn decision_json(decision: &Decision) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(decision).map(|text| text + "\n")
}

/// A decision in words.
pub fn decision_text(decision: &Decision) -> String {
    text(decision, if decision.allow { "Allowed" } else { "Denied" })
}

fn text(decision: &Decision, verdict: &str) -> String {
    let Decision { allow, code, message: why, matched_rules, caller, granted } = decision;
    let CallerName { kind, id, name } = caller;
    // A workload's is in its id already.
    let name = name.as_ref().filter(|_| *kind != CallerKind::Workload);
    let name = name.map_or_else(String::new, |name| format!(", called {}", foreign(name)));
    let mut lines = vec![
        format!("{verdict}: {}", message(why)),
        String::new(),
        format!("  code      {}", code.as_str()),
        format!("  caller    {kind:?} {}{name}", foreign(id)),
    ];
    let rules = matched_rules.iter();
    lines.extend(rules.map(|rule| format!("  rule      InboundAccessPolicy {}, {}", rule.policy, rule.path)));
    let granted = if granted.is_empty() { "nothing besides".to_owned() } else { granted.to_string() };
    lines.extend(allow.then(|| format!("  granted   {granted}")));
    lines.join("\n") + "\n"
}

/// As JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    signature_checked: bool,
    decision: &'a Decision,
    findings: &'a [TokenFinding],
}

impl Explained {
    /// Whether something keeps the token, or its holder, out.
    pub fn is_refused(&self) -> bool {
        !self.decision.allow || self.findings.iter().any(|finding| finding.result == TokenResult::Wrong)
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never, in practice: it is strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let printed = Printed { signature_checked: false, decision: &self.decision, findings: &self.findings };
        serde_json::to_string_pretty(&printed).map(|text| text + "\n")
    }

    /// In words, what is wrong first.
    pub fn text(&self) -> String {
        let wrong = self.findings.iter().filter(|finding| finding.result == TokenResult::Wrong).count();
        let mut text = match (self.decision.allow, wrong) {
            (true, 1..) => text(&self.decision, "Allowed by the policies, were it not for the token"),
            _ => decision_text(&self.decision),
        };
        text += "\nThe token (signature not checked):\n\n";
        let mut findings: Vec<&TokenFinding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.result);
        for TokenFinding { object, path, result, message, .. } in findings {
            text += &format!("  {:7}   {object}, {path}: {message}\n", result.as_str());
        }
        text += &match wrong {
            0 => "\nNothing is wrong with the token, as far as can be told from here.\n".to_owned(),
            1 => "\n1 thing is wrong with the token.\n".to_owned(),
            n => format!("\n{n} things are wrong with the token.\n"),
        };
        text
    }
}
