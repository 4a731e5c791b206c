//! The policies of a component.

use crate::api::{Enforcement, InboundAccessPolicySpec, InboundRule, PolicyTarget};

use super::{Door, MatchedRule, Trust, Unlisted};

/// A policy, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Its namespace, which is Timbr's.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The component that it guards. `None`: nobody can read which, so it may be any.
    pub target: Option<PolicyTarget>,
    /// What counts of it.
    pub state: State<'a>,
}

/// What counts of a policy.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// What it says.
    Accepted(&'a InboundAccessPolicySpec),
    /// That it is there: something is wrong with it, and it admits nobody.
    Invalid,
    /// That it was there, and was enforced: what is removed opens nothing.
    Removed,
}

impl<'a> Policy<'a> {
    /// What it says, if it is to be heard.
    fn heard(&self) -> Option<&'a InboundAccessPolicySpec> {
        match self.state {
            State::Accepted(spec) => Some(spec),
            State::Invalid | State::Removed => None,
        }
    }

    /// Whether it was there once, and is not any more.
    pub fn is_removed(&self) -> bool {
        matches!(self.state, State::Removed)
    }

    /// A part of it.
    pub(super) fn part(&self, path: impl Into<String>) -> MatchedRule {
        MatchedRule { policy: self.name.to_owned(), path: path.into() }
    }
}

/// The policies of one component, whoever is asking.
#[derive(Debug)]
pub(super) struct Policies<'a> {
    by_name: Vec<&'a Policy<'a>>,
}

impl<'a> Policies<'a> {
    /// Those of a component.
    pub(super) fn of(target: PolicyTarget, all: &'a [Policy<'a>]) -> Self {
        let is_of = |policy: &&Policy<'_>| policy.target.is_none_or(|its| its == target);
        let mut by_name: Vec<_> = all.iter().filter(is_of).collect();
        by_name.sort_by_key(|policy| (policy.namespace, policy.name));
        Self { by_name }
    }

    /// What holds, whoever asks.
    pub(super) fn door(&self, trust: &Trust) -> Door {
        if self.by_name.is_empty() {
            return match trust.unlisted {
                Unlisted::Open => Door::NoPolicy,
                Unlisted::Closed => Door::PolicyMissing,
            };
        }
        if self.heard().next().is_none() {
            return if self.are_removed() { Door::PolicyRemoved } else { Door::PolicyNotAccepted };
        }
        if self.only_watch() { Door::Audit } else { Door::Enforce }
    }

    /// Whether all of them were removed.
    fn are_removed(&self) -> bool {
        self.by_name.iter().all(|policy| policy.is_removed())
    }

    /// Those that are to be heard, and what they say.
    pub(super) fn heard(&self) -> impl Iterator<Item = (&'a Policy<'a>, &'a InboundAccessPolicySpec)> {
        self.by_name.iter().filter_map(|policy| Some((*policy, policy.heard()?)))
    }

    /// Whether they only watch: the strictest counts, and what cannot be heard is strict.
    fn only_watch(&self) -> bool {
        let watches = |policy: &&Policy<'_>| policy.heard().is_some_and(|spec| spec.enforcement == Enforcement::Audit);
        self.by_name.iter().all(watches)
    }

    /// The rules that are to be heard, each with where it stands.
    pub(super) fn rules(&self) -> impl Iterator<Item = (MatchedRule, &'a Policy<'a>, &'a InboundRule)> {
        self.heard().flat_map(|(policy, spec)| {
            let rules = spec.inbound.rules.iter().enumerate();
            rules.map(move |(i, rule)| (policy.part(format!("spec.inbound.rules[{i}]")), policy, rule))
        })
    }

    /// Their namespace; empty when there is none.
    pub(super) fn namespace(&self) -> &'a str {
        self.by_name.first().map_or("", |policy| policy.namespace)
    }

    /// Their names, in a sentence: of those that are there, if any is.
    pub(super) fn titles(&self) -> String {
        let (removed, there): (Vec<_>, Vec<_>) = self.by_name.iter().partition(|policy| policy.is_removed());
        title(if there.is_empty() { &removed } else { &there })
    }

    /// The same of those that were removed, if others are there.
    pub(super) fn removed(&self) -> Option<String> {
        let removed: Vec<_> = self.by_name.iter().copied().filter(|policy| policy.is_removed()).collect();
        (!removed.is_empty() && removed.len() < self.by_name.len()).then(|| title(&removed))
    }
}

fn title(policies: &[&Policy<'_>]) -> String {
    let names: Vec<_> = policies.iter().map(|policy| policy.name).collect();
    let kind = if names.len() == 1 { "InboundAccessPolicy" } else { "InboundAccessPolicies" };
    format!("{kind} {}", names.join(", "))
}
