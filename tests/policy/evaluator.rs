//! What NetworkPolicies (networking.k8s.io/v1) let into a pod, by the documentation of the Kubernetes API.
//!
//! Everything is read before anything is judged, so that a field that is not known, or a value that the API server
//! would refuse, panics whether or not it matters to the question. A field that is null counts as absent.
//!
//! Left out, since a pod here has neither an address nor a name: that a pod always reaches itself, and that the node
//! always reaches its pods. The egress policies of the pod that connects are another question.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The label that every namespace carries, with its name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod<'a> {
    /// The namespace that it is in.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: BTreeMap<&'a str, &'a str>,
}

/// Whether the policies let `from` open a TCP connection to `port` (number; container port name also given) of `to`.
/// Namespaces carry the label kubernetes.io/metadata.name only.
pub fn admits(policies: &[Value], from: &Pod<'_>, to: &Pod<'_>, port: u16, port_name: Option<&str>) -> bool {
    let policies: Vec<Policy<'_>> = policies.iter().map(Policy::read).collect();
    let mut isolated = false;
    for policy in policies.iter().filter(|policy| policy.selects(to)) {
        let Some(rules) = &policy.ingress else { continue };
        isolated = true;
        // Policies add up, and so do their rules: it takes one that matches by source and by port.
        if rules.iter().any(|rule| rule.admits_from(from, policy.namespace) && rule.admits_to(port, port_name)) {
            return true;
        }
    }
    // A pod that no Ingress policy of its namespace selects accepts everything.
    !isolated
}

/// A NetworkPolicy.
struct Policy<'v> {
    /// The namespace that it and the pods it is about are in.
    namespace: &'v str,
    /// The pods it is about.
    pods: Selector<'v>,
    /// Its rules; `None`: it is not about ingress at all.
    ingress: Option<Vec<Rule<'v>>>,
}

impl<'v> Policy<'v> {
    /// Reads a policy.
    fn read(value: &'v Value) -> Self {
        let policy = Object::read("NetworkPolicy", value, &["apiVersion", "kind", "metadata", "spec"]);
        assert_eq!(policy.text("apiVersion"), Some("networking.k8s.io/v1"), "not a NetworkPolicy: {value}");
        assert_eq!(policy.text("kind"), Some("NetworkPolicy"), "not a NetworkPolicy: {value}");
        // Of metadata only the namespace has a meaning here; what else may be in there is not looked at.
        let namespace = policy.needed("metadata").get("namespace").and_then(Value::as_str);
        let spec = Object::read("spec", policy.needed("spec"), &["podSelector", "policyTypes", "ingress", "egress"]);
        let types: Vec<&str> = spec.list("policyTypes").iter().map(|item| text("policyTypes", item)).collect();
        if let Some(unknown) = types.iter().find(|name| !["Ingress", "Egress"].contains(name)) {
            panic!("policyTypes: {unknown:?} is not known");
        }
        let rules = spec.list("ingress").iter().map(Rule::read).collect();
        Policy {
            namespace: namespace.unwrap_or_else(|| panic!("metadata.namespace is missing: {value}")),
            // Since it is optional: absent is the same as empty.
            pods: spec.field("podSelector").map(Selector::read).unwrap_or_default(),
            // Without types it always is about ingress; whether also about egress does not matter here.
            ingress: (types.is_empty() || types.contains(&"Ingress")).then_some(rules),
        }
    }

    /// Whether it is about this pod.
    fn selects(&self, pod: &Pod<'_>) -> bool {
        self.namespace == pod.namespace && self.pods.matches(&pod.labels)
    }
}

/// One item of `ingress`.
struct Rule<'v> {
    /// Who may connect; empty: everybody.
    from: Vec<Peer<'v>>,
    /// Where to; empty: to all ports.
    ports: Vec<Port<'v>>,
}

impl<'v> Rule<'v> {
    /// Reads a rule.
    fn read(value: &'v Value) -> Self {
        let rule = Object::read("ingress", value, &["from", "ports"]);
        Rule {
            from: rule.list("from").iter().map(Peer::read).collect(),
            ports: rule.list("ports").iter().map(Port::read).collect(),
        }
    }

