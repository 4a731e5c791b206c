//! RolledOut is the truth about pods.

use serde_json::json;
use testkit::{Writes as _, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, azure_sso_with, deployment, entra, installation, platform, variable},
    harness::{Lab, SOON, condition},
};

#[tokio::test]
async fn pods_that_never_become_ready_are_said_and_a_repair_is_noticed() {
    let lab = Lab::new("never-ready").await;
    let mut broken = platform();
    broken["spec"]["progressDeadlineSeconds"] = json!(3);
    broken["spec"]["template"]["metadata"]["labels"][testkit::kwok::NEVER_READY] = json!("true");
    lab.apply(&broken).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    lab.wait_condition(SSO, "RolledOut", "False", "RollingOut").await;
    let object = lab.get(SSO).await;
    assert_eq!(condition(&object, "Delivered")["status"], "True");
    assert_eq!(condition(&object, "Reconciling")["reason"], "RollingOut");
    let message = lab.wait_condition(SSO, "RolledOut", "False", "ProgressDeadlineExceeded").await;
    assert_eq!(
        message,
        format!(
            "Deployment timbr-platform: the new pods did not become ready in time (1 of 1 pods are up to date, 0 available); look at: kubectl describe pods -n {}",
            lab.namespace
        )
    );
    assert_eq!(condition(&lab.get(SSO).await, "Stalled")["reason"], "ProgressDeadlineExceeded");
    // Its owner repairs the pods; our variables are still the same.
    let mut repaired = platform();
    repaired["spec"]["progressDeadlineSeconds"] = json!(600);
    lab.apply(&repaired).await;
    lab.wait(SSO, "Ready").await;
    let recorded = lab.get(SSO).await["status"]["delivered"].clone();
    // Rolled out once, it stays so, whatever happens to later pods of others' making.
    broken["spec"]["template"]["metadata"]["labels"]["version"] = json!("2");
    lab.apply(&broken).await;
    lab.kubectl(&["wait", PLATFORM, "--for=jsonpath={.status.unavailableReplicas}=1", "--timeout=60s"]).await;
    lab.apply(&azure_sso_with("sso", json!({"publicUrl": "https://other.example.com"}))).await;
    eventually("the edit is seen", SOON, async || {
        let object = lab.get(SSO).await;
        object["status"]["redirectUri"] == "https://other.example.com/oauth-authorized/azure"
    })
    .await;
    let after = lab.get(SSO).await;
    assert_eq!(condition(&after, "RolledOut")["status"], "True");
    assert_eq!(after["status"]["delivered"], recorded);
}

#[tokio::test]
async fn a_paused_deployment_is_said() {
    let lab = Lab::new("paused").await;
    lab.apply(&platform()).await;
    lab.kubectl(&["rollout", "pause", PLATFORM]).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    let message = lab.wait_condition(SSO, "RolledOut", "False", "DeploymentPaused").await;
    assert_eq!(
        message,
        format!(
            "Deployment timbr-platform is paused, so its pods are not replaced; run: kubectl rollout resume deployment/timbr-platform -n {}",
            lab.namespace
        )
    );
    assert_eq!(condition(&lab.get(SSO).await, "Reconciling")["reason"], "RollingOut");
    lab.kubectl(&["rollout", "resume", PLATFORM]).await;
    lab.wait(SSO, "Ready").await;
}

#[tokio::test]
async fn a_deployment_made_anew_gets_everything_again() {
    let lab = Lab::with_sso("anew").await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    for round in 0..3 {
        let old = lab.get(PLATFORM).await["metadata"]["uid"].clone();
        // Without waiting for the Secret's collection; then with a moment in which none is there.
        lab.kubectl(&["delete", PLATFORM, "--wait=true"]).await;
        if round == 2 {
            lab.wait_condition(SSO, "Delivered", "False", "DeploymentNotFound").await;
        }
        lab.apply(&platform()).await;
        eventually("the new Deployment is delivered, with a Secret that is its own", SOON, async || {
            let deployment = lab.get(PLATFORM).await;
            let entry = variable(&deployment, "OAUTH_SECRET");
            let Some(name) = entry["valueFrom"]["secretKeyRef"]["name"].as_str() else {
                return Err("no variable yet".to_owned());
            };
            let found = lab.plane.kubectl(&["get", "secret", name, "-n", &lab.namespace, "-o", "json"], None).await;
            let secret: serde_json::Value = serde_json::from_str(&found.stdout).map_err(|_| found.stderr)?;
            let owner = &secret["metadata"]["ownerReferences"][0]["uid"];
            if deployment["metadata"]["uid"] != old && *owner == deployment["metadata"]["uid"] {
                Ok(())
            } else {
                Err(secret.to_string())
            }
        })
        .await;
        lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    }
}

