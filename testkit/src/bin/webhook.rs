//! `make bench-webhook`: how long the webhook takes to answer, beside one that does nothing.
//!
//! Over TLS, as the API server asks: a Deployment of 30 KB, 32 at once, with 5,000 policies and 5,000 pods that use a
//! Timbr in the store. First with one Timbr in the cluster, then with a thousand: the answer must not depend on that.
//! Both webhooks are asked in turns within one run, as a machine's own pace drifts.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use timbr_identity_testkit::large_cluster::{
    DEADLINE, INSTALLATIONS, LargeCluster, OPERATOR_NAMESPACE, Object, create_all, namespace, resource, until_idle,
};
use timbr_identity_testkit::{EmptyWebhook, Process, Signal, eventually, tls};
use tokio::task::JoinSet;

/// Policies of each Timbr.
const POLICIES: usize = 5;
/// Pods that use each Timbr.
const PODS: usize = 5;
/// Requests at once.
const AT_ONCE: usize = 32;
/// Requests in a turn.
const TURN: usize = 4_000;
/// Turns of each webhook.
const TURNS: usize = 5;
/// What the p99 may be, as a multiple of the empty webhook's.
const LIMIT: f64 = 2.0;

#[tokio::main]
async fn main() -> ExitCode {
    let cluster = LargeCluster::start().await;
    let client = cluster.plane.admin();
    create_all(&client, [namespace("shop")].into_iter()).await;
    // No controllers run, and so nobody makes it.
    let account = json!({"metadata": {"name": "default"}});
    create_all(&client, [("/api/v1/namespaces/shop/serviceaccounts".to_owned(), account)].into_iter()).await;
    fill(&client, 0..1).await;
    let (process, metrics) = cluster.operator("webhook", &[]).await;
    let webhook = webhook(&cluster, &process).await;
    let nothing = EmptyWebhook::start();
    let authority = nothing.ca_pem();
    let empty = (nothing.address(), authority.as_str());
    let webhook = (webhook.0, webhook.1.as_str());
    until_idle(&metrics).await;
    let one = both(webhook, empty).await;
    told("one Timbr", &one);
    fill(&client, 1..INSTALLATIONS).await;
    until_idle(&metrics).await;
    let many = both(webhook, empty).await;
    told(
        &format!("{INSTALLATIONS} Timbrs, {} policies, {} pods", INSTALLATIONS * POLICIES, INSTALLATIONS * PODS),
        &many,
    );
    process.stop(Signal::TERM, Duration::from_secs(20)).await;
    let within = many.ratio() <= LIMIT;
    println!("{}", if within { "within the limit" } else { "ABOVE THE LIMIT" });
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Timbrs, each with policies and with pods that use it.
async fn fill(client: &kube::Client, which: std::ops::Range<usize>) {
    let names = || which.clone().map(|i| format!("timbr-{i}"));
    create_all(client, names().map(|name| namespace(&name))).await;
    create_all(client, names().flat_map(|name| (0..POLICIES).map(move |i| policy(&name, i)))).await;
    create_all(client, names().flat_map(|name| (0..PODS).map(move |i| pod(&name, i)))).await;
}

fn policy(of: &str, i: usize) -> Object {
    let rules: Vec<Value> =
        (0..5).map(|rule| json!({"application": format!("app-{i}-{rule}"), "namespace": "shop"})).collect();
    let spec = json!({"target": "Api", "inbound": {"rules": rules}});
    resource(of, "InboundAccessPolicy", "inboundaccesspolicies", &format!("policy-{i}"), spec)
}

fn pod(of: &str, i: usize) -> Object {
    let labels = json!({"app.kubernetes.io/name": format!("app-{i}-0"), "consumes.identity.timbr.ai/api": of});
    let spec = json!({"containers": [{"name": "main", "image": "shop.example.com/app:1"}]});
    let name = format!("{of}-{i}");
    ("/api/v1/namespaces/shop/pods".to_owned(), json!({"metadata": {"name": name, "labels": labels}, "spec": spec}))
}

/// Where the operator's webhook is, and whom to trust there. It is configured so that its certificate is for this
/// address, and so that the API server asks it nothing.
async fn webhook(cluster: &LargeCluster, process: &Process) -> (SocketAddr, String) {
    let is_webhook = |line: &str| line.contains("\"listening\"") && line.contains("\"server\":\"webhook\"");
    let line = process.wait_for_line(is_webhook, DEADLINE).await;
    let record: Value = serde_json::from_str(&line).expect("a JSON record");
    let address: SocketAddr = record["address"].as_str().expect("an address").parse().expect("an address");
    let rule =
        json!({"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["none"]});
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "timbr-identity-operator"},
        "webhooks": [{
            "name": "consumers.identity.timbr.ai", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": format!("https://{address}/consumers")}, "rules": [rule],
        }],
    });
    cluster.plane.kubectl(&["apply", "-f", "-"], Some(&configuration.to_string())).await.ok();
    let authority = eventually("the webhook's authority is trusted", DEADLINE, async || {
        let path = "go-template={{range .webhooks}}{{or .clientConfig.caBundle \"\" | base64decode}}{{end}}";
        let args = ["get", "validatingwebhookconfiguration", "timbr-identity-operator", "-o", path];
        let bundle = cluster.plane.kubectl(&args, None).await.ok();
        if bundle.contains("CERTIFICATE") { Ok(bundle) } else { Err(OPERATOR_NAMESPACE.to_owned()) }
    });
    (address, authority.await)
}

