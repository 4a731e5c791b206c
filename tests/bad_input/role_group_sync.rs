//! A RoleGroupSync, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{Row, expanded, principal, required, set, told_at};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "RoleGroupSync",
        "metadata": {"name": "groups"},
        "spec": {
            "tenantId": "contoso.onmicrosoft.com",
            "clientId": "11111111-2222-3333-4444-555555555555",
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
            "mappings": [{"role": "editor", "group": {"name": "Timbr Editors"}}],
        },
    })
}

/// Names that could end a string, begin a comment, or be taken for what does.
pub const UNSAFE: [&str; 23] = [
    "a'b",
    "a\\b",
    "a`b",
    "a;b",
    "a--b",
    "a/*b",
    "a\nb",
    "a\tb",
    "a\0b",
    "a\u{7f}b",
    "a\u{85}b",
    "a\u{2028}b",
    "a\u{2029}b",
    "a\u{202e}b",
    "a\u{61c}b",
    "a\u{ff07}b",
    "a\u{2019}b",
    "a\u{2bc}b",
    "a\u{37e}b",
    "a\u{1fef}b",
    "a\u{ff3c}b",
    "a\u{2013}\u{2013}b",
    "a\u{ff0f}\u{ff0a}b",
];

pub fn rows() -> Vec<Row> {
    const GROUP: &str = "spec.mappings[0].group";
    const ROLE: &str = "spec.mappings[0].role";
    let by = |field: &str| format!("{GROUP}.{field}");
    let mut rows = principal::rows();
    for text in ["10", "1 h", "1d"] {
        rows.push(set(&format!("no duration `{text}`"), "spec.interval", json!(text), "DurationInvalid"));
    }
    for text in ["0s", "59s", "721h"] {
        rows.push(set(&format!("out of range `{text}`"), "spec.interval", json!(text), "DurationOutOfRange"));
    }
    rows.push(set("number for a string", "spec.interval", json!(3600), "FieldType"));
    rows.push(set("too long", "spec.interval", json!("1m".repeat(9)), "FieldLimit"));
    rows.push(expanded("spec.interval", "DurationInvalid"));
    rows.push(set("string for a boolean", "spec.autoCreateUsers", json!("true"), "FieldType"));
    rows.push(set("string for a list", "spec.mappings", json!("editor"), "FieldType"));
    let many: Vec<Value> = (0..257).map(|i| json!({"role": format!("r{i}"), "group": {"name": "g"}})).collect();
    rows.push(set("too many", "spec.mappings", many.into(), "FieldLimit"));
    let twice = json!([{"role": "editor", "group": {"name": "a"}}, {"role": "editor", "group": {"name": "b"}}]);
    rows.push(told_at("twice", "spec.mappings", twice, "spec.mappings[1]", "FieldDuplicate"));
    rows.push(set("unknown field", "spec.mappings[0].user", json!("x"), "FieldUnknown"));
    rows.extend(required(ROLE));
    rows.extend(required(GROUP));
    rows.push(set("unknown field", &by("sid"), json!("x"), "FieldUnknown"));
    for role in ["-a", " a", "admin ", "a;b", "a'b", "a`b", "a\nb", "ä"] {
        rows.push(set(&format!("no role {role:?}"), ROLE, json!(role), "RoleInvalid"));
    }
    rows.push(set("a comment", ROLE, json!("a--b"), "NameNotSafe"));
    rows.push(set("empty", ROLE, json!(""), "RoleInvalid"));
    rows.push(set("too long", ROLE, json!("a".repeat(129)), "FieldLimit"));
    rows.push(expanded(ROLE, "RoleInvalid"));
    for name in UNSAFE {
        rows.push(set(&format!("not safe {name:?}"), &by("name"), json!(name), "NameNotSafe"));
    }
    rows.push(expanded(&by("name"), "VariableReference"));
    rows.push(set("300 characters", &by("name"), json!("a".repeat(300)), "FieldLimit"));
    rows.push(set("empty", &by("name"), json!(""), "FieldLimit"));
    rows.push(told_at(
        "both name and id",
        &by("id"),
        json!("12345678-1234-1234-1234-123456789abc"),
        GROUP,
        "GroupExactlyOne",
    ));
    rows.push(told_at("none", GROUP, json!({}), GROUP, "GroupExactlyOne"));
    rows.push(told_at("null", &by("name"), Value::Null, GROUP, "GroupExactlyOne"));
    let group = |name: &str, field: &str, value: String, code| {
        told_at(name, GROUP, json!({field: value}), &format!("{GROUP}.{field}"), code)
    };
    rows.push(group("no GUID", "id", "editors".to_owned(), "GroupIdInvalid"));
    rows.push(group("expanded", "id", super::EXPANDED.to_owned(), "GroupIdInvalid"));
    rows.push(group("too long", "id", "1".repeat(37), "FieldLimit"));
    for email in ["editors", "a'b@contoso.com", "a@b", "a--b@contoso.com", "a b@contoso.com", "a@xn--b.com"] {
        rows.push(group(&format!("no address `{email}`"), "email", email.to_owned(), "GroupEmailInvalid"));
    }
    rows.push(group("expanded", "email", super::EXPANDED.to_owned(), "GroupEmailInvalid"));
    rows.push(group("too long", "email", format!("{}@contoso.com", "a".repeat(256)), "FieldLimit"));
    rows
}