#[tokio::test]
async fn a_secret_of_ours_that_somebody_deletes_comes_back_without_a_rollout() {
    let lab = Lab::with_sso("lost-secret").await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let before = lab.get(PLATFORM).await;
    let name =
        variable(&before, "OAUTH_SECRET")["valueFrom"]["secretKeyRef"]["name"].as_str().expect("a name").to_owned();
    let uid = lab.get(&format!("secret/{name}")).await["metadata"]["uid"].clone();
    lab.kubectl(&["delete", "secret", &name]).await;
    eventually("it is back", SOON, async || {
        let found = lab
            .plane
            .kubectl(&["get", "secret", &name, "-n", &lab.namespace, "-o", "jsonpath={.metadata.uid}"], None)
            .await;
        found.status.success() && found.stdout != uid.as_str().unwrap_or_default()
    })
    .await;
    assert_eq!(lab.get(PLATFORM).await["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(lab.writes().await.of("deployments").succeeded().len(), 1);
}

#[tokio::test]
async fn a_deployment_replaced_between_look_and_apply_is_not_mistaken_for_the_old_one() {
    let lab = Lab::with_sso("mid-flight").await;
    let proxy = lab.plane.proxy();
    let hook = testkit::Hook::new();
    let there = std::sync::Arc::clone(&hook);
    proxy.on_write(move |call| {
        if call.resource == "deployments" {
            testkit::Action::HoldBefore(std::sync::Arc::clone(&there))
        } else {
            testkit::Action::Pass
        }
    });
    let operator = lab.launch(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    hook.reached().await;
    lab.kubectl(&["delete", PLATFORM, "--wait=true"]).await;
    // Gone: the apply that is on its way must not create a Deployment of fragments.
    proxy.pass();
    hook.release();
    lab.wait_condition(SSO, "Delivered", "False", "DeploymentNotFound").await;
    assert_eq!(lab.kubectl(&["get", "deployments", "-o", "name"]).await, "");
    lab.apply(&platform()).await;
    lab.wait(SSO, "Ready").await;
    operator.stop().await;
    let codes: Vec<u16> = lab.writes().await.of("deployments").iter().map(|write| write.code).collect();
    // The one for the old Deployment, and those that the new one's controller was quicker than.
    let (last, refused) = codes.split_last().expect("writes");
    assert!(*last == 200 && !refused.is_empty() && refused.iter().all(|code| *code == 409), "{codes:?}");
}

/// An upgrade of the operator must not restart every Timbr together.
#[tokio::test]
async fn so_many_rollouts_at_once_and_the_next_when_one_has_ended() {
    let lab = Lab::new("at-once").await;
    lab.apply(&entra("s3cr3t")).await;
    let names = ["web-1", "web-2", "web-3"];
    let objects: Vec<serde_json::Value> = names
        .iter()
        .flat_map(|name| {
            let mut web = deployment(name, &["web"]);
            web["spec"]["template"]["metadata"]["labels"][testkit::kwok::NEVER_READY] = json!("true");
            let of = |component: &str| json!({"deployment": format!("{name}-{component}")});
            let components = json!({"platform": {"deployment": name}, "server": of("server"), "api": of("api")});
            [
                web,
                installation(name, json!({"components": components})),
                azure_sso_with(name, json!({"installationRef": {"name": name}})),
            ]
        })
        .collect();
    lab.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects})).await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &["--max-concurrent-rollouts=2"]).await;
    let delivered = async || {
        let mut delivered = Vec::new();
        for name in names {
            let object = lab.get(&format!("azuresso/{name}")).await;
            if condition(&object, "Delivered")["status"] == "True" {
                delivered.push(name);
            }
        }
        delivered
    };
    let first = eventually("two are rolled out", SOON, async || {
        let delivered = delivered().await;
        if delivered.len() == 2 { Ok(delivered) } else { Err(format!("{delivered:?}")) }
    })
    .await;
    let last = *names.iter().find(|name| !first.contains(name)).expect("a third");
    let message = lab.wait_condition(&format!("azuresso/{last}"), "Delivered", "Unknown", "Pending").await;
    assert_eq!(
        message,
        format!(
            "Deployment {last}: other Deployments are being rolled out, and no more at once (--max-concurrent-rollouts); trying again"
        )
    );
    let object = lab.get(&format!("azuresso/{last}")).await;
    assert_eq!(condition(&object, "Reconciling")["status"], "True");
    let looks = operator.looks_at_least(3).await;
    lab.kubectl(&["annotate", &format!("azuresso/{last}"), "identity.timbr.ai/reconcile-requested-at=now"]).await;
    operator.looks_at_least(looks + 1).await;
    assert_eq!(delivered().await, first);
    assert_eq!(lab.writes().await.of("deployments").succeeded().len(), 2);

    // The pods of one become ready.
    let mut repaired = deployment(first[0], &["web"]);
    repaired["spec"]["template"]["metadata"]["labels"]["repaired"] = json!("true");
    lab.apply(&repaired).await;
    lab.wait_condition(&format!("azuresso/{last}"), "Delivered", "True", "Delivered").await;
    operator.stop().await;
}
