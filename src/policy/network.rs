//! Who may connect to a component: the same decision, as the network knows it.
//!
//! The network sees the labels of pods and their namespaces, and nothing else. So of a policy's rules those make peers
//! that name applications of this cluster; whoever comes by a token comes through one of them. A pod has to say that it
//! uses this Timbr, as at admission: the label is not voluntary.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::NetworkPolicyPeer,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

use crate::api::{APPLICATION_LABELS, InboundRule, PolicyTarget};

use super::{
    Policy, Trust,
    matching::{self, ALL, Cluster},
    policies::Policies,
};

/// Which pods may connect to a component of the Timbr in a namespace; `None`: all may, as nothing is enforced.
pub fn peers(
    trust: &Trust,
    target: PolicyTarget,
    namespace: &str,
    policies: &[Policy<'_>],
) -> Option<Vec<NetworkPolicyPeer>> {
    let policies = Policies::of(target, policies);
    if policies.door(trust).is_open() {
        return None;
    }
    let here = policies.rules().filter(|(.., rule)| matching::cluster(rule, trust) == Cluster::This);
    Some(here.flat_map(|(.., rule)| of_rule(rule, target, namespace)).collect())
}

/// The peers of a rule: by each way of naming an application, and of naming this Timbr.
fn of_rule(rule: &InboundRule, target: PolicyTarget, namespace: &str) -> Vec<NetworkPolicyPeer> {
    let uses = |of: &[&str]| requirement(&target.label(), "In", of);
    // An empty value is the pod's own namespace.
    let places = match rule.namespace.as_deref().unwrap_or(namespace) {
        ALL => vec![(LabelSelector::default(), uses(&[namespace])), (named(namespace), uses(&[""]))],
        there if there == namespace => vec![(named(there), uses(&["", namespace]))],
        there => vec![(named(there), uses(&[namespace]))],
    };
    let pods = pods(&rule.application);
    let peers = places.iter().flat_map(|(place, uses)| {
        pods.iter().map(move |(labels, absent)| NetworkPolicyPeer {
            namespace_selector: Some(place.clone()),
            pod_selector: Some(LabelSelector {
                match_labels: Some(labels.clone()).filter(|labels| !labels.is_empty()),
                match_expressions: Some(absent.iter().chain([uses]).cloned().collect()),
            }),
            ip_block: None,
        })
    });
    peers.collect()
}

/// Labels by which an application is known, and those that it must not have for that: of two names the first counts.
type Known = (BTreeMap<String, String>, Vec<LabelSelectorRequirement>);

fn pods(application: &str) -> Vec<Known> {
    if application == ALL {
        return vec![(BTreeMap::new(), vec![])];
    }
    let known = APPLICATION_LABELS.iter().enumerate().map(|(i, label)| {
        let before = APPLICATION_LABELS[..i].iter().map(|other| requirement(other, "DoesNotExist", &[]));
        (BTreeMap::from([((*label).to_owned(), application.to_owned())]), before.collect())
    });
    known.collect()
}

/// A namespace by its name. Kubernetes keeps this label right.
fn named(namespace: &str) -> LabelSelector {
    let label = ("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
    LabelSelector { match_labels: Some([label].into()), ..Default::default() }
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()).filter(|all: &Vec<_>| !all.is_empty()),
    }
}
