//! What `render` prints.

use serde_json::json;

use crate::{
    bad_input::{azure_sso, timbr_installation},
    run::{deployment, entra, platform, run, stream},
};

const DELIVERED: &str = r#"identity.timbr.ai/delivered: "{\"v\":1,\"vars\":{\"timbr-platform/OAUTH_AZURE_WITH_UPN_FIRST\":[\"AzureSso/sso\"],\"timbr-platform/OAUTH_BASE_URL\":[\"AzureSso/sso\"],\"timbr-platform/OAUTH_CLIENT_ID\":[\"AzureSso/sso\"],\"timbr-platform/OAUTH_PROVIDER\":[\"AzureSso/sso\"],\"timbr-platform/OAUTH_SECRET\":[\"AzureSso/sso\"]}}""#;

/// The Secret as it is printed.
fn secret(client_id: &str, client_secret: &str) -> String {
    format!(
        "apiVersion: v1
immutable: true
kind: Secret
metadata:
  labels:
    app.kubernetes.io/managed-by: timbr-identity-operator
    identity.timbr.ai/component: platform
    identity.timbr.ai/installation: default
  name: timbr-platform-identity-offline
  namespace: default
stringData:
  OAUTH_CLIENT_ID: {client_id}
  OAUTH_SECRET: {client_secret}
type: Opaque
---
"
    )
}

const ENV: &str = "- name: OAUTH_PROVIDER
  value: azure
- name: OAUTH_CLIENT_ID
  valueFrom:
    secretKeyRef:
      key: OAUTH_CLIENT_ID
      name: timbr-platform-identity-offline
- name: OAUTH_SECRET
  valueFrom:
    secretKeyRef:
      key: OAUTH_SECRET
      name: timbr-platform-identity-offline
- name: OAUTH_BASE_URL
  value: https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2
- name: OAUTH_AZURE_WITH_UPN_FIRST
  value: \"False\"
";

fn env(indent: &str) -> String {
    ENV.lines().map(|line| format!("{indent}{line}\n")).collect()
}

fn patch() -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    {DELIVERED}
  labels:
    identity.timbr.ai/managed: \"true\"
  name: timbr-platform
  namespace: default
spec:
  template:
    spec:
      containers:
      - env:
{}        name: timbr-platform
",
        env("        ")
    )
}

#[test]
fn what_is_not_in_the_input_is_a_placeholder_and_a_patch() {
    let run = run("render -f -", &stream(&[azure_sso()]));
    assert_eq!(run.out, secret("<redacted>", "<Secret entra/client-secret>") + &patch());
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn values_are_shown_only_on_demand() {
    let input = stream(&[entra(), azure_sso()]);
    assert_eq!(run("render -f -", &input).out, secret("<redacted>", "<redacted>") + &patch());
    let shown = run("render -f - --show-secrets", &input);
    assert_eq!(shown.out, secret("11111111-2222-3333-4444-555555555555", "hunter2") + &patch());
}

#[test]
fn a_deployment_of_the_input_is_printed_whole() {
    let mut platform =
        deployment("timbr-platform", &["timbr-platform", "sidecar"], json!([{"name": "LOG", "value": "no"}]));
    platform["metadata"]["labels"] = json!({"app": "timbr"});
    // Not ours, and nobody else's to read either.
    platform["spec"]["template"]["spec"]["containers"][1]["env"] = json!([
        {"name": "DB_PASSWORD", "value": "hunter3"}, {"name": "ENABLE_TOKEN", "value": "true"},
    ]);
    let input = stream(&[platform, azure_sso()]);
    let expected = |password: &str| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    {DELIVERED}
  labels:
    app: timbr
    identity.timbr.ai/managed: \"true\"
  name: timbr-platform
spec:
  selector:
    matchLabels:
      app: timbr-platform
  template:
    metadata:
      labels:
        app: timbr-platform
    spec:
      containers:
      - env:
        - name: LOG
          value: \"no\"
{}        image: i:1
        name: timbr-platform
      - env:
        - name: DB_PASSWORD
          value: {password}
        - name: ENABLE_TOKEN
          value: \"true\"
        image: i:1
        name: sidecar
",
            env("        ")
        )
    };
    let placeholder = "<Secret entra/client-secret>";
    assert_eq!(run("render -f -", &input).out, secret("<redacted>", placeholder) + &expected("<redacted>"));
    let shown = run("render -f - --show-secrets", &input).out;
    assert_eq!(shown, secret("11111111-2222-3333-4444-555555555555", placeholder) + &expected("hunter3"));
}

/// Digits without quotation marks are a number in YAML; a cluster would refuse it, and nobody is to read it.
#[test]
fn a_password_of_digits_is_not_printed() {
    for password in [json!(20261124), json!(2026.1124), json!(-20261124)] {
        let env = json!([{"name": "DB_PASSWORD", "value": password}, {"name": "PORT", "value": 8088}]);
        let input = stream(&[azure_sso(), entra(), deployment("timbr-platform", &["timbr-platform"], env)]);
        for command in ["render -f -", "render -f - --diff", "validate -f -"] {
            let run = run(command, &input);
            assert!(!run.out.contains("1124") && !run.err.contains("1124"), "{command}: {}{}", run.out, run.err);
        }
        assert!(run("render -f -", &input).out.contains("name: DB_PASSWORD\n          value: <redacted>\n"));
        assert!(run("render -f - --diff --show-secrets", &input).out.contains(&password.to_string()));
    }
}

