//! Objects with one fault each that an object has by itself: what the schema and its CEL rules refuse.
//! The same table is put before `validate` and before a real API server.

use serde_json::{Value, json};

/// An object with one fault.
pub struct Case {
    /// What is wrong.
    pub name: String,
    /// The object.
    pub object: Value,
    /// The field.
    pub path: String,
    /// The problem's code.
    pub code: &'static str,
}

/// What must never reach a value: the kubelet would put another variable's value there.
pub const EXPANDED: &str = "$(DB_PASSWORD)";

/// A valid AzureSso.
pub fn azure_sso() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "AzureSso",
        "metadata": {"name": "sso"},
        "spec": {
            "tenantId": "contoso.onmicrosoft.com",
            "clientId": "11111111-2222-3333-4444-555555555555",
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
            "publicUrl": "https://timbr.example.com",
        },
    })
}

/// A valid TimbrInstallation.
pub fn timbr_installation() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "TimbrInstallation",
        "metadata": {"name": "main"},
        "spec": {"components": {"platform": {"deployment": "web", "container": "web"}}},
    })
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    azure_sso_cases(&mut cases);
    timbr_installation_cases(&mut cases);
    cases
}

/// Sets a field, making what is above it; a `None` takes it away.
fn with(mut object: Value, path: &str, value: Option<Value>) -> Value {
    let (parents, field) = path.rsplit_once('.').expect("a path below the object");
    let parent = parents.split('.').fold(&mut object, |object, name| &mut object[name]);
    match value {
        Some(value) => parent[field] = value,
        None => {
            parent.as_object_mut().expect("a mapping").remove(field);
        }
    }
    object
}

fn azure_sso_cases(cases: &mut Vec<Case>) {
    let by_ref = || {
        let object = with(azure_sso(), "spec.clientId", None);
        with(object, "spec.clientIdRef", Some(json!({"name": "entra", "key": "client-id"})))
    };
    let mut case = |name: &str, object: Value, path: &str, code: &'static str| {
        cases.push(Case { name: format!("AzureSso: {name}"), object, path: path.to_owned(), code });
    };
    // Where the fault is in the field that is set.
    let set: &[(&str, &str, Value, &str)] = &[
        ("unknown field", "spec.publicURL", json!("https://timbr.example.com"), "FieldUnknown"),
        ("unknown field below", "spec.clientSecretRef.namespace", json!("other"), "FieldUnknown"),
        ("number for a string", "spec.tenantId", json!(5), "FieldType"),
        ("string for a boolean", "spec.suspend", json!("yes"), "FieldType"),
        ("string for a mapping", "spec.clientSecretRef", json!("entra"), "FieldType"),
        ("not in the list", "spec.userIdentity", json!("email"), "FieldNotSupported"),
        ("not in the list", "spec.passwordLogin", json!("disabled"), "FieldNotSupported"),
        ("common", "spec.tenantId", json!("common"), "TenantIdInvalid"),
        ("organizations", "spec.tenantId", json!("organizations"), "TenantIdInvalid"),
        ("consumers", "spec.tenantId", json!("consumers"), "TenantIdInvalid"),
        ("no GUID", "spec.clientId", json!("timbr"), "ClientIdInvalid"),
        ("http URL", "spec.publicUrl", json!("http://timbr.example.com"), "PublicUrlNotHttps"),
        ("URL with a slash", "spec.publicUrl", json!("https://timbr.example.com/"), "PublicUrlHostOnly"),
        ("URL with a path", "spec.publicUrl", json!("https://timbr.example.com/timbr"), "PublicUrlHostOnly"),
        ("URL with a query", "spec.publicUrl", json!("https://timbr.example.com?a=b"), "PublicUrlHostOnly"),
        ("URL with a user", "spec.publicUrl", json!("https://me@timbr.example.com"), "PublicUrlHostOnly"),
        ("URL without a host", "spec.publicUrl", json!("https://"), "PublicUrlHostOnly"),
        ("name of no Secret", "spec.clientSecretRef.name", json!("ns/entra"), "SecretNameInvalid"),
        ("key of no Secret", "spec.clientSecretRef.key", json!("client secret"), "SecretKeyInvalid"),
        ("no name", "spec.installationRef", json!({"name": "Main"}), "NameInvalid"),
        ("no role", "spec.selfRegistration", json!({"role": "a;b"}), "RoleInvalid"),
        ("admin", "spec.selfRegistration", json!({"role": "admin"}), "AdminRoleNotAllowed"),
        ("Admin", "spec.selfRegistration", json!({"role": "Admin"}), "AdminRoleNotAllowed"),
        ("too long", "spec.tenantId", json!(format!("{}.com", "a.".repeat(130))), "FieldLimit"),
        ("too long", "spec.clientId", json!("1".repeat(37)), "FieldLimit"),
        ("too long", "spec.publicUrl", json!(format!("https://{}", "a".repeat(2048))), "FieldLimit"),
        ("too long", "spec.clientSecretRef.name", json!("a".repeat(254)), "FieldLimit"),
        ("too long", "spec.clientSecretRef.key", json!("a".repeat(254)), "FieldLimit"),
        ("too long", "spec.selfRegistration", json!({"role": "a".repeat(129)}), "FieldLimit"),
    ];
    for (name, path, value, code) in set {
        let at = match *code {
            "NameInvalid" => format!("{path}.name"),
            "RoleInvalid" => format!("{path}.role"),
            "FieldLimit" if path.ends_with("Registration") => format!("{path}.role"),
            _ => (*path).to_owned(),
        };
        case(&format!("{name}: {path}"), with(azure_sso(), path, Some(value.clone())), &at, code);
    }
    for path in [
        "spec.tenantId",
        "spec.publicUrl",
        "spec.clientSecretRef",
        "spec.clientSecretRef.name",
        "spec.clientSecretRef.key",
    ] {
        case(&format!("absent: {path}"), with(azure_sso(), path, None), path, "FieldRequired");
        case(&format!("null: {path}"), with(azure_sso(), path, Some(Value::Null)), path, "FieldRequired");
    }
    let mut no_spec = azure_sso();
    no_spec.as_object_mut().expect("a mapping").remove("spec");
    case("absent: spec", no_spec, "spec", "FieldRequired");
    // Both and neither, a null counting as absent.
    let both = with(by_ref(), "spec.clientId", Some(json!("11111111-2222-3333-4444-555555555555")));
    case("both of clientId and clientIdRef", both, "spec", "ClientIdExactlyOne");
    case("neither of clientId and clientIdRef", with(azure_sso(), "spec.clientId", None), "spec", "ClientIdExactlyOne");
    case("clientId null", with(azure_sso(), "spec.clientId", Some(Value::Null)), "spec", "ClientIdExactlyOne");
    case("clientIdRef null", with(by_ref(), "spec.clientIdRef", Some(Value::Null)), "spec", "ClientIdExactlyOne");
    // Every string field refuses what the kubelet would expand.
    case(
        "expanded: clientIdRef.name",
        with(by_ref(), "spec.clientIdRef.name", Some(json!(EXPANDED))),
        "spec.clientIdRef.name",
        "SecretNameInvalid",
    );
    case(
        "expanded: clientIdRef.key",
        with(by_ref(), "spec.clientIdRef.key", Some(json!(EXPANDED))),
        "spec.clientIdRef.key",
        "SecretKeyInvalid",
    );
    for (path, value, code) in [
        ("spec.tenantId", json!(EXPANDED), "TenantIdInvalid"),
        ("spec.tenantId", json!(format!("{EXPANDED}.contoso.com")), "TenantIdInvalid"),
        ("spec.clientId", json!(EXPANDED), "ClientIdInvalid"),
        ("spec.clientSecretRef.name", json!(EXPANDED), "SecretNameInvalid"),
        ("spec.clientSecretRef.key", json!(EXPANDED), "SecretKeyInvalid"),
        ("spec.publicUrl", json!(format!("https://{EXPANDED}")), "PublicUrlHostOnly"),
        ("spec.publicUrl", json!(EXPANDED), "PublicUrlNotHttps"),
        ("spec.userIdentity", json!(EXPANDED), "FieldNotSupported"),
        ("spec.passwordLogin", json!(EXPANDED), "FieldNotSupported"),
    ] {
        case(&format!("expanded: {path}"), with(azure_sso(), path, Some(value)), path, code);
    }
    let role = with(azure_sso(), "spec.selfRegistration", Some(json!({"role": EXPANDED})));
    case("expanded: spec.selfRegistration.role", role, "spec.selfRegistration.role", "RoleInvalid");
    let installation = with(azure_sso(), "spec.installationRef", Some(json!({"name": EXPANDED})));
    case("expanded: spec.installationRef.name", installation, "spec.installationRef.name", "NameInvalid");
}

