//! By which access policies the components of a namespace's Timbr are guarded, kept where it outlives them: what is
//! removed opens nothing.
//!
//! A consumer names a namespace and no installation, so the record is the namespace's: an annotation on a Secret without
//! data ([`GUARDS_SECRET`]). Timbr's Deployments could not keep it: `kubectl rollout undo` puts a Deployment's annotations
//! of before in the place of all that are there. What is in front of them on the network is recorded there, by the same
//! rule, [`remembered`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        ANNOTATION_GUARDS, ANNOTATION_NOTE, Code, Enforcement, FIELD_MANAGER, GUARDS_SECRET, InboundAccessPolicySpec,
        LABEL_MANAGED_BY, PolicyTarget, Problem, Reason, Resource, Spec,
    },
    policy::{Policy, State},
};

use super::{Access, Lookup, Snapshot, Verdict, secret::unreadable};

/// Names of access policies, by the component that they guard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Guards(BTreeMap<PolicyTarget, BTreeSet<String>>);

/// What stands for the policies in a record that cannot be read. No policy is called so.
pub const UNKNOWN: &str = "?";

impl Guards {
    /// Reads a record. What cannot be read opens nothing: each of these components is guarded, nobody knows by what.
    pub fn read(record: Option<&String>, targets: impl Iterator<Item = PolicyTarget>) -> Self {
        let read = record.and_then(|record| serde_json::from_str(record).ok());
        read.unwrap_or_else(|| targets.map(|target| (target, BTreeSet::from([UNKNOWN.to_owned()]))).collect())
    }

    /// The record's text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether nothing is guarded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The policies of a component.
    pub fn of(&self, target: PolicyTarget) -> Option<&BTreeSet<String>> {
        self.0.get(&target)
    }

    /// The components that are guarded.
    pub fn targets(&self) -> impl Iterator<Item = PolicyTarget> {
        self.0.keys().copied()
    }

    /// Those of them that are none of `policies`, as policies that were removed.
    pub fn removed<'a>(&'a self, namespace: &'a str, policies: &[Policy<'a>]) -> Vec<Policy<'a>> {
        let is_there = |target: PolicyTarget, name: &str| {
            policies.iter().any(|policy| policy.name == name && policy.target.is_none_or(|its| its == target))
        };
        let all = self.0.iter().flat_map(|(target, names)| names.iter().map(|name| (*target, name.as_str())));
        let gone = all.filter(|(target, name)| !is_there(*target, name));
        gone.map(|(target, name)| Policy { namespace, name, target: Some(target), state: State::Removed }).collect()
    }
}

/// Those that guard something.
impl FromIterator<(PolicyTarget, BTreeSet<String>)> for Guards {
    fn from_iter<T: IntoIterator<Item = (PolicyTarget, BTreeSet<String>)>>(all: T) -> Self {
        Self(all.into_iter().filter(|(_, names)| !names.is_empty()).collect())
    }
}

/// What a component's policies say now.
pub struct Words<'a> {
    /// By name: whether it is to keep others out.
    said: BTreeMap<&'a str, bool>,
    /// Those that are there and have no word: one that cannot be read, or is not accepted, cannot say that it is to keep
    /// others out; but it can say that it is not to.
    silent: BTreeSet<&'a str>,
}

impl<'a> Words<'a> {
    /// Those of these resources, as far as they are policies of a component; `closes` reads a policy's.
    pub fn of(
        access: &Access<'a>,
        target: PolicyTarget,
        resources: impl Iterator<Item = &'a Resource<Spec>>,
        closes: impl Fn(&InboundAccessPolicySpec) -> bool,
    ) -> Self {
        let there = access.policies.iter().filter(|policy| !policy.is_removed());
        let there: Vec<_> = there.filter(|policy| policy.target.is_none_or(|its| its == target)).collect();
        let is_accepted = |name: &str| there.iter().any(|it| it.name == name && matches!(it.state, State::Accepted(_)));
        let word = |resource: &'a Resource<Spec>| match &resource.spec {
            Ok(Spec::InboundAccessPolicy(spec)) if spec.target == target => {
                let (name, closes) = (resource.meta.name.as_str(), closes(spec));
                (!closes || is_accepted(name)).then_some((name, closes))
            }
            _ => None,
        };
        let said: BTreeMap<&str, bool> = resources.filter_map(word).collect();
        let silent = there.iter().map(|policy| policy.name).filter(|name| !said.contains_key(name)).collect();
        Self { said, silent }
    }

    /// Whether one says that it is to keep others out.
    pub fn close(&self) -> bool {
        self.said.values().any(|closes| *closes)
    }
}

