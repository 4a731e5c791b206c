//! From `kubectl apply` to a rolled-out Deployment.

use serde_json::{Value, json};
use testkit::Writes as _;

use crate::{
    fixtures::{CLIENT_ID, PLATFORM, SSO, TENANT, azure_sso, azure_sso_with, entra, env, platform},
    harness::{Lab, condition},
};

#[tokio::test]
async fn the_five_variables_are_delivered_in_one_rollout() {
    let lab = Lab::new("delivery").await;
    lab.apply(&platform()).await;
    lab.kubectl(&["rollout", "status", PLATFORM]).await;
    let operator = lab.start().await;
    lab.apply(&entra("s3cr3t~value")).await;
    lab.apply(&azure_sso("sso")).await;
    for condition in ["Delivered", "RolledOut", "Ready"] {
        lab.wait(SSO, condition).await;
    }

    let deployment = lab.get(PLATFORM).await;
    let env = env(&deployment, "timbr-platform");
    let secret =
        env[3]["valueFrom"]["secretKeyRef"]["name"].as_str().expect("OAUTH_CLIENT_ID by secretKeyRef").to_owned();
    assert!(secret.strip_prefix("timbr-platform-identity-").is_some_and(|hex| hex.len() == 10), "{secret}");
    let by_secret = |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}});
    assert_eq!(
        env,
        [
            json!({"name": "TIMBR_LOG_LEVEL", "value": "info"}),
            json!({"name": "OAUTH_DEFAULT_SCHEME", "value": "https"}),
            json!({"name": "OAUTH_PROVIDER", "value": "azure"}),
            by_secret("OAUTH_CLIENT_ID"),
            by_secret("OAUTH_SECRET"),
            json!({"name": "OAUTH_BASE_URL", "value": format!("https://login.microsoftonline.com/{TENANT}/oauth2")}),
            json!({"name": "OAUTH_AZURE_WITH_UPN_FIRST", "value": "False"}),
        ]
    );
    assert_eq!(lab.of_secret(&env[3]).await, CLIENT_ID);
    assert_eq!(lab.of_secret(&env[4]).await, "s3cr3t~value");

    // One rollout: the Deployment's first revision, and ours.
    let sets: Value = serde_json::from_str(&lab.kubectl(&["get", "replicasets", "-o", "json"]).await).expect("JSON");
    assert_eq!(sets["items"].as_array().expect("items").len(), 2);

    let meta = &deployment["metadata"];
    assert_eq!(meta["labels"]["identity.timbr.ai/managed"], "true");
    let attribution: Value =
        serde_json::from_str(meta["annotations"]["identity.timbr.ai/delivered"].as_str().expect("text")).expect("JSON");
    assert_eq!(attribution["v"], 1);
    assert_eq!(attribution["vars"]["timbr-platform/OAUTH_SECRET"], json!(["AzureSso/sso"]));
    assert_eq!(attribution["vars"].as_object().expect("vars").len(), 5);

    let made = lab.get(&format!("secret/{secret}")).await;
    assert_eq!(made["immutable"], true);
    assert_eq!(
        made["metadata"]["ownerReferences"],
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "timbr-platform", "uid": meta["uid"]}])
    );
    assert_eq!(
        made["metadata"]["labels"],
        json!({"app.kubernetes.io/managed-by": "timbr-identity-operator", "identity.timbr.ai/component": "platform", "identity.timbr.ai/installation": "default"})
    );

    let sso = lab.get(SSO).await;
    let status = &sso["status"];
    let said: Vec<(String, String, String)> = status["conditions"]
        .as_array()
        .expect("conditions")
        .iter()
        .map(|condition| {
            let field = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
            (field("type"), field("status"), field("reason"))
        })
        .collect();
    let expected = [
        ("Accepted", "True", "Accepted"),
        ("ReferencesResolved", "True", "Resolved"),
        ("Verified", "Unknown", "NotChecked"),
        ("Delivered", "True", "Delivered"),
        ("RolledOut", "True", "RolledOut"),
        ("Ready", "True", "DeliveredUnverified"),
        ("Reconciling", "False", "Settled"),
    ];
    // The API server keeps the order of the default's conditions; what counts is the set.
    let mut sorted = said.clone();
    sorted.sort();
    let mut wanted: Vec<_> =
        expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
    wanted.sort();
    assert_eq!(sorted, wanted);
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["redirectUri"], "https://timbr.example.com/oauth-authorized/azure");
    assert_eq!(
        status["delivered"],
        json!([{
            "deployment": "timbr-platform", "container": "timbr-platform", "generation": 2, "secret": secret,
            "variables": ["OAUTH_AZURE_WITH_UPN_FIRST", "OAUTH_BASE_URL", "OAUTH_CLIENT_ID", "OAUTH_PROVIDER", "OAUTH_SECRET"],
        }])
    );
    assert!(status.get("problems").is_none());

    // Exactly: the name key, the Secret, one apply; the rest is status.
    let writes = lab.writes().await;
    assert!(writes.iter().all(|write| write.code < 300), "{writes:?}");
    assert_eq!(writes.clone().of("deployments").len(), 1);
    assert_eq!(writes.of("secrets").len(), 2);
    operator.stop().await;
}

