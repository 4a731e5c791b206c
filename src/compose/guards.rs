//! By which access policies a component is guarded, kept where it outlives them: what is removed opens nothing.
//!
//! The admission webhook keeps out by what is on Timbr's Deployments, the network by what is on the NetworkPolicy in
//! front of them; each by the same rule, [`remembered`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    api::{Enforcement, InboundAccessPolicySpec, PolicyTarget, Resource, Spec},
    policy::{Policy, State},
};

use super::{Access, Snapshot, site::Site};

/// Names of access policies, by the component that they guard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Guards(BTreeMap<PolicyTarget, BTreeSet<String>>);

impl Guards {
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
}

/// Those that guard something and are none of `policies`, as policies that were removed.
pub fn removed<'a>(
    guards: impl Iterator<Item = &'a Guards>,
    namespace: &'a str,
    policies: &[Policy<'a>],
) -> Vec<Policy<'a>> {
    let is_there = |target: PolicyTarget, name: &str| {
        policies.iter().any(|policy| policy.name == name && policy.target.is_none_or(|its| its == target))
    };
    let all = guards.flat_map(|guards| &guards.0).flat_map(|(target, names)| names.iter().map(|name| (*target, name)));
    let gone: BTreeSet<(PolicyTarget, &String)> = all.filter(|(target, name)| !is_there(*target, name)).collect();
    gone.into_iter()
        .map(|(target, name)| Policy { namespace, name, target: Some(target), state: State::Removed })
        .collect()
}

/// Those that guard something.
impl FromIterator<(PolicyTarget, BTreeSet<String>)> for Guards {
    fn from_iter<T: IntoIterator<Item = (PolicyTarget, BTreeSet<String>)>>(all: T) -> Self {
        Self(all.into_iter().filter(|(_, names)| !names.is_empty()).collect())
    }
}

/// The words of a component's policies, by name: whether they are to keep others out. One that cannot be read, or is
/// not accepted, cannot say so; but it can say that it is not to.
pub type Words<'a> = BTreeMap<&'a str, bool>;

/// The words of these resources, as far as they are policies of a component; `closes` reads a policy's.
pub fn words<'a>(
    access: &Access<'_>,
    target: PolicyTarget,
    resources: impl Iterator<Item = &'a Resource<Spec>>,
    closes: impl Fn(&InboundAccessPolicySpec) -> bool,
) -> Words<'a> {
    let is_accepted = |name: &str| {
        access.policies.iter().any(|policy| policy.name == name && matches!(policy.state, State::Accepted(_)))
    };
    let word = |resource: &'a Resource<Spec>| match &resource.spec {
        Ok(Spec::InboundAccessPolicy(spec)) if spec.target == target => {
            let (name, closes) = (resource.meta.name.as_str(), closes(spec));
            (!closes || is_accepted(name)).then_some((name, closes))
        }
        _ => None,
    };
    resources.filter_map(word).collect()
}

/// The policies by which a component is guarded from now on. While one says so, those that do; else those that did, but
/// for the ones that say otherwise by now.
pub fn remembered(before: Option<&BTreeSet<String>>, words: &Words<'_>) -> BTreeSet<String> {
    let closing: BTreeSet<String> =
        words.iter().filter(|(_, closes)| **closes).map(|(name, _)| (*name).to_owned()).collect();
    if !closing.is_empty() {
        return closing;
    }
    before.into_iter().flatten().filter(|name| !words.contains_key(name.as_str())).cloned().collect()
}

/// By which policies what runs in a Deployment is guarded from now on.
pub fn guards(snapshot: &Snapshot, site: &Site<'_>, access: &Access<'_>) -> Guards {
    let before = site.guards();
    // Suspended: it stays as it is.
    if snapshot.delivery().is_none() {
        return before;
    }
    let is_enforced = |spec: &InboundAccessPolicySpec| spec.enforcement == Enforcement::Enforce;
    let of = |target| {
        let words = words(access, target, snapshot.resources.iter(), is_enforced);
        (target, remembered(before.of(target), &words))
    };
    site.targets().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_removed_is_remembered_until_it_says_otherwise() {
        type Row<'a> = (&'a [&'a str], &'a [(&'a str, bool)], &'a [&'a str]);
        let rows: [Row<'_>; 9] = [
            (&[], &[], &[]),
            (&[], &[("a", false)], &[]),
            (&[], &[("a", true), ("b", false)], &["a"]),
            (&["a"], &[("a", true)], &["a"]),
            (&["a"], &[], &["a"]),
            (&["a"], &[("b", false)], &["a"]),
            (&["a"], &[("a", false)], &[]),
            (&["a", "b"], &[("a", false)], &["b"]),
            // The other one guards it now, and what it says counts.
            (&["a"], &[("b", true)], &["b"]),
        ];
        for (before, words, expected) in rows {
            let found = remembered(Some(&names(before)), &words.iter().copied().collect());
            assert_eq!(found, names(expected), "{before:?} {words:?}");
        }
    }

    #[test]
    fn what_is_not_there_any_more_was_removed() {
        let text = r#"{"Api":["a","b"],"Server":["a"]}"#;
        let guards: Guards = serde_json::from_str(text).expect("guards");
        assert_eq!(serde_json::to_string(&guards).expect("JSON"), text);
        let policy = |name, target| Policy { namespace: "ns", name, target, state: State::Invalid };
        let removed = |policies: &[Policy<'_>]| {
            let removed = removed([&guards, &guards].into_iter(), "ns", policies);
            assert!(removed.iter().all(|policy| matches!(policy.state, State::Removed) && policy.namespace == "ns"));
            removed.iter().map(|it| format!("{} {:?}", it.name, it.target)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(removed(&[]), "a Some(Api), b Some(Api), a Some(Server)");
        assert_eq!(removed(&[policy("a", Some(PolicyTarget::Api))]), "b Some(Api), a Some(Server)");
        assert_eq!(removed(&[policy("a", None), policy("c", None)]), "b Some(Api)");
    }
}