/// The policies by which a component is guarded from now on: those that say so, and those that did and have no word now.
/// What did and is gone counts until another says so.
pub fn remembered(before: Option<&BTreeSet<String>>, words: &Words<'_>) -> BTreeSet<String> {
    let closing = words.said.iter().filter(|(_, closes)| **closes).map(|(name, _)| *name);
    let is_kept = |name: &&str| match words.said.contains_key(name) {
        true => false,
        false => !words.close() || words.silent.contains(name),
    };
    let kept = before.into_iter().flatten().map(String::as_str).filter(is_kept);
    closing.chain(kept).map(str::to_owned).collect()
}

/// The live record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveGuards {
    /// Its version.
    pub version: String,
    /// Whether it is the operator's.
    pub ours: bool,
    /// What it says.
    pub guards: Guards,
    /// The note on it.
    note: Option<String>,
    is_labelled: bool,
}

/// Reads the record, by the metadata of the Secret that carries it.
pub fn live_guards(meta: &ObjectMeta) -> LiveGuards {
    let annotation = |key: &str| meta.annotations.as_ref()?.get(key);
    let label = meta.labels.as_ref().and_then(|labels| labels.get(LABEL_MANAGED_BY));
    let is_labelled = label.is_some_and(|by| by == FIELD_MANAGER);
    let record = annotation(ANNOTATION_GUARDS);
    LiveGuards {
        version: meta.resource_version.clone().unwrap_or_default(),
        ours: is_labelled || record.is_some(),
        guards: Guards::read(record, PolicyTarget::ALL.into_iter()),
        note: annotation(ANNOTATION_NOTE).cloned(),
        is_labelled,
    }
}

/// A request about the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardsStep {
    /// It is made, or says this from now on.
    Write {
        /// What it says.
        guards: Guards,
        /// What there is to say to people about it.
        note: Option<String>,
        /// The version that is there; `None`: there is none.
        version: Option<String>,
    },
    /// It goes: nothing is guarded any more.
    Delete {
        /// The version that is there.
        version: String,
    },
}

/// What is to become of a namespace's record, and what there is to say of it.
#[derive(Debug, Default)]
pub struct Guarded {
    /// The request; `None` when it says what it ought to.
    pub next: Option<GuardsStep>,
    /// What keeps components shut on account of access policies that are gone.
    pub shut: Vec<Problem>,
    /// Why the access policies are not done: the record cannot be brought to what they say.
    pub hindrance: Option<Verdict>,
}

/// Plans the record of a snapshot's namespace.
pub fn plan(snapshot: &Snapshot, access: &Access<'_>) -> Guarded {
    // Nothing is guarded, and nothing was.
    let Some(lookup) = &snapshot.guards else { return Guarded::default() };
    let nothing = Guards::default();
    let live = lookup.found().filter(|live| live.ours);
    let before = live.map_or(&nothing, |live| &live.guards);
    let is_enforced = |spec: &InboundAccessPolicySpec| spec.enforcement == Enforcement::Enforce;
    let guards: Guards = PolicyTarget::ALL
        .into_iter()
        .map(|target| {
            let words = Words::of(access, target, snapshot.resources.iter(), is_enforced);
            (target, remembered(before.of(target), &words))
        })
        .collect();
    let shut = shut(&guards, access);
    let note = note(&shut);
    let next = match live {
        Some(live) if guards.is_empty() => Some(GuardsStep::Delete { version: live.version.clone() }),
        None if guards.is_empty() => None,
        Some(live) if live.is_labelled && live.guards == guards && live.note == note => None,
        live => Some(GuardsStep::Write { guards, note, version: live.map(|live| live.version.clone()) }),
    };
    let hindrance = next.as_ref().and_then(|_| hindrance(snapshot, lookup));
    Guarded { next: next.filter(|_| !is_in_the_way(lookup)), shut, hindrance }
}

/// The note on what outlives what it was made for.
pub fn note(problems: &[Problem]) -> Option<String> {
    let notes: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    (!notes.is_empty()).then(|| notes.join("\n"))
}

/// Whether the record cannot be read, or another object has its name.
fn is_in_the_way(lookup: &Lookup<LiveGuards>) -> bool {
    match lookup {
        Lookup::Found(live) => !live.ours,
        Lookup::Forbidden => true,
        Lookup::Missing | Lookup::NotInInput => false,
    }
}

