//! Secrets that are missing, wrong or not permitted, and Deployments that are not there yet.

use serde_json::{Value, json};
use testkit::{Writes as _, eventually};

use crate::{
    fixtures::{CLIENT_ID, PLATFORM, SSO, azure_sso, azure_sso_with, entra, platform, secret, variable},
    harness::{Lab, SOON, condition},
};

/// The whole of what is said while a reference is not usable, and nothing delivered yet.
async fn assert_says(lab: &Lab, reason: &str, message: &str, waits: bool) {
    // The row before may have ended in the same reason: the sentence tells which one is spoken of.
    eventually(message, SOON, async || {
        let said = condition(&lab.get(SSO).await, "ReferencesResolved");
        if said["status"] == "False" && said["reason"] == reason && said["message"] == message {
            Ok(())
        } else {
            Err(said.to_string())
        }
    })
    .await;
    let object = lab.get(SSO).await;
    let is = |type_: &str| {
        let condition = condition(&object, type_);
        (condition["status"].as_str().map(str::to_owned), condition["reason"].as_str().map(str::to_owned))
    };
    let said = |status: &str, reason: &str| (Some(status.to_owned()), Some(reason.to_owned()));
    assert_eq!(is("Accepted"), said("True", "Accepted"));
    assert_eq!(is("Delivered"), said("Unknown", "Pending"));
    assert_eq!(is("RolledOut"), said("Unknown", "Pending"));
    assert_eq!(is("Ready"), said("False", reason));
    if waits {
        assert_eq!(is("Reconciling"), said("True", "WaitingForReference"));
        assert_eq!(is("Stalled"), (None, None));
    } else {
        assert_eq!(is("Reconciling"), said("False", "Settled"));
        assert_eq!(is("Stalled"), said("True", reason));
    }
}

fn raw(name: &str, key: &str, base64: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {key: base64}})
}

fn typed(type_: &str, more: Value) -> Value {
    let mut secret = entra("s3cr3t");
    secret["type"] = json!(type_);
    for (field, value) in more.as_object().expect("fields") {
        secret["metadata"][field] = value.clone();
    }
    secret
}

