//! What a change of files opens, and what it closes.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    api::PolicyTarget,
    policy::{Door, Granted, KnownBy, Who},
};

use super::matrix::{Matrix, door_says};

/// What is different between two lists.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    namespace: String,
    target: PolicyTarget,
    door: DoorChange,
    /// Whether anybody comes in, or is granted something, who was not before.
    pub opens: bool,
    /// Who comes in, or is granted something, and was not before.
    opened: Vec<Difference>,
    /// Who came in, or was granted something, and is no more.
    closed: Vec<Difference>,
}

/// What holds for those that are not listed, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct DoorChange {
    now: Door,
    then: Door,
}

/// One of the differences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    who: Who,
    known_by: KnownBy,
    /// Whether it is about coming in. Else about what is granted alone.
    comes_in: bool,
    granted: Granted,
}

/// Those who are on a list, and what each is granted: a rule that stands elsewhere is the same rule.
type Listed = BTreeMap<(Who, KnownBy), Granted>;

fn listed(matrix: &Matrix) -> Listed {
    let mut listed = Listed::new();
    for entry in matrix.entries.iter().filter(|entry| entry.inert.is_none()) {
        let key = (entry.who.clone(), entry.known_by.clone());
        listed.entry(key).or_default().extend(entry.granted.clone());
    }
    listed
}

/// What is on a list and not on another; `was_open`: everybody comes in by the other one.
fn beyond(all: &Listed, other: &Listed, was_open: bool) -> Vec<Difference> {
    let nothing = Granted::default();
    let differences = all.iter().map(|(key, granted)| {
        let there = other.get(key);
        let (who, known_by) = key.clone();
        let granted = granted.beyond(there.unwrap_or(&nothing));
        Difference { who, known_by, comes_in: there.is_none() && !was_open, granted }
    });
    differences.filter(|difference| difference.comes_in || !difference.granted.is_empty()).collect()
}

impl Change {
    /// From what is now to what will be.
    pub fn new(now: &Matrix, then: &Matrix) -> Self {
        let (before, after) = (listed(now), listed(then));
        let door = DoorChange { now: now.door, then: then.door };
        let opened = beyond(&after, &before, now.door.is_open());
        Self {
            namespace: then.namespace.clone(),
            target: then.target,
            door,
            opens: door.opens() || !opened.is_empty(),
            opened,
            closed: beyond(&before, &after, then.door.is_open()),
        }
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never, in practice: it is strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// A sentence on the whole, and a line for each difference.
    pub fn text(&self) -> String {
        let Self { namespace, target, door: DoorChange { now, then }, opened, closed, .. } = self;
        let mut text = format!("{} of namespace {namespace}: ", target.as_str());
        text += &if now == then {
            format!("{}, as before\n", door_says(*now))
        } else {
            format!("{}\nbefore: {}\n", door_says(*then), door_says(*now))
        };
        let mut lines: Vec<String> = Vec::new();
        if self.door.opens() {
            lines.push("+ everybody who is not listed".to_owned());
        }
        lines.extend(opened.iter().map(|difference| format!("+ {difference}")));
        if self.door.closes() {
            lines.push("- everybody who is not listed".to_owned());
        }
        lines.extend(closed.iter().map(|difference| format!("- {difference}")));
        if lines.is_empty() {
            lines.push("nothing opens, nothing closes".to_owned());
        }
        text + "\n" + &lines.join("\n") + "\n"
    }
}

impl DoorChange {
    fn opens(self) -> bool {
        self.then.is_open() && !self.now.is_open()
    }

    fn closes(self) -> bool {
        self.now.is_open() && !self.then.is_open()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, known_by, comes_in, granted } = self;
        write!(f, "{who}, by {known_by}")?;
        match (comes_in, granted.is_empty()) {
            (_, true) => Ok(()),
            (true, false) => write!(f, ", with {granted}"),
            (false, false) => write!(f, ": {granted}"),
        }
    }
}
