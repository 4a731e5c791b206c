//! An InboundAccessPolicy, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{EXPANDED, Row, expanded, required, set, told_at};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "InboundAccessPolicy",
        "metadata": {"name": "api"},
        "spec": {
            "target": "Api",
            "inbound": {"rules": [{"application": "orders"}]},
            "claims": {"groups": [{"id": "12345678-1234-1234-1234-123456789abc"}]},
        },
    })
}

pub fn rows() -> Vec<Row> {
    const RULE: &str = "spec.inbound.rules[0]";
    let field = |name: &str| format!("{RULE}.{name}");
    let mut rows = Vec::from(required("spec.target"));
    rows.push(set("not in the list", "spec.target", json!("api"), "FieldNotSupported"));
    rows.push(set("expanded", "spec.target", json!(EXPANDED), "FieldNotSupported"));
    rows.push(set("not in the list", "spec.enforcement", json!("enforce"), "FieldNotSupported"));
    rows.push(set("expanded", "spec.enforcement", json!(EXPANDED), "FieldNotSupported"));
    rows.push(set("string for a mapping", "spec.inbound", json!("orders"), "FieldType"));
    rows.push(set("string for a list", "spec.inbound.rules", json!("orders"), "FieldType"));
    let many: Vec<Value> = (0..257).map(|i| json!({"application": format!("a{i}")})).collect();
    rows.push(set("too many", "spec.inbound.rules", many.into(), "FieldLimit"));
    rows.extend(required(&field("application")));
    rows.push(set("unknown field", &field("azp_name"), json!("orders"), "FieldUnknown"));
    for (name, value) in [("application", "a b"), ("application", "a/b"), ("namespace", "Shop"), ("namespace", "a.b")] {
        rows.push(set(&format!("no {name} `{value}`"), &field(name), json!(value), "CallerInvalid"));
    }
    // Any cluster's owner could come in.
    rows.push(set("all clusters", &field("cluster"), json!("*"), "CallerInvalid"));
    for name in ["application", "namespace", "cluster"] {
        rows.push(expanded(&field(name), "CallerInvalid"));
        rows.push(set("empty", &field(name), json!(""), "CallerInvalid"));
        rows.push(set("too long", &field(name), json!("a".repeat(254)), "FieldLimit"));
    }
    rows.extend([
        set("no GUID", &field("clientId"), json!("orders"), "ClientIdInvalid"),
        expanded(&field("clientId"), "ClientIdInvalid"),
        set("no GUID", &field("tenantId"), json!("contoso.com"), "TenantIdInvalid"),
        expanded(&field("tenantId"), "TenantIdInvalid"),
        set("too long", &field("clientId"), json!("1".repeat(37)), "FieldLimit"),
        set("too long", &field("tenantId"), json!("1".repeat(37)), "FieldLimit"),
    ]);
    for list in ["roles", "scopes"] {
        let path = field(&format!("permissions.{list}"));
        let permissions = |values: Value| json!({list: values});
        let at = field("permissions");
        let many: Vec<String> = (0..65).map(|i| format!("r{i}")).collect();
        rows.extend([
            told_at("string for a list", &at, permissions(json!("reader")), &path, "FieldType"),
            told_at("space", &at, permissions(json!(["a b"])), &path, "PermissionInvalid"),
            told_at("expanded", &at, permissions(json!([EXPANDED])), &path, "VariableReference"),
            told_at("twice", &at, permissions(json!(["a", "a"])), &format!("{path}[1]"), "FieldDuplicate"),
            told_at("empty", &at, permissions(json!([""])), &path, "PermissionInvalid"),
            told_at("too long", &at, permissions(json!(["a".repeat(257)])), &format!("{path}[0]"), "FieldLimit"),
            told_at("too many", &at, permissions(json!(many)), &path, "FieldLimit"),
        ]);
    }
    const GROUP: &str = "spec.claims.groups[0].id";
    rows.extend(required(GROUP));
    rows.push(set("no GUID", GROUP, json!("editors"), "GroupIdInvalid"));
    rows.push(expanded(GROUP, "GroupIdInvalid"));
    rows.push(set("too long", GROUP, json!("1".repeat(37)), "FieldLimit"));
    rows.push(set("string for a boolean", "spec.allowAllUsers", json!("no"), "FieldType"));
    rows.extend(network_policy());
    rows
}

