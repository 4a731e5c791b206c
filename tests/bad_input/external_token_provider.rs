//! An ExternalTokenProvider, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{Row, expanded, required, set, told_at};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "ExternalTokenProvider",
        "metadata": {"name": "bi"},
        "spec": {
            "displayName": "Power BI",
            "audiences": ["api://timbr"],
            "userClaim": "upn",
            "issuerUrl": "https://sts.windows.net/contoso/",
        },
    })
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for path in ["spec.displayName", "spec.audiences", "spec.userClaim", "spec.issuerUrl"] {
        rows.extend(required(path));
    }
    rows.extend([
        expanded("spec.displayName", "VariableReference"),
        set("expanded", "spec.audiences", json!([super::EXPANDED]), "VariableReference"),
        set("empty", "spec.displayName", json!(""), "DisplayNameInvalid"),
        set("blank", "spec.displayName", json!("  "), "DisplayNameInvalid"),
        set("line break", "spec.displayName", json!("a\nb"), "DisplayNameInvalid"),
        set("turned around", "spec.displayName", json!("a\u{202e}b"), "DisplayNameInvalid"),
        set("a mark of direction", "spec.displayName", json!("a\u{61c}b"), "DisplayNameInvalid"),
        set("too long", "spec.displayName", json!("a".repeat(129)), "FieldLimit"),
        set("string for a list", "spec.audiences", json!("api://timbr"), "FieldType"),
        set("none", "spec.audiences", json!([]), "FieldLimit"),
        set("too many", "spec.audiences", (0..17).map(|i| format!("a{i}")).collect(), "FieldLimit"),
        told_at("twice", "spec.audiences", json!(["a", "a"]), "spec.audiences[1]", "FieldDuplicate"),
        set("empty", "spec.audiences", json!([""]), "AudienceInvalid"),
        told_at("too long", "spec.audiences", json!(["a".repeat(2049)]), "spec.audiences[0]", "FieldLimit"),
        set("space at an end", "spec.audiences", json!([" a"]), "AudienceInvalid"),
        set("no claim", "spec.userClaim", json!("a b"), "UserClaimInvalid"),
        expanded("spec.userClaim", "UserClaimInvalid"),
        set("too long", "spec.userClaim", json!("a".repeat(129)), "FieldLimit"),
        set("http", "spec.issuerUrl", json!("http://a.b"), "IssuerInvalid"),
        set("query", "spec.issuerUrl", json!("https://a.b/?c=d"), "IssuerInvalid"),
        set("fragment", "spec.issuerUrl", json!("https://a.b/#c"), "IssuerInvalid"),
        expanded("spec.issuerUrl", "IssuerInvalid"),
        set("too long", "spec.issuerUrl", json!(format!("https://a.b/{}", "a".repeat(2048))), "FieldLimit"),
        set("http", "spec.jwksUrl", json!("http://a.b/keys"), "JwksUrlInvalid"),
        set("user", "spec.jwksUrl", json!("https://me@a.b/keys"), "JwksUrlInvalid"),
        set("fragment", "spec.jwksUrl", json!("https://a.b/keys#a"), "JwksUrlInvalid"),
        expanded("spec.jwksUrl", "JwksUrlInvalid"),
        set("too long", "spec.jwksUrl", json!(format!("https://a.b/{}", "a".repeat(2048))), "FieldLimit"),
        told_at("symmetric", "spec.algorithms", json!(["HS256"]), "spec.algorithms[0]", "FieldNotSupported"),
        told_at("none at all", "spec.algorithms", json!(["none"]), "spec.algorithms[0]", "FieldNotSupported"),
        told_at("twice", "spec.algorithms", json!(["RS256", "RS256"]), "spec.algorithms[1]", "FieldDuplicate"),
        set("none", "spec.algorithms", json!([]), "FieldLimit"),
        told_at("expanded", "spec.algorithms", json!([super::EXPANDED]), "spec.algorithms[0]", "FieldNotSupported"),
        set("string for a boolean", "spec.enabled", json!("true"), "FieldType"),
    ]);
    rows
}
