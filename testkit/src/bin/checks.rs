//! `make bench-checks`: a thousand resources that are tried out at one provider.
//!
//! A thousand namespaces with single sign-on of one application each. Measured is how many requests reach each service
//! of the double of Azure within any second, how the second round of checks is spread over its interval, and the most
//! memory that the operator ever held (VmHWM).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use timbr_identity_testkit::azure::{App, Received, Secret, Service};
use timbr_identity_testkit::large_cluster::{
    INSTALLATIONS, LargeCluster, NO_LIMIT_OF_ROLLOUTS, Object, create_all, deployment, memory, namespace, resource,
};
use timbr_identity_testkit::{Azure, Signal};

/// What everything passes is tried again after, a tenth more or less.
const INTERVAL: Duration = Duration::from_secs(300);
/// How the second round is looked at.
const BUCKET: Duration = Duration::from_secs(30);
/// The most requests that a service may get within a second.
const MOST: usize = 10;
/// The most memory that the operator may take, in KiB.
const LIMIT: u64 = 70_000_000 / 1024;
const CLIENT_SECRET: &str = "a-client-secret-of-the-double";

#[tokio::main]
async fn main() -> ExitCode {
    let azure = Azure::start();
    azure.set_resource(Service::Graph, azure.url(Service::Graph));
    let app = App { secrets: vec![Secret::of(CLIENT_SECRET)], ..App::new(azure.tenant(), "Timbr") };
    azure.set_app(app.clone());
    let cluster = LargeCluster::start().await;
    let client = cluster.plane.admin();
    let names = || (0..INSTALLATIONS).map(|i| format!("timbr-{i}"));
    create_all(&client, names().map(|name| namespace(&name))).await;
    create_all(&client, names().map(|name| entra(&name))).await;
    create_all(&client, names().map(|name| deployment(&name, "timbr-platform"))).await;
    create_all(&client, names().map(|name| sign_on(&name, &azure, &app))).await;

    let bundle = cluster.plane.dir().join("ca.pem");
    std::fs::write(&bundle, azure.ca_pem()).expect("the bundle can be written");
    let flags = [
        NO_LIMIT_OF_ROLLOUTS.to_owned(),
        format!("--check-interval={}s", INTERVAL.as_secs()),
        format!("--authority-url={}", azure.url(Service::Entra)),
        format!("--graph-url={}", azure.url(Service::Graph)),
        format!("--ca-bundle={}", bundle.display()),
        "--allow-cidr=127.0.0.0/8".to_owned(),
    ];
    let begun = Instant::now();
    let (process, _) = cluster.operator("checks", &flags.each_ref().map(String::as_str)).await;
    cluster.all_are("Verified", "azuressos", INSTALLATIONS).await;
    cluster.all_are("Delivered", "azuressos", INSTALLATIONS).await;
    let first = begun.elapsed();
    println!("{INSTALLATIONS} resources were verified and delivered within {first:.0?}");
    // Everything is tried once more by then.
    tokio::time::sleep(INTERVAL.mul_f64(1.2)).await;
    let received = azure.received();
    let mut within = true;
    for service in [Service::Entra, Service::Graph, Service::Databricks] {
        let times: Vec<Instant> = received.iter().filter(|it| it.service == service).map(|it| it.at).collect();
        let most = most_within(&times, Duration::from_secs(1));
        within &= most <= MOST;
        println!("{service:?}: {} requests, {most} at most within any second", times.len());
    }
    println!("requests in each {BUCKET:.0?}: {:?}", spread(&received, begun));
    let most = memory(&process, "VmHWM");
    within &= most <= LIMIT;
    println!("most {most} KiB of {LIMIT} KiB");
    process.stop(Signal::TERM, Duration::from_secs(20)).await;
    println!("{}", if within { "within the limits" } else { "ABOVE A LIMIT" });
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn entra(namespace: &str) -> Object {
    let secret = json!({"metadata": {"name": "entra"}, "stringData": {"client-secret": CLIENT_SECRET}});
    (format!("/api/v1/namespaces/{namespace}/secrets"), secret)
}

fn sign_on(namespace: &str, azure: &Azure, app: &App) -> Object {
    let spec: Value = json!({
        "tenantId": app.tenant,
        "clientId": app.client_id,
        "clientSecretRef": {"name": "entra", "key": "client-secret"},
        "publicUrl": azure.url(Service::Databricks),
    });
    resource(namespace, "AzureSso", "azuressos", "sso", spec)
}

/// The most of these times, which are in order, that are within so long.
fn most_within(times: &[Instant], window: Duration) -> usize {
    let of =
        |(i, first): (usize, &Instant)| times[i..].iter().take_while(|at| at.duration_since(*first) < window).count();
    times.iter().enumerate().map(of).max().unwrap_or_default()
}

/// How many requests there were in each stretch of time.
fn spread(received: &[Received], begun: Instant) -> Vec<usize> {
    let mut buckets = Vec::new();
    for at in received.iter().map(|it| it.at.duration_since(begun)) {
        let bucket = (at.as_secs() / BUCKET.as_secs()) as usize;
        buckets.resize(buckets.len().max(bucket + 1), 0);
        buckets[bucket] += 1;
    }
    buckets
}
