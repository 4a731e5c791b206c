//! A JwtTenant, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{Row, expanded, jwt_authentication, reference, required, set};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "JwtTenant",
        "metadata": {"name": "contoso"},
        "spec": {"tenant": "contoso", "audience": "api://timbr"},
    })
}

pub fn rows() -> Vec<Row> {
    let mut rows = jwt_authentication::tokens();
    rows.extend(required("spec.tenant"));
    for tenant in ["-x", "_x", "a.b", "a b", "a/b", "ä", "a$b"] {
        rows.push(set(&format!("no tenant `{tenant}`"), "spec.tenant", json!(tenant), "TenantInvalid"));
    }
    for tenant in ["DEFAULT", "default", "Use", "USE"] {
        rows.push(set(&format!("reserved `{tenant}`"), "spec.tenant", json!(tenant), "TenantReserved"));
    }
    rows.push(expanded("spec.tenant", "TenantInvalid"));
    rows.push(set("empty", "spec.tenant", json!(""), "TenantInvalid"));
    rows.push(set("64 characters", "spec.tenant", json!("a".repeat(64)), "FieldLimit"));
    rows.extend(reference("spec.keyRef"));
    rows
}
