//! The list of those who may use a component, and by what.

use serde::Serialize;

use crate::{
    api::{Enforcement, Kind, PolicyTarget, message},
    offline::{Finding, Judged},
    policy::{Door, Entry, Policy, State, listing},
    table::table,
};

use super::access;

/// Who may use a component of the Timbr of a namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// The namespace.
    pub namespace: String,
    /// The component.
    pub target: PolicyTarget,
    /// What holds for those that are not listed.
    pub door: Door,
    /// Its policies, by name.
    pub policies: Vec<Guard>,
    /// Who is listed.
    pub entries: Vec<Entry>,
}

/// A policy of the component.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// What becomes of those that are not listed; absent: it is not accepted, and admits nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// Why it is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who may use a component of the Timbr of a namespace.
pub fn matrix(judged: &Judged<'_>, namespace: &str, target: PolicyTarget) -> Matrix {
    let access = access(judged, namespace);
    let (door, entries) = listing(&access.trust, target, &access.policies);
    let of_target = access.policies.iter().filter(|policy| policy.target.is_none_or(|its| its == target));
    let mut policies: Vec<Guard> = of_target.map(|policy| guard(policy, judged)).collect();
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    Matrix { namespace: namespace.to_owned(), target, door, policies, entries }
}

fn guard(policy: &Policy<'_>, judged: &Judged<'_>) -> Guard {
    let title = message(&format!("{} {}/{}", Kind::InboundAccessPolicy, policy.namespace, policy.name));
    let mut errors = judged.findings.iter().filter(|finding| finding.object == title && finding.is_error());
    let (enforcement, problem) = match policy.state {
        State::Accepted(spec) => (Some(spec.enforcement), None),
        State::Invalid | State::Removed => {
            let why = |Finding { path, message, code, .. }: &Finding| format!("{path}: {message} [{code}]");
            (None, Some(errors.next().map_or_else(|| "it is not accepted".to_owned(), why)))
        }
    };
    Guard { name: policy.name.to_owned(), enforcement, problem }
}

impl Matrix {
    /// As JSON.
    ///
    /// # Errors
    /// Never, in practice: it is strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// A sentence on what holds, a table of those who are listed, and under it what is wrong.
    pub fn text(&self) -> String {
        let Self { door, entries, policies, .. } = self;
        let mut text = format!("{}\n", self.holds());
        let wrong = || policies.iter().filter_map(|policy| Some((&policy.name, policy.problem.as_ref()?)));
        if !entries.is_empty() || wrong().next().is_some() {
            let rows = entries.iter().map(row);
            let unheard = wrong().map(|(name, _)| ["nobody", "", "", "not accepted", name].map(str::to_owned));
            let heads = ["WHO", "KNOWN BY", "GRANTED", "COMES IN", "BY"].map(str::to_owned);
            text += &format!("\n{}", table(&[heads].into_iter().chain(rows).chain(unheard).collect::<Vec<_>>()));
        }
        for (part, inert) in entries.iter().filter_map(|entry| Some((&entry.part, entry.inert?))) {
            text += &format!("\nnobody comes in by {}, {}: {}\n", part.policy, part.path, inert.why());
        }
        for (name, problem) in wrong() {
            text += &format!("\n{name} is not accepted, and admits nobody: {problem}\n");
        }
        if *door == Door::Audit {
            text += "\nThe policies only watch: whoever is not listed comes in all the same.\n";
        }
        text
    }

    /// What holds, in a sentence.
    fn holds(&self) -> String {
        let names: Vec<&str> = self.policies.iter().map(|policy| policy.name.as_str()).collect();
        let kind = if names.len() == 1 { "InboundAccessPolicy" } else { "InboundAccessPolicies" };
        let Self { namespace, target, door, .. } = self;
        let by = if names.is_empty() { String::new() } else { format!(" ({kind} {})", names.join(", ")) };
        format!("{} of namespace {namespace}: {}{by}", target.as_str(), door_says(*door))
    }
}

/// What a door lets through.
pub(super) const fn door_says(door: Door) -> &'static str {
    match door {
        Door::NoPolicy => "everybody comes in, as no InboundAccessPolicy speaks of it",
        Door::PolicyMissing => "nobody comes in: no InboundAccessPolicy speaks of it, and accessPolicy is Required",
        Door::PolicyRemoved => "nobody comes in: its policies were removed, which opens nothing",
        Door::PolicyNotAccepted => "nobody comes in: no policy of it is accepted",
        Door::Audit => "everybody comes in; enforcement is Audit",
        Door::Enforce => "those come in that are listed; enforcement is Enforce",
    }
}

fn row(entry: &Entry) -> [String; 5] {
    let Entry { who, known_by, part, granted, inert } = entry;
    [
        who.to_string(),
        known_by.to_string(),
        granted.to_string(),
        if inert.is_some() { "nobody" } else { "yes" }.to_owned(),
        format!("{}, {}", part.policy, part.path),
    ]
}
