//! What `validate` says of variables that are set by hand, in both forms.

use serde_json::{Value, json};

use crate::{
    bad_input::azure_sso,
    run::{deployment, run, secret, stream},
};

const GUID: &str = "11111111-2222-3333-4444-555555555555";
/// Must never be printed.
const CANARY: &str = "hunter2-canary";

type Env<'a> = &'a [(&'a str, &'a str)];
/// A service, its environment, what is found.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<String>);

/// Single sign-on without a fault but that it stands in the file.
const SIGN_ON: Env<'_> = &[
    ("OAUTH_PROVIDER", "azure"),
    ("OAUTH_CLIENT_ID", GUID),
    ("OAUTH_SECRET", CANARY),
    ("OAUTH_BASE_URL", "https://login.microsoftonline.com/contoso.com/oauth2"),
    ("OAUTH_AZURE_WITH_UPN_FIRST", "False"),
    ("OAUTH_DEFAULT_SCHEME", "https"),
];
const PRINCIPAL: Env<'_> =
    &[("AZURE_CLIENT_ID", GUID), ("AZURE_TENANT_ID", "contoso.com"), ("AZURE_CLIENT_SECRET", CANARY)];
const TOKENS: Env<'_> = &[
    ("ENABLE_TOKEN", "true"),
    ("JWT_TYPE", "azure"),
    ("JWT_DEFAULT_AUDIENCE", "api://timbr"),
    ("JWT_ISSUER", "https://sts.windows.net/11111111-2222-3333-4444-555555555555/"),
];
/// Tokens that are checked with a key of one's own.
const CUSTOM: Env<'_> = &[
    ("ENABLE_TOKEN", "true"),
    ("JWT_TYPE", "custom"),
    ("JWT_DEFAULT_AUDIENCE", "api://timbr"),
    ("JWT_ISSUER", "https://tokens.example.com"),
    ("JWT_USE_EMAIL_OR_USER", "email"),
    ("JWT_DEFAULT_KEY", PUBLIC),
];
const PUBLIC: &str = include_str!("../keys/rsa-2048.pem");

/// `base` with the values of `change` instead of or beside its own.
fn with<'a>(base: &[(&'a str, &'a str)], change: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = base.iter().filter(|(name, _)| !change.iter().any(|(changed, _)| changed == name));
    kept.chain(change).copied().collect()
}

fn without<'a>(base: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    base.iter().filter(|(there, _)| *there != name).copied().collect()
}

fn as_deployment(name: &str, env: Env<'_>) -> Value {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    deployment(name, &[name], env.into())
}

