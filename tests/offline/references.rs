//! What `validate` says of Secrets that are referenced; never a value.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    bad_input::azure_sso,
    run::{entra, platform, run, secret, stream, validate},
};

/// What may be printed nowhere.
const HIDDEN: &str = "hunter2";

fn client_secret(value: &[u8]) -> Value {
    secret("entra", "client-secret", value)
}

/// What `validate` prints of the AzureSso with this Secret, without the place.
fn verdict(secret: Value) -> Vec<String> {
    let objects = [azure_sso(), secret, platform()];
    for command in [
        "validate -f -",
        "validate -f - -o json",
        "render -f -",
        "render -f - --diff",
        "render -f - -o env",
        "render -f - -o compose",
    ] {
        let run = run(command, &stream(&objects));
        for text in [run.out, run.err] {
            assert!(!text.contains(HIDDEN) && !text.contains(&BASE64_STANDARD.encode(HIDDEN)), "{command}: {text}");
        }
    }
    validate(&objects).iter().map(|line| line.strip_prefix("-:1: ").unwrap_or(line).to_owned()).collect()
}

#[test]
fn values_that_cannot_be_variables() {
    let long = format!("{HIDDEN}{}", "x".repeat(64 * 1024));
    let table: &[(&[u8], &str)] = &[
        (b"", "is empty"),
        (b"hunter2\0", "holds a NUL byte, so it cannot be an environment variable"),
        (b"hunter2\xff", "is not UTF-8 text, so it cannot be an environment variable"),
        (long.as_bytes(), "is longer than 64 KiB, too long for an environment variable"),
        (
            b"hunter2\n",
            "begins or ends with white space; often a line break from `echo` without -n or from a file: create it with --from-literal",
        ),
        (
            b" hunter2",
            "begins or ends with white space; often a line break from `echo` without -n or from a file: create it with --from-literal",
        ),
    ];
    for (value, cause) in table {
        let expected = format!(
            "error: spec.clientSecretRef: Secret entra, key client-secret: the value {cause} [SecretValueInvalid]"
        );
        assert_eq!(verdict(client_secret(value)), [expected]);
    }
    assert_eq!(verdict(client_secret(&long.as_bytes()[..64 * 1024])), [] as [&str; 0]);
}

