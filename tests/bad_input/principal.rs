//! A service principal, as RoleGroupSync and KeyVaultBinding name it, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{EXPANDED, Row, expanded, reference, set, told_at};

/// Rows for a base that names tenant, client id and Secret.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        set("common", "spec.tenantId", json!("common"), "TenantIdInvalid"),
        expanded("spec.tenantId", "TenantIdInvalid"),
        set("too long", "spec.tenantId", json!("a.".repeat(130) + "com"), "FieldLimit"),
        set("no GUID", "spec.clientId", json!("timbr"), "ClientIdInvalid"),
        expanded("spec.clientId", "ClientIdInvalid"),
        set("too long", "spec.clientId", json!("1".repeat(37)), "FieldLimit"),
        told_at("both ways", "spec.credentialsFrom", json!({"azureSso": "sso"}), "spec", "CredentialsExactlyOne"),
        told_at(
            "both of clientId and clientIdRef",
            "spec.clientIdRef",
            json!({"name": "keys", "key": "id"}),
            "spec",
            "CredentialsExactlyOne",
        ),
    ];
    for field in ["tenantId", "clientId", "clientSecretRef"] {
        let path = format!("spec.{field}");
        rows.push(Row {
            name: format!("without {field}"),
            set: vec![(path.clone(), None)],
            at: "spec".to_owned(),
            code: "CredentialsExactlyOne",
            past_the_schema: false,
        });
        rows.push(told_at(&format!("{field} null"), &path, Value::Null, "spec", "CredentialsExactlyOne"));
    }
    rows.extend(reference("spec.clientSecretRef"));
    let by_ref = |mut row: Row| {
        row.set.insert(0, ("spec.clientId".to_owned(), None));
        row
    };
    rows.extend(reference("spec.clientIdRef").into_iter().map(by_ref));
    let from_sso = |name: &str, from: Value, at: &str, code| {
        let fields = ["tenantId", "clientId", "clientSecretRef"].map(|field| (format!("spec.{field}"), None));
        let mut set = Vec::from(fields);
        set.push(("spec.credentialsFrom".to_owned(), Some(from)));
        Row { name: name.to_owned(), set, at: at.to_owned(), code, past_the_schema: false }
    };
    const SSO: &str = "spec.credentialsFrom.azureSso";
    rows.extend([
        from_sso("string for a mapping", json!("sso"), "spec.credentialsFrom", "FieldType"),
        from_sso("absent", json!({}), SSO, "FieldRequired"),
        from_sso("no name", json!({"azureSso": "My Sso"}), SSO, "NameInvalid"),
        from_sso("expanded", json!({"azureSso": EXPANDED}), SSO, "NameInvalid"),
        from_sso("too long", json!({"azureSso": "a".repeat(254)}), SSO, "FieldLimit"),
        from_sso(
            "unknown field",
            json!({"azureSso": "sso", "namespace": "x"}),
            "spec.credentialsFrom.namespace",
            "FieldUnknown",
        ),
    ]);
    rows
}