fn hindrance(snapshot: &Snapshot, lookup: &Lookup<LiveGuards>) -> Option<Verdict> {
    let title = guards_title();
    match lookup {
        Lookup::Found(live) if !live.ours => Some(Verdict::no(
            Reason::Conflict,
            format!(
                "{title} is in the way: it was not made by this operator, which keeps in a Secret of that name by which policies Timbr is guarded; rename it"
            ),
        )),
        Lookup::Forbidden => Some(unreadable(GUARDS_SECRET, &snapshot.key.namespace)),
        // Of files nobody knows.
        Lookup::NotInInput => None,
        Lookup::Found(_) | Lookup::Missing => Some(match snapshot.unguarded.get(&title) {
            Some(failure) => failure.verdict(&title),
            None => Verdict::pending(format!("{title} does not say yet by which policies Timbr is guarded")),
        }),
    }
}

/// What messages call the record.
pub fn guards_title() -> String {
    format!("Secret {GUARDS_SECRET}")
}

fn shut(guards: &Guards, access: &Access<'_>) -> Vec<Problem> {
    let there: Vec<Policy<'_>> = access.policies.iter().filter(|policy| !policy.is_removed()).copied().collect();
    let problem = |policy: Policy<'_>| {
        let (name, target) = (policy.name, policy.target?.as_str());
        if name == UNKNOWN {
            let title = guards_title();
            let message = format!(
                "what {title} says of {target} cannot be read, so it stays shut to whoever no policy admits; delete {title}: what policies say is recorded anew"
            );
            return Some(Problem::warning("spec", Code::PolicyRemoved, message));
        }
        let message = format!(
            "InboundAccessPolicy {name} was deleted, or guards another component now, and {target} stays shut to whoever no other policy admits: what is removed opens nothing; to open it, make a policy of that name for {target} with enforcement: Audit, and delete it once it is Ready; or delete {}",
            guards_title()
        );
        Some(Problem::warning("spec", Code::PolicyRemoved, message))
    };
    guards.removed("", &there).into_iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_removed_is_remembered_until_it_says_otherwise() {
        type Row<'a> = (&'a [&'a str], &'a [(&'a str, bool)], &'a [&'a str], &'a [&'a str]);
        // Recorded, said, without a word; then.
        let rows: [Row<'_>; 12] = [
            (&[], &[], &[], &[]),
            (&[], &[("a", false)], &[], &[]),
            (&[], &[("a", true), ("b", false)], &[], &["a"]),
            (&[], &[("a", true)], &["b"], &["a"]),
            (&["a"], &[("a", true)], &[], &["a"]),
            (&["a"], &[], &[], &["a"]),
            (&["a"], &[], &["a"], &["a"]),
            (&["a"], &[("b", false)], &[], &["a"]),
            (&["a"], &[("a", false)], &[], &[]),
            (&["a", "b"], &[("a", false)], &[], &["b"]),
            // The other one guards it now, and what it says counts; but not for one that is there still.
            (&["a"], &[("b", true)], &[], &["b"]),
            (&["a"], &[("b", true)], &["a"], &["a", "b"]),
        ];
        for (before, said, silent, expected) in rows {
            let words = Words { said: said.iter().copied().collect(), silent: silent.iter().copied().collect() };
            assert_eq!(remembered(Some(&names(before)), &words), names(expected), "{before:?} {said:?} {silent:?}");
        }
    }

    #[test]
    fn what_is_not_there_any_more_was_removed() {
        let text = r#"{"Api":["a","b"],"Server":["a"]}"#.to_owned();
        let guards = Guards::read(Some(&text), PolicyTarget::ALL.into_iter());
        assert_eq!(guards.write(), text);
        let policy = |name, target| Policy { namespace: "ns", name, target, state: State::Invalid };
        let removed = |policies: &[Policy<'_>]| {
            let removed = guards.removed("ns", policies);
            assert!(removed.iter().all(|policy| matches!(policy.state, State::Removed) && policy.namespace == "ns"));
            removed.iter().map(|it| format!("{} {:?}", it.name, it.target)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(removed(&[]), "a Some(Api), b Some(Api), a Some(Server)");
        assert_eq!(removed(&[policy("a", Some(PolicyTarget::Api))]), "b Some(Api), a Some(Server)");
        assert_eq!(removed(&[policy("a", None), policy("c", None)]), "b Some(Api)");
    }

    #[test]
    fn what_cannot_be_read_guards_everything() {
        for record in [None, Some(""), Some("{"), Some(r#"{"Gate":["a"]}"#), Some(r#"{"Api":"a"}"#)] {
            let guards = Guards::read(record.map(str::to_owned).as_ref(), PolicyTarget::ALL.into_iter());
            assert_eq!(guards.write(), r#"{"Api":["?"],"Platform":["?"],"Server":["?"]}"#, "{record:?}");
        }
        assert!(Guards::read(Some(&"{}".to_owned()), PolicyTarget::ALL.into_iter()).is_empty());
    }
}
