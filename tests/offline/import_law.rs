//! The law of `import`: what the operator would deliver for what was made is what was set by hand, with
//! exactly the changes that were printed.

use std::collections::BTreeMap;

use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::run::{deployment, folder, run_in, secret};

const FLAGS: &str = "--public-url https://timbr.example.com --workspace-host adb-1.2.azuredatabricks.net";

const PEM: &str = include_str!("../keys/rsa-2048.pem");

/// A service and a variable.
type Place = (String, String);
type Environment = BTreeMap<Place, String>;

/// What may be set, and to what; `null` is absent.
fn choices() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    const GUID: &str = "11111111-2222-3333-4444-555555555555";
    let from_secret = json!({"secret": "client-secret"});
    let (platform, server, api) = ("timbr-platform", "timbr-server", "timbr-api");
    // What is needed is mostly right: else nothing would ever be made.
    vec![
        (
            platform,
            "OAUTH_PROVIDER",
            vec![json!("azure"), json!("azure"), json!("'azure'"), json!("Azure"), json!("github")],
        ),
        (
            platform,
            "OAUTH_CLIENT_ID",
            vec![json!(GUID), json!(GUID), json!(format!("\"{GUID}\"")), json!({"secret": "client-id"})],
        ),
        (platform, "OAUTH_SECRET", vec![json!("p~1"), json!("'p~1'"), json!("p$5"), from_secret.clone(), json!(null)]),
        (
            platform,
            "OAUTH_BASE_URL",
            vec![
                json!("https://login.microsoftonline.com/contoso.com/oauth2"),
                json!("https://login.microsoftonline.com/contoso.com/oauth2/"),
                json!(format!("https://login.microsoftonline.com/{GUID}/oauth2")),
            ],
        ),
        (
            platform,
            "OAUTH_AZURE_WITH_UPN_FIRST",
            vec![json!("False"), json!("true"), json!(true), json!(null), json!("")],
        ),
        (platform, "AUTH_USER_REGISTRATION", vec![json!("true"), json!("True"), json!(false), json!(null)]),
        (
            platform,
            "AUTH_USER_REGISTRATION_ROLE",
            vec![json!("viewer"), json!("Data Editors"), json!("admin"), json!(null)],
        ),
        (platform, "AUTH_WITH_USERPASS", vec![json!("true"), json!("'true'"), json!("false"), json!(null)]),
        (platform, "OAUTH_OFFLINE_ACCESS_SCOPE", vec![json!("true"), json!("TRUE"), json!(null)]),
        (
            platform,
            "OAUTH_SCOPES",
            vec![json!("2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/user_impersonation"), json!("openid"), json!(null)],
        ),
        (server, "OAUTH_OFFLINE_ACCESS_SCOPE", vec![json!("true"), json!(null)]),
        (server, "OAUTH_REFRESH_TOKEN_EXPIRATION", vec![json!("10"), json!("90"), json!("9999"), json!(null)]),
        (server, "OAUTH_REFRESH_TOKEN_VALIDATION", vec![json!("2"), json!(null)]),
        (server, "AZURE_CLIENT_ID", vec![json!(GUID), json!({"secret": "client-id"})]),
        (server, "AZURE_TENANT_ID", vec![json!("contoso.com"), json!("contoso.com"), json!("fabrikam.com")]),
        (server, "AZURE_CLIENT_SECRET", vec![json!("p~1"), json!("other"), from_secret.clone()]),
        (server, "SYNC_GROUPS_INTERVAL", vec![json!("86400"), json!("5400"), json!("61"), json!("5"), json!(null)]),
        (server, "SYNC_GROUPS_AUTO_CREATE_USER", vec![json!("True"), json!("false"), json!(null)]),
        (server, "KV_VAULT_TYPE", vec![json!("azure"), json!(null)]),
        (server, "KV_VAULT_AUTH_TYPE", vec![json!("password"), json!(null)]),
        (server, "KV_VAULT", vec![json!("https://contoso.vault.azure.net"), json!("https://contoso.vault.azure.net/")]),
        (api, "ENABLE_TOKEN", vec![json!("true"), json!("true"), json!(true), json!("false"), json!(null)]),
        (api, "JWT_TYPE", vec![json!("azure"), json!("custom"), json!("okta"), json!(null)]),
        (api, "JWT_DEFAULT_ALGORITHM", vec![json!("RS256"), json!("RS246, RSA-OAEP"), json!("HS256"), json!(null)]),
        (api, "JWT_DEFAULT_AUDIENCE", vec![json!("api://timbr"), json!(null)]),
        (api, "JWT_ISSUER", vec![json!("https://login.microsoftonline.com/contoso.com/v2.0"), json!(null)]),
        (api, "JWT_USE_EMAIL_OR_USER", vec![json!("email"), json!("upn"), json!(null)]),
        (api, "JWT_USE_TENANT_USER", vec![json!("True"), json!("false"), json!(null)]),
        (api, "JWT_DEFAULT_KEY", vec![json!(PEM), json!("shared"), from_secret.clone(), json!(null)]),
        (api, "JWT_TENANT_5_ALGORITHM", vec![json!("RS256"), json!("HS256"), json!(null)]),
        (api, "JWT_TENANT_5_AUDIENCE", vec![json!("api://five"), json!(null)]),
        (api, "JWT_TENANT_5_KEY", vec![json!("shared"), json!(null), json!(null)]),
    ]
}

