//! A KeyVaultBinding, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{Row, expanded, principal, required, set};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "KeyVaultBinding",
        "metadata": {"name": "vault"},
        "spec": {
            "tenantId": "contoso.onmicrosoft.com",
            "clientId": "11111111-2222-3333-4444-555555555555",
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
            "vaultUrl": "https://contoso.vault.azure.net/",
        },
    })
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::from(required("spec.vaultUrl"));
    for (name, url) in [
        ("http", "http://contoso.vault.azure.net/"),
        ("no scheme", "contoso.vault.azure.net"),
        ("path", "https://contoso.vault.azure.net/secrets"),
        ("two slashes", "https://contoso.vault.azure.net//"),
        ("port", "https://contoso.vault.azure.net:443/"),
        ("query", "https://contoso.vault.azure.net/?a=b"),
        ("user", "https://me@contoso.vault.azure.net/"),
        ("no dot", "https://contoso/"),
    ] {
        rows.push(set(name, "spec.vaultUrl", json!(url), "VaultUrlInvalid"));
    }
    rows.push(expanded("spec.vaultUrl", "VaultUrlInvalid"));
    rows.push(set("too long", "spec.vaultUrl", json!(format!("https://{}net/", "a.".repeat(1024))), "FieldLimit"));
    rows.push(set("not in the list", "spec.deletionPolicy", json!("Delete"), "FieldNotSupported"));
    rows.push(set("expanded", "spec.deletionPolicy", json!(super::EXPANDED), "FieldNotSupported"));
    rows.extend(principal::rows());
    rows
}
