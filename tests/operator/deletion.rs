//! A deleted resource leaves the Deployment as it was.

use testkit::{Writes as _, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, comparable, entra, platform},
    harness::{Lab, SOON},
};

/// Delivers, deletes (with the operator up, or down), and compares with before.
async fn deletes(prefix: &str, operator_up: bool) {
    let lab = Lab::new(prefix).await;
    lab.apply(&platform()).await;
    lab.kubectl(&["rollout", "status", PLATFORM]).await;
    let before = comparable(&lab.get(PLATFORM).await);
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let mut operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    assert_ne!(comparable(&lab.get(PLATFORM).await), before);

    if !operator_up {
        operator.stop().await;
    }
    lab.kubectl(&["delete", SSO]).await;
    if !operator_up {
        operator = lab.start().await;
    }
    eventually("the Deployment is as before", SOON, async || {
        let now = comparable(&lab.get(PLATFORM).await);
        if now == before { Ok(()) } else { Err(format!("{now:#}\nbefore: {before:#}")) }
    })
    .await;
    lab.kubectl(&["rollout", "status", PLATFORM]).await;
    // One apply to deliver, one to release, and then nothing.
    operator.stop().await;
    assert_eq!(lab.writes().await.of("deployments").succeeded().len(), 2);
}

#[tokio::test]
async fn deleting_while_the_operator_runs_leaves_the_deployment_as_before() {
    deletes("delete-up", true).await;
}

#[tokio::test]
async fn deleting_while_the_operator_is_down_leaves_the_deployment_as_before() {
    deletes("delete-down", false).await;
}
