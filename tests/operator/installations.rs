//! Several resources, several installations, names that differ, and suspension.

use serde_json::{Value, json};
use testkit::{Writes as _, eventually};

use crate::{
    fixtures::{
        PLATFORM, SSO, azure_sso, azure_sso_with, comparable, deployment, entra, env, installation, platform, variable,
    },
    harness::{Lab, SOON, age, condition},
};

#[tokio::test]
async fn of_two_azure_ssos_the_older_is_delivered() {
    let lab = Lab::new("two-sso").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso_with("old", json!({"tenantId": "old.example.com"}))).await;
    age().await;
    // By name it would be first: age decides.
    lab.apply(&azure_sso_with("another", json!({"tenantId": "new.example.com"}))).await;
    let _operator = lab.start().await;
    lab.wait("azuresso/old", "Ready").await;
    let message = lab.wait_condition("azuresso/another", "Accepted", "False", "DuplicateInInstallation").await;
    assert_eq!(
        message,
        "installation default has AzureSso/old already, which is older; delete one of the two, or give this one another installation"
    );
    let object = lab.get("azuresso/another").await;
    assert_eq!(condition(&object, "Stalled")["reason"], "DuplicateInInstallation");
    assert_eq!(object["status"]["problems"][0]["code"], "DuplicateInInstallation");
    assert!(object["status"].get("delivered").is_none());
    let url = async || variable(&lab.get(PLATFORM).await, "OAUTH_BASE_URL")["value"].clone();
    assert_eq!(url().await, "https://login.microsoftonline.com/old.example.com/oauth2");
    // The older goes: the younger takes its place.
    lab.kubectl(&["delete", "azuresso/old"]).await;
    lab.wait("azuresso/another", "Ready").await;
    assert_eq!(url().await, "https://login.microsoftonline.com/new.example.com/oauth2");
}

