//! Whether a rule speaks of an application.

use crate::api::{InboundRule, Permissions};

use super::{Claims, Trust, Workload, caller::Identity};

/// The word for all applications, or all namespaces.
pub(super) const ALL: &str = "*";

/// Which clusters a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cluster<'a> {
    /// This one.
    This,
    /// Another one.
    Other(&'a str),
    /// Nobody knows: the rule names one, and this one has no name. It matches nobody.
    Unknown,
}

/// The cluster of a rule.
pub(super) fn cluster<'a>(rule: &'a InboundRule, trust: &Trust) -> Cluster<'a> {
    match (rule.cluster.as_deref(), trust.cluster.as_deref()) {
        (None, _) => Cluster::This,
        (Some(_), None) => Cluster::Unknown,
        (Some(named), Some(this)) if named == this => Cluster::This,
        (Some(named), Some(_)) => Cluster::Other(named),
    }
}

/// Whether a rule of a policy in this namespace admits an application.
pub(super) fn admits(rule: &InboundRule, namespace: &str, identity: &Identity<'_>, trust: &Trust) -> bool {
    let Identity::Application(workload, token) = identity else { return false };
    let cluster = cluster(rule, trust);
    let by_name = workload.as_ref().is_some_and(|workload| names(rule, namespace, cluster, workload));
    let by_id = token.is_some_and(|claims| trusts(rule, claims, trust));
    cluster != Cluster::Unknown && (by_name || by_id)
}

/// Whether a rule names a workload.
fn names(rule: &InboundRule, namespace: &str, cluster: Cluster<'_>, workload: &Workload) -> bool {
    let is_application = rule.application == ALL || workload.application.as_ref() == Some(&rule.application);
    let wanted = rule.namespace.as_deref().unwrap_or(namespace);
    let there = workload.cluster.as_deref().map_or(Cluster::This, Cluster::Other);
    is_application && (wanted == ALL || wanted == workload.namespace) && cluster == there
}

/// The directory whose tokens a rule trusts to name its client.
pub(super) fn directory<'a>(rule: &'a InboundRule, trust: &'a Trust) -> Option<&'a String> {
    rule.tenant_id.as_ref().or(trust.directory.as_ref())
}

/// Whether a rule names the client of a token, and trusts its issuer to say so.
fn trusts(rule: &InboundRule, claims: &Claims, trust: &Trust) -> bool {
    is_client(rule, claims) && directory(rule, trust).is_some_and(|directory| trust.entra.is(directory, &claims.issuer))
}

/// Whether a rule names the client of a token, whoever says so.
pub(super) fn is_client(rule: &InboundRule, claims: &Claims) -> bool {
    let client = claims.client.as_deref();
    rule.client_id.as_deref().zip(client).is_some_and(|(rule, client)| rule.eq_ignore_ascii_case(client))
}

/// The rule that admits a workload to what policies of this namespace guard; `None` when it has no name to be admitted
/// by, or its cluster has none.
pub fn rule_for(workload: &Workload, namespace: &str, trust: &Trust) -> Option<InboundRule> {
    let Workload { application, namespace: its_own, cluster } = workload.clone().seen_from(trust);
    let is_known = cluster.is_none() || trust.cluster.is_some();
    Some(InboundRule {
        application: application.filter(|_| is_known)?,
        namespace: Some(its_own).filter(|its_own| its_own != namespace),
        cluster,
        client_id: None,
        tenant_id: None,
        permissions: Permissions::default(),
    })
}