#[tokio::test]
async fn every_field_becomes_its_documented_variable() {
    let lab = Lab::new("fields").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&crate::fixtures::secret("app", "id", CLIENT_ID)).await;
    let mut sso = azure_sso_with(
        "sso",
        json!({
            "tenantId": "contoso.onmicrosoft.com",
            "clientIdRef": {"name": "app", "key": "id"},
            "publicUrl": "https://timbr.example.com:8443",
            "userIdentity": "UserPrincipalName",
            "selfRegistration": {"role": "Data Editors"},
            "passwordLogin": "Enabled",
        }),
    );
    sso["spec"].as_object_mut().expect("spec").remove("clientId");
    lab.apply(&sso).await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let deployment = lab.get(PLATFORM).await;
    let plain: Vec<(String, Value)> = env(&deployment, "timbr-platform")
        .iter()
        .filter(|entry| entry.get("value").is_some())
        .map(|entry| (entry["name"].as_str().unwrap_or_default().to_owned(), entry["value"].clone()))
        .collect();
    let expected = [
        ("TIMBR_LOG_LEVEL", "info"),
        ("OAUTH_DEFAULT_SCHEME", "https"),
        ("OAUTH_PROVIDER", "azure"),
        ("OAUTH_BASE_URL", "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2"),
        ("OAUTH_AZURE_WITH_UPN_FIRST", "True"),
        ("AUTH_USER_REGISTRATION", "true"),
        ("AUTH_USER_REGISTRATION_ROLE", "Data Editors"),
        ("AUTH_WITH_USERPASS", "true"),
    ];
    assert_eq!(plain, expected.map(|(name, value)| (name.to_owned(), json!(value))));
    assert_eq!(lab.get(SSO).await["status"]["redirectUri"], "https://timbr.example.com:8443/oauth-authorized/azure");

    // Optional ones go again; Disabled is held back, and said.
    sso["spec"].as_object_mut().expect("spec").remove("selfRegistration");
    sso["spec"]["passwordLogin"] = json!("Disabled");
    lab.apply(&sso).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    let deployment = lab.get(PLATFORM).await;
    let names: Vec<Value> = env(&deployment, "timbr-platform").iter().map(|entry| entry["name"].clone()).collect();
    assert!(!names.iter().any(|name| name.as_str().is_some_and(|name| name.starts_with("AUTH_"))), "{names:?}");
    let status = lab.get(SSO).await["status"].clone();
    assert_eq!(status["warnings"], 1);
    assert_eq!(status["problems"][0]["code"], "PasswordLoginStillEnabled");
    assert_eq!(status["problems"][0]["severity"], "Warning");
}

#[tokio::test]
async fn a_fresh_resource_is_in_progress_before_any_operator_has_seen_it() {
    let lab = Lab::new("fresh").await;
    lab.apply(&azure_sso("sso")).await;
    lab.apply(&crate::fixtures::installation("default", json!({}))).await;
    for what in [SSO, "timbrinstallation/default"] {
        let object = lab.get(what).await;
        assert_eq!(object["status"]["observedGeneration"], 0);
        for (type_, status) in [("Ready", "Unknown"), ("Reconciling", "True")] {
            assert_eq!(
                condition(&object, type_),
                json!({"type": type_, "status": status, "reason": "Pending", "message": "waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"})
            );
        }
    }
    // Applying again changes nothing: the default is no difference for kubectl.
    let again =
        lab.plane.kubectl(&["apply", "-n", &lab.namespace, "-f", "-"], Some(&azure_sso("sso").to_string())).await.ok();
    assert_eq!(again.trim(), "azuresso.identity.timbr.ai/sso unchanged");
}

#[tokio::test]
async fn explain_teaches() {
    let lab = Lab::new("explain").await;
    let text = lab.kubectl(&["explain", "azuresso.spec.clientSecretRef"]).await;
    for word in [
        "Value (not its Secret ID)",
        "OAUTH_SECRET",
        "Opaque",
        "--from-literal=client-secret=VALUE",
        "name\t<string> -required-",
    ] {
        assert!(
            text.split_whitespace().collect::<Vec<_>>().join(" ").contains(&word.replace('\t', " ")),
            "{word}: {text}"
        );
    }
}