#[test]
fn a_key_that_is_not_there() {
    assert_eq!(
        verdict(secret("entra", "client_secret", HIDDEN.as_bytes())),
        [
            "error: spec.clientSecretRef: Secret entra has no key client-secret; add the key to the Secret, or name another [SecretKeyNotFound]"
        ]
    );
    assert_eq!(
        verdict(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra"}})),
        [
            "error: spec.clientSecretRef: Secret entra has no key client-secret; add the key to the Secret, or name another [SecretKeyNotFound]"
        ]
    );
}

#[test]
fn a_secret_that_is_not_in_the_input_is_unknown() {
    // Also one of another namespace.
    let mut elsewhere = client_secret(HIDDEN.as_bytes());
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    assert_eq!(
        verdict(elsewhere),
        [
            "warning: spec.clientSecretRef: <Secret entra/client-secret> is not in the input, so its value could not be checked [NotInInput]"
        ]
    );
}

#[test]
fn secrets_that_may_not_be_referenced() {
    let types = [
        "kubernetes.io/service-account-token",
        "helm.sh/release.v1",
        "kubernetes.io/dockerconfigjson",
        "kubernetes.io/tls",
        "kubernetes.io/ssh-auth",
        "bootstrap.kubernetes.io/token",
    ];
    for type_ in types {
        let mut secret = client_secret(HIDDEN.as_bytes());
        secret["type"] = json!(type_);
        assert_eq!(
            verdict(secret),
            [format!(
                "error: spec.clientSecretRef: Secret entra has type {type_}, which may not be referenced; put the value into a Secret of type Opaque [SecretNotPermitted]"
            )]
        );
    }
    let mut ours = client_secret(HIDDEN.as_bytes());
    ours["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "timbr-identity-operator"});
    assert_eq!(
        verdict(ours),
        [
            "error: spec.clientSecretRef: Secret entra is made by this operator and may not be referenced; name the Secret that you created [SecretNotPermitted]"
        ]
    );
    let mut typed = client_secret(HIDDEN.as_bytes());
    typed["type"] = json!("identity.timbr.ai/credential");
    assert_eq!(verdict(typed), [] as [&str; 0]);
}

#[test]
fn an_operator_may_ask_for_consent() {
    let flagged = run("validate -f - --require-secret-opt-in", &stream(&[azure_sso(), entra(), platform()]));
    assert_eq!(
        flagged.out,
        "-:1: error: spec.clientSecretRef: Secret entra lacks the label identity.timbr.ai/credential: \"true\", which this operator requires of Secrets that are referenced [SecretNotPermitted]\n"
    );
    let mut consenting = entra();
    consenting["metadata"]["labels"] = json!({"identity.timbr.ai/credential": "true"});
    let flagged = run("validate -f - --require-secret-opt-in", &stream(&[azure_sso(), consenting, platform()]));
    assert_eq!((flagged.out.as_str(), flagged.code), ("", 0));
}

#[test]
fn a_client_secret_that_looks_like_its_id() {
    assert_eq!(
        verdict(client_secret(b"99999999-8888-7777-6666-555555555555")),
        [
            "warning: spec.clientSecretRef: Secret entra, key client-secret: the value looks like a Secret ID; the app registration shows Value and Secret ID side by side, and Timbr needs the Value [SecretValueLooksLikeId]"
        ]
    );
}

#[test]
fn a_client_secret_named_as_the_client_id_is_quoted_nowhere() {
    let mut sso = azure_sso();
    sso["spec"]["clientId"] = Value::Null;
    sso["spec"]["clientIdRef"] = json!({"name": "entra", "key": "client-secret"});
    let objects = [sso, client_secret(HIDDEN.as_bytes()), platform()];
    assert_eq!(
        validate(&objects),
        [
            "-:1: error: spec.clientIdRef: Secret entra, key client-secret: the value is not an Application (client) ID (a GUID); does the reference name the client secret by mistake? [SecretValueInvalid]"
        ]
    );
    for command in [
        "validate -f - -o json",
        "render -f -",
        "render -f - --show-secrets",
        "render -f - -o env --show-secrets",
        "render -f - --diff",
    ] {
        let run = run(command, &stream(&objects));
        assert!(!run.out.contains(HIDDEN) && !run.err.contains(HIDDEN), "{command}: {}{}", run.out, run.err);
        assert_eq!(run.code, 1, "{command}");
    }
}

#[test]
fn what_is_readable_goes_over_what_is_encoded() {
    let mut secret = client_secret(b"");
    secret["stringData"] = json!({"client-secret": "hunter3"});
    let run = run("render -f - -o env --show-secrets", &stream(&[azure_sso(), secret, platform()]));
    assert!(run.out.contains("OAUTH_SECRET=hunter3\n"), "{}", run.out);
}

#[test]
fn a_secret_that_cannot_be_read_is_said_to_be_so_once() {
    let base64 = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra"}, "data": {"client-secret": "hunter2!"}});
    assert_eq!(
        verdict(base64),
        [
            "-:2: error: data.client-secret: must be base64; put the value as it is under stringData, or encode it [FieldType]"
        ]
    );
    let number = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra"}, "stringData": {"client-secret": 12345}});
    assert_eq!(
        verdict(number),
        ["-:2: error: stringData.client-secret: must be a string, not a number; put it in quotes [FieldType]"]
    );
    let list = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra"}, "data": [HIDDEN]});
    assert_eq!(verdict(list), ["-:2: error: data: must be a mapping, not a list [FieldType]"]);
    let labels =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra", "labels": {"a": HIDDEN.len()}}});
    assert_eq!(
        verdict(labels),
        ["-:2: error: metadata.labels.a: cannot be read: expected a string; correct it [FieldType]"]
    );
}
