//! What is wrong with a peer of a NetworkPolicy: what the API server would say of the NetworkPolicy, said of the field.

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::{Code, IpBlock, NetworkPeer, PEER_EXACTLY_ONE, Problem, rules};

/// What is wrong with the peer at `path`.
pub fn problems(path: &str, peer: &NetworkPeer) -> Vec<Problem> {
    let mut problems = Vec::new();
    if peer.ip_block.is_some() == (peer.pod_selector.is_some() || peer.namespace_selector.is_some()) {
        problems.push(invalid(path, PEER_EXACTLY_ONE));
    }
    for (field, selector) in [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)] {
        problems.extend(selector.iter().flat_map(|selector| of_selector(&format!("{path}.{field}"), selector)));
    }
    problems.extend(peer.ip_block.iter().flat_map(|block| of_block(&format!("{path}.ipBlock"), block)));
    problems
}

fn of_block(path: &str, block: &IpBlock) -> Vec<Problem> {
    let cidr = format!("{path}.cidr");
    let range = match range(&cidr, &block.cidr) {
        Ok(range) => range,
        Err(problem) => return vec![problem],
    };
    // As the rules of the schema: a list's at the list.
    let path = format!("{path}.except");
    let excepted = block.except.iter().map(|except| {
        let except = self::range(&path, except)?;
        let is_part = except != range && range.contains(&except);
        is_part.then_some(()).ok_or_else(|| invalid(&path, "must be parts of cidr, and not all of it"))
    });
    excepted.filter_map(Result::err).take(1).collect()
}

fn range(path: &str, text: &str) -> Result<IpNet, Problem> {
    let unreadable = || invalid(path, rules::CIDR.message);
    text.parse().ok().filter(|_| rules::CIDR.holds(text)).ok_or_else(unreadable)
}

fn of_selector(path: &str, selector: &LabelSelector) -> Vec<Problem> {
    let labels = selector.match_labels.iter().flatten().flat_map(|(key, value)| {
        let path = format!("{path}.matchLabels.{key}");
        [rules::LABEL_KEY.check(&path, key), rules::LABEL_VALUE.check(&path, value)].into_iter().flatten()
    });
    let expressions = selector.match_expressions.iter().flatten().enumerate();
    let expressions = expressions.flat_map(|(i, it)| of_requirement(&format!("{path}.matchExpressions[{i}]"), it));
    labels.chain(expressions).collect()
}

fn of_requirement(path: &str, requirement: &LabelSelectorRequirement) -> Vec<Problem> {
    let values = requirement.values.as_deref().unwrap_or_default();
    let wrong = match requirement.operator.as_str() {
        "In" | "NotIn" => values.is_empty().then_some(("values", "must not be empty with In and NotIn")),
        "Exists" | "DoesNotExist" => {
            (!values.is_empty()).then_some(("values", "must be absent with Exists and DoesNotExist"))
        }
        _ => Some(("operator", "must be In, NotIn, Exists or DoesNotExist")),
    };
    let wrong = wrong.map(|(field, message)| invalid(&format!("{path}.{field}"), message));
    let key = rules::LABEL_KEY.check(&format!("{path}.key"), &requirement.key);
    let value = values.iter().find_map(|value| rules::LABEL_VALUE.check(&format!("{path}.values"), value));
    wrong.into_iter().chain(key).chain(value).collect()
}

fn invalid(path: &str, message: &str) -> Problem {
    Problem::error(path, Code::PeerInvalid, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(peer: Value) -> Vec<String> {
        let peer: NetworkPeer = serde_json::from_value(peer).expect("a peer");
        problems("p", &peer).into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn what_a_network_policy_may_hold_is_right() {
        for peer in [
            json!({"podSelector": {}}),
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}),
            json!({"podSelector": {"matchLabels": {"app": ""}}, "namespaceSelector": {}}),
            json!({"podSelector": {"matchExpressions": [
                {"key": "a.b/C", "operator": "In", "values": ["x", ""]}, {"key": "a", "operator": "Exists"},
            ]}}),
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.3.4/32"]}}),
            json!({"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}),
            json!({"ipBlock": {"cidr": "0.0.0.0/0"}}),
        ] {
            assert_eq!(found(peer.clone()), [] as [&str; 0], "{peer}");
        }
    }

    #[test]
    fn what_the_api_server_would_refuse_is_told_by_its_field() {
        let rows = [
            (json!({}), vec!["p"]),
            (json!({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}), vec!["p"]),
            (json!({"ipBlock": {"cidr": "10.0.0.0"}}), vec!["p.ipBlock.cidr"]),
            (json!({"ipBlock": {"cidr": "10.0.0.0/33"}}), vec!["p.ipBlock.cidr"]),
            (json!({"ipBlock": {"cidr": "1:2::3::/64"}}), vec!["p.ipBlock.cidr"]),
            (
                json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16", "10.0.0.0/8", "10.0.0.0/9", "x"]}}),
                vec!["p.ipBlock.except"],
            ),
            (json!({"podSelector": {"matchLabels": {"a b": "c"}}}), vec!["p.podSelector.matchLabels.a b"]),
            (json!({"podSelector": {"matchLabels": {"a": "c d"}}}), vec!["p.podSelector.matchLabels.a"]),
            (
                json!({"namespaceSelector": {"matchExpressions": [
                    {"key": "a", "operator": "In"},
                    {"key": "a", "operator": "Exists", "values": ["b"]},
                    {"key": "-", "operator": "in", "values": ["b "]},
                ]}}),
                vec![
                    "p.namespaceSelector.matchExpressions[0].values",
                    "p.namespaceSelector.matchExpressions[1].values",
                    "p.namespaceSelector.matchExpressions[2].operator",
                    "p.namespaceSelector.matchExpressions[2].key",
                    "p.namespaceSelector.matchExpressions[2].values",
                ],
            ),
        ];
        for (peer, expected) in rows {
            let paths: Vec<String> =
                found(peer.clone()).iter().map(|it| it.split(": ").next().unwrap_or_default().to_owned()).collect();
            assert_eq!(paths, expected, "{peer}");
        }
    }
}