fn timbr_installation_cases(cases: &mut Vec<Case>) {
    let mut case = |name: &str, spec: Value, path: &str, code: &'static str| {
        let mut object = timbr_installation();
        object["spec"] = spec;
        cases.push(Case { name: format!("TimbrInstallation: {name}"), object, path: path.to_owned(), code });
    };
    case("unknown component", json!({"components": {"gateway": {}}}), "spec.components.gateway", "FieldUnknown");
    case("unknown field", json!({"deployment": "web"}), "spec.deployment", "FieldUnknown");
    case("string for a mapping", json!({"components": {"api": "web"}}), "spec.components.api", "FieldType");
    for component in ["platform", "server", "api"] {
        for field in ["deployment", "container"] {
            let path = format!("spec.components.{component}.{field}");
            for (name, value) in [("expanded", EXPANDED), ("no name", "Web")] {
                case(
                    &format!("{name}: {path}"),
                    json!({"components": {component: {field: value}}}),
                    &path,
                    "NameInvalid",
                );
            }
        }
    }
    let path = "spec.components.platform.container";
    case("too long", json!({"components": {"platform": {"container": "a".repeat(64)}}}), path, "FieldLimit");
    case(
        "two components, one Deployment",
        json!({"components": {"platform": {"deployment": "timbr"}, "server": {"deployment": "timbr"}}}),
        "spec.components",
        "ComponentDuplicate",
    );
    case(
        "two components, one container",
        json!({"components": {
            "platform": {"deployment": "timbr", "container": "a"},
            "api": {"deployment": "timbr", "container": "a"},
        }}),
        "spec.components",
        "ComponentDuplicate",
    );
    case(
        "a default named again",
        json!({"components": {"server": {"deployment": "timbr-api"}}}),
        "spec.components",
        "ComponentDuplicate",
    );
}
