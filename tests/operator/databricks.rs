//! DatabricksPassthrough is on the platform and the server, or on neither.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use testkit::{Action, Call};

use crate::{
    fixtures::{SSO, azure_sso, deployment, entra, env, platform},
    harness::{Lab, condition},
};

const DBX: &str = "databrickspassthrough/dbx";
const SERVER: &str = "deployment/timbr-server";
const PLATFORM: &str = "deployment/timbr-platform";

fn databricks() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "DatabricksPassthrough",
        "metadata": {"name": "dbx"},
        "spec": {"workspaceHost": "adb-123456789.azuredatabricks.net"},
    })
}

/// A namespace with single sign-on that is ready, and a server.
async fn lab(server: Value) -> Lab {
    let lab = Lab::new("databricks").await;
    for manifest in [platform(), server, entra("s3cr3t"), azure_sso("sso")] {
        lab.apply(&manifest).await;
    }
    lab
}

async fn generation(lab: &Lab, what: &str) -> i64 {
    lab.get(what).await["metadata"]["generation"].as_i64().expect("a generation")
}

/// Whether a variable of Databricks is on a Deployment.
async fn has(lab: &Lab, what: &str, container: &str, variable: &str) -> bool {
    env(&lab.get(what).await, container).iter().any(|env| env["name"] == variable)
}

#[tokio::test]
async fn what_stands_in_the_way_on_one_deployment_leaves_the_other_as_it_is() {
    let server = || deployment("timbr-server", &["timbr"]);
    let mut taken = server();
    taken["spec"]["template"]["spec"]["containers"][0]["env"][0] =
        json!({"name": "OAUTH_REFRESH_TOKEN_EXPIRATION", "value": "30"});
    let unknown = deployment("timbr-server", &["one", "two"]);
    for (server, sentence, cure) in [
        (
            taken,
            "variable OAUTH_REFRESH_TOKEN_EXPIRATION is set by kubectl-client-side-apply (Update) (as value)",
            server(),
        ),
        (unknown, "has several containers (one, two) and none is called timbr-server or timbr", server()),
    ] {
        let lab = lab(server).await;
        let operator = lab.start().await;
        lab.wait(SSO, "Ready").await;
        let before = (generation(&lab, PLATFORM).await, generation(&lab, SERVER).await);
        lab.apply(&databricks()).await;
        let message = lab.wait_condition(DBX, "Delivered", "False", "PartnerBlocked").await;
        assert!(message.contains(sentence), "{message}");
        assert!(
            message.ends_with(
                "nothing is changed on Deployment timbr-platform either, as this resource needs both or none"
            ),
            "{message}"
        );
        let object = lab.get(DBX).await;
        assert_eq!(condition(&object, "Stalled")["reason"], "PartnerBlocked");
        operator.looks_at_least(1).await;
        assert_eq!((generation(&lab, PLATFORM).await, generation(&lab, SERVER).await), before);
        // Mended: both.
        lab.kubectl(&["delete", SERVER]).await;
        lab.apply(&cure).await;
        lab.wait(DBX, "Ready").await;
        assert!(has(&lab, PLATFORM, "timbr-platform", "OAUTH_SCOPES").await);
        assert!(has(&lab, SERVER, "timbr", "OAUTH_REFRESH_TOKEN_EXPIRATION").await);
        operator.stop().await;
    }
}

#[tokio::test]
async fn a_deployment_that_is_missing_is_waited_for() {
    let lab = Lab::with_sso("databricks").await;
    lab.apply(&databricks()).await;
    let _operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    lab.wait_condition(DBX, "Delivered", "False", "PartnerBlocked").await;
    assert_eq!(condition(&lab.get(DBX).await, "Reconciling")["reason"], "Retrying");
    assert!(!has(&lab, PLATFORM, "timbr-platform", "OAUTH_SCOPES").await);
    lab.apply(&deployment("timbr-server", &["timbr"])).await;
    lab.wait(DBX, "Ready").await;
    assert!(has(&lab, PLATFORM, "timbr-platform", "OAUTH_SCOPES").await);
}

/// The API server refuses one of the two: on the way in, and on the way out.
#[tokio::test]
async fn a_refusal_of_one_deployment_leaves_both_when_it_comes_and_when_it_goes() {
    for refused in ["timbr-server", "timbr-platform"] {
        let lab = lab(deployment("timbr-server", &["timbr"])).await;
        let proxy = lab.plane.proxy();
        let refuse = Arc::new(AtomicBool::new(false));
        let refusing = Arc::clone(&refuse);
        let rule = move |call: &Call| {
            let concerned = call.resource == "deployments" && call.name == refused;
            if concerned && refusing.load(Ordering::SeqCst) { Action::Refuse(403, None) } else { Action::Pass }
        };
        // As a missing right does.
        proxy.on_dry_run(rule.clone());
        proxy.on_write(rule);
        let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
        lab.wait(SSO, "Ready").await;
        let look_again = async |value: &str| {
            lab.kubectl(&[
                "annotate",
                "--overwrite",
                SSO,
                &format!("identity.timbr.ai/reconcile-requested-at={value}"),
            ])
            .await;
        };
        let before = (generation(&lab, PLATFORM).await, generation(&lab, SERVER).await);

        refuse.store(true, Ordering::SeqCst);
        lab.apply(&databricks()).await;
        let message = lab.wait_condition(DBX, "Delivered", "False", "PartnerBlocked").await;
        assert!(message.starts_with(&format!("Deployment {refused}: the API server refused")), "{message}");
        let looks = operator.looks_at_least(1).await;
        look_again("1").await;
        operator.looks_at_least(looks + 1).await;
        assert_eq!((generation(&lab, PLATFORM).await, generation(&lab, SERVER).await), before);
        // Single sign-on does not suffer from it.
        assert_eq!(condition(&lab.get(SSO).await, "Ready")["status"], "True");

        refuse.store(false, Ordering::SeqCst);
        look_again("2").await;
        lab.wait(DBX, "Ready").await;
        let delivered = (before.0 + 1, before.1 + 1);
        assert_eq!((generation(&lab, PLATFORM).await, generation(&lab, SERVER).await), delivered);

        refuse.store(true, Ordering::SeqCst);
        let looks = operator.looks_at_least(1).await;
        lab.kubectl(&["delete", DBX]).await;
        operator.looks_at_least(looks + 1).await;
        assert_eq!(
            (generation(&lab, PLATFORM).await, generation(&lab, SERVER).await),
            delivered,
            "neither is released"
        );
        refuse.store(false, Ordering::SeqCst);
        look_again("3").await;
        testkit::eventually("both are released", crate::harness::SOON, async || {
            let there = (
                has(&lab, PLATFORM, "timbr-platform", "OAUTH_SCOPES").await,
                has(&lab, SERVER, "timbr", "OAUTH_REFRESH_TOKEN_EXPIRATION").await,
            );
            if there == (false, false) { Ok(()) } else { Err(format!("{there:?}")) }
        })
        .await;
        operator.stop().await;
    }
}