#[tokio::test]
async fn of_two_installations_that_name_a_deployment_the_older_has_it() {
    let lab = Lab::new("two-inst").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&installation("old", json!({}))).await;
    age().await;
    lab.apply(&installation(
        "another",
        json!({"components": {"server": {"deployment": "s2"}, "api": {"deployment": "a2"}}}),
    ))
    .await;
    lab.apply(&azure_sso_with("of-old", json!({"installationRef": {"name": "old"}}))).await;
    lab.apply(&azure_sso_with("of-another", json!({"installationRef": {"name": "another"}}))).await;
    let _operator = lab.start().await;
    lab.wait("azuresso/of-old", "Ready").await;
    let sentence = "Deployment timbr-platform belongs to TimbrInstallation old, which is older and names it too; name another Deployment in spec.components of one of the two";
    assert_eq!(lab.wait_condition("timbrinstallation/another", "Accepted", "False", "Collision").await, sentence);
    assert_eq!(lab.wait_condition("azuresso/of-another", "Accepted", "False", "Collision").await, sentence);
    let annotation = lab.get(PLATFORM).await["metadata"]["annotations"]["identity.timbr.ai/delivered"].to_string();
    assert!(annotation.contains("AzureSso/of-old") && !annotation.contains("of-another"), "{annotation}");

    // The younger names a Deployment of its own.
    lab.apply(&deployment("web-2", &["web"])).await;
    lab.apply(&installation("another", json!({"components": {"platform": {"deployment": "web-2"}, "server": {"deployment": "s2"}, "api": {"deployment": "a2"}}}))).await;
    lab.wait("azuresso/of-another", "Ready").await;
    assert_eq!(variable(&lab.get("deployment/web-2").await, "OAUTH_PROVIDER")["value"], "azure");
    let status = lab.get("timbrinstallation/another").await["status"].clone();
    eventually("its resources are counted", SOON, async || {
        let status = lab.get("timbrinstallation/another").await["status"]["resources"].clone();
        if status == json!({"total": 1, "ready": 1, "summary": "1/1"}) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let components: Vec<Value> = status["components"]
        .as_array()
        .expect("components")
        .iter()
        .map(|component| {
            json!([component["name"], component["state"], component["deployment"], component["container"]])
        })
        .collect();
    assert_eq!(
        components,
        [
            json!(["Server", "Missing", "s2", null]),
            json!(["Api", "Missing", "a2", null]),
            json!(["Platform", "Found", "web-2", "web"])
        ]
    );
}

#[tokio::test]
async fn what_moves_is_on_the_new_deployment_before_it_leaves_the_old_one() {
    let lab = Lab::new("move").await;
    let named = |name: &str| installation("main", json!({"components": {"platform": {"deployment": name}}}));
    lab.apply(&platform()).await;
    lab.kubectl(&["rollout", "status", PLATFORM]).await;
    let before = comparable(&lab.get(PLATFORM).await);
    for manifest in [named("timbr-platform"), entra("s3cr3t"), azure_sso("sso")] {
        lab.apply(&manifest).await;
    }
    let operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let delivered = lab.get(PLATFORM).await;
    let secret = variable(&delivered, "OAUTH_SECRET");

    // The new one is not there yet: people go on signing in where they did.
    let looks = operator.looked(0).await;
    lab.apply(&named("web-2")).await;
    lab.wait_condition(SSO, "Delivered", "False", "DeploymentNotFound").await;
    // At the installation, and at what it has given up.
    operator.looks_at_least(looks + 2).await;
    assert_eq!(lab.get(PLATFORM).await["spec"], delivered["spec"]);
    assert_eq!(lab.writes().await.of("deployments").len(), 1);

    lab.apply(&deployment("web-2", &["web"])).await;
    lab.wait_condition(SSO, "Delivered", "True", "Delivered").await;
    eventually("the old one is as before", SOON, async || {
        let now = comparable(&lab.get(PLATFORM).await);
        if now == before { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    lab.wait(SSO, "Ready").await;
    // Those that took effect: one that was made for what the controller has changed meanwhile is refused, and made anew.
    let writes = lab.writes().await.of("deployments").succeeded();
    let names: Vec<&str> = writes.iter().map(|write| write.name.as_str()).collect();
    assert_eq!(names, ["timbr-platform", "web-2", "timbr-platform"], "{writes:#?}");
    assert_eq!(lab.get(PLATFORM).await["metadata"]["generation"], 3);
    let moved = lab.get("deployment/web-2").await;
    assert_eq!((env(&moved, "web").len(), &moved["metadata"]["generation"]), (6, &json!(2)));
    assert_ne!(variable(&moved, "OAUTH_SECRET"), secret, "the Secret goes with its Deployment");
    operator.stop().await;
}

#[tokio::test]
async fn a_resource_waits_for_its_installation() {
    let lab = Lab::new("no-inst").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso_with("sso", json!({"installationRef": {"name": "prod"}}))).await;
    let _operator = lab.start().await;
    let message = lab.wait_condition(SSO, "Accepted", "False", "InstallationNotFound").await;
    assert_eq!(
        message,
        format!(
            "installationRef names TimbrInstallation prod, but namespace {} has none; create it, or drop installationRef",
            lab.namespace
        )
    );
    assert_eq!(condition(&lab.get(SSO).await, "Reconciling")["reason"], "WaitingForReference");
    lab.apply(&installation("prod", json!({}))).await;
    lab.wait(SSO, "Ready").await;
}

#[tokio::test]
async fn containers_to_choose_from_are_listed() {
    let lab = Lab::new("containers").await;
    lab.apply(&deployment("timbr-platform", &["web", "sidecar"])).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let _operator = lab.start().await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "ContainerNotFound").await;
    assert_eq!(
        message,
        "Deployment timbr-platform has several containers (web, sidecar) and none is called timbr-platform; name one in spec.components.platform.container of a TimbrInstallation"
    );
    lab.apply(&installation("default", json!({"components": {"platform": {"container": "gone"}}}))).await;
    testkit::eventually("the named container is missed", SOON, async || {
        let message = condition(&lab.get(SSO).await, "Delivered")["message"].clone();
        message == "Deployment timbr-platform has no container gone (there are: web, sidecar); correct spec.components.platform.container of the TimbrInstallation"
    })
    .await;
    // Its own status is written after those of its resources.
    testkit::eventually("the candidates are listed", SOON, async || {
        let component = lab.get("timbrinstallation/default").await["status"]["components"][2].clone();
        component["state"] == "Ambiguous" && component["candidates"] == json!(["web", "sidecar"])
    })
    .await;
    lab.apply(&installation("default", json!({"components": {"platform": {"container": "web"}}}))).await;
    lab.wait(SSO, "Ready").await;
    let deployment = lab.get(PLATFORM).await;
    assert_eq!(env(&deployment, "sidecar").len(), 1);
    assert_eq!(env(&deployment, "web").len(), 6);
}

#[tokio::test]
async fn suspended_nothing_changes_and_deleting_still_releases() {
    for by_installation in [false, true] {
        let lab = Lab::new("suspend").await;
        lab.apply(&platform()).await;
        lab.kubectl(&["rollout", "status", PLATFORM]).await;
        let before = comparable(&lab.get(PLATFORM).await);
        lab.apply(&entra("s3cr3t")).await;
        let suspend = async |suspend: bool, tenant: &str| {
            let resource = !by_installation && suspend;
            lab.apply(&installation("default", json!({"suspend": by_installation && suspend}))).await;
            lab.apply(&azure_sso_with("sso", json!({"suspend": resource, "tenantId": tenant}))).await;
        };
        // From the start: nothing is delivered, and a person must act.
        suspend(true, "a.example.com").await;
        let operator = lab.start().await;
        lab.wait_condition(SSO, "Ready", "False", "Suspended").await;
        assert_eq!(condition(&lab.get(SSO).await, "Stalled")["reason"], "Suspended");
        assert_eq!(lab.writes().await.of("deployments").len(), 0);

        suspend(false, "a.example.com").await;
        lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
        let good = lab.get(PLATFORM).await;
        let writes = lab.writes().await.of("deployments").len();

        // With something delivered: it stays, whatever is edited or rotated.
        suspend(true, "b.example.com").await;
        lab.apply(&entra("rotated")).await;
        lab.wait_condition(SSO, "Ready", "True", "Suspended").await;
        assert_eq!(lab.get(SSO).await["status"]["observedGeneration"], lab.get(SSO).await["metadata"]["generation"]);
        assert_eq!(lab.get(PLATFORM).await["spec"], good["spec"]);
        assert_eq!(lab.writes().await.of("deployments").len(), writes);

        lab.kubectl(&["delete", SSO]).await;
        eventually("the Deployment is as before", SOON, async || comparable(&lab.get(PLATFORM).await) == before).await;
        operator.stop().await;
    }
}

#[tokio::test]
async fn the_implicit_installation_made_explicit_changes_nothing() {
    let lab = Lab::with_sso("explicit").await;
    let operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let before = lab.get(PLATFORM).await;
    let writes = async || lab.writes().await.into_iter().filter(|write| write.subresource != "status").count();
    let count = writes().await;
    lab.apply(&installation("main", json!({}))).await;
    lab.wait("timbrinstallation/main", "Ready").await;
    // Looked at again, the Secret is known although it is labelled with the implicit installation.
    let looks = operator.looked(0).await;
    lab.kubectl(&["annotate", SSO, "identity.timbr.ai/reconcile-requested-at=now"]).await;
    operator.looked(looks + 1).await;
    assert_eq!(lab.get(PLATFORM).await["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(writes().await, count);
    // And missed when it is gone.
    let entry = variable(&before, "OAUTH_SECRET");
    let name = entry["valueFrom"]["secretKeyRef"]["name"].as_str().expect("a name");
    lab.kubectl(&["delete", "secret", name]).await;
    eventually("the Secret is back", SOON, async || {
        lab.plane.kubectl(&["get", "secret", name, "-n", &lab.namespace], None).await.status.success()
    })
    .await;
    operator.stop().await;
}
