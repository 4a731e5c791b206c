//! An answer, and why.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use crate::api::InboundRule;

/// Whether a caller comes in, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether it comes in.
    pub allow: bool,
    /// Why, as a word of a closed list.
    pub code: Code,
    /// Why, and what to do about it.
    pub message: String,
    /// What of the policies admits the caller, all of it.
    pub matched_rules: Vec<MatchedRule>,
    /// Who it is.
    pub caller: CallerName,
    /// What the caller may do besides coming in: what all matching rules grant.
    pub granted: Granted,
}

/// Why a caller comes in, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// In: no policy speaks of the component, and none is required.
    NoPolicy,
    /// In: a rule admits the application.
    RuleMatched,
    /// In: the user is a direct member of a listed group.
    GroupMatched,
    /// In: every user of the directory is admitted.
    AllUsers,
    /// In: nothing admits the caller, but the policies only watch.
    AuditOnly,
    /// Out: no policy speaks of the component, and one is required.
    PolicyMissing,
    /// Out: the policy of the component was removed, which opens nothing.
    PolicyRemoved,
    /// Out: every policy of the component is wrong, and admits nobody until it is mended.
    PolicyNotAccepted,
    /// Out: no rule admits the application.
    NoRuleMatched,
    /// Out: nobody who is trusted vouches for who the caller is.
    CallerUnknown,
    /// Out: a rule names the application, but another issuer's.
    IssuerNotTrusted,
    /// Out: no policy admits the user.
    UserNotListed,
    /// Out: which groups the user is in is not in the token: there are too many.
    GroupsNotInToken,
}

impl Code {
    /// The whole list.
    pub const ALL: [Self; 13] = [
        Self::NoPolicy,
        Self::RuleMatched,
        Self::GroupMatched,
        Self::AllUsers,
        Self::AuditOnly,
        Self::PolicyMissing,
        Self::PolicyRemoved,
        Self::PolicyNotAccepted,
        Self::NoRuleMatched,
        Self::CallerUnknown,
        Self::IssuerNotTrusted,
        Self::UserNotListed,
        Self::GroupsNotInToken,
    ];

    /// The word as users read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicy => "no_policy",
            Self::RuleMatched => "rule_matched",
            Self::GroupMatched => "group_matched",
            Self::AllUsers => "all_users",
            Self::AuditOnly => "audit_only",
            Self::PolicyMissing => "policy_missing",
            Self::PolicyRemoved => "policy_removed",
            Self::PolicyNotAccepted => "policy_not_accepted",
            Self::NoRuleMatched => "no_rule_matched",
            Self::CallerUnknown => "caller_unknown",
            Self::IssuerNotTrusted => "issuer_not_trusted",
            Self::UserNotListed => "user_not_listed",
            Self::GroupsNotInToken => "groups_not_in_token",
        }
    }
}

/// A part of a policy that admits a caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MatchedRule {
    /// The InboundAccessPolicy.
    pub policy: String,
    /// Where in it, for example `spec.inbound.rules[0]`.
    pub path: String,
}

/// What a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CallerKind {
    /// A workload, or the service account of one.
    Workload,
    /// An application by a token of its own.
    Application,
    /// Somebody by a token.
    User,
}

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallerName {
    /// What it is.
    pub kind: CallerKind,
    /// What it is known by: a workload's application, namespace and cluster, a client id, a subject.
    pub id: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a caller may do besides coming in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Granted {
    /// Roles.
    pub roles: BTreeSet<String>,
    /// Scopes.
    pub scopes: BTreeSet<String>,
}

impl Granted {
    /// What a rule grants.
    pub(super) fn of(rule: &InboundRule) -> Self {
        let set = |names: &[String]| names.iter().cloned().collect();
        Self { roles: set(&rule.permissions.roles), scopes: set(&rule.permissions.scopes) }
    }

    /// Adds what another rule grants.
    pub fn extend(&mut self, other: Self) {
        self.roles.extend(other.roles);
        self.scopes.extend(other.scopes);
    }

    /// What of it another one does not grant.
    pub fn beyond(&self, other: &Self) -> Self {
        let beyond = |all: &BTreeSet<String>, there: &BTreeSet<String>| all.difference(there).cloned().collect();
        Self { roles: beyond(&self.roles, &other.roles), scopes: beyond(&self.scopes, &other.scopes) }
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.scopes.is_empty()
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("role", "roles", &self.roles), ("scope", "scopes", &self.scopes)];
        let parts = parts.into_iter().filter(|(.., names)| !names.is_empty()).map(|(one, several, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{} {}", if names.len() == 1 { one } else { several }, names.join(", "))
        });
        f.write_str(&parts.collect::<Vec<_>>().join("; "))
    }
}
