//! Probes, metrics, logs, and a proper end.

use std::time::Duration;

use serde_json::Value;
use testkit::{ControlPlane, Signal, eventually};

use crate::{
    fixtures::SSO,
    harness::{Lab, SOON, get},
};

#[tokio::test]
async fn probes_metrics_and_logs_tell_what_happens() {
    let lab = Lab::with_sso("endpoints").await;
    let operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    assert_eq!(get(&format!("{}/livez", operator.health)).await, Ok((200, "ok\n".to_owned())));
    assert_eq!(get(&format!("{}/readyz", operator.health)).await, Ok((200, "ready\n".to_owned())));
    let here = &lab.namespace;
    let (status, body) = get(&format!("{}/readyz?verbose", operator.health)).await.expect("an answer");
    let watched = [
        "azuressos",
        "databrickspassthroughs",
        "deployments",
        "externaltokenproviders",
        "inboundaccesspolicies",
        "jwtauthentications",
        "jwttenants",
        "keyvaultbindings",
        "networkpolicies",
        "pods that use api",
        "pods that use platform",
        "pods that use server",
        "rolegroupsyncs",
        "secrets",
        "timbrinstallations",
    ];
    let watches = watched.map(|what| format!("[+] watch {what} in {here} ok\n")).concat();
    let (leadership, checks) = body.split_once('\n').expect("lines");
    assert!(leadership.starts_with("[ ] leadership: this process leads, as "), "{leadership}");
    let claim = format!("[ ] namespace {here}: claimed by this operator, as {here}\n");
    let expected = format!("[+] name key ok\n{claim}[+] running ok\n{watches}ready\n");
    assert_eq!((status, checks), (200, expected.as_str()));

    operator.looked(1).await;
    let (status, metrics) = get(&format!("{}/metrics", operator.metrics)).await.expect("an answer");
    assert_eq!(status, 200);
    for line in [
        "timbr_identity_api_writes_total{verb=\"patch\",resource=\"deployments\",result=\"ok\"} 1",
        "timbr_identity_api_writes_total{verb=\"create\",resource=\"secrets\",result=\"ok\"} 1",
        "timbr_identity_status_changes_total{kind=\"AzureSso\",reason=\"DeliveredUnverified\"} 1",
        "timbr_identity_queue_running 0",
        "timbr_identity_leader 1",
        "timbr_identity_namespaces_left_alone 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains(here.as_str()), "no object names in labels");

    operator.stop().await;
    // Every line of a JSON log is a JSON record.
    let log = operator.process.stderr();
    let messages: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .map(|record| record["message"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(messages.first().map(String::as_str), Some("listening"));
    assert_eq!(messages.last().map(String::as_str), Some("stopped"));
}

#[tokio::test]
async fn without_the_right_to_its_key_it_is_not_ready_and_writes_nothing() {
    let lab = Lab::with_sso("no-key").await;
    let nobody = lab.plane.service_account(&lab.namespace, "nobody").await;
    let operator = lab.launch(nobody.kubeconfig, &[]).await;
    eventually("it says what it lacks", SOON, async || {
        let (status, body) = get(&format!("{}/readyz", operator.health)).await?;
        let says = body.contains("[-] name key: Secret")
            && body.contains("grant the operator's ServiceAccount get and create on secrets in its own namespace");
        if status == 503 && says { Ok(()) } else { Err(body) }
    })
    .await;
    assert_eq!(get(&format!("{}/livez", operator.health)).await.map(|(status, _)| status), Ok(200));
    assert_eq!(lab.plane.audit().writes_of(&nobody.username).await.len(), 0);
    operator.stop().await;
}

#[tokio::test]
async fn without_crds_it_is_not_ready_and_says_which_watch_misses_what() {
    // A control plane of its own, in which nothing is installed but the rights.
    let plane = ControlPlane::start_with(testkit::Options { controllers: false, ..Default::default() }).await;
    let namespace = plane.namespace("bare").await;
    let account = plane.user_kubeconfig("operator", &["system:masters"]);
    let port = testkit::ports::free_port();
    let operator = testkit::Process::builder(env!("CARGO_BIN_EXE_timbr-identity"), plane.dir().join("bare.log"))
        .args(["operator", "--metrics-bind=127.0.0.1:0", "--webhook-bind=127.0.0.1:0", "--log-format=json"])
        .arg(format!("--health-bind=127.0.0.1:{port}"))
        .arg(format!("--namespace={namespace}"))
        .env("KUBECONFIG", account)
        .start()
        .expect("it starts");
    eventually("it says that the CRDs are missing", SOON, async || {
        let (status, body) = get(&format!("http://127.0.0.1:{port}/readyz")).await?;
        if status == 503 && body.contains("[-] watch azuressos:") && body.contains("404") { Ok(()) } else { Err(body) }
    })
    .await;
    operator.signal(Signal::TERM);
    assert!(operator.wait(Duration::from_secs(20)).await.success());
}

#[tokio::test]
async fn wrong_flags_are_refused_with_a_sentence() {
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_timbr-identity"))
            .arg("operator")
            .args(args)
            .output()
            .expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (args, sentence) in [
        (&["--debounce=fast"][..], "`fast` is no duration; write 90s, 1m30s or 500ms"),
        (&["--lease-duration=10s"], "error: --lease-duration must be longer than --lease-renew-deadline"),
        (&["--lease-retry=5s"], "error: --lease-retry must be longer than 0s and shorter than 5s: later than that"),
        (&["--concurrency=0"], "0 is not in 1..=65535"),
        (&["--webhook-bind=on"], "`on` is no address; write [::]:9443, 127.0.0.1:9443 or off"),
        (&["--log-level=info,[["], "--log-level info,[["),
    ] {
        let (code, text) = run(args);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(sentence), "{text}");
    }
}
