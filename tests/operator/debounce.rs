//! Many changes, few rollouts, none lost.

use std::time::Duration;

use serde_json::json;
use testkit::{Writes as _, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, platform, variable},
    harness::{Lab, SOON},
};

async fn delivered(prefix: &str, flags: &[&str]) -> (Lab, crate::harness::Operator) {
    let lab = Lab::new(prefix).await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), flags).await;
    lab.apply(&azure_sso("sso")).await;
    lab.wait(SSO, "Ready").await;
    (lab, operator)
}

/// Edits the resource through the API, faster than kubectl starts.
async fn edit(lab: &Lab, tenant: &str) {
    use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("identity.timbr.ai", "v1alpha1", "AzureSso"),
        "azuressos",
    );
    let api: Api<DynamicObject> = Api::namespaced_with(lab.plane.admin(), &lab.namespace, &kind);
    let patch = Patch::Merge(json!({"spec": {"tenantId": tenant}}));
    api.patch("sso", &PatchParams::default(), &patch).await.expect("the edit is accepted");
}

fn base_url(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/oauth2")
}

#[tokio::test]
async fn fifty_edits_within_a_second_are_one_rollout() {
    let (lab, _operator) = delivered("fifty", &["--debounce=1s", "--debounce-max=15s"]).await;
    let before = lab.get(PLATFORM).await["metadata"]["generation"].as_i64().expect("a generation");
    let begun = std::time::Instant::now();
    let edits: Vec<String> = (0..50).map(|i| format!("t{i}.example.com")).collect();
    futures::future::join_all(edits.iter().map(|tenant| edit(&lab, tenant))).await;
    println!("50 edits took {:?}", begun.elapsed());
    // The last edit is whichever the server took last.
    let wanted = lab.get(SSO).await["spec"]["tenantId"].as_str().expect("a tenant").to_owned();
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    let deployment = lab.get(PLATFORM).await;
    assert_eq!(variable(&deployment, "OAUTH_BASE_URL")["value"], base_url(&wanted));
    assert_eq!(deployment["metadata"]["generation"].as_i64(), Some(before + 1));
    assert_eq!(lab.writes().await.of("deployments").succeeded().len(), 2);
}

#[tokio::test]
async fn unending_edits_are_delivered_all_the_same_and_none_is_lost() {
    let (lab, _operator) = delivered("unending", &["--debounce=1s", "--debounce-max=2s"]).await;
    let mut last = String::new();
    // More often than the quiet that a run waits for, for longer than the cap.
    let mut ticks = tokio::time::interval(Duration::from_millis(300));
    let mut seen_meanwhile = false;
    for i in 0..40 {
        ticks.tick().await;
        last = format!("t{i}.example.com");
        edit(&lab, &last).await;
        seen_meanwhile |= lab.writes().await.of("deployments").len() > 1;
    }
    assert!(seen_meanwhile, "nothing was delivered while the edits went on");
    eventually("the last edit is delivered", SOON, async || {
        variable(&lab.get(PLATFORM).await, "OAUTH_BASE_URL")["value"] == base_url(&last)
    })
    .await;
}
