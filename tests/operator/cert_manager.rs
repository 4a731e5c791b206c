//! The chart beside the real cert-manager, which makes the webhook's certificate, has it trusted and renews it.
//!
//! `hack/referees/run-cert-manager` builds it, and runs this.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{ControlPlane, Process, eventually, ports::free_port};

use crate::{
    chart::{Release, with_image},
    harness::SOON,
};

const CERTIFICATE: &str = "certificate/timbr-identity-webhook";

/// Its CustomResourceDefinitions, as its chart would have them without labels.
async fn install_kinds(plane: &ControlPlane, folder: &Path) {
    for file in std::fs::read_dir(folder).expect("its CustomResourceDefinitions") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let text: Vec<&str> = text.lines().filter(|line| !line.contains("{{")).collect();
        plane.kubectl(&["apply", "--server-side", "-f", "-"], Some(&text.join("\n"))).await.ok();
    }
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], None).await.ok();
}

/// Its controller, and what fills in `caBundle`.
fn start(plane: &ControlPlane, folder: &Path) -> Vec<Process> {
    let kubeconfig = format!("--kubeconfig={}", plane.kubeconfig().display());
    let metrics = format!("--metrics-listen-address=127.0.0.1:{}", free_port());
    let rows: [(&str, &[&str]); 2] = [("controller", &[&metrics]), ("cainjector", &[])];
    rows.map(|(name, more)| {
        let builder = Process::builder(folder.join(name), plane.dir().join(format!("cert-manager-{name}.log")));
        builder.args([&kubeconfig, "--leader-elect=false"]).args(more).start().expect("cert-manager can be started")
    })
    .into()
}

#[tokio::test]
#[ignore = "needs cert-manager: hack/referees/run-cert-manager"]
async fn cert_manager_makes_the_certificate_and_nobody_notices_that_it_is_renewed() {
    let folder = PathBuf::from(std::env::var_os("CERT_MANAGER").expect("CERT_MANAGER names its folder"));
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().await));
    install_kinds(plane, &folder.join("crds")).await;
    let _processes = start(plane, &folder);
    let [namespace, timbr] = [plane.namespace("identity").await, plane.namespace("timbr").await];
    let values = json!({
        "watchNamespaces": [timbr], "checkInterval": "0s", "log": {"format": "json"},
        "extraEnv": [{"name": "TIMBR_IDENTITY_DEBOUNCE", "value": "100ms"}],
        "webhook": {
            "url": format!("https://127.0.0.1:{}", free_port()), "lingerSeconds": 0,
            "failurePolicy": {"resources": "Fail", "consumers": "Fail"},
            "certManager": {"enabled": true},
        },
    });
    let release =
        Release { plane, namespace: namespace.clone(), values: with_image(values), kubeconfig: plane.kubeconfig() };
    release.upgrade("install");
    let ready = ["wait", "--for=condition=Ready", CERTIFICATE, "-n", &namespace, "--timeout=60s"];
    plane.kubectl(&ready, None).await.ok();
    let operator = release.operator().await;
    release.delivers(&timbr).await;

    // While it is renewed, whoever writes a resource is answered by the webhook, which warns of this one.
    let warned = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "InboundAccessPolicy",
        "metadata": {"name": "asked", "namespace": timbr},
        "spec": {"target": "Api", "inbound": {"rules": [{"application": "a", "cluster": "b"}]}},
    });
    let ends = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn({
        let (ends, body, timbr) = (Arc::clone(&ends), warned.to_string().into_bytes(), timbr.clone());
        let client = plane.admin();
        async move {
            let mut asked = 0;
            while !ends.load(Ordering::Relaxed) {
                let uri =
                    format!("/apis/identity.timbr.ai/v1alpha1/namespaces/{timbr}/inboundaccesspolicies?dryRun=All");
                let request = http::Request::post(uri).header("Content-Type", "application/json");
                client.request_text(request.body(body.clone()).expect("a request")).await.expect("it is answered");
                asked += 1;
            }
            asked
        }
    });
    let shown = || operator.process.stderr().matches("the webhook answers with the certificate of its Secret").count();
    let bundles = release.bundles().await;
    for round in 1..=3 {
        let secret = |secret: &Value| secret["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
        let of_secret = ["secret", "timbr-identity-webhook", "-n", &namespace];
        let (version, before) = (secret(&release.json(&of_secret).await), shown());
        // As its command line tool asks for it.
        let condition = json!([{"op": "add", "path": "/status/conditions/-", "value": {
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "renewed by a test",
            "lastTransitionTime": Timestamp::now().to_string(), "observedGeneration": 1,
        }}]);
        let condition = condition.to_string();
        let args = ["patch", CERTIFICATE, "-n", &namespace, "--subresource=status", "--type=json", "-p", &condition];
        plane.kubectl(&args, None).await.ok();
        eventually(&format!("it is renewed, {round}"), SOON, async || {
            let now = secret(&release.json(&of_secret).await);
            if now != version && shown() > before { Ok(()) } else { Err(format!("{now} {}", shown())) }
        })
        .await;
    }
    // Connections that are open stay with what they began with: there have to be new ones.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ends.store(true, Ordering::Relaxed);
    let asked = asking.await.expect("every question is answered");
    println!("{asked} questions answered while the certificate was renewed three times");
    assert!(asked > 20, "{asked}");
    assert_eq!(release.bundles().await, bundles, "the authority is the same");
    operator.stop().await;
}
