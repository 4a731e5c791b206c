//! A JwtAuthentication, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{Row, expanded, reference, required, set, told_at};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "JwtAuthentication",
        "metadata": {"name": "jwt"},
        "spec": {
            "type": "Azure",
            "audience": "api://timbr",
            "issuer": "https://login.microsoftonline.com/contoso.com/v2.0",
            "userClaim": "email",
        },
    })
}

/// What is wrong with a list of algorithms, and with an audience: the same for tenants.
pub fn tokens() -> Vec<Row> {
    const ALGORITHMS: &str = "spec.algorithms";
    let mut rows = vec![
        set("string for a list", ALGORITHMS, json!("RS256"), "FieldType"),
        set("none", ALGORITHMS, json!([]), "FieldLimit"),
        set("too many", ALGORITHMS, json!(["RS256", "RSA-OAEP", "HS256", "AES", "RS512"]), "FieldLimit"),
        told_at("twice", ALGORITHMS, json!(["RS256", "RS256"]), "spec.algorithms[1]", "FieldDuplicate"),
        told_at("number", ALGORITHMS, json!([256]), "spec.algorithms[0]", "FieldType"),
    ];
    for algorithm in ["RS246", "rs256", "none", "RS512", super::EXPANDED] {
        let name = if algorithm == super::EXPANDED { "expanded" } else { algorithm };
        rows.push(set(name, ALGORITHMS, json!([algorithm]), "AlgorithmInvalid"));
    }
    rows.extend([
        expanded("spec.audience", "VariableReference"),
        set("empty", "spec.audience", json!(""), "AudienceInvalid"),
        set("space at an end", "spec.audience", json!("timbr "), "AudienceInvalid"),
        set("line break", "spec.audience", json!("timbr\nx"), "AudienceInvalid"),
        set("invisible", "spec.audience", json!("tim\u{200b}br"), "AudienceInvalid"),
        set("a mark of direction", "spec.audience", json!("tim\u{61c}br"), "AudienceInvalid"),
        set("too long", "spec.audience", json!("a".repeat(2049)), "FieldLimit"),
    ]);
    rows
}

pub fn rows() -> Vec<Row> {
    let mut rows = tokens();
    rows.extend(required("spec.type"));
    rows.push(set("not in the list", "spec.type", json!("azure"), "FieldNotSupported"));
    rows.push(set("expanded", "spec.type", json!(super::EXPANDED), "FieldNotSupported"));
    for (name, issuer) in [
        ("http", "http://tokens.example.com"),
        ("no scheme", "tokens.example.com"),
        ("query", "https://tokens.example.com/?a=b"),
        ("fragment", "https://tokens.example.com/#a"),
        ("user", "https://me@tokens.example.com/"),
        ("space", "https://tokens.example.com/a b"),
        ("expanded below", "https://evil.example/$(DB_PASSWORD)"),
        ("empty", ""),
    ] {
        rows.push(set(name, "spec.issuer", json!(issuer), "IssuerInvalid"));
    }
    rows.push(expanded("spec.issuer", "IssuerInvalid"));
    rows.push(set("too long", "spec.issuer", json!(format!("https://a.b/{}", "a".repeat(2048))), "FieldLimit"));
    for claim in ["", "a b", "a'b"] {
        rows.push(set(&format!("no claim `{claim}`"), "spec.userClaim", json!(claim), "UserClaimInvalid"));
    }
    rows.push(expanded("spec.userClaim", "UserClaimInvalid"));
    rows.push(set("too long", "spec.userClaim", json!("a".repeat(129)), "FieldLimit"));
    rows.push(set("string for a boolean", "spec.tenantUsers", json!("True"), "FieldType"));
    rows.push(told_at(
        "key of type Azure",
        "spec.keyRef",
        json!({"name": "a", "key": "b"}),
        "spec",
        "KeyNeedsCustomType",
    ));
    for algorithm in ["HS256", "AES"] {
        let name = format!("{algorithm} of type Azure");
        rows.push(told_at(&name, "spec.algorithms", json!(["RS256", algorithm]), "spec", "AlgorithmNeedsKey"));
    }
    rows.push(told_at("Custom without key", "spec.type", json!("Custom"), "spec", "KeyRequired"));
    let custom = |mut row: Row| {
        row.set.insert(0, ("spec.type".to_owned(), Some(json!("Custom"))));
        row
    };
    rows.extend(reference("spec.keyRef").into_iter().map(custom));
    let mut claim =
        custom(told_at("claim of type Custom", "spec.userClaim", json!("upn"), "spec", "UserClaimNotSupported"));
    claim.set.push(("spec.keyRef".to_owned(), Some(json!({"name": "a", "key": "b"}))));
    rows.push(claim);
    rows
}
