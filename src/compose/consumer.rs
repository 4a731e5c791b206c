//! Workloads that run and say that they use Timbr, and what the access policies make of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    api::{APPLICATION_LABELS, Consumers, InboundAccessPolicyStatus, PolicyTarget, RuleConsumers, Violation},
    policy::{Caller, Code, Decision, Workload, decide},
};

use super::{Access, Snapshot};

/// How many are listed in a status.
const LISTED: usize = 50;

/// A workload that runs and uses a component of Timbr.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumer {
    /// What it uses.
    pub target: PolicyTarget,
    /// Its namespace.
    pub namespace: String,
    /// Its kind: of what made the pod, as far as the pod tells.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its application's name, if its labels tell one.
    pub application: Option<String>,
}

/// An application's name, by the labels of its pods.
pub fn application(labels: &BTreeMap<String, String>) -> Option<&String> {
    APPLICATION_LABELS.iter().find_map(|label| labels.get(*label)).filter(|name| !name.is_empty())
}

/// The namespace of the Timbr of which pods with these labels use a component. An empty value is the pods' own.
pub fn used(target: PolicyTarget, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let of = labels.get(&target.label())?;
    Some(if of.is_empty() { namespace } else { of }.to_owned())
}

impl Consumer {
    /// What made a pod that uses a component, and the namespace of the Timbr that it uses.
    pub fn of_pod(target: PolicyTarget, pod: &ObjectMeta) -> Option<(String, Self)> {
        let labels = pod.labels.as_ref()?;
        let namespace = pod.namespace.clone().unwrap_or_default();
        let of = used(target, &namespace, labels)?;
        let (kind, name) = maker(pod);
        Some((of, Self { target, namespace, kind, name, application: application(labels).cloned() }))
    }
}

/// Kind and name of what made a pod. A Deployment's pods are made by its ReplicaSet, whose name ends with what is in
/// their label.
fn maker(pod: &ObjectMeta) -> (String, String) {
    let owners = pod.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
        return ("Pod".to_owned(), pod.name.clone().unwrap_or_default());
    };
    let hash = pod.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment.filter(|_| owner.kind == "ReplicaSet") {
        Some(deployment) => ("Deployment".to_owned(), deployment.to_owned()),
        None => (owner.kind.clone(), owner.name.clone()),
    }
}

/// What the access policies make of those who use this Timbr.
#[derive(Debug)]
pub struct Guests<'a>(Vec<(&'a Consumer, Decision)>);

impl<'a> Guests<'a> {
    /// Those of a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        if snapshot.consumers.is_empty() {
            return Self(vec![]);
        }
        let access = Access::of(snapshot);
        let decided = snapshot.consumers.iter().map(|consumer| {
            let Consumer { application, namespace, .. } = consumer;
            let workload = Workload { application: application.clone(), namespace: namespace.clone(), cluster: None };
            (consumer, decide(&access.trust, consumer.target, &access.policies, &Caller::Workload(workload)))
        });
        Self(decided.collect())
    }

    /// What the status of a policy says of those who use its component.
    pub fn status(&self, policy: &str, target: PolicyTarget) -> InboundAccessPolicyStatus {
        let guests = || self.0.iter().filter(|(consumer, _)| consumer.target == target);
        let is_in = |decision: &Decision| decision.allow && decision.code != Code::AuditOnly;
        let mut rules: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for (consumer, decision) in guests() {
            let matched = decision.matched_rules.iter().filter(|part| part.policy == policy);
            for index in matched.filter_map(|part| index(&part.path)) {
                let name = consumer.application.as_deref().unwrap_or(&consumer.name);
                rules.entry(index).or_default().insert(format!("{}/{name}", consumer.namespace));
            }
        }
        let rules = rules.into_iter().map(|(index, consumers)| RuleConsumers {
            index,
            total: count(consumers.len()),
            consumers: consumers.into_iter().take(LISTED).collect(),
        });
        let violations: BTreeSet<Violation> = guests()
            .filter(|(_, decision)| !is_in(decision))
            .map(|(Consumer { kind, namespace, name, .. }, _)| Violation {
                kind: kind.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            })
            .collect();
        let admitted = count(guests().filter(|(_, decision)| is_in(decision)).count());
        InboundAccessPolicyStatus {
            consumers: Some(Consumers { admitted, rules: rules.collect() }),
            violations_total: count(violations.len()),
            violations: violations.into_iter().take(LISTED).collect(),
            ..Default::default()
        }
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// The place of a rule in a path such as `spec.inbound.rules[3]`.
fn index(path: &str) -> Option<u32> {
    path.strip_prefix("spec.inbound.rules[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_tells_what_made_it() {
        let pod = |owner: serde_json::Value, hash: Option<&str>| {
            let mut labels = json!({"app": "orders", "consumes.identity.timbr.ai/api": ""});
            if let Some(hash) = hash {
                labels["pod-template-hash"] = hash.into();
            }
            let owners = if owner.is_null() { json!([]) } else { json!([owner]) };
            let meta = json!({"name": "orders-x-y", "namespace": "shop", "labels": labels, "ownerReferences": owners});
            let meta: ObjectMeta = serde_json::from_value(meta).expect("metadata");
            let (of, consumer) = Consumer::of_pod(PolicyTarget::Api, &meta).expect("a consumer");
            assert_eq!((of.as_str(), consumer.application.as_deref()), ("shop", Some("orders")));
            assert_eq!(Consumer::of_pod(PolicyTarget::Server, &meta), None);
            format!("{} {}", consumer.kind, consumer.name)
        };
        let owner = |kind: &str, name: &str, controller: bool| json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "1", "controller": controller});
        assert_eq!(pod(json!(null), None), "Pod orders-x-y");
        assert_eq!(pod(owner("ReplicaSet", "orders-x", false), Some("x")), "Pod orders-x-y");
        assert_eq!(pod(owner("ReplicaSet", "orders-x", true), Some("x")), "Deployment orders");
        assert_eq!(pod(owner("ReplicaSet", "orders-x", true), None), "ReplicaSet orders-x");
        assert_eq!(pod(owner("ReplicaSet", "orders", true), Some("x")), "ReplicaSet orders");
        assert_eq!(pod(owner("StatefulSet", "orders-x", true), Some("x")), "StatefulSet orders-x");
    }
}