    /// Whether the pod may connect by this rule of a policy of the namespace.
    fn admits_from(&self, pod: &Pod<'_>, namespace: &str) -> bool {
        self.from.is_empty() || self.from.iter().any(|peer| peer.matches(pod, namespace))
    }

    /// Whether this port may be connected to by this rule.
    fn admits_to(&self, number: u16, name: Option<&str>) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|port| port.matches(number, name))
    }
}

/// One item of `from`.
enum Peer<'v> {
    /// Pods by their labels: in the namespaces that have such labels, or, absent, in the policy's own.
    Pods { namespaces: Option<Selector<'v>>, pods: Selector<'v> },
    /// An ipBlock. It never matches a pod: ipBlocks are meant for addresses outside of the cluster, since those of pods
    /// come and go. (What a plugin does with a pod whose address is in the block is its own affair.)
    Addresses,
}

impl<'v> Peer<'v> {
    /// Reads a peer.
    fn read(value: &'v Value) -> Self {
        let peer = Object::read("from", value, &["podSelector", "namespaceSelector", "ipBlock"]);
        let namespaces = peer.field("namespaceSelector").map(Selector::read);
        let pods = peer.field("podSelector").map(Selector::read);
        match (peer.field("ipBlock"), namespaces.is_some() || pods.is_some()) {
            (None, true) => Peer::Pods { namespaces, pods: pods.unwrap_or_default() },
            (None, false) => panic!("from: a peer must say something"),
            (Some(_), true) => panic!("from: ipBlock stands alone: {value}"),
            (Some(block), false) => {
                let block = Object::read("ipBlock", block, &["cidr", "except"]);
                text("cidr", block.needed("cidr"));
                for item in block.list("except") {
                    text("except", item);
                }
                Peer::Addresses
            }
        }
    }

    /// Whether the pod is such a peer of a policy of the namespace.
    fn matches(&self, pod: &Pod<'_>, namespace: &str) -> bool {
        match self {
            Peer::Addresses => false,
            Peer::Pods { namespaces: None, pods } => pod.namespace == namespace && pods.matches(&pod.labels),
            Peer::Pods { namespaces: Some(namespaces), pods } => {
                namespaces.matches(&BTreeMap::from([(NAMESPACE_LABEL, pod.namespace)])) && pods.matches(&pod.labels)
            }
        }
    }
}

/// One item of `ports`.
enum Port<'v> {
    /// Of another protocol than TCP.
    NotTcp,
    /// Every port.
    Any,
    /// The port of the pod that has this name.
    Named(&'v str),
    /// The ports from one number to another, both included.
    Numbers(u16, u16),
}

impl<'v> Port<'v> {
    /// Reads a port.
    fn read(value: &'v Value) -> Self {
        let item = Object::read("ports", value, &["protocol", "port", "endPort"]);
        let port = match (item.field("port"), item.field("endPort")) {
            (None, None) => Port::Any,
            (Some(Value::String(name)), None) => {
                let is_name = name.chars().any(|c| c.is_ascii_lowercase());
                assert!(is_name, "port: {name:?} is no name of a port");
                Port::Named(name)
            }
            (Some(first), None) => Port::Numbers(port_number(first), port_number(first)),
            (Some(first @ Value::Number(_)), Some(last)) => {
                let (first, last) = (port_number(first), port_number(last));
                assert!(first <= last, "endPort: {last} is before port {first}");
                Port::Numbers(first, last)
            }
            (_, Some(_)) => panic!("endPort: needs a port, by number: {value}"),
        };
        match item.text("protocol") {
            None | Some("TCP") => port,
            Some("UDP" | "SCTP") => Port::NotTcp,
            Some(other) => panic!("protocol: {other:?} is not known"),
        }
    }

    /// Whether a TCP port of this number and name is meant.
    fn matches(&self, number: u16, name: Option<&str>) -> bool {
        match self {
            Port::NotTcp => false,
            Port::Any => true,
            Port::Named(wanted) => name == Some(*wanted),
            Port::Numbers(first, last) => (*first..=*last).contains(&number),
        }
    }
}

/// A label selector: requirements that must all hold. The empty one matches everything.
#[derive(Default)]
struct Selector<'v>(Vec<Requirement<'v>>);

