//! Variables that somebody else sets already: reported with manager and variable, never forced.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{Writes as _, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, platform, variable},
    harness::{Lab, SOON, condition},
};

/// Sets variables as another manager does: by server-side apply, or by a plain update.
async fn set(lab: &Lab, manager: &str, apply: bool, env: &[Value]) {
    let api: Api<Deployment> = Api::namespaced(lab.plane.admin(), &lab.namespace);
    let patch = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"name": "timbr-platform", "env": env}]}}},
    });
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..Default::default() };
    let sent = if apply {
        api.patch("timbr-platform", &params, &Patch::Apply(patch)).await
    } else {
        api.patch("timbr-platform", &params, &Patch::Strategic(patch)).await
    };
    sent.expect("the other manager's write is accepted");
}

fn by_secret(name: &str) -> Value {
    json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "chart", "key": "oauth-secret"}}})
}

#[tokio::test]
async fn a_variable_of_another_manager_is_a_conflict_that_names_both() {
    let at = "Deployment timbr-platform, container timbr-platform: variable";
    let fix = "remove it there, and this resource delivers it";
    let table: Vec<(&str, bool, Value, String)> = vec![
        (
            "helm",
            false,
            json!({"name": "OAUTH_PROVIDER", "value": "google"}),
            format!("{at} OAUTH_PROVIDER is set by helm (Update) (as value); {fix}"),
        ),
        (
            "argocd-controller",
            true,
            json!({"name": "OAUTH_PROVIDER", "value": "google"}),
            format!("{at} OAUTH_PROVIDER is set by argocd-controller (Apply) (as value); {fix}"),
        ),
        (
            "helm",
            false,
            by_secret("OAUTH_SECRET"),
            format!("{at} OAUTH_SECRET is set by helm (Update) (as valueFrom); {fix}"),
        ),
        (
            "kustomize-controller",
            true,
            by_secret("OAUTH_SECRET"),
            format!("{at} OAUTH_SECRET is set by kustomize-controller (Apply) (as valueFrom); {fix}"),
        ),
        (
            "helm",
            false,
            by_secret("OAUTH_PROVIDER"),
            format!("{at} OAUTH_PROVIDER is set by helm (Update) (as valueFrom); {fix}"),
        ),
        (
            "kubectl-set",
            false,
            json!({"name": "OAUTH_SECRET", "value": "in the clear"}),
            format!("{at} OAUTH_SECRET is set by kubectl-set (Update) (as value); {fix}"),
        ),
        (
            "helm",
            true,
            json!({"name": "OAUTH_BASE_URL", "value": ""}),
            format!("{at} OAUTH_BASE_URL is set by helm (Apply) (as value); {fix}"),
        ),
    ];
    for (manager, apply, entry, message) in table {
        let lab = Lab::new("conflict").await;
        lab.apply(&platform()).await;
        set(&lab, manager, apply, std::slice::from_ref(&entry)).await;
        let before = lab.get(PLATFORM).await;
        lab.apply(&entra("s3cr3t")).await;
        lab.apply(&azure_sso("sso")).await;
        let operator = lab.start().await;
        assert_eq!(lab.wait_condition(SSO, "Delivered", "False", "Conflict").await, message);
        let object = lab.get(SSO).await;
        assert_eq!(condition(&object, "Stalled")["reason"], "Conflict");
        assert_eq!(condition(&object, "Ready")["status"], "False");
        assert!(!object["status"].to_string().contains("in the clear"));
        // Nothing was written to it, nor forced.
        assert_eq!(lab.get(PLATFORM).await["spec"], before["spec"]);
        assert_eq!(lab.writes().await.of("deployments").len(), 0);

        // The other hand lets go: delivered without anybody's help.
        let name = entry["name"].as_str().expect("a name");
        if apply {
            set(&lab, manager, true, &[]).await;
        } else {
            set(&lab, manager, false, &[json!({"$patch": "delete", "name": name})]).await;
        }
        lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
        operator.stop().await;
    }
}

#[tokio::test]
async fn an_equal_value_is_shared() {
    for apply in [false, true] {
        let lab = Lab::new("equal").await;
        lab.apply(&platform()).await;
        set(&lab, "helm", apply, &[json!({"name": "OAUTH_PROVIDER", "value": "azure"})]).await;
        lab.apply(&entra("s3cr3t")).await;
        lab.apply(&azure_sso("sso")).await;
        let _operator = lab.start().await;
        lab.wait(SSO, "Ready").await;
        assert_eq!(variable(&lab.get(PLATFORM).await, "OAUTH_PROVIDER")["value"], "azure");
        // Ours goes, the other's stays.
        lab.kubectl(&["delete", SSO]).await;
        eventually("ours is released", SOON, async || variable(&lab.get(PLATFORM).await, "OAUTH_SECRET").is_null())
            .await;
        assert_eq!(variable(&lab.get(PLATFORM).await, "OAUTH_PROVIDER")["value"], "azure");
    }
}

#[tokio::test]
async fn a_variable_listed_twice_is_named() {
    let lab = Lab::new("twice").await;
    let mut twice = platform();
    twice["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "OAUTH_PROVIDER", "value": "google"}, {"name": "OAUTH_PROVIDER", "value": "azure"},
    ]);
    lab.apply(&twice).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "DuplicateVariable").await;
    assert_eq!(
        message,
        "Deployment timbr-platform, container timbr-platform: variable OAUTH_PROVIDER is listed 2 times, by kubectl-client-side-apply (Update); keep one at most there"
    );
    assert_eq!(lab.writes().await.of("deployments").len(), 0);
}

#[tokio::test]
async fn a_duplicate_that_is_none_of_ours_is_no_hindrance() {
    let lab = Lab::new("foreign-twice").await;
    let mut twice = platform();
    twice["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "OTHER", "value": "1"}, {"name": "OTHER", "value": "2"}]);
    lab.apply(&twice).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let deployment = lab.get(PLATFORM).await;
    let others = crate::fixtures::env(&deployment, "timbr-platform");
    assert_eq!(others.iter().filter(|entry| entry["name"] == "OTHER").count(), 2);
}
