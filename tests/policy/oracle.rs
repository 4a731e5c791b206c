//! The access policy told once more, from its documents alone: slow, plain, and without a line of the crate's.

use std::collections::BTreeSet;

use super::world::{CLUSTERS, Caller, Issuer, Policy, Rule, World};

/// The namespace that all policies of a [`World`] are in.
const OWN_NAMESPACE: &str = "timbr";

/// What the seed says: whether the caller comes in, which rules (index of policy, index of rule) match, and what it is
/// granted. A policy's index is its place in [`World::policies`], among those of other components too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the caller comes in.
    pub allow: bool,
    /// The rules that match, in the order of the policies and of their rules.
    pub rules: Vec<(usize, usize)>,
    /// The roles that the caller is granted.
    pub roles: BTreeSet<&'static str>,
    /// The scopes that the caller is granted.
    pub scopes: BTreeSet<&'static str>,
}

/// Judges the caller of a world.
pub fn oracle(world: &World) -> Verdict {
    let mut verdict = Verdict { allow: false, rules: Vec::new(), roles: BTreeSet::new(), scopes: BTreeSet::new() };
    let guards = || world.policies.iter().enumerate().filter(|(_, policy)| policy.target == world.target);

    // Who has not secured the API has it open, unless the installation says otherwise.
    if guards().count() == 0 {
        verdict.allow = !world.closed_without_policy;
        return verdict;
    }

    // Nobody has access by default; applications and users are granted it separately. Grants of several policies unite.
    for (at, policy) in guards().filter(|(_, policy)| policy.valid) {
        for (index, rule) in policy.rules.iter().enumerate() {
            if rule_names_caller(rule, world) {
                verdict.allow = true;
                verdict.rules.push((at, index));
                verdict.roles.extend(&rule.roles);
                verdict.scopes.extend(&rule.scopes);
            }
        }
        if policy_lets_user_in(policy, world) {
            verdict.allow = true;
        }
    }

    // Where all policies only watch, nobody is turned away. One that is wrong does not merely watch.
    if guards().all(|(_, policy)| policy.valid && policy.audit) {
        verdict.allow = true;
    }
    verdict
}

/// Whether the rule is one about the application that asks.
fn rule_names_caller(rule: &Rule, world: &World) -> bool {
    // Which cluster is meant cannot be told while this one has no name: such a rule says nothing, whoever asks.
    if rule.cluster.is_some() && world.cluster.is_none() {
        return false;
    }
    match world.caller {
        Caller::Workload { application, namespace } => names_match(rule, application, namespace, None, world),
        // A service account is known only by a token of a cluster that is known.
        Caller::ServiceAccount { issuer, namespace, name } => CLUSTERS
            .iter()
            .any(|&(known, cluster)| known == issuer && names_match(rule, Some(name), namespace, cluster, world)),
        // An id counts only together with who vouches for it. The name in the token is no proof of anything.
        Caller::Application { issuer, client, display: _ } => match (rule.client, rule.tenant.or(world.tenant)) {
            (Some(listed), Some(tenant)) => listed.eq_ignore_ascii_case(client) && is_entra(issuer, tenant),
            _ => false,
        },
        // Users are granted access by their directory and groups, never by rules for applications.
        Caller::User { .. } => false,
    }
}

/// Whether the rule names this application of this namespace and cluster (`None`: this cluster).
fn names_match(rule: &Rule, application: Option<&str>, namespace: &str, cluster: Option<&str>, world: &World) -> bool {
    // "app-a": same namespace and cluster; with a namespace: same cluster; with both: just there.
    let here = |name: Option<&str>| name.is_none() || name == world.cluster;
    let same_application = rule.application == "*" || application == Some(rule.application);
    let wanted_namespace = rule.namespace.unwrap_or(OWN_NAMESPACE);
    let same_namespace = wanted_namespace == "*" || wanted_namespace == namespace;
    let same_cluster = rule.cluster == cluster || (here(rule.cluster) && here(cluster));
    same_application && same_namespace && same_cluster
}

/// Whether the policy gives access to the user who asks, if it is one.
fn policy_lets_user_in(policy: &Policy, world: &World) -> bool {
    let (Caller::User { issuer, groups }, Some(tenant)) = (&world.caller, world.tenant) else { return false };
    // All users, or those that are direct members of a listed group, by what the token lists; but only of this tenant.
    let is_member = |group: &&str| groups.iter().flatten().any(|of_user| of_user.eq_ignore_ascii_case(group));
    is_entra(*issuer, tenant) && (policy.all_users || policy.groups.iter().any(is_member))
}

/// Whether the token comes from Entra for this tenant, by either of its issuers.
fn is_entra(issuer: Issuer, tenant: &str) -> bool {
    matches!(issuer, Issuer::Entra { tenant: of_token, version: _ } if of_token.eq_ignore_ascii_case(tenant))
}
