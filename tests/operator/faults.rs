//! The API server refuses, delays, loses; is away; holds what nobody can read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{Action, ControlPlane, Writes as _, eventually};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, azure_sso_with, entra, platform, variable},
    harness::{Lab, SOON, condition, tally},
};

/// A control plane that these tests may stop and bend, one at a time.
async fn own_plane() -> (&'static ControlPlane, MutexGuard<'static, ()>) {
    static OWN: OnceCell<ControlPlane> = OnceCell::const_new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    (OWN.get_or_init(ControlPlane::start).await, turn)
}

/// 403: a right is missing. 422: what an admission policy answers unless told otherwise. No retry
/// cures either, so a person is asked, and the return is noticed.
#[tokio::test]
async fn a_refusal_is_said_and_its_end_noticed() {
    for code in [403, 422] {
        let lab = Lab::with_sso("refused").await;
        let proxy = lab.plane.proxy();
        proxy.on_write(
            move |call| {
                if call.resource == "deployments" { Action::Refuse(code, None) } else { Action::Pass }
            },
        );
        let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
        let message = lab.wait_condition(SSO, "Delivered", "False", "Forbidden").await;
        assert!(message.starts_with("Deployment timbr-platform: the API server refused (\""), "{message}");
        assert!(
            message.ends_with(
                "; grant the operator's ServiceAccount the rights of its manifest, or look at the admission policy that refused"
            ),
            "{message}"
        );
        assert_eq!(condition(&lab.get(SSO).await, "Stalled")["reason"], "Forbidden");
        proxy.pass();
        // A person asks for another look.
        lab.kubectl(&["annotate", SSO, "identity.timbr.ai/reconcile-requested-at=now"]).await;
        lab.wait(SSO, "Ready").await;
        operator.stop().await;
    }
}

#[tokio::test]
async fn what_happens_while_the_api_server_or_etcd_is_away_is_caught_up_with() {
    let (plane, _turn) = own_plane().await;
    let lab = Lab::on(plane, "away").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let before = lab.writes().await.len();

    lab.plane.stop_apiserver();
    lab.plane.start_apiserver().await;
    lab.plane.wait_ready().await;
    lab.apply(&azure_sso_with("sso", json!({"tenantId": "after-apiserver.example.com"}))).await;
    let url = async |tenant: &str| {
        let wanted = format!("https://login.microsoftonline.com/{tenant}/oauth2");
        eventually(&format!("{tenant} is delivered"), SOON, async || {
            variable(&lab.get(PLATFORM).await, "OAUTH_BASE_URL")["value"] == wanted
        })
        .await;
    };
    url("after-apiserver.example.com").await;

    lab.plane.stop_etcd().await;
    lab.plane.start_etcd().await;
    lab.plane.wait_ready().await;
    lab.apply(&azure_sso_with("sso", json!({"tenantId": "after-etcd.example.com"}))).await;
    url("after-etcd.example.com").await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    let writes = lab.writes().await.split_off(before);
    let tally = tally(&writes);
    println!("writes after the API server and etcd were away, with one change each: {tally:?}");
    assert_eq!(writes.of("deployments").succeeded().len(), 2);
    // A change is told twice: while the pods are replaced, and after that. Trouble is told once, and once that it is over.
    let bounds = BTreeMap::from([("patch deployments", 2 + 4), ("patch azuressos/status", 2 * (2 + 2))]);
    let is_bounded = |(what, count): (&String, &usize)| bounds.get(what.as_str()).is_some_and(|most| count <= most);
    assert!(tally.iter().all(is_bounded), "{tally:?}");
    operator.stop().await;
}

#[tokio::test]
async fn an_object_that_does_not_decode_stops_nobody() {
    let (plane, _turn) = own_plane().await;
    let lab = Lab::on(plane, "undecodable").await;
    lab.apply(&platform()).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let good = lab.get(PLATFORM).await;
    let writes = lab.writes().await.of("deployments").len();

    // As an older or newer CRD could allow: no rules on the spec at all.
    let crd = "customresourcedefinition/azuressos.identity.timbr.ai";
    let anything = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
    let before = lab.plane.kubectl(&["get", crd, "-o", "json"], None).await.ok();
    lab.plane.kubectl(&["patch", crd, "--type=json", "-p", &anything.to_string()], None).await.ok();
    eventually("the rules are gone", SOON, async || {
        let mut broken = azure_sso("sso");
        broken["spec"]["clientSecretRef"] = json!("k4n4r1e");
        let applied = lab.plane.kubectl(&["replace", "-n", &lab.namespace, "-f", "-"], Some(&broken.to_string())).await;
        if applied.status.success() { Ok(()) } else { Err(applied.stderr) }
    })
    .await;
    let message = lab.wait_condition(SSO, "Accepted", "False", "InvalidSpec").await;
    assert_eq!(
        message,
        "spec: cannot be read as AzureSso (spec.clientSecretRef: expected struct SecretKeyRef); correct the field, or install the CRDs of this operator's version"
    );
    let object = lab.get(SSO).await;
    assert_eq!(object["status"]["problems"][0]["code"], "DecodeFailed");
    // It keeps what it delivered.
    assert_eq!(condition(&object, "Delivered")["reason"], "DeliveredLastGood");
    assert_eq!(lab.get(PLATFORM).await["spec"], good["spec"]);
    assert_eq!(lab.writes().await.of("deployments").len(), writes);

    // Rules that only the CRD carried are compose's too: the same code, for an object past them.
    for (field, value, code) in [
        ("publicUrl", json!("http://timbr.example.com"), "PublicUrlNotHttps"),
        ("tenantId", json!("common"), "TenantIdInvalid"),
        ("tenantId", json!("$(DB_PASSWORD)"), "TenantIdInvalid"),
        ("clientId", json!("timbr"), "ClientIdInvalid"),
        ("clientIdRef", json!({"name": "entra", "key": "k"}), "ClientIdExactlyOne"),
        ("selfRegistration", json!({"role": "Admin"}), "AdminRoleNotAllowed"),
        ("selfRegistration", json!({"role": "$(DB_PASSWORD)"}), "RoleInvalid"),
    ] {
        lab.plane
            .kubectl(
                &["replace", "-n", &lab.namespace, "-f", "-"],
                Some(&azure_sso_with("sso", json!({field: value})).to_string()),
            )
            .await
            .ok();
        eventually(&format!("{code} is said"), SOON, async || {
            let problems = lab.get(SSO).await["status"]["problems"].clone();
            let codes: Vec<&Value> =
                problems.as_array().into_iter().flatten().map(|problem| &problem["code"]).collect();
            if codes == [code] { Ok(()) } else { Err(problems.to_string()) }
        })
        .await;
    }
    assert_eq!(lab.get(PLATFORM).await["spec"], good["spec"]);

    // Another namespace's resource came and went through all the while.
    lab.plane.kubectl(&["replace", "-n", &lab.namespace, "-f", "-"], Some(&azure_sso("sso").to_string())).await.ok();
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(lab.writes().await.of("deployments").len(), writes);
    operator.stop().await;
    let mut restored: Value = serde_json::from_str(&before).expect("JSON");
    restored["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
    lab.plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(&json!({
        "apiVersion": restored["apiVersion"], "kind": restored["kind"], "metadata": {"name": restored["metadata"]["name"]}, "spec": restored["spec"],
    }).to_string())).await.ok();
}
