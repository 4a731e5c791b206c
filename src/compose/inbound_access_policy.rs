//! What an InboundAccessPolicy says. It delivers nothing.

use crate::api::{
    CheckLevel::Advisory, Code, Group, InboundAccessPolicySpec, NetworkMode, PolicyTarget, Problem, Spec, rules,
};

use super::{Case, Probe, credentials, network_peer, plan::Asked};

/// Where peers stand that a policy lets in beside its rules.
const INGRESS_FROM: &str = "spec.networkPolicy.ingressFrom";

/// What is wrong with the spec by itself.
pub fn problems(spec: &InboundAccessPolicySpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, rule) in spec.inbound.rules.iter().enumerate() {
        let path = |field: &str| format!("spec.inbound.rules[{i}].{field}");
        problems.extend(rules::CALLER_APPLICATION.check(&path("application"), &rule.application));
        let optional = [
            ("namespace", &rule.namespace, &rules::CALLER_NAMESPACE),
            ("cluster", &rule.cluster, &rules::CALLER_CLUSTER),
            ("clientId", &rule.client_id, &rules::CLIENT_ID),
            ("tenantId", &rule.tenant_id, &rules::TENANT_GUID),
        ];
        for (field, value, rule) in optional {
            problems.extend(value.iter().filter_map(|value| rule.check(&path(field), value)));
        }
        for (field, names) in [("roles", &rule.permissions.roles), ("scopes", &rule.permissions.scopes)] {
            let path = path(&format!("permissions.{field}"));
            for rule in [&rules::PERMISSION, &rules::NO_EXPANSION] {
                problems.extend(names.iter().find_map(|name| rule.check(&path, name)));
            }
        }
    }
    for (i, group) in spec.claims.groups.iter().enumerate() {
        problems.extend(rules::GROUP_ID.check(&format!("spec.claims.groups[{i}].id"), &group.id));
    }
    for (i, peer) in spec.network_policy.ingress_from.iter().enumerate() {
        problems.extend(network_peer::problems(&format!("{INGRESS_FROM}[{i}]"), peer));
    }
    problems
}

/// What an accepted spec says.
pub fn ask(spec: &InboundAccessPolicySpec, case: &Case<'_>) -> Asked {
    let mut asked = Asked::default();
    if !case.snapshot.settings.webhook {
        asked.problems.push(Problem::warning(
            "spec",
            Code::PolicyNotEnforced,
            "this operator runs without its webhook (--webhook-bind=off), so nothing keeps anybody from deploying what uses Timbr",
        ));
    }
    let elsewhere = spec.inbound.rules.iter().enumerate().filter_map(|(i, rule)| Some((i, rule.cluster.as_ref()?)));
    asked.problems.extend(elsewhere.filter(|_| case.snapshot.settings.cluster_name.is_none()).map(|(i, cluster)| {
        Problem::warning(
            format!("spec.inbound.rules[{i}].cluster"),
            Code::ClusterNameUnknown,
            format!(
                "names cluster {cluster}, and nobody can tell whether that is this one: the rule matches nobody; start the operator with --cluster-name"
            ),
        )
    }));
    asked.problems.extend(cuts_off(spec, case));
    let sign_on = case.sign_ons.iter().find(|lead| lead.ready);
    let application = sign_on.and_then(|lead| credentials::application(lead.spec?, case));
    for group in &spec.claims.groups {
        let by_id = Group { name: None, id: Some(group.id.clone()), email: None };
        asked.check_as(application.as_ref(), format!("Group {}", group.id.to_ascii_lowercase()), Advisory, |it| {
            Probe::Group(it, by_id)
        });
    }
    asked
}

/// A warning, where the network would keep out what a component cannot do without. Who uses timbr-api is a matter of
/// the rules alone.
fn cuts_off(spec: &InboundAccessPolicySpec, case: &Case<'_>) -> Option<Problem> {
    let needs = match spec.target {
        PolicyTarget::Api => return None,
        PolicyTarget::Platform => "people's browsers come in through an ingress controller, whose pods are to be named",
        PolicyTarget::Server => {
            "timbr-platform and timbr-api use timbr-server, and their pods are to be named, as by podSelector: {matchLabels: {app: timbr-platform}}"
        }
    };
    let policies = case.snapshot.resources.iter().filter_map(|resource| match &resource.spec {
        Ok(Spec::InboundAccessPolicy(other)) if other.target == spec.target => Some(&other.network_policy),
        _ => None,
    });
    let mut managed = policies.filter(|guard| guard.mode == NetworkMode::Managed);
    let names_none = managed.all(|guard| guard.ingress_from.is_empty());
    let is_managed = spec.network_policy.mode == NetworkMode::Managed;
    (is_managed && names_none).then(|| {
        let message = format!("nobody is let in beside the rules: {needs}");
        Problem::warning(INGRESS_FROM, Code::IngressFromMissing, message)
    })
}