fn as_compose(services: &[(&str, Env<'_>)]) -> Value {
    let service = |env: Env<'_>| {
        let list: Vec<String> =
            env.iter().map(|(name, value)| format!("{name}={}", value.replace('$', "$$"))).collect();
        json!({"image": "i:1", "environment": list})
    };
    let services: serde_json::Map<_, _> =
        services.iter().map(|(name, env)| ((*name).to_owned(), service(env))).collect();
    json!({"services": services})
}

/// What is found but for secrets in clear text, of which these files are full.
fn findings(objects: &[Value]) -> Vec<String> {
    let mut lines = all_findings(objects);
    lines.retain(|line| !line.ends_with("SecretInPlainText"));
    lines
}

/// The variables that stand in clear text and should not.
fn secrets_in_clear(objects: &[Value]) -> Vec<String> {
    let lines = all_findings(objects);
    let names = lines.iter().filter_map(|line| line.strip_prefix("warning ")?.strip_suffix(" SecretInPlainText"));
    names.map(str::to_owned).collect()
}

/// `error|warning VARIABLE-OR-PATH Code`, sorted; the path's variable by its name.
fn all_findings(objects: &[Value]) -> Vec<String> {
    let run = run("validate -f - -o json", &stream(objects));
    assert!(!run.out.contains(CANARY) && !run.err.contains(CANARY), "{}", run.out);
    let findings: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    let named = |finding: &Value| {
        let path = finding["path"].as_str().unwrap();
        let object = finding["object"].as_str().unwrap();
        let at = objects.iter().find_map(|document| {
            // The entry that the path leads to.
            let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
            let entry = pointer.trim_end_matches("/value").trim_end_matches("/valueFrom");
            let entry = document.pointer(entry)?;
            let is_here = match document["kind"].as_str() {
                Some(_) => object.ends_with(document["metadata"]["name"].as_str()?),
                None => object.starts_with("Compose service"),
            };
            let text = entry["name"].as_str().or_else(|| entry.as_str()?.split('=').next())?;
            is_here.then(|| text.to_owned())
        });
        at.unwrap_or_else(|| "-".to_owned())
    };
    let mut lines: Vec<String> = findings
        .iter()
        .map(|finding| {
            let severity = finding["severity"].as_str().unwrap().to_lowercase();
            format!("{severity} {} {}", named(finding), finding["code"].as_str().unwrap())
        })
        .collect();
    lines.sort();
    lines
}

/// Checks both forms of the same services.
fn check(services: &[(&str, Env<'_>)], expected: &[&str]) {
    let deployments: Vec<Value> = services.iter().map(|(name, env)| as_deployment(name, env)).collect();
    let mut expected: Vec<&str> = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(findings(&deployments), expected, "{services:?}");
    assert_eq!(findings(&[as_compose(services)]), expected, "{services:?}");
}

#[test]
fn what_is_right_is_not_complained_about() {
    let platform = with(
        SIGN_ON,
        &[
            ("OAUTH_OFFLINE_ACCESS_SCOPE", "true"),
            ("OAUTH_SCOPES", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/user_impersonation"),
            ("AUTH_USER_REGISTRATION", "true"),
            ("AUTH_USER_REGISTRATION_ROLE", "viewer"),
            ("AUTH_WITH_USERPASS", "true"),
        ],
    );
    let server = with(
        PRINCIPAL,
        &[
            ("SYNC_GROUPS_INTERVAL", "86400"),
            ("SYNC_GROUPS_AUTO_CREATE_USER", "false"),
            ("KV_VAULT_TYPE", "azure"),
            ("KV_VAULT_AUTH_TYPE", "password"),
            ("KV_VAULT", "https://contoso.vault.azure.net/"),
            ("OAUTH_OFFLINE_ACCESS_SCOPE", "true"),
            ("OAUTH_REFRESH_TOKEN_EXPIRATION", "10"),
            ("OAUTH_REFRESH_TOKEN_VALIDATION", "1"),
        ],
    );
    let api = with(
        TOKENS,
        &[
            ("JWT_DEFAULT_ALGORITHM", "RS256,RSA-OAEP"),
            ("JWT_USE_EMAIL_OR_USER", "upn"),
            ("JWT_USE_TENANT_USER", "True"),
            ("ENABLE_USER_TOKEN", "whatever"),
            ("TIMBR_LOG", "'x'"),
        ],
    );
    check(&[("timbr-platform", &platform), ("timbr-server", &server), ("timbr-api", &api)], &[]);
}

#[test]
fn values() {
    let platform: &[(&str, &str, &[&str])] = &[
        ("OAUTH_PROVIDER", "'azure'", &["error OAUTH_PROVIDER ValueQuoted"]),
        ("OAUTH_PROVIDER", "Azure", &["warning OAUTH_PROVIDER SpellingWrong"]),
        ("OAUTH_PROVIDER", "github", &["warning OAUTH_PROVIDER ValueInvalid"]),
        ("OAUTH_PROVIDER", " azure", &["warning OAUTH_PROVIDER SpellingWrong"]),
        ("OAUTH_SECRET", "\"hunter2-canary\"", &["error OAUTH_SECRET ValueQuoted"]),
        ("OAUTH_CLIENT_ID", "<AZURE_APPLICATION_ID>", &["error OAUTH_CLIENT_ID ValueInvalid"]),
        ("OAUTH_CLIENT_ID", CANARY, &["error OAUTH_CLIENT_ID ValueInvalid"]),
        (
            "OAUTH_BASE_URL",
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0",
            &["error OAUTH_BASE_URL ValueInvalid"],
        ),
        ("OAUTH_BASE_URL", "https://login.microsoftonline.com/common/oauth2", &["error OAUTH_BASE_URL ValueInvalid"]),
        (
            "OAUTH_BASE_URL",
            "http://login.microsoftonline.com/contoso.com/oauth2",
            &["error OAUTH_BASE_URL ValueInvalid"],
        ),
        (
            "OAUTH_BASE_URL",
            "https://login.microsoftonline.com/contoso.com/oauth2/",
            &["warning OAUTH_BASE_URL SpellingWrong"],
        ),
        ("OAUTH_AZURE_WITH_UPN_FIRST", "false", &["warning OAUTH_AZURE_WITH_UPN_FIRST SpellingWrong"]),
        ("OAUTH_AZURE_WITH_UPN_FIRST", "no", &["error OAUTH_AZURE_WITH_UPN_FIRST ValueInvalid"]),
        ("AUTH_WITH_USERPASS", "False", &["warning AUTH_WITH_USERPASS SpellingWrong"]),
        ("AUTH_WITH_USERPASS", "", &["warning AUTH_WITH_USERPASS ValueEmpty"]),
        ("OAUTH_DEFAULT_SCHEME", "http", &["warning OAUTH_DEFAULT_SCHEME SchemeNotHttps"]),
        ("KV_VAULT", "https://contoso.vault.azure.net/", &["warning KV_VAULT VariableMisplaced"]),
        ("AZURE_CLIENT_SECRET", CANARY, &[]),
        ("OAUTH_ROLE_MAPPING_ENABLED", "true", &[]),
    ];
    for (name, value, expected) in platform {
        check(&[("timbr-platform", &with(SIGN_ON, &[(name, value)]))], expected);
    }
    let vault = with(
        PRINCIPAL,
        &[
            ("KV_VAULT_TYPE", "azure"),
            ("KV_VAULT_AUTH_TYPE", "password"),
            ("KV_VAULT", "https://contoso.vault.azure.net/"),
            ("OAUTH_OFFLINE_ACCESS_SCOPE", "true"),
        ],
    );
    let server: &[(&str, &str, &[&str])] = &[
        ("KV_VAULT", "https://contoso.vault.azure.net", &["warning KV_VAULT SpellingWrong"]),
        ("KV_VAULT", "https://contoso.vault.azure.net/secrets", &["error KV_VAULT ValueInvalid"]),
        ("KV_VAULT", "contoso", &["error KV_VAULT ValueInvalid"]),
        ("KV_VAULT_AUTH_TYPE", "certificate", &["error KV_VAULT_AUTH_TYPE ValueInvalid"]),
        ("AZURE_TENANT_ID", "organizations", &["error AZURE_TENANT_ID ValueInvalid"]),
        ("SYNC_GROUPS_INTERVAL", "24h", &["error SYNC_GROUPS_INTERVAL ValueInvalid"]),
        ("SYNC_GROUPS_INTERVAL", "24", &["warning SYNC_GROUPS_INTERVAL UnitSuspicious"]),
        ("SYNC_GROUPS_INTERVAL", "299", &["warning SYNC_GROUPS_INTERVAL IntervalShort"]),
        ("SYNC_GROUPS_INTERVAL", "300", &[]),
        ("OAUTH_REFRESH_TOKEN_VALIDATION", "11", &["warning OAUTH_REFRESH_TOKEN_VALIDATION ValidationAboveExpiration"]),
        ("OAUTH_REFRESH_TOKEN_VALIDATION", "10", &[]),
        ("KV_VAULT", "https://contoso.vault.azure.cn/", &["error KV_VAULT VaultNotInCloud"]),
        ("KV_VAULT", "https://contoso.Vault.Azure.NET/", &[]),
        ("OAUTH_REFRESH_TOKEN_EXPIRATION", "3600", &["warning OAUTH_REFRESH_TOKEN_EXPIRATION UnitSuspicious"]),
        ("OAUTH_REFRESH_TOKEN_VALIDATION", "1.5", &["error OAUTH_REFRESH_TOKEN_VALIDATION ValueInvalid"]),
        ("JWT_TYPE", "azure", &["warning JWT_TYPE VariableMisplaced"]),
    ];
    for (name, value, expected) in server {
        check(&[("timbr-server", &with(&vault, &[(name, value)]))], expected);
    }
    let api: &[(&str, &str, &[&str])] = &[
        ("JWT_DEFAULT_ALGORITHM", "RS246", &["error JWT_DEFAULT_ALGORITHM AlgorithmInvalid"]),
        ("JWT_DEFAULT_ALGORITHM", "ES256", &["error JWT_DEFAULT_ALGORITHM AlgorithmInvalid"]),
        ("JWT_DEFAULT_ALGORITHM", "HS256", &["error JWT_DEFAULT_ALGORITHM AlgorithmInvalid"]),
        ("JWT_DEFAULT_ALGORITHM", "RS256, RSA-OAEP", &["warning JWT_DEFAULT_ALGORITHM SpellingWrong"]),
        ("JWT_contoso_AUDIENCE", "x", &["error JWT_contoso_AUDIENCE VariableCase"]),
        ("JWT_ISSUER", "http://login.microsoftonline.com", &["error JWT_ISSUER ValueInvalid"]),
        ("JWT_ISSUER", "https://login.microsoftonline.com/?a", &["error JWT_ISSUER ValueInvalid"]),
        ("JWT_TYPE", "okta", &["error JWT_TYPE ValueInvalid"]),
        ("JWT_TYPE", "custom", &["error JWT_TYPE VariableMissing"]),
        ("ENABLE_TOKEN", "True", &["warning ENABLE_TOKEN SpellingWrong"]),
        ("JWT_USE_TENANT_USER", "true", &["warning JWT_USE_TENANT_USER SpellingWrong"]),
        ("JWT_USE_EMAIL_OR_USER", "two words", &["error JWT_USE_EMAIL_OR_USER ValueInvalid"]),
        ("JWT_DEFAULT_AUDIENCE", "<AZURE_CLIENT_ID>", &["error JWT_DEFAULT_AUDIENCE ValueInvalid"]),
    ];
    for (name, value, expected) in api {
        check(&[("timbr-api", &with(TOKENS, &[(name, value)]))], expected);
    }
}

/// A key and the algorithms that it is used with; a tenant without a key of its own has the API's.
#[test]
fn a_key_fits_its_algorithms() {
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nhunter2-canary\n-----END PRIVATE KEY-----\n";
    const QUOTED: &str = concat!("'", include_str!("../keys/rsa-2048.pem"), "'");
    const KEY: &[&str] = &["error JWT_DEFAULT_KEY ValueInvalid"];
    let rows: &[(&str, &str, Env<'_>, &[&str])] = &[
        ("RS256", PUBLIC, &[], &[]),
        ("HS256", CANARY, &[], &[]),
        ("RS256,HS256", PUBLIC, &[], &["warning JWT_DEFAULT_ALGORITHM AlgorithmsMixed"]),
        ("HS256", PUBLIC, &[], KEY),
        ("RS256", CANARY, &[], KEY),
        ("RS256", "-----BEGIN PUBLIC KEY-----\nMIIBI\n-----END PUBLIC KEY-----\n", &[], KEY),
        ("RS256", PRIVATE, &[], KEY),
        ("HS256", PRIVATE, &[], KEY),
        // Without a list of its own Timbr takes RS256; of one that nobody can read nothing is said.
        ("", CANARY, &[], &["error JWT_DEFAULT_KEY ValueInvalid", "warning JWT_DEFAULT_ALGORITHM ValueEmpty"]),
        ("ES256", CANARY, &[], &["error JWT_DEFAULT_ALGORITHM AlgorithmInvalid"]),
        // The key is meant without the marks.
        ("RS256", QUOTED, &[], &["error JWT_DEFAULT_KEY ValueQuoted"]),
        ("RS256", PUBLIC, &[("JWT_CONTOSO_KEY", PUBLIC)], &[]),
        ("RS256", PUBLIC, &[("JWT_CONTOSO_ALGORITHM", "HS256")], &["error JWT_CONTOSO_ALGORITHM ValueInvalid"]),
        ("RS256", PUBLIC, &[("JWT_CONTOSO_ALGORITHM", "HS256"), ("JWT_CONTOSO_KEY", CANARY)], &[]),
        ("RS256", PUBLIC, &[("JWT_CONTOSO_KEY", CANARY)], &["error JWT_CONTOSO_KEY ValueInvalid"]),
        (
            "RS256",
            PUBLIC,
            &[("JWT_CONTOSO_ALGORITHM", "HS256"), ("JWT_CONTOSO_KEY", PUBLIC)],
            &["error JWT_CONTOSO_KEY ValueInvalid"],
        ),
    ];
    for (algorithms, key, tenant, expected) in rows {
        let default: Env<'_> = &[("JWT_DEFAULT_ALGORITHM", algorithms), ("JWT_DEFAULT_KEY", key)];
        let (mut env, mut expected) = (with(&with(CUSTOM, default), tenant), expected.to_vec());
        if !tenant.is_empty() {
            env.push(("JWT_CONTOSO_AUDIENCE", "contoso"));
            expected.push("warning JWT_ISSUER SingleIssuer");
        }
        check(&[("timbr-api", &env)], &expected);
    }
    check(&[("timbr-api", &with(CUSTOM, &[("JWT_DEFAULT_KEY", CANARY)]))], KEY);
}

/// A key in a Secret of the input is looked at as one in the file.
#[test]
fn a_key_in_a_secret_fits_its_algorithms() {
    let mut api = as_deployment("timbr-api", &without(CUSTOM, "JWT_DEFAULT_KEY"));
    let env = api.pointer_mut("/spec/template/spec/containers/0/env").unwrap().as_array_mut().unwrap();
    env.push(json!({"name": "JWT_DEFAULT_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}}));
    let keys = |value: &str| secret("keys", "key", value.as_bytes());
    assert_eq!(findings(&[api.clone()]), [] as [&str; 0]);
    assert_eq!(findings(&[api.clone(), keys(PUBLIC)]), [] as [&str; 0]);
    assert_eq!(findings(&[api, keys(CANARY)]), ["error JWT_DEFAULT_KEY ValueInvalid"]);
}

/// What the engine says of a resource it says of the same set by hand.
#[test]
fn the_rules_of_the_engine_hold() {
    const V2: (&str, &str) = ("JWT_ISSUER", "https://login.microsoftonline.com/contoso.com/v2.0");
    let upn = ("JWT_USE_EMAIL_OR_USER", "upn");
    let tenants = |names: &[&'static str]| {
        names.iter().map(|name| (*name, if name.ends_with("ALGORITHM") { "RS256" } else { "x" })).collect::<Vec<_>>()
    };
    let table: Vec<Case<'_>> = vec![
        ("timbr-api", with(TOKENS, &[V2, upn]), vec!["warning JWT_USE_EMAIL_OR_USER UpnInV2Token".to_owned()]),
        ("timbr-api", with(TOKENS, &[V2]), vec!["warning JWT_ISSUER UpnInV2Token".to_owned()]),
        ("timbr-api", with(TOKENS, &[V2, ("JWT_USE_EMAIL_OR_USER", "email")]), vec![]),
        ("timbr-api", with(CUSTOM, &[V2]), vec![]),
        (
            "timbr-api",
            with(TOKENS, &tenants(&["JWT_A_ALGORITHM", "JWT_B_ALGORITHM", "JWT_B_AUDIENCE"])),
            vec![
                "warning JWT_A_ALGORITHM AudienceNotValidated".to_owned(),
                "warning JWT_ISSUER SingleIssuer".to_owned(),
            ],
        ),
        (
            "timbr-api",
            with(TOKENS, &tenants(&["JWT_TENANT-5_ALGORITHM", "JWT_TENANT-5_AUDIENCE"])),
            vec![
                "warning JWT_ISSUER SingleIssuer".to_owned(),
                "warning JWT_TENANT-5_ALGORITHM TenantHyphen".to_owned(),
            ],
        ),
        (
            "timbr-platform",
            with(SIGN_ON, &[("AUTH_USER_REGISTRATION", "true"), ("AUTH_USER_REGISTRATION_ROLE", "Admin")]),
            vec!["warning AUTH_USER_REGISTRATION_ROLE AdminRoleNotAllowed".to_owned()],
        ),
        (
            "timbr-platform",
            with(SIGN_ON, &[("AUTH_USER_REGISTRATION", "false"), ("AUTH_USER_REGISTRATION_ROLE", "admin")]),
            vec![],
        ),
        // What is switched off is nobody's concern.
        ("timbr-api", with(TOKENS, &[V2, upn, ("ENABLE_TOKEN", "false"), ("JWT_A_ALGORITHM", "RS256")]), vec![]),
    ];
    for (service, env, expected) in table {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[(service, &env)], &expected);
    }
    let vault = with(
        PRINCIPAL,
        &[
            ("KV_VAULT_TYPE", "azure"),
            ("KV_VAULT_AUTH_TYPE", "password"),
            ("KV_VAULT", "https://contoso.vault.usgovcloudapi.net/"),
        ],
    );
    let vault = stream(&[as_deployment("timbr-server", &vault)]);
    let told = |flags: &str| run(&format!("validate -f - {flags}"), &vault).out.contains("[VaultNotInCloud]");
    assert_eq!([told(""), told("--cloud usgov"), told("--vault-suffix .usgovcloudapi.net")], [true, false, false]);
}

/// Wherever a secret stands: also where nobody reads it, and where a resource delivers it too.
#[test]
fn secrets_in_clear_text() {
    let table: &[(&str, Env<'_>, &[&str])] = &[
        ("timbr-platform", &[("OAUTH_SECRET", CANARY)], &["OAUTH_SECRET"]),
        ("timbr-platform", &[("AZURE_CLIENT_SECRET", CANARY)], &["AZURE_CLIENT_SECRET"]),
        ("timbr-server", &[("OAUTH_SECRET", CANARY)], &["OAUTH_SECRET"]),
        ("timbr-server", &[("JWT_CONTOSO_KEY", CANARY)], &["JWT_CONTOSO_KEY"]),
        ("timbr-api", &[("JWT_DEFAULT_KEY", CANARY)], &["JWT_DEFAULT_KEY"]),
        ("timbr-api", &[("JWT_DEFAULT_KEY", PUBLIC), ("JWT_CONTOSO_KEY", "")], &[]),
        ("timbr-platform", &[("OAUTH_SECRET", ""), ("DB_PASSWORD", CANARY)], &[]),
    ];
    for (service, env, expected) in table {
        assert_eq!(secrets_in_clear(&[as_deployment(service, env)]), *expected, "{env:?}");
        assert_eq!(secrets_in_clear(&[as_compose(&[(service, env)])]), *expected, "{env:?}");
    }
    let set_twice = as_deployment("timbr-platform", &[("OAUTH_SECRET", CANARY)]);
    assert_eq!(secrets_in_clear(&[azure_sso(), set_twice]), ["OAUTH_SECRET"]);
}

#[test]
fn what_belongs_together() {
    let missing = |begun: &str| vec![format!("error {begun} VariableMissing")];
    let table: Vec<Case<'_>> = vec![
        ("timbr-platform", without(SIGN_ON, "OAUTH_SECRET"), missing("OAUTH_PROVIDER")),
        ("timbr-platform", vec![("AUTH_USER_REGISTRATION_ROLE", "viewer")], missing("AUTH_USER_REGISTRATION_ROLE")),
        (
            "timbr-platform",
            with(SIGN_ON, &[("OAUTH_OFFLINE_ACCESS_SCOPE", "true")]),
            missing("OAUTH_OFFLINE_ACCESS_SCOPE"),
        ),
        ("timbr-platform", with(SIGN_ON, &[("OAUTH_OFFLINE_ACCESS_SCOPE", "false")]), vec![]),
        (
            "timbr-platform",
            vec![("OAUTH_PROVIDER", "github"), ("OAUTH_SECRET", CANARY)],
            vec!["warning OAUTH_PROVIDER ValueInvalid".to_owned()],
        ),
        ("timbr-platform", without(SIGN_ON, "OAUTH_DEFAULT_SCHEME"), vec!["warning - SchemeNotHttps".to_owned()]),
        ("timbr-server", vec![("SYNC_GROUPS_AUTO_CREATE_USER", "true")], missing("SYNC_GROUPS_AUTO_CREATE_USER")),
        ("timbr-server", vec![("KV_VAULT", "https://contoso.vault.azure.net/")], missing("KV_VAULT")),
        ("timbr-server", vec![("OAUTH_REFRESH_TOKEN_EXPIRATION", "10")], missing("OAUTH_REFRESH_TOKEN_EXPIRATION")),
        ("timbr-api", vec![("JWT_TYPE", "azure")], missing("JWT_TYPE")),
        ("timbr-api", vec![("JWT_CONTOSO_AUDIENCE", "x")], missing("JWT_CONTOSO_AUDIENCE")),
        ("timbr-api", without(TOKENS, "JWT_TYPE"), missing("ENABLE_TOKEN")),
        ("timbr-api", with(TOKENS, &[("ENABLE_TOKEN", "false")]), vec![]),
        ("timbr-api", without(TOKENS, "JWT_DEFAULT_AUDIENCE"), vec!["warning - AudienceNotValidated".to_owned()]),
        ("timbr-api", without(TOKENS, "JWT_ISSUER"), vec!["warning - IssuerNotValidated".to_owned()]),
        (
            "timbr-api",
            [TOKENS, &[("JWT_TYPE", "azure")]].concat(),
            vec!["warning JWT_TYPE DuplicateVariable".to_owned()],
        ),
    ];
    for (service, env, expected) in table {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[(service, &env)], &expected);
    }
}

#[test]
fn services_beside_each_other() {
    let synced = with(PRINCIPAL, &[("SYNC_GROUPS_INTERVAL", "86400")]);
    let scope = ("OAUTH_SCOPES", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/user_impersonation");
    let offline = ("OAUTH_OFFLINE_ACCESS_SCOPE", "true");
    check(
        &[("timbr-platform", &with(SIGN_ON, &[("OAUTH_ROLE_MAPPING_ENABLED", "true")])), ("timbr-server", &synced)],
        &["warning OAUTH_ROLE_MAPPING_ENABLED RoleMappingCompetes"],
    );
    check(
        &[("timbr-platform", &with(SIGN_ON, &[("OAUTH_ROLE_MAPPING_ENABLED", "false")])), ("timbr-server", &synced)],
        &[],
    );
    check(
        &[("timbr-platform", SIGN_ON), ("timbr-server", &with(&synced, &[("AZURE_TENANT_ID", "fabrikam.com")]))],
        &["warning AZURE_TENANT_ID TrioMismatch"],
    );
    check(&[("timbr-platform", &[]), ("timbr-server", &synced)], &["error SYNC_GROUPS_INTERVAL VariableMissing"]);
    check(
        &[("timbr-platform", &with(SIGN_ON, &[scope, offline])), ("timbr-server", PRINCIPAL)],
        &["error OAUTH_SCOPES VariableMissing"],
    );
    check(
        &[("timbr-platform", SIGN_ON), ("timbr-server", &[offline])],
        &["error OAUTH_OFFLINE_ACCESS_SCOPE VariableMissing"],
    );
    // Which of two platforms is this server's?
    let mut second = as_deployment("other", SIGN_ON);
    second["spec"]["template"]["spec"]["containers"][0]["name"] = json!("timbr-platform");
    let deployments = [as_deployment("timbr-platform", &[]), second, as_deployment("timbr-server", &synced)];
    assert_eq!(findings(&deployments), [] as [&str; 0]);
}

#[test]
fn only_of_kubernetes() {
    let mut pod = as_deployment("timbr-server", PRINCIPAL);
    pod["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"] = json!("true");
    assert_eq!(
        findings(&[pod]),
        ["warning AZURE_CLIENT_ID WorkloadIdentity", "warning AZURE_TENANT_ID WorkloadIdentity"]
    );
    assert_eq!(
        findings(&[as_deployment("timbr-api", &with(TOKENS, &[("JWT_DEFAULT_AUDIENCE", "$(DB)")]))]),
        ["warning JWT_DEFAULT_AUDIENCE ExpandsVariable"]
    );
    // The variables may come from elsewhere.
    let mut open = as_deployment("timbr-platform", &[("OAUTH_PROVIDER", "azure")]);
    open["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "timbr"}}]);
    assert_eq!(findings(&[open]), [] as [&str; 0]);
    // A reference to a Secret is a value, though nobody sees it.
    let from = json!({"secretKeyRef": {"name": "entra", "key": "client-secret"}});
    let mut referenced = as_deployment("timbr-platform", &without(SIGN_ON, "OAUTH_SECRET"));
    let env = referenced.pointer_mut("/spec/template/spec/containers/0/env").unwrap().as_array_mut().unwrap();
    env.push(json!({"name": "OAUTH_SECRET", "valueFrom": from}));
    assert_eq!(crate::run::validate(&[referenced]), [] as [&str; 0]);
}

#[test]
fn only_of_docker() {
    let map = |environment: Value| json!({"services": {"timbr-platform": {"environment": environment}}});
    let lines = |environment: Value| {
        let run = run("validate -f -", &stream(&[map(environment)]));
        run.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(json!({"AUTH_WITH_USERPASS": true, "OAUTH_AZURE_WITH_UPN_FIRST": null, "DEBUG": true})),
        [
            "-:1: error: services.timbr-platform.environment.AUTH_WITH_USERPASS: AUTH_WITH_USERPASS is a boolean to YAML, which docker-compose 1 refuses and Docker Compose 2 hands on as true or false, so that False loses its capital; write \"true\" [FieldType]",
            "-:1: error: services.timbr-platform.environment.OAUTH_AZURE_WITH_UPN_FIRST: OAUTH_AZURE_WITH_UPN_FIRST begins single sign-on, which needs OAUTH_PROVIDER, OAUTH_CLIENT_ID, OAUTH_SECRET and OAUTH_BASE_URL here as well; set what is missing, or remove OAUTH_AZURE_WITH_UPN_FIRST [VariableMissing]",
        ]
    );
    assert_eq!(
        lines(json!([{"AUTH_WITH_USERPASS": "true"}])),
        [
            "-:1: error: services.timbr-platform.environment[0]: AUTH_WITH_USERPASS must be a string, and Docker Compose refuses anything else; write - AUTH_WITH_USERPASS=value in a list, or AUTH_WITH_USERPASS: \"value\" in a map [FieldType]"
        ]
    );
    // Numbers are taken, and what comes from outside is not known.
    let server = json!({"services": {"engine": {"container_name": "timbr-server", "environment": {
        "OAUTH_OFFLINE_ACCESS_SCOPE": "${SCOPE}", "OAUTH_REFRESH_TOKEN_EXPIRATION": 10,
    }}}});
    assert_eq!(findings(&[server]), [] as [&str; 0]);
    let open = json!({"services": {"timbr-platform": {"env_file": ".env", "environment": ["OAUTH_PROVIDER"]}}});
    assert_eq!(findings(&[open]), [] as [&str; 0]);
    // Other people's services, and other documents with that word.
    let others = json!({"services": {"grafana": {"environment": ["OAUTH_PROVIDER='x'", "AZURE_CLIENT_ID='y'"]}}});
    let crd =
        json!({"apiVersion": "x/v1", "kind": "Mesh", "services": {"timbr-platform": {"environment": ["JWT_TYPE=x"]}}});
    assert_eq!(findings(&[others, crd]), [] as [&str; 0]);
}

#[test]
fn by_other_names() {
    let broken = &[("JWT_USE_TENANT_USER", "no"), ("ENABLE_TOKEN", "false")];
    let told = ["error JWT_USE_TENANT_USER ValueInvalid"];
    // By its variables, by the name of its container, by its labels, by a TimbrInstallation.
    assert_eq!(findings(&[as_deployment("rest", broken)]), told);
    let mut sidecar = deployment("rest", &["proxy", "timbr-api"], json!([]));
    sidecar["spec"]["template"]["spec"]["containers"][1]["env"] = json!([{"name": "JWT_TYPE", "value": "x"}]);
    assert_eq!(findings(&[sidecar]), ["error JWT_TYPE ValueInvalid", "error JWT_TYPE VariableMissing"]);
    let mut labelled = as_deployment("rest", &[("ENABLE_TOKEN", "x")]);
    assert_eq!(findings(&[labelled.clone()]), [] as [&str; 0]);
    let installation = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "TimbrInstallation", "metadata": {"name": "main"},
        "spec": {"components": {"api": {"deployment": "rest"}}},
    });
    let both = ["error ENABLE_TOKEN ValueInvalid", "error ENABLE_TOKEN VariableMissing"];
    assert_eq!(findings(&[installation, labelled.clone()]), both);
    labelled["metadata"]["labels"] = json!({"app.kubernetes.io/name": "timbr", "app.kubernetes.io/component": "api"});
    assert_eq!(findings(&[labelled]), both);
}

#[test]
fn a_summary_counts_services() {
    let run = run("validate -f -", &stream(&[as_compose(&[("timbr-platform", SIGN_ON)])]));
    assert_eq!(run.err, "0 resources and 1 service set up by hand: 0 errors, 1 warning\n");
    assert_eq!(
        run.out,
        "-:1: warning: services.timbr-platform.environment[2]: OAUTH_SECRET stands in plain text for everybody who reads this file; write ${OAUTH_SECRET} here and the value into an .env file that is not committed [SecretInPlainText]\n"
    );
}

/// It keeps no resource from being delivered.
#[test]
fn render_is_silent_about_it() {
    let broken = as_deployment("timbr-api", &[("JWT_TYPE", "x")]);
    let run = run("render -f -", &stream(&[broken]));
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "", ""));
}