/// What a selector asks of the label with a key.
enum Requirement<'v> {
    /// The label is there, with one of these values.
    In(&'v str, Vec<&'v str>),
    /// The label is not there, or with none of these values.
    NotIn(&'v str, Vec<&'v str>),
    /// The label is there, whatever its value.
    Exists(&'v str),
    /// The label is not there.
    DoesNotExist(&'v str),
}

impl<'v> Selector<'v> {
    /// Reads a selector.
    fn read(value: &'v Value) -> Self {
        let selector = Object::read("selector", value, &["matchLabels", "matchExpressions"]);
        let labels = selector.field("matchLabels").map(|labels| fields("matchLabels", labels));
        let labels = labels.into_iter().flatten().map(|(key, value)| Requirement::In(key, vec![text(key, value)]));
        Selector(labels.chain(selector.list("matchExpressions").iter().map(Requirement::read)).collect())
    }

    /// Whether it selects what has these labels.
    fn matches(&self, labels: &BTreeMap<&str, &str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}

impl<'v> Requirement<'v> {
    /// Reads one item of `matchExpressions`.
    fn read(value: &'v Value) -> Self {
        let item = Object::read("matchExpressions", value, &["key", "operator", "values"]);
        let key = text("key", item.needed("key"));
        let values: Vec<&str> = item.list("values").iter().map(|item| text("values", item)).collect();
        match (text("operator", item.needed("operator")), values.is_empty()) {
            ("In", false) => Requirement::In(key, values),
            ("NotIn", false) => Requirement::NotIn(key, values),
            ("Exists", true) => Requirement::Exists(key),
            ("DoesNotExist", true) => Requirement::DoesNotExist(key),
            ("In" | "NotIn", true) => panic!("values: missing: {value}"),
            ("Exists" | "DoesNotExist", false) => panic!("values: not wanted: {value}"),
            (other, _) => panic!("operator: {other:?} is not known"),
        }
    }
}

/// A JSON object that has no field but known ones.
struct Object<'v> {
    /// What it is, for messages.
    what: &'static str,
    /// Its fields.
    fields: &'v Map<String, Value>,
}

impl<'v> Object<'v> {
    /// Makes sure that there is no field that is not known.
    fn read(what: &'static str, value: &'v Value, known: &[&str]) -> Self {
        let fields = fields(what, value);
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            panic!("{what}: the field {unknown:?} is not known: {value}");
        }
        Object { what, fields }
    }

    /// A field, if it is there.
    fn field(&self, name: &str) -> Option<&'v Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    fn needed(&self, name: &str) -> &'v Value {
        self.field(name).unwrap_or_else(|| panic!("{}: {name} is missing", self.what))
    }

    /// A field that is a list; absent is the same as empty.
    fn list(&self, name: &str) -> &'v [Value] {
        let items = |value: &'v Value| value.as_array().unwrap_or_else(|| panic!("{name}: not a list: {value}"));
        self.field(name).map(items).map_or(&[], Vec::as_slice)
    }

    /// A field that is a string, if it is there.
    fn text(&self, name: &str) -> Option<&'v str> {
        self.field(name).map(|value| text(name, value))
    }
}

/// The fields of a JSON object.
fn fields<'v>(what: &str, value: &'v Value) -> &'v Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{what}: not an object: {value}"))
}

/// A JSON string.
fn text<'v>(what: &str, value: &'v Value) -> &'v str {
    value.as_str().unwrap_or_else(|| panic!("{what}: not a string: {value}"))
}

/// The number of a port.
fn port_number(value: &Value) -> u16 {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
    number.unwrap_or_else(|| panic!("port: not a number from 1 to 65535: {value}"))
}

