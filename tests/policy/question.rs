//! The crate's answer to a question in plain words.

use std::collections::BTreeMap;

use serde_json::json;
use timbr_identity::{
    api::{InboundAccessPolicySpec, PolicyTarget},
    policy::{Caller as Who, Claims, Decision, Policy as Guard, State, Trust, Unlisted, Workload, decide},
};

use super::world::{CLUSTERS, Caller, Issuer, Policy, World};

/// The namespace of Timbr, and so of every policy.
pub const HOME: &str = "timbr";

/// The name of the policy in this place.
pub fn name(i: usize) -> String {
    format!("policy-{i}")
}

/// The crate's answer.
pub fn answer(world: &World) -> Decision {
    with(world, |trust, target, policies| decide(trust, target, policies, &caller(&world.caller)))
}

/// All that an answer depends on but the caller.
pub fn with<T>(world: &World, ask: impl FnOnce(&Trust, PolicyTarget, &[Guard<'_>]) -> T) -> T {
    let specs: Vec<_> = world.policies.iter().map(spec).collect();
    let names: Vec<_> = (0..specs.len()).map(name).collect();
    let policies: Vec<_> = specs
        .iter()
        .zip(&names)
        .zip(&world.policies)
        .map(|((spec, name), policy)| {
            let state = if policy.valid { State::Accepted(spec) } else { State::Invalid };
            Guard { namespace: HOME, name, target: Some(spec.target), state }
        })
        .collect();
    ask(&trust(world), target(world.target), &policies)
}

/// What the installation trusts.
pub fn trust(world: &World) -> Trust {
    let clusters: BTreeMap<_, _> =
        CLUSTERS.iter().map(|(issuer, cluster)| ((*issuer).to_owned(), cluster.map(str::to_owned))).collect();
    Trust {
        cluster: world.cluster.map(str::to_owned),
        directory: world.tenant.map(str::to_owned),
        clusters,
        unlisted: if world.closed_without_policy { Unlisted::Closed } else { Unlisted::Open },
        ..Trust::default()
    }
}

fn target(name: &str) -> PolicyTarget {
    let found = PolicyTarget::ALL.into_iter().find(|target| target.as_str() == name);
    found.unwrap_or_else(|| panic!("{name} is no component"))
}

/// A policy as users write it.
pub fn spec(policy: &Policy) -> InboundAccessPolicySpec {
    let rules: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| {
            let mut fields = json!({
                "application": rule.application,
                "permissions": {"roles": rule.roles, "scopes": rule.scopes},
            });
            let optional = [
                ("namespace", rule.namespace),
                ("cluster", rule.cluster),
                ("clientId", rule.client),
                ("tenantId", rule.tenant),
            ];
            for (field, value) in optional {
                if let Some(value) = value {
                    fields[field] = value.into();
                }
            }
            fields
        })
        .collect();
    let groups: Vec<_> = policy.groups.iter().map(|id| json!({"id": id})).collect();
    let spec = json!({
        "target": policy.target,
        "enforcement": if policy.audit { "Audit" } else { "Enforce" },
        "inbound": {"rules": rules},
        "allowAllUsers": policy.all_users,
        "claims": {"groups": groups},
    });
    serde_json::from_value(spec).expect("a spec")
}

/// Who asks: a token by the claims that its issuer puts into it.
pub fn caller(caller: &Caller) -> Who {
    let claims = match caller {
        Caller::Workload { application, namespace } => {
            return Who::Workload(Workload {
                application: application.map(str::to_owned),
                namespace: (*namespace).to_owned(),
                cluster: None,
            });
        }
        Caller::ServiceAccount { issuer, namespace, name } => {
            json!({"iss": issuer, "sub": format!("system:serviceaccount:{namespace}:{name}")})
        }
        Caller::Application { issuer, client, display } => {
            let mut claims = json!({"iss": address(*issuer), "sub": "object", "idtyp": "app", "azp_name": display});
            let version = matches!(issuer, Issuer::Entra { version: 1, .. });
            claims[if version { "appid" } else { "azp" }] = (*client).into();
            claims
        }
        Caller::User { issuer, groups } => {
            let mut claims = json!({"iss": address(*issuer), "sub": "somebody", "scp": "use", "azp": "a-web-page"});
            match groups {
                Some(groups) => claims["groups"] = json!(groups),
                None => claims["_claim_names"] = json!({"groups": "src1"}),
            }
            claims
        }
    };
    Who::Token(Box::new(Claims::read(&claims).expect("claims")))
}

/// An issuer as its tokens name it.
fn address(issuer: Issuer) -> String {
    match issuer {
        Issuer::Entra { tenant, version: 1 } => format!("https://sts.windows.net/{}/", tenant.to_ascii_lowercase()),
        Issuer::Entra { tenant, .. } => {
            format!("https://login.microsoftonline.com/{}/v2.0", tenant.to_ascii_lowercase())
        }
        Issuer::Other(url) => url.to_owned(),
    }
}
