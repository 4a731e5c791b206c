//! Objects with one fault each that an object has by itself: what the schema and its CEL rules refuse.
//! The same table is put before `validate` and before a real API server.

mod databricks_passthrough;
mod external_token_provider;
mod inbound_access_policy;
mod jwt_authentication;
mod jwt_tenant;
mod key_vault_binding;
mod principal;
mod role_group_sync;

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
    /// Whether the schema and its rules cannot tell, and the webhook is the first that can.
    pub past_the_schema: bool,
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
    for (kind, base, rows) in tables() {
        for Row { name, set, at, code, past_the_schema } in rows.into_iter().chain(common(&base)) {
            let object = set.into_iter().fold(base.clone(), |object, (path, value)| with(object, &path, value));
            cases.push(Case { name: format!("{kind}: {name}: {at}"), object, path: at, code, past_the_schema });
        }
    }
    cases
}

/// One valid object of each kind.
pub fn valid() -> Vec<Value> {
    let others = tables().into_iter().map(|(_, base, _)| base);
    others.chain([azure_sso(), timbr_installation()]).collect()
}

/// The kinds whose faults are told as differences from a valid object.
fn tables() -> [(&'static str, Value, Vec<Row>); 7] {
    [
        ("DatabricksPassthrough", databricks_passthrough::valid(), databricks_passthrough::rows()),
        ("ExternalTokenProvider", external_token_provider::valid(), external_token_provider::rows()),
        ("InboundAccessPolicy", inbound_access_policy::valid(), inbound_access_policy::rows()),
        ("JwtAuthentication", jwt_authentication::valid(), jwt_authentication::rows()),
        ("JwtTenant", jwt_tenant::valid(), jwt_tenant::rows()),
        ("KeyVaultBinding", key_vault_binding::valid(), key_vault_binding::rows()),
        ("RoleGroupSync", role_group_sync::valid(), role_group_sync::rows()),
    ]
}

/// One fault: what is set (a `None` is taken away), and where it is told under which code.
pub struct Row {
    name: String,
    set: Vec<(String, Option<Value>)>,
    at: String,
    code: &'static str,
    past_the_schema: bool,
}

impl Row {
    /// The same, of what the schema and its rules cannot tell.
    fn past_the_schema(self) -> Self {
        Self { past_the_schema: true, ..self }
    }
}

/// A field is set to a value that it cannot hold.
fn set(name: &str, path: &str, value: Value, code: &'static str) -> Row {
    told_at(name, path, value, path, code)
}

/// The same, told elsewhere.
fn told_at(name: &str, path: &str, value: Value, at: &str, code: &'static str) -> Row {
    let set = vec![(path.to_owned(), Some(value))];
    Row { name: name.to_owned(), set, at: at.to_owned(), code, past_the_schema: false }
}

/// A required field is absent, or null.
fn required(path: &str) -> [Row; 2] {
    let row = |name: &str, value| Row {
        name: name.to_owned(),
        set: vec![(path.to_owned(), value)],
        at: path.to_owned(),
        code: "FieldRequired",
        past_the_schema: false,
    };
    [row("absent", None), row("null", Some(Value::Null))]
}

/// What the kubelet would expand is refused here.
fn expanded(path: &str, code: &'static str) -> Row {
    set("expanded", path, json!(EXPANDED), code)
}

/// A reference to a Secret, wrong in each way that it can be.
fn reference(path: &str) -> Vec<Row> {
    let field = |field: &str| format!("{path}.{field}");
    let good = json!({"name": "keys", "key": "key"});
    let with_field = |name: &str, value: Value| {
        let mut reference = good.clone();
        reference[name] = value;
        reference
    };
    let without = |name: &str| {
        let mut reference = good.clone();
        reference.as_object_mut().expect("a mapping").remove(name);
        reference
    };
    vec![
        set("string for a mapping", path, json!("keys"), "FieldType"),
        told_at("absent", path, without("name"), &field("name"), "FieldRequired"),
        told_at("absent", path, without("key"), &field("key"), "FieldRequired"),
        told_at("unknown field", path, with_field("namespace", json!("other")), &field("namespace"), "FieldUnknown"),
        told_at("name of no Secret", path, with_field("name", json!("ns/keys")), &field("name"), "SecretNameInvalid"),
        told_at("expanded", path, with_field("name", json!(EXPANDED)), &field("name"), "SecretNameInvalid"),
        told_at("expanded", path, with_field("key", json!(EXPANDED)), &field("key"), "SecretKeyInvalid"),
        told_at("too long", path, with_field("name", json!("a".repeat(254))), &field("name"), "FieldLimit"),
        told_at("too long", path, with_field("key", json!("a".repeat(254))), &field("key"), "FieldLimit"),
    ]
}

/// What every kind but TimbrInstallation has.
fn common(base: &Value) -> Vec<Row> {
    let mut rows = vec![
        set("unknown field", "spec.unheardOf", json!("x"), "FieldUnknown"),
        set("string for a boolean", "spec.suspend", json!("yes"), "FieldType"),
        set("string for a mapping", "spec.installationRef", json!("main"), "FieldType"),
        told_at("absent", "spec.installationRef", json!({}), "spec.installationRef.name", "FieldRequired"),
        told_at("no name", "spec.installationRef", json!({"name": "Main"}), "spec.installationRef.name", "NameInvalid"),
        told_at(
            "expanded",
            "spec.installationRef",
            json!({"name": EXPANDED}),
            "spec.installationRef.name",
            "NameInvalid",
        ),
        told_at(
            "too long",
            "spec.installationRef",
            json!({"name": "a".repeat(254)}),
            "spec.installationRef.name",
            "FieldLimit",
        ),
    ];
    // Of each string that is there: a number instead. (Of a closed list the server says that twice.)
    for (name, value) in base["spec"].as_object().expect("a spec") {
        if value.is_string() && name != "target" && name != "type" {
            rows.push(set("number for a string", &format!("spec.{name}"), json!(5), "FieldType"));
        }
    }
    rows
}

/// Sets a field, making what is above it; a `None` takes it away. Entries of lists are told by their
/// number, as in `spec.mappings[0].role`.
fn with(mut object: Value, path: &str, value: Option<Value>) -> Value {
    let path = path.replace('[', ".").replace(']', "");
    let (parents, field) = path.rsplit_once('.').expect("a path below the object");
    let parent = parents.split('.').fold(&mut object, |object, name| match name.parse::<usize>() {
        Ok(index) => &mut object[index],
        Err(_) => &mut object[name],
    });
    match value {
        Some(value) => match field.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[field] = value,
        },
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
        cases.push(Case {
            name: format!("AzureSso: {name}"),
            object,
            path: path.to_owned(),
            code,
            past_the_schema: false,
        });
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
        ("admin and a space", "spec.selfRegistration", json!({"role": "admin "}), "RoleInvalid"),
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
        cases.push(Case {
            name: format!("TimbrInstallation: {name}"),
            object,
            path: path.to_owned(),
            code,
            past_the_schema: false,
        });
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
    let sql = |field: &str, value: Value| {
        let mut sql = json!({"tokenSecretRef": {"name": "key", "key": "key"}});
        sql[field] = value;
        json!({"sql": sql})
    };
    for (name, url) in [
        ("path", "http://timbr-api.timbr.svc:9000/"),
        ("no scheme", "timbr-api.timbr.svc:9000"),
        ("another scheme", "ftp://timbr-api.timbr.svc"),
        ("user", "http://me@timbr-api.timbr.svc"),
        ("no port", "http://timbr-api.timbr.svc:0"),
        ("expanded", EXPANDED),
    ] {
        case(&format!("{name}: spec.sql.url"), sql("url", json!(url)), "spec.sql.url", "SqlUrlInvalid");
    }
    for (name, ontology) in [("path", "a/b"), ("empty", ""), ("expanded", EXPANDED)] {
        let spec = sql("ontology", json!(ontology));
        case(&format!("{name}: spec.sql.ontology"), spec, "spec.sql.ontology", "OntologyInvalid");
    }
    for (name, role) in [("no role", "a;b"), ("a space at its end", "admin "), ("expanded", EXPANDED)] {
        let spec = sql("allowedRoles", json!([role]));
        case(&format!("{name}: spec.sql.allowedRoles"), spec, "spec.sql.allowedRoles", "RoleInvalid");
    }
    case("twice", sql("allowedRoles", json!(["a", "a"])), "spec.sql.allowedRoles[1]", "FieldDuplicate");
    case("no token", json!({"sql": {}}), "spec.sql.tokenSecretRef", "FieldRequired");
    for (field, other) in
        [("accessPolicy", "required"), ("onConflict", "adopt"), ("delivery", "reference"), ("rollout", "always")]
    {
        let path = format!("spec.{field}");
        case(&format!("not in the list: {path}"), json!({field: other}), &path, "FieldNotSupported");
        case(&format!("expanded: {path}"), json!({field: EXPANDED}), &path, "FieldNotSupported");
    }
    for (field, code) in [("name", "SecretNameInvalid"), ("key", "SecretKeyInvalid")] {
        let mut reference = json!({"name": "key", "key": "key"});
        reference[field] = json!(EXPANDED);
        let path = format!("spec.sql.tokenSecretRef.{field}");
        case(&format!("expanded: {path}"), sql("tokenSecretRef", reference), &path, code);
    }
    case("too long", sql("url", json!(format!("http://{}", "a".repeat(2048)))), "spec.sql.url", "FieldLimit");
    case("too long", sql("ontology", json!("a".repeat(129))), "spec.sql.ontology", "FieldLimit");
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