fn network_policy() -> Vec<Row> {
    const GUARD: &str = "spec.networkPolicy";
    const PEERS: &str = "spec.networkPolicy.ingressFrom";
    const BLOCK: &str = "spec.networkPolicy.ingressFrom[0].ipBlock";
    let peer =
        |what: &str, peer: Value, path: &str, code: &'static str| told_at(what, PEERS, json!([peer]), path, code);
    let block = |what: &str, cidr: Value, except: Value, path: &str, code: &'static str| {
        peer(what, json!({"ipBlock": {"cidr": cidr, "except": except}}), &format!("{BLOCK}.{path}"), code)
    };
    let requirement = |what: &str, it: Value, path: &str| {
        ["podSelector", "namespaceSelector"].map(|selector| {
            let at = format!("{PEERS}[0].{selector}.matchExpressions[0].{path}");
            peer(what, json!({selector: {"matchExpressions": [it]}}), &at, "PeerInvalid").past_the_schema()
        })
    };
    let first = format!("{PEERS}[0]");
    let many = vec![json!({"podSelector": {}}); 65];
    let long = format!("10.0.0.0/{}", "8".repeat(40));
    let mut rows = vec![
        set("string for a mapping", GUARD, json!("Managed"), "FieldType"),
        set("not in the list", &format!("{GUARD}.mode"), json!("managed"), "FieldNotSupported"),
        set("expanded", &format!("{GUARD}.mode"), json!(EXPANDED), "FieldNotSupported"),
        set("string for a list", PEERS, json!("ingress-nginx"), "FieldType"),
        set("too many", PEERS, json!(many), "FieldLimit"),
        peer("nobody", json!({}), &first, "PeerInvalid"),
        peer(
            "pods and addresses",
            json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            &first,
            "PeerInvalid",
        ),
        peer(
            "unknown field",
            json!({"podSelector": {}, "podSelectors": {}}),
            &format!("{first}.podSelectors"),
            "FieldUnknown",
        ),
        peer("no range", json!({"ipBlock": {}}), &format!("{BLOCK}.cidr"), "FieldRequired"),
        block("an address", json!("10.0.0.1"), json!([]), "cidr", "PeerInvalid"),
        block("expanded", json!(EXPANDED), json!([]), "cidr", "PeerInvalid"),
        block("too many bits", json!("10.0.0.0/33"), json!([]), "cidr", "PeerInvalid"),
        block("no IPv6", json!("1::2::3/64"), json!([]), "cidr", "PeerInvalid").past_the_schema(),
        block("too long", json!(long), json!([]), "cidr", "FieldLimit"),
        block("outside", json!("10.0.0.0/8"), json!(["11.0.0.0/9"]), "except", "PeerInvalid").past_the_schema(),
        block("all of it", json!("10.0.0.0/8"), json!(["10.0.0.0/8"]), "except", "PeerInvalid").past_the_schema(),
        block("expanded", json!("10.0.0.0/8"), json!([EXPANDED]), "except", "PeerInvalid"),
    ];
    let requirements = [
        requirement("no label", json!({"key": "a b", "operator": "Exists"}), "key"),
        requirement("expanded", json!({"key": EXPANDED, "operator": "Exists"}), "key"),
        requirement("no operator", json!({"key": "a", "operator": "Is"}), "operator"),
        requirement("expanded", json!({"key": "a", "operator": EXPANDED}), "operator"),
        requirement("In without values", json!({"key": "a", "operator": "In"}), "values"),
        requirement("Exists with values", json!({"key": "a", "operator": "Exists", "values": ["b"]}), "values"),
        requirement("no value", json!({"key": "a", "operator": "In", "values": ["b", "c d"]}), "values"),
        requirement("expanded", json!({"key": "a", "operator": "In", "values": [EXPANDED]}), "values"),
    ];
    rows.extend(requirements.into_iter().flatten());
    rows
}
