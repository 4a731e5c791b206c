//! Variables that a Deployment sets by hand and a resource delivers too.

use serde_json::{Value, json};

use crate::{
    bad_input::azure_sso,
    run::{deployment, entra, run, stream, validate},
};

/// The variable without which the redirect URI would be wrong, and which is nobody's but the platform's.
fn scheme() -> Value {
    json!({"name": "OAUTH_DEFAULT_SCHEME", "value": "https"})
}

fn by_hand(mut env: Value) -> Vec<String> {
    env.as_array_mut().expect("variables").push(scheme());
    validate(&[azure_sso(), entra(), deployment("timbr-platform", &["timbr-platform", "sidecar"], env)])
}

#[test]
fn equal_is_a_warning() {
    assert_eq!(
        by_hand(json!([{"name": "LOG", "value": "x"}, {"name": "OAUTH_PROVIDER", "value": "azure"}])),
        [
            "-:3: warning: spec.template.spec.containers[0].env[1]: container timbr-platform sets variable OAUTH_PROVIDER to what AzureSso/sso delivers; remove it here, so that only one place sets it [AlreadySetByHand]"
        ]
    );
}

#[test]
fn different_is_an_error() {
    let expected = |what: &str| {
        [format!(
            "-:3: error: spec.template.spec.containers[0].env[0]: container timbr-platform sets variable {what}, which AzureSso/sso delivers otherwise; the operator overwrites nobody's variables, so nothing of AzureSso/sso arrives until it is removed here [AlreadySetByHand]"
        )]
    };
    assert_eq!(by_hand(json!([{"name": "OAUTH_PROVIDER", "value": "okta"}])), expected("OAUTH_PROVIDER"));
    assert_eq!(
        by_hand(json!([{"name": "OAUTH_PROVIDER", "value": "\"azure\""}])),
        expected("OAUTH_PROVIDER (its value has quotation marks in it)")
    );
    let from = json!({"secretKeyRef": {"name": "entra", "key": "client-secret"}});
    assert_eq!(by_hand(json!([{"name": "OAUTH_SECRET", "valueFrom": from}])), expected("OAUTH_SECRET"));
    // The value itself, in clear, is different too: it comes from elsewhere. And it is not repeated.
    let in_clear = "-:3: warning: spec.template.spec.containers[0].env[0].value: OAUTH_SECRET stands in plain text for everybody who reads this file; put it into a Secret and name that under valueFrom.secretKeyRef [SecretInPlainText]";
    assert_eq!(
        by_hand(json!([{"name": "OAUTH_SECRET", "value": "hunter2"}])),
        [expected("OAUTH_SECRET"), [in_clear.to_owned()]].concat()
    );
}

#[test]
fn listed_twice_is_an_error() {
    assert_eq!(
        by_hand(
            json!([{"name": "OAUTH_PROVIDER", "value": "azure"}, {"name": "LOG"}, {"name": "OAUTH_PROVIDER", "value": "azure"}])
        ),
        [
            "-:3: error: spec.template.spec.containers[0].env[2]: container timbr-platform lists variable OAUTH_PROVIDER 2 times, and AzureSso/sso delivers it; remove it here [DuplicateVariable]"
        ]
    );
}

#[test]
fn every_variable_is_told() {
    let lines = by_hand(json!([
        {"name": "OAUTH_PROVIDER", "value": "azure"},
        {"name": "OAUTH_SECRET", "value": "x"},
        {"name": "OAUTH_CLIENT_ID", "value": "y"},
    ]));
    let codes: Vec<_> =
        lines.iter().map(|line| (line.contains(": error: "), line.contains("[AlreadySetByHand]"))).collect();
    // One of them is a secret in clear text besides.
    assert_eq!(codes, [(false, true), (true, true), (false, false), (true, true)], "{lines:?}");
}

#[test]
fn other_containers_and_other_variables_are_nobodys_business() {
    let mut deployment =
        deployment("timbr-platform", &["timbr-platform", "sidecar"], json!([{"name": "LOG", "value": "x"}, scheme()]));
    deployment["spec"]["template"]["spec"]["containers"][1]["env"] =
        json!([{"name": "OAUTH_PROVIDER", "value": "okta"}]);
    assert_eq!(validate(&[azure_sso(), entra(), deployment]), [] as [&str; 0]);
}

#[test]
fn values_without_quotes_are_refused_by_a_cluster() {
    assert_eq!(
        by_hand(json!([{"name": "DEBUG", "value": true}, {"name": "PORT", "value": 8088}])),
        [
            "-:3: error: spec.template.spec.containers[0].env[0].value: must be a string, not a boolean; put it in quotes [FieldType]",
            "-:3: error: spec.template.spec.containers[0].env[1].value: must be a string, not a number; put it in quotes [FieldType]",
        ]
    );
    let mut broken = deployment("timbr-platform", &["timbr-platform"], json!([scheme()]));
    broken["spec"]["replicas"] = json!("hunter2");
    assert_eq!(
        validate(&[azure_sso(), entra(), broken]),
        ["-:3: error: spec.replicas: cannot be read: expected i32; correct it [FieldType]"]
    );
}

/// A Deployment as `kubectl get -o yaml` prints it: with what the operator delivered, without managed
/// fields.
#[test]
fn what_the_operator_delivered_is_not_set_by_hand() {
    let input = stream(&[azure_sso(), entra(), deployment("timbr-platform", &["timbr-platform"], json!([scheme()]))]);
    let first = run("render -f - --show-secrets", &input);
    assert_eq!(first.code, 0, "{}", first.err);
    let sources = stream(&[azure_sso(), entra()]);
    let again = run("validate -f -", &format!("{}{}", first.out, sources));
    assert_eq!((again.out.as_str(), again.code), ("", 0));
    // Nothing is left to do but for the Secret, of which nobody knows whose it is.
    let again = run("render -f - --diff", &format!("{}{}", first.out, sources));
    assert_eq!((again.out.as_str(), again.code), ("", 0));
    // And without the resource it would go.
    let gone = run("render -f - --diff", &first.out);
    assert!(
        gone.out.contains("-    identity.timbr.ai/managed: \"true\"\n")
            && gone.out.contains("-        - name: OAUTH_SECRET\n"),
        "{}",
        gone.out
    );
    assert!(!gone.out.lines().any(|line| line.starts_with('+') && line.contains("OAUTH")), "{}", gone.out);
}
