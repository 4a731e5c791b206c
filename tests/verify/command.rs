//! `timbr-identity verify -f`: what a person sees.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::{
    Azure,
    azure::{Group, Service},
};

/// Variables by which clients find their proxies.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"];

/// What it prints to either side, and how it ends.
fn verify(azure: &Azure, documents: &[Value], flags: &[&str]) -> (String, String, Option<i32>) {
    verify_with(azure, documents, flags, &[])
}

/// The same with these variables for proxies, and no others of the kind.
pub fn verify_with(
    azure: &Azure,
    documents: &[Value],
    flags: &[&str],
    proxies: &[(&str, &str)],
) -> (String, String, Option<i32>) {
    let folder = testkit::Scratch::new("verify-").expect("a folder");
    let bundle = folder.path().join("ca.pem");
    std::fs::write(&bundle, azure.ca_pem()).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_timbr-identity"));
    for name in PROXIES {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let mut child = command
        .envs(proxies.iter().copied())
        .args(["verify", "-f", "-", "-n", "timbr", "--allow-cidr", "127.0.0.0/8"])
        .args(["--authority-url", azure.url(Service::Entra), "--graph-url", azure.url(Service::Graph), "--ca-bundle"])
        .arg(&bundle)
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command can be run");
    let text = json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string();
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

pub fn resource(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub fn secret(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra"}, "stringData": {"client-secret": value}})
}

#[test]
fn a_table_says_what_holds_and_what_to_do() {
    let azure = Azure::start();
    azure.set_resource(Service::Graph, azure.url(Service::Graph));
    let app = azure.register("Timbr");
    let id = &app.client_id;
    let editors = Group::new(azure.tenant(), "Editors");
    azure.set_group(editors.clone());
    azure.edit_app(id, |app| app.grant(["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]));
    let value = &app.secrets[0].value;
    let sso = resource(
        "AzureSso",
        "sso",
        json!({
            "tenantId": azure.tenant(), "clientId": id,
            "clientSecretRef": {"name": "entra", "key": "client-secret"}, "publicUrl": azure.url(Service::Databricks),
        }),
    );
    let groups = |name: &str| {
        let group = if name.contains('-') { json!({"id": name}) } else { json!({"name": name}) };
        let mappings = json!([{"role": "editor", "group": group}]);
        resource("RoleGroupSync", "groups", json!({"credentialsFrom": {"azureSso": "sso"}, "mappings": mappings}))
    };
    let (table, summary, code) = verify(&azure, &[secret(value), sso.clone(), groups(&editors.id)], &[]);
    let not_permitted = |check: &str| {
        format!(
            "\nUnknown: timbr AzureSso/sso, {check}\n    Microsoft Graph (127.0.0.1) lets the application not read that; grant it the application permission Application.Read.All, or look for yourself\n"
        )
    };
    let expected = format!(
        "\
NAMESPACE   RESOURCE               CHECK                  LEVEL      RESULT    REASON
timbr       AzureSso/sso           Tenant                 Required   Pass      Passed
timbr       AzureSso/sso           ClientCredentials      Required   Pass      Passed
timbr       AzureSso/sso           RedirectUri            Advisory   Unknown   NotPermitted
timbr       AzureSso/sso           AccountType            Advisory   Unknown   NotPermitted
timbr       AzureSso/sso           Permissions            Advisory   Unknown   NotPermitted
timbr       AzureSso/sso           SecretExpiry           Advisory   Unknown   NotPermitted
timbr       AzureSso/sso           PublicUrl              Advisory   Pass      Passed
timbr       RoleGroupSync/groups   ClientCredentials      Required   Pass      Passed
timbr       RoleGroupSync/groups   Permissions            Required   Pass      Passed
timbr       RoleGroupSync/groups   Group of role editor   Required   Pass      Passed
{}{}{}{}",
        not_permitted("RedirectUri"),
        not_permitted("AccountType"),
        not_permitted("Permissions"),
        not_permitted("SecretExpiry"),
    );
    assert_eq!(table, expected);
    assert_eq!((summary.as_str(), code), ("10 checks: 6 passed, 0 failed, 4 unknown\n", Some(0)));
    assert_eq!(verify(&azure, &[secret(value), sso.clone()], &["--strict"]).2, Some(2));

    // Nothing of a secret is ever printed, right or wrong.
    let wrong = "wrong~k4n4r1e~secret";
    let (table, summary, code) = verify(&azure, &[secret(wrong), sso.clone(), groups("Nobody")], &["--strict"]);
    assert_eq!((summary.as_str(), code), ("10 checks: 2 passed, 2 failed, 6 unknown\n", Some(1)));
    assert!(!table.contains(wrong) && !summary.contains(wrong), "{table}{summary}");
    let sentence = format!(
        "\nFail: timbr AzureSso/sso, ClientCredentials\n    Entra (127.0.0.1) refuses the secret of application {id}: it is none of its secrets; make a new one under Certificates & secrets, and put its Value into the Secret (AADSTS7000215)\n"
    );
    assert!(table.contains(&sentence), "{table}");

    // What is not in the input nobody knows; what is wrong with the input is an Error.
    let (json, _, code) = verify(&azure, std::slice::from_ref(&sso), &["-o", "json", "--strict"]);
    let checks: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        checks[1],
        json!({
            "namespace": "timbr", "kind": "AzureSso", "name": "sso", "check": "ClientCredentials", "level": "Required",
            "result": "Unknown", "reason": "NotInInput",
            "message": "<Secret entra/client-secret> is not in the input; add it, or let the operator check",
        })
    );
    assert_eq!(code, Some(2));
    let mut broken = sso;
    broken["spec"]["publicUrl"] = json!("http://timbr.example.com");
    let (table, errors, code) = verify(&azure, &[broken], &[]);
    assert!(
        errors.contains("[PublicUrlNotHttps]") && errors.ends_with("0 checks: 0 passed, 0 failed, 0 unknown\n"),
        "{errors}"
    );
    assert_eq!((table.lines().count(), code), (1, Some(1)));
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

/// A flag that is wrong is said before anything is asked.
#[test]
fn flags_are_judged_first() {
    let folder = testkit::Scratch::new("verify-").expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("a file");
    let empty = empty.display().to_string();
    let rows: [(&[&str], &str); 4] = [
        (
            &["--graph-url", "http://graph.example.com"],
            "--graph-url http://graph.example.com must be https:// and a host",
        ),
        (&["--authority-url", "https://host:99999"], "--authority-url https://host:99999 must be https:// and a host"),
        (&["--ca-bundle", &empty], "empty.pem: holds no certificate in PEM form"),
        (&["--ca-bundle", "nowhere.pem"], "--ca-bundle nowhere.pem: No such file or directory"),
    ];
    for (flags, sentence) in rows {
        let (printed, error, code) = verify_only(flags);
        assert!(error.starts_with("error: ") && error.contains(sentence), "{error}");
        assert_eq!((printed.as_str(), code), ("", Some(2)), "{flags:?}");
    }
}

/// With these flags alone, and nothing to check.
fn verify_only(flags: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timbr-identity"));
    let output = command.args(["verify", "-f", "-"]).args(flags).stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}