#[test]
fn a_diff_of_what_is_in_the_input() {
    let mut platform =
        deployment("timbr-platform", &["timbr-platform"], json!([{"name": "OAUTH_PROVIDER", "value": "azure"}]));
    platform["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "hunter3"});
    let run = run("render -f - --diff -n timbr", &stream(&[entra(), azure_sso(), platform]));
    let added: String = env("+        ").lines().skip(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(
        run.out,
        format!(
            "--- -:3 Deployment timbr/timbr-platform
+++ rendered Deployment timbr/timbr-platform
@@ -2,7 +2,10 @@
 kind: Deployment
 metadata:
   annotations:
+    {DELIVERED}
     kubectl.kubernetes.io/last-applied-configuration: <redacted>
+  labels:
+    identity.timbr.ai/managed: \"true\"
   name: timbr-platform
 spec:
   selector:
@@ -17,5 +20,19 @@
       - env:
         - name: OAUTH_PROVIDER
           value: azure
{added}         image: i:1
         name: timbr-platform
"
        )
    );
    assert_eq!(run.code, 0);
    assert!(run.err.contains("[AlreadySetByHand]"), "{}", run.err);
    // What is not in the input has no diff, and that is said.
    let absent = crate::run::run("render -f - --diff", &stream(&[azure_sso()]));
    assert_eq!((absent.code, absent.out.as_str()), (0, ""));
    assert!(absent.err.contains("Deployment timbr-platform is not in the input"), "{}", absent.err);
}

#[test]
fn variables_as_lines() {
    let lines = |secret: &str, id: &str| {
        format!(
            "# timbr-platform/timbr-platform
OAUTH_AZURE_WITH_UPN_FIRST=False
OAUTH_BASE_URL=https://login.microsoftonline.us/contoso.onmicrosoft.com/oauth2
OAUTH_CLIENT_ID={id}
OAUTH_PROVIDER=azure
OAUTH_SECRET={secret}
"
        )
    };
    let id = "11111111-2222-3333-4444-555555555555";
    let render = |objects: &[serde_json::Value], flags: &str| {
        run(&format!("render -f - -o env --cloud usgov {flags}"), &stream(objects)).out
    };
    assert_eq!(render(&[azure_sso()], ""), lines("<Secret entra/client-secret>", "<redacted>"));
    assert_eq!(render(&[azure_sso(), entra()], ""), lines("<redacted>", "<redacted>"));
    assert_eq!(render(&[azure_sso(), entra()], "--show-secrets"), lines("hunter2", id));
}

#[test]
fn variables_as_a_compose_file() {
    let secret = crate::run::secret("entra", "client-secret", b"p$a$$b");
    let run = run("render -f - -o compose --show-secrets", &stream(&[azure_sso(), secret]));
    assert_eq!(
        run.out,
        "services:
  timbr-platform:
    environment:
      OAUTH_AZURE_WITH_UPN_FIRST: \"False\"
      OAUTH_BASE_URL: https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2
      OAUTH_CLIENT_ID: 11111111-2222-3333-4444-555555555555
      OAUTH_PROVIDER: azure
      OAUTH_SECRET: p$$a$$$$b
"
    );
}

#[test]
fn names_of_an_installation() {
    let run = run(
        "render -f - -o env",
        &stream(&[timbr_installation(), azure_sso(), deployment("web", &["web", "sidecar"], json!([]))]),
    );
    assert!(run.out.starts_with("# web/web\n"), "{}", run.out);
}

#[test]
fn what_cannot_be_delivered_is_said_and_the_rest_is_printed() {
    let mut other = azure_sso();
    other["metadata"]["namespace"] = json!("other");
    other["spec"]["publicUrl"] = json!("http://x");
    let run = run("render -f -", &stream(&[azure_sso(), other]));
    assert_eq!(run.out, secret("<redacted>", "<Secret entra/client-secret>") + &patch());
    assert_eq!(
        run.err,
        "-:2: error: spec.publicUrl: must begin with https:// (Azure accepts no other redirect URI) [PublicUrlNotHttps]\n"
    );
    assert_eq!(run.code, 1);
}

#[test]
fn nothing_is_printed_of_what_a_cluster_would_refuse() {
    let mut unknown = azure_sso();
    unknown["spec"]["nonsense"] = json!(1);
    let by_hand =
        deployment("timbr-platform", &["timbr-platform"], json!([{"name": "OAUTH_PROVIDER", "value": "okta"}]));
    let mut suspended = azure_sso();
    suspended["spec"]["suspend"] = json!(true);
    for (objects, code) in [(vec![unknown], 1), (vec![azure_sso(), by_hand], 1), (vec![suspended, platform()], 0)] {
        let run = run("render -f -", &stream(&objects));
        assert_eq!((run.out.as_str(), run.code), ("", code), "{}", run.err);
    }
}