/// Plain keys as they must be for their algorithms: one that does not fit is left out, and all with it. Those
/// in Secrets are as they are.
fn with_fitting_keys(mut chosen: Vec<(&'static str, &'static str, Value)>) -> Vec<(&'static str, &'static str, Value)> {
    let of = |chosen: &[(&str, &str, Value)], name: &str| {
        chosen.iter().find(|(_, of, _)| *of == name).map(|(.., value)| value.clone()).unwrap_or_default()
    };
    let default = of(&chosen, "JWT_DEFAULT_ALGORITHM");
    for (key, algorithm) in
        [("JWT_DEFAULT_KEY", "JWT_DEFAULT_ALGORITHM"), ("JWT_TENANT_5_KEY", "JWT_TENANT_5_ALGORITHM")]
    {
        let algorithm =
            Some(of(&chosen, algorithm)).filter(|value| !value.is_null()).unwrap_or_else(|| default.clone());
        let takes_secret = algorithm == "HS256";
        for (_, name, value) in &mut chosen {
            let is_secret = *value != PEM;
            if *name == key && value.is_string() && is_secret != takes_secret {
                *value = if takes_secret { json!("shared") } else { json!(PEM) };
            }
        }
    }
    chosen
}

/// What is in the Secret `entra`.
const ENTRA: [(&str, &str); 2] = [("client-id", "99999999-2222-3333-4444-555555555555"), ("client-secret", "s~2")];

/// The environment as containers get it.
fn original(chosen: &[(&str, &str, Value)]) -> Environment {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Object(from) => {
            ENTRA.iter().find(|(key, _)| from["secret"] == *key).map(|(_, value)| (*value).to_owned()).unwrap()
        }
        other => other.to_string(),
    };
    chosen.iter().map(|(service, name, value)| (((*service).to_owned(), (*name).to_owned()), text(value))).collect()
}

fn services<'a>(chosen: &'a [(&str, &str, Value)]) -> impl Iterator<Item = (&'a str, Vec<(&'a str, &'a Value)>)> {
    ["timbr-platform", "timbr-server", "timbr-api"].into_iter().map(|service| {
        let here = chosen.iter().filter(move |(of, ..)| *of == service);
        (service, here.map(|(_, name, value)| (*name, value)).collect())
    })
}

fn as_deployments(chosen: &[(&str, &str, Value)]) -> String {
    let entry = |(name, value): &(&str, &Value)| match value {
        Value::Object(from) => {
            json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "entra", "key": from["secret"]}}})
        }
        value => json!({"name": name, "value": value}),
    };
    let deployments = services(chosen).map(|(service, env)| {
        let env: Vec<Value> = env.iter().map(entry).collect();
        deployment(service, &[service], env.into())
    });
    deployments.chain([entra()]).map(|document| format!("---\n{document}\n")).collect()
}

/// The Secret that is referenced.
fn entra() -> Value {
    let mut entra = secret("entra", "x", b"x");
    entra["stringData"] =
        ENTRA.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>().into();
    entra
}

/// A Docker Compose file, which knows no references to Secrets.
fn as_compose_file(chosen: &[(&str, &str, Value)]) -> String {
    let service = |(service, env): (&str, Vec<(&str, &Value)>)| {
        let escaped = |value: &Value| value.as_str().map_or(value.clone(), |text| text.replace('$', "$$").into());
        let environment: Map<_, _> = env.iter().map(|(name, value)| ((*name).to_owned(), escaped(value))).collect();
        (service.to_owned(), json!({"environment": environment}))
    };
    json!({"services": services(chosen).map(service).collect::<Map<_, _>>()}).to_string()
}