/// Examples from the documentation of Kubernetes, as far as they are about ingress. Where those label namespaces
/// (`user: alice`), these go by the name.
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Pod, admits};

    /// A policy of the namespace `default`.
    fn policy(spec: Value) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "example", "namespace": "default"},
            "spec": spec,
        })
    }

    /// A pod.
    fn pod<'a, const N: usize>(namespace: &'a str, labels: [(&'a str, &'a str); N]) -> Pod<'a> {
        Pod { namespace, labels: BTreeMap::from(labels) }
    }

    /// The database of most examples.
    fn db() -> Pod<'static> {
        pod("default", [("role", "db")])
    }

    /// Whether one policy lets the pod connect to the database's port 6379, named `redis`.
    fn reaches_db(spec: Value, from: &Pod<'_>) -> bool {
        admits(&[policy(spec)], from, &db(), 6379, Some("redis"))
    }

    /// Whether the ports let somebody connect to a port of the database.
    fn reaches_port(ports: Value, port: u16, name: Option<&str>) -> bool {
        let spec = json!({"podSelector": {}, "ingress": [{"ports": ports}]});
        admits(&[policy(spec)], &pod("other", []), &db(), port, name)
    }

    /// Whether a selector of pods with this one expression selects a pod with these labels.
    fn selects<const N: usize>(expression: Value, labels: [(&str, &str); N]) -> bool {
        let from = json!([{"podSelector": {"matchExpressions": [expression]}}]);
        reaches_db(json!({"podSelector": {}, "ingress": [{"from": from}]}), &pod("default", labels))
    }

    /// Runs the question and says what it panics with.
    fn complaint(value: Value) -> String {
        let panic = std::panic::catch_unwind(|| admits(&[value], &db(), &db(), 1, None)).unwrap_err();
        panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|s| (*s).into())).unwrap()
    }

    #[test]
    fn the_example_of_the_concept_page() {
        let spec = json!({
            "podSelector": {"matchLabels": {"role": "db"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [
                    {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "myproject"}}},
                    {"podSelector": {"matchLabels": {"role": "frontend"}}},
                ],
                "ports": [{"protocol": "TCP", "port": 6379}],
            }],
            "egress": [{
                "to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
                "ports": [{"protocol": "TCP", "port": 5978}],
            }],
        });
        assert!(reaches_db(spec.clone(), &pod("default", [("role", "frontend")])));
        assert!(reaches_db(spec.clone(), &pod("myproject", [])));
        assert!(!reaches_db(spec.clone(), &pod("default", [])));
        assert!(!reaches_db(spec.clone(), &pod("other", [("role", "frontend")])));
        let policies = [policy(spec)];
        let frontend = pod("default", [("role", "frontend")]);
        assert!(!admits(&policies, &frontend, &db(), 6380, None));
        // Not selected: by its labels, by its namespace.
        assert!(admits(&policies, &pod("other", []), &pod("default", [("role", "web")]), 6379, None));
        assert!(admits(&policies, &pod("other", []), &pod("other", [("role", "db")]), 6379, None));
    }

    #[test]
    fn one_peer_with_both_selectors_is_not_two_peers_with_one_each() {
        let alice = json!({"matchLabels": {"kubernetes.io/metadata.name": "alice"}});
        let client = json!({"matchLabels": {"role": "client"}});
        let both = json!([{"namespaceSelector": alice, "podSelector": client}]);
        let both = json!({"podSelector": {}, "ingress": [{"from": both}]});
        let either = json!([{"namespaceSelector": alice}, {"podSelector": client}]);
        let either = json!({"podSelector": {}, "ingress": [{"from": either}]});
        for (from, by_both, by_either) in [
            (pod("alice", [("role", "client")]), true, true),
            (pod("alice", []), false, true),
            (pod("default", [("role", "client")]), false, true),
            (pod("default", []), false, false),
            (pod("other", [("role", "client")]), false, false),
        ] {
            assert_eq!(reaches_db(both.clone(), &from), by_both, "both: {from:?}");
            assert_eq!(reaches_db(either.clone(), &from), by_either, "either: {from:?}");
        }
    }

    #[test]
    fn without_policies_everything_is_allowed() {
        assert!(admits(&[], &pod("other", []), &db(), 6379, None));
    }

    #[test]
    fn deny_and_allow_by_default() {
        let (near, far) = (pod("default", [("role", "db")]), pod("other", []));
        // Nothing is allowed, however "no rules" is written, and whether or not the type is.
        for denies in [
            json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
            json!({"podSelector": {}}),
            json!({"podSelector": {}, "policyTypes": [], "ingress": []}),
            json!({"podSelector": null, "ingress": null}),
            json!({}),
            json!({"podSelector": {}, "egress": [{}]}),
        ] {
            assert!(!reaches_db(denies.clone(), &near) && !reaches_db(denies.clone(), &far), "{denies}");
        }
        // One empty rule is everybody to everything.
        for allows in [
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}),
            json!({"podSelector": {}, "ingress": [{"from": [], "ports": []}]}),
            json!({"podSelector": {}, "ingress": [{"from": null, "ports": null}]}),
            // About egress only: does not isolate for ingress.
            json!({"podSelector": {}, "policyTypes": ["Egress"]}),
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}], "ingress": []}),
        ] {
            assert!(reaches_db(allows.clone(), &near) && reaches_db(allows.clone(), &far), "{allows}");
        }
    }

    #[test]
    fn policies_unite() {
        let deny = policy(json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
        let from = json!([{"podSelector": {"matchLabels": {"access": "true"}}}]);
        let access_nginx =
            policy(json!({"podSelector": {"matchLabels": {"app": "nginx"}}, "ingress": [{"from": from}]}));
        let (nginx, web) = (pod("default", [("app", "nginx")]), pod("default", [("app", "web")]));
        let (with, without) = (pod("default", [("access", "true")]), pod("default", []));
        for policies in [[deny.clone(), access_nginx.clone()], [access_nginx, deny]] {
            assert!(admits(&policies, &with, &nginx, 80, None));
            assert!(!admits(&policies, &without, &nginx, 80, None));
            assert!(!admits(&policies, &with, &web, 80, None));
        }
    }

    #[test]
    fn source_and_port_belong_together() {
        let spec = json!({"podSelector": {}, "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "a"}}}], "ports": [{"port": 1}]},
            {"from": [{"podSelector": {"matchLabels": {"app": "b"}}}], "ports": [{"port": 2}]},
        ]});
        for (app, port, expected) in [("a", 1, true), ("a", 2, false), ("b", 1, false), ("b", 2, true)] {
            let from = pod("default", [("app", app)]);
            assert_eq!(admits(&[policy(spec.clone())], &from, &db(), port, None), expected, "{app} to {port}");
        }
    }

    #[test]
    fn empty_selectors_of_peers() {
        let spec = |peer: Value| json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
        let (near, far) = (pod("default", [("any", "label")]), pod("other", [("any", "label")]));
        // All pods of the policy's namespace; all pods of all namespaces.
        assert!(reaches_db(spec(json!({"podSelector": {}})), &near));
        assert!(!reaches_db(spec(json!({"podSelector": {}})), &far));
        assert!(reaches_db(spec(json!({"namespaceSelector": {}})), &near));
        assert!(reaches_db(spec(json!({"namespaceSelector": {}})), &far));
        assert!(reaches_db(spec(json!({"namespaceSelector": {}, "podSelector": {}})), &far));
        // Namespaces carry no other label.
        let unlabelled = json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]});
        assert!(reaches_db(spec(json!({"namespaceSelector": unlabelled})), &far));
        assert!(!reaches_db(spec(json!({"namespaceSelector": {"matchLabels": {"team": "a"}}})), &far));
        // Never a pod.
        assert!(!reaches_db(spec(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})), &near));
    }

    #[test]
    fn several_namespaces_by_their_names() {
        let names = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["frontend", "backend"]});
        let from = json!([{"namespaceSelector": {"matchExpressions": [names]}}]);
        let spec = json!({"podSelector": {}, "ingress": [{"from": from}]});
        for (namespace, expected) in [("frontend", true), ("backend", true), ("default", false), ("front", false)] {
            assert_eq!(reaches_db(spec.clone(), &pod(namespace, [])), expected, "{namespace}");
        }
    }

    #[test]
    fn expressions() {
        let of_two = json!({"key": "environment", "operator": "In", "values": ["production", "qa"]});
        assert!(selects(of_two.clone(), [("environment", "qa")]));
        assert!(!selects(of_two.clone(), [("environment", "dev")]));
        assert!(!selects(of_two, []));
        let of_none = json!({"key": "tier", "operator": "NotIn", "values": ["frontend", "backend"]});
        assert!(!selects(of_none.clone(), [("tier", "backend")]));
        assert!(selects(of_none.clone(), [("tier", "cache")]));
        assert!(selects(of_none, [("environment", "qa")]), "no label at all is in no list");
        let there = json!({"key": "partition", "operator": "Exists"});
        assert!(selects(there.clone(), [("partition", "")]));
        assert!(!selects(there, [("tier", "partition")]));
        let not_there = json!({"key": "partition", "operator": "DoesNotExist", "values": []});
        assert!(!selects(not_there.clone(), [("partition", "")]));
        assert!(selects(not_there, []));
    }

    #[test]
    fn all_requirements_must_hold() {
        let pods = json!({
            "matchLabels": {"component": "redis", "version": ""},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["cache"]},
                {"key": "environment", "operator": "NotIn", "values": ["dev"]},
            ],
        });
        let spec = json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": pods}]}]});
        let all = [("component", "redis"), ("version", ""), ("tier", "cache"), ("environment", "qa")];
        assert!(reaches_db(spec.clone(), &pod("default", all)));
        for (key, matches) in [("component", false), ("version", false), ("tier", false), ("environment", true)] {
            let mut less = pod("default", all);
            less.labels.remove(key);
            assert_eq!(reaches_db(spec.clone(), &less), matches, "without {key}");
            less.labels.insert(key, "dev");
            assert!(!reaches_db(spec.clone(), &less), "with another {key}");
        }
    }

    #[test]
    fn ports() {
        // By number, and TCP unless it says otherwise.
        assert!(reaches_port(json!([{"port": 6379}]), 6379, None));
        assert!(!reaches_port(json!([{"port": 6379}]), 6378, Some("redis")));
        assert!(!reaches_port(json!([{"protocol": "UDP", "port": 6379}]), 6379, None));
        assert!(reaches_port(json!([{"protocol": "UDP", "port": 6379}, {"port": 6379}]), 6379, None));
        // Without a port: all of the protocol.
        assert!(reaches_port(json!([{"protocol": "TCP"}]), 1, None));
        assert!(reaches_port(json!([{}]), 1, None));
        assert!(!reaches_port(json!([{"protocol": "SCTP"}]), 1, None));
        // By name.
        assert!(reaches_port(json!([{"port": "redis"}]), 6379, Some("redis")));
        assert!(!reaches_port(json!([{"port": "redis"}]), 6379, Some("http")));
        assert!(!reaches_port(json!([{"port": "redis"}]), 6379, None));
        // A range, with both ends.
        for (port, expected) in [(31999, false), (32000, true), (32500, true), (32768, true), (32769, false)] {
            let range = json!([{"protocol": "TCP", "port": 32000, "endPort": 32768}]);
            assert_eq!(reaches_port(range, port, None), expected, "{port}");
        }
    }

    #[test]
    fn what_is_not_known_is_never_passed_over() {
        let peer = |peer: Value| policy(json!({"ingress": [{"from": [peer]}]}));
        let port = |port: Value| policy(json!({"ingress": [{"ports": [port]}]}));
        let mut elsewhere = policy(json!({"podSelectors": {}}));
        elsewhere["metadata"]["namespace"] = json!("elsewhere");
        for (value, expected) in [
            (json!({"apiVersion": "cilium.io/v2", "kind": "NetworkPolicy"}), "not a NetworkPolicy"),
            (elsewhere, "\"podSelectors\" is not known"),
            (policy(json!({"policyTypes": ["ingress"]})), "\"ingress\" is not known"),
            (policy(json!({"ingress": [{"to": []}]})), "\"to\" is not known"),
            (peer(json!({"serviceSelector": {}})), "\"serviceSelector\" is not known"),
            (peer(json!({"podSelector": {"labels": {}}})), "\"labels\" is not known"),
            (peer(json!({})), "must say something"),
            (peer(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})), "stands alone"),
            (peer(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}})), "\"Gt\""),
            (peer(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})), "missing"),
            (port(json!({"number": 80})), "\"number\" is not known"),
            (port(json!({"port": "80"})), "no name of a port"),
            (port(json!({"port": "http", "endPort": 90})), "needs a port, by number"),
            (port(json!({"port": 0})), "not a number from 1 to 65535"),
        ] {
            let message = complaint(value.clone());
            assert!(message.contains(expected), "{value}: {message}");
        }
    }
}