#[tokio::test]
async fn each_unusable_secret_is_named_with_cause_and_fix() {
    let lab = Lab::new("secrets").await;
    lab.apply(&platform()).await;
    lab.apply(&azure_sso("sso")).await;
    lab.apply(&crate::fixtures::entra("x")).await;
    lab.kubectl(&["delete", "secret", "entra"]).await;
    let operator = lab.start().await;
    let value = |cause: &str| format!("spec.clientSecretRef: Secret entra, key client-secret: the value {cause}");
    let white_space = value(
        "begins or ends with white space; often a line break from `echo` without -n or from a file: create it with --from-literal",
    );
    let not_permitted = |type_: &str| {
        format!(
            "spec.clientSecretRef: Secret entra has type {type_}, which may not be referenced; put the value into a Secret of type Opaque"
        )
    };
    let tls = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "entra"},
        "stringData": {"tls.crt": "", "tls.key": "", "client-secret": "x"}});
    let docker = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "entra"},
        "stringData": {".dockerconfigjson": "{}", "client-secret": "x"}});
    let token = typed(
        "kubernetes.io/service-account-token",
        json!({"annotations": {"kubernetes.io/service-account.name": "default"}}),
    );
    let ours = typed("Opaque", json!({"labels": {"app.kubernetes.io/managed-by": "timbr-identity-operator"}}));
    let table: Vec<(Option<Value>, &str, String, bool)> = vec![
        (None, "SecretNotFound", format!("spec.clientSecretRef: Secret entra does not exist in namespace {}; create it with the key client-secret", lab.namespace), true),
        (Some(secret("entra", "secret", "x")), "SecretKeyNotFound", "spec.clientSecretRef: Secret entra has no key client-secret; add the key to the Secret, or name another".into(), true),
        (Some(raw("entra", "client-secret", "")), "SecretValueInvalid", value("is empty"), false),
        (Some(raw("entra", "client-secret", "YQBi")), "SecretValueInvalid", value("holds a NUL byte, so it cannot be an environment variable"), false),
        (Some(raw("entra", "client-secret", "//4=")), "SecretValueInvalid", value("is not UTF-8 text, so it cannot be an environment variable"), false),
        (Some(entra(&"x".repeat(65 * 1024))), "SecretValueInvalid", value("is longer than 64 KiB, too long for an environment variable"), false),
        (Some(entra("s3cr3t\n")), "SecretValueInvalid", white_space.clone(), false),
        (Some(entra(" s3cr3t")), "SecretValueInvalid", white_space, false),
        (Some(tls), "SecretNotPermitted", not_permitted("kubernetes.io/tls"), false),
        (Some(docker), "SecretNotPermitted", not_permitted("kubernetes.io/dockerconfigjson"), false),
        (Some(token), "SecretNotPermitted", not_permitted("kubernetes.io/service-account-token"), false),
        (Some(typed("helm.sh/release.v1", json!({}))), "SecretNotPermitted", not_permitted("helm.sh/release.v1"), false),
        (Some(ours), "SecretNotPermitted", "spec.clientSecretRef: Secret entra is made by this operator and may not be referenced; name the Secret that you created".into(), false),
    ];
    for (secret, reason, message, waits) in table {
        if let Some(secret) = secret {
            lab.replace(&secret).await;
        }
        assert_says(&lab, reason, &message, waits).await;
    }
    assert_eq!(lab.get(PLATFORM).await["metadata"]["generation"], 1);
    assert_eq!(lab.writes().await.of("deployments").len(), 0);

    // A value that is there and usable is delivered without anybody's help.
    lab.replace(&entra("s3cr3t")).await;
    lab.wait(SSO, "Ready").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_second_event_of_a_reason_has_words_of_its_own() {
    let lab = Lab::with_sso("event-words").await;
    let operator = lab.start().await;
    for (value, words) in [("", "is empty"), ("YQBi", "NUL byte")] {
        lab.kubectl(&["delete", "secret", "entra", "--ignore-not-found"]).await;
        lab.wait_condition(SSO, "Ready", "False", "SecretNotFound").await;
        lab.apply(&raw("entra", "client-secret", value)).await;
        lab.wait_condition(SSO, "Ready", "False", "SecretValueInvalid").await;
        eventually(&format!("an Event says that the value {words}"), SOON, async || {
            lab.kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"]).await.contains(words)
        })
        .await;
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_client_secret_named_as_client_id_is_refused_and_quoted_nowhere() {
    let lab = Lab::new("swapped").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("pa55word-pa55word")).await;
    let mut sso = azure_sso_with("sso", json!({"clientIdRef": {"name": "entra", "key": "client-secret"}}));
    sso["spec"].as_object_mut().expect("spec").remove("clientId");
    lab.apply(&sso).await;
    let operator = lab.start().await;
    assert_says(
        &lab,
        "SecretValueInvalid",
        "spec.clientIdRef: Secret entra, key client-secret: the value is not an Application (client) ID (a GUID); does the reference name the client secret by mistake?",
        false,
    )
    .await;
    operator.stop().await;
    let events = lab.kubectl(&["get", "events", "-o", "json"]).await;
    for output in [lab.get(SSO).await.to_string(), events, operator.process.stderr()] {
        assert!(!output.contains("pa55word"), "{output}");
    }
}

#[tokio::test]
async fn a_guid_as_client_secret_is_delivered_with_a_warning() {
    let lab = Lab::new("guid").await;
    lab.apply(&platform()).await;
    lab.apply(&entra(CLIENT_ID)).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let status = lab.get(SSO).await["status"].clone();
    assert_eq!(status["warnings"], 1);
    assert_eq!(
        status["problems"],
        json!([{
            "path": "spec.clientSecretRef", "code": "SecretValueLooksLikeId", "severity": "Warning",
            "message": "Secret entra, key client-secret: the value looks like a Secret ID; the app registration shows Value and Secret ID side by side, and Timbr needs the Value",
        }])
    );
    let warned = eventually("an Event says so", SOON, async || {
        let events: Value = serde_json::from_str(&lab.kubectl(&["get", "events", "-o", "json"]).await).expect("JSON");
        let events = events["items"].as_array().cloned().unwrap_or_default();
        events.into_iter().find(|event| event["reason"] == "SecretValueLooksLikeId")
    })
    .await;
    assert_eq!((&warned["type"], &warned["involvedObject"]["name"]), (&json!("Warning"), &json!("sso")));
}

#[tokio::test]
async fn opt_in_is_required_when_the_operator_says_so() {
    let lab = Lab::with_sso("opt-in").await;
    let _operator = lab.start_with(lab.account.kubeconfig.clone(), &["--require-secret-opt-in"]).await;
    assert_says(
        &lab,
        "SecretNotPermitted",
        "spec.clientSecretRef: Secret entra lacks the label identity.timbr.ai/credential: \"true\", which this operator requires of Secrets that are referenced",
        false,
    )
    .await;
    lab.kubectl(&["label", "secret", "entra", "identity.timbr.ai/credential=true"]).await;
    lab.wait(SSO, "Ready").await;
}

#[tokio::test]
async fn what_was_delivered_stays_while_the_secret_is_bad() {
    let lab = Lab::with_sso("last-good").await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let good = lab.get(PLATFORM).await;
    let writes = lab.writes().await.of("deployments").len();

    lab.kubectl(&["delete", "secret", "entra"]).await;
    lab.wait_condition(SSO, "Ready", "False", "SecretNotFound").await;
    let object = lab.get(SSO).await;
    assert_eq!(condition(&object, "Delivered")["reason"], "DeliveredLastGood");
    assert_eq!(condition(&object, "Delivered")["status"], "True");
    assert_eq!(condition(&object, "RolledOut")["status"], "True");
    // The same for a spec that turns invalid in a way that only compose sees: nothing is withdrawn.
    assert_eq!(lab.get(PLATFORM).await["spec"], good["spec"]);
    assert_eq!(lab.writes().await.of("deployments").len(), writes);

    // Another value: one more rollout, with another Secret; the old pods' Secret is still there.
    let old = variable(&good, "OAUTH_SECRET")["valueFrom"]["secretKeyRef"]["name"].as_str().expect("a name").to_owned();
    lab.apply(&entra("rotated")).await;
    eventually("the rotation is delivered", SOON, async || {
        let deployment = lab.get(PLATFORM).await;
        variable(&deployment, "OAUTH_SECRET")["valueFrom"]["secretKeyRef"]["name"] != old.as_str()
    })
    .await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(
        lab.get(PLATFORM).await["metadata"]["generation"].as_i64(),
        good["metadata"]["generation"].as_i64().map(|g| g + 1)
    );
    lab.get(&format!("secret/{old}")).await;
    // The old value again: the old Secret again, as names follow content.
    lab.apply(&entra("s3cr3t")).await;
    eventually("the old name is back", SOON, async || {
        variable(&lab.get(PLATFORM).await, "OAUTH_SECRET")["valueFrom"]["secretKeyRef"]["name"] == old.as_str()
    })
    .await;
}

#[tokio::test]
async fn a_deployment_that_comes_later_is_waited_for() {
    let lab = Lab::new("no-deployment").await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "DeploymentNotFound").await;
    assert_eq!(
        message,
        format!(
            "Deployment timbr-platform does not exist in namespace {}; install Timbr there, or name its Deployment in a TimbrInstallation",
            lab.namespace
        )
    );
    assert_eq!(condition(&lab.get(SSO).await, "Reconciling")["reason"], "WaitingForDeployment");
    lab.apply(&platform()).await;
    lab.wait(SSO, "Ready").await;
}