/// Applies the lines that `import` printed.
fn apply(lines: &str, environment: &mut Environment) {
    let numbered =
        |number: &str| ["timbr-platform", "timbr-server", "timbr-api"][number.parse::<usize>().unwrap() - 1].to_owned();
    for line in lines.lines().filter(|line| line.starts_with("input.yaml:")) {
        let mut parts = line.splitn(5, ':').map(str::trim);
        let mut part = || parts.next().unwrap_or_default();
        let (_, number, verb, path, rest) = (part(), part(), part(), part(), part());
        let service = match path.strip_prefix("services.") {
            Some(path) => path.split('.').next().unwrap().to_owned(),
            None if verb == "added" => path.to_owned(),
            None => numbered(number),
        };
        match verb {
            "changed" => {
                let (name, from_to) = rest.split_once(": ").unwrap();
                let value = environment.get_mut(&(service, name.to_owned())).expect("what is changed was there");
                *value = match from_to.split_once(" -> ").unwrap() {
                    // What it became is not told; only quotation marks can have been dropped.
                    ("<redacted>", "<redacted>") => value.trim_matches(['"', '\'']).to_owned(),
                    (_, to) => serde_json::from_str(to).unwrap(),
                };
            }
            "dropped" | "left out" => {
                let (name, _) = rest.split_once(": ").unwrap();
                environment.remove(&(service, name.to_owned())).expect("what is dropped was there");
            }
            "added" => {
                let (assignment, _) = rest.rsplit_once(" (").unwrap();
                let (name, value) = assignment.split_once('=').unwrap();
                let before = environment.insert((service, name.to_owned()), value.to_owned());
                assert!(before.is_none_or(|value| value.is_empty()), "{line}");
            }
            "note" => {}
            other => panic!("{other}: {line}"),
        }
    }
}

/// What `render -o env` prints.
fn rendered(text: &str) -> Environment {
    let mut environment = Environment::new();
    let mut service = String::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(place) => service = place.split('/').next().unwrap().to_owned(),
            None => {
                let (name, value) = line.split_once('=').unwrap();
                environment.insert((service.clone(), name.to_owned()), value.to_owned());
            }
        }
    }
    environment
}

fn check(input: &str, chosen: &[(&str, &str, Value)]) -> usize {
    let folder = folder("import-law", &[("input.yaml", input)]);
    let made = run_in(folder.clone(), &format!("import -f input.yaml {FLAGS} --secrets-out secrets.yaml"), "");
    assert!(matches!(made.code, 0 | 3), "{}", made.err);
    assert_eq!(made.code == 3, made.err.contains(": left out: "), "{}", made.err);
    let mut expected = original(chosen);
    apply(&made.err, &mut expected);
    expected.retain(|(_, name), value| !(name == "AUTH_WITH_USERPASS" && value == "false"));
    // A value of several lines is printed on one.
    for value in expected.values_mut().filter(|value| value.contains('\n')) {
        *value = format!("{value:?}");
    }

    std::fs::write(folder.join("resources.yaml"), &made.out).unwrap();
    std::fs::write(folder.join("entra.yaml"), entra().to_string()).unwrap();
    let secrets = if folder.join("secrets.yaml").exists() { "-f secrets.yaml" } else { "" };
    let command = format!("render -o env --show-secrets -f resources.yaml -f entra.yaml {secrets}");
    let render = run_in(folder, &command, "");
    assert_eq!(render.code, 0, "{}\n{}", render.err, made.out);
    assert_eq!(rendered(&render.out), expected, "{input}\n{}\n{}", made.err, made.out);
    expected.len()
}

#[test]
fn what_is_delivered_is_what_was_set_and_what_was_printed() {
    let choices = choices();
    let strategy: Vec<_> = choices.iter().map(|(.., values)| proptest::sample::select(values.clone())).collect();
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let delivered = std::cell::Cell::new(0);
    runner
        .run(&strategy, |values| {
            let chosen = choices.iter().zip(values).map(|((service, name, _), value)| (*service, *name, value));
            let chosen: Vec<_> = chosen.filter(|(.., value)| !value.is_null()).collect();
            let chosen = with_fitting_keys(chosen);
            delivered.set(delivered.get() + check(&as_deployments(&chosen), &chosen));
            let without_secrets: Vec<_> = chosen.into_iter().filter(|(.., value)| !value.is_object()).collect();
            delivered.set(delivered.get() + check(&as_compose_file(&without_secrets), &without_secrets));
            Ok(())
        })
        .unwrap();
    assert!(delivered.get() > 100, "hardly anything was made: {}", delivered.get());
}