/// How long answers took, of both webhooks.
struct Figures {
    webhook: Vec<Duration>,
    empty: Vec<Duration>,
}

impl Figures {
    fn ratio(&self) -> f64 {
        percentile(&self.webhook, 99).as_secs_f64() / percentile(&self.empty, 99).as_secs_f64()
    }
}

async fn both(webhook: (SocketAddr, &str), empty: (SocketAddr, &str)) -> Figures {
    let mut figures = Figures { webhook: vec![], empty: vec![] };
    for _ in 0..TURNS {
        figures.empty.extend(turn(empty).await);
        figures.webhook.extend(turn(webhook).await);
    }
    figures.webhook.sort();
    figures.empty.sort();
    figures
}

fn told(when: &str, figures: &Figures) {
    for (who, times) in [("the webhook", &figures.webhook), ("an empty one", &figures.empty)] {
        let [p50, p99] = [50, 99].map(|percent| percentile(times, percent).as_secs_f64() * 1_000.0);
        println!("{when}: {who}: {} requests, p50 {p50:.2} ms, p99 {p99:.2} ms", times.len());
    }
    println!("{when}: p99 is {:.2} times the empty one's", figures.ratio());
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Asks a webhook so many times, some at once, each on a connection of its own that is kept.
async fn turn((address, authority): (SocketAddr, &str)) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let stream = tls::connect(address, authority).await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        let review = Bytes::from(review().to_string());
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..TURN / AT_ONCE {
                let request = http::Request::post("/consumers")
                    .header("host", "webhook")
                    .header("content-type", "application/json");
                let request = request.body(Full::new(review.clone())).expect("a request");
                let begun = Instant::now();
                sender.ready().await.expect("a connection");
                let answer = sender.send_request(request).await.expect("an answer");
                let body = answer.into_body().collect().await.expect("a body").to_bytes();
                times.push(begun.elapsed());
                let answer: Value = serde_json::from_slice(&body).expect("JSON");
                assert_eq!(answer["response"]["allowed"], true, "{answer}");
            }
            times
        });
    }
    tasks.join_all().await.concat()
}

/// A Deployment of 30 KB that uses the first Timbr, and may.
fn review() -> Value {
    let labels = json!({"app.kubernetes.io/name": "app-4-4", "consumes.identity.timbr.ai/api": "timbr-0"});
    let env: Vec<Value> = (0..400)
        .map(|i| json!({"name": format!("VARIABLE_{i}"), "value": format!("value number {i} of this one")}))
        .collect();
    let container = json!({"name": "main", "image": "shop.example.com/app:1", "env": env});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "shop", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "app", "namespace": "shop", "operation": "CREATE",
            "userInfo": {"username": "ann"}, "object": object, "oldObject": null, "dryRun": false,
        },
    })
}
