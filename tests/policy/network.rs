//! The network answers as the decision does, by an evaluator of NetworkPolicies that knows Kubernetes' documentation.

use std::collections::BTreeMap;

use proptest::{option, prelude::*, sample::select};
use serde_json::{Value, json};
use timbr_identity::{
    api::PolicyTarget,
    policy::{Caller as Who, Policy, Trust, Workload, decide, peers},
};

use super::{
    evaluator::{Pod, admits},
    laws::world,
    question::{HOME, with},
    world::{Caller, World},
};

const LABELS: [&str; 2] = ["app.kubernetes.io/name", "app"];

/// Whether the network lets a workload in that says it uses this Timbr, and whether it asks anything at all.
pub fn lets_in(world: &World) -> Option<bool> {
    let Caller::Workload { application, namespace } = world.caller else { return None };
    let mut labels = BTreeMap::from([("consumes.identity.timbr.ai/api", HOME)]);
    labels.extend(application.map(|name| (LABELS[1], name)));
    let policy = with(world, network_policy);
    Some(reaches(&policy, namespace, &labels))
}

/// What the network is told, if anything.
fn network_policy(trust: &Trust, target: PolicyTarget, policies: &[Policy<'_>]) -> Option<Value> {
    let peers = peers(trust, target, HOME, policies)?;
    // A rule without peers lets everybody in; no rule lets nobody.
    let ingress = if peers.is_empty() { json!([]) } else { json!([{"from": peers, "ports": [{"port": 9000}]}]) };
    Some(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "api", "namespace": HOME},
        "spec": {"podSelector": {"matchLabels": {"app": "timbr-api"}}, "policyTypes": ["Ingress"], "ingress": ingress},
    }))
}

/// Whether pods with these labels reach timbr-api.
fn reaches(policy: &Option<Value>, namespace: &str, labels: &BTreeMap<&str, &str>) -> bool {
    let from = Pod { namespace, labels: labels.clone() };
    let to = Pod { namespace: HOME, labels: BTreeMap::from([("app", "timbr-api")]) };
    admits(policy.as_slice(), &from, &to, 9000, Some("api"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_network_decides_as_the_policy_does(
        world in world(),
        namespace in select(vec!["timbr", "shop"]),
        names in (option::of(select(vec!["orders", "billing"])), option::of(select(vec!["orders", "billing"]))),
        of in select(vec!["timbr", "", "shop"]),
    ) {
        with(&world, |trust, target, policies| {
            let policy = network_policy(trust, target, policies);
            let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
            labels.extend(names.0.map(|name| (LABELS[0], name)));
            labels.extend(names.1.map(|name| (LABELS[1], name)));
            let workload = Workload {
                application: names.0.or(names.1).map(str::to_owned),
                namespace: namespace.to_owned(),
                cluster: None,
            };
            let decision = decide(trust, target, policies, &Who::Workload(workload));
            // Who does not say that it uses this Timbr reaches it only where nothing is enforced.
            prop_assert_eq!(reaches(&policy, namespace, &labels), policy.is_none());
            labels.insert("consumes.identity.timbr.ai/api", of);
            let uses_it = if of.is_empty() { namespace == HOME } else { of == HOME };
            let expected = policy.is_none() || (uses_it && decision.allow);
            prop_assert_eq!(reaches(&policy, namespace, &labels), expected, "{}", decision.message);
            if policy.is_none() {
                prop_assert!(decision.allow);
            }
            Ok(())
        })?;
    }
}
