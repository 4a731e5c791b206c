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
    rows
}
