//! `make bench-memory`: how much memory the operator takes in a large cluster.
//!
//! A thousand namespaces with single sign-on each, among Deployments and Secrets that are none of the
//! operator's business. Measured is the most that the process ever held (VmHWM), once while all of it
//! is delivered, and once more for an operator that starts when it is.
//!
//! `memory everything`: the same with every integration in each namespace, ten thousand resources in
//! all, on three Deployments each; each Deployment must be written once and no more.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};
use timbr_identity_testkit::large_cluster::{
    INSTALLATIONS, LargeCluster, NO_LIMIT_OF_ROLLOUTS, Object, azure_sso, create_all, deployment, memory, namespace,
    resource, secret, until_idle,
};
use timbr_identity_testkit::{Signal, Writes as _};

/// Namespaces with what does not concern the operator.
const STRANGERS: usize = 20;
const STRANGE_DEPLOYMENTS: usize = 2_000;
const STRANGE_SECRETS: usize = 10_000;
/// Characters of base64 in each of these Secrets.
const SECRET_SIZE: usize = 10 * 1024;
/// The most that the operator may take, in KiB: with single sign-on alone,
const LIMIT: u64 = 40_000_000 / 1024;
/// and with everything.
const LIMIT_OF_EVERYTHING: u64 = 80_000_000 / 1024;
/// JwtTenants in each namespace with everything; with one of five other kinds that makes ten.
const TENANTS: usize = 5;

#[tokio::main]
async fn main() -> ExitCode {
    let everything = std::env::args().nth(1).is_some_and(|argument| argument == "everything");
    let cluster = LargeCluster::start().await;
    let begun = Instant::now();
    fill(&cluster.plane.admin(), everything).await;
    eprintln!("memory: the cluster is filled, after {:.0?}", begun.elapsed());

    let mut most = 0;
    for run in ["while everything is delivered", "started when everything is delivered"] {
        most = most.max(measure(&cluster, run, everything).await);
    }
    let applies = cluster.plane.audit().writes_of(&cluster.account.username).await.of("deployments").len();
    let deployments = INSTALLATIONS * components(everything).len();
    println!("{applies} writes of {deployments} Deployments");
    let limit = if everything { LIMIT_OF_EVERYTHING } else { LIMIT };
    let within = most <= limit && applies == deployments;
    println!("{}: {most} KiB of {limit} KiB", if within { "within the limit" } else { "ABOVE THE LIMIT" });
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One life of the operator; the most memory it held, in KiB.
async fn measure(cluster: &LargeCluster, run: &str, everything: bool) -> u64 {
    let begun = Instant::now();
    let (process, metrics) = cluster.operator(&run.len().to_string(), &[NO_LIMIT_OF_ROLLOUTS]).await;
    for (plural, each) in kinds(everything) {
        cluster.all_are("Delivered", plural, each * INSTALLATIONS).await;
    }
    let took = begun.elapsed();
    until_idle(&metrics).await;
    let most = memory(&process, "VmHWM");
    let (now, file) = (memory(&process, "VmRSS"), memory(&process, "RssFile"));
    println!("{run} (after {took:.0?}): most {most} KiB; idle {now} KiB, of which {file} KiB are the program itself");
    process.stop(Signal::TERM, Duration::from_secs(20)).await;
    most
}

/// The Deployments of each namespace.
fn components(everything: bool) -> &'static [&'static str] {
    if everything { &["timbr-platform", "timbr-server", "timbr-api"] } else { &["timbr-platform"] }
}

/// The kinds, and how many of each a namespace has.
fn kinds(everything: bool) -> Vec<(&'static str, usize)> {
    let mut kinds = vec![("azuressos", 1)];
    if everything {
        kinds.extend([
            ("databrickspassthroughs", 1),
            ("rolegroupsyncs", 1),
            ("keyvaultbindings", 1),
            ("jwtauthentications", 1),
            ("jwttenants", TENANTS),
        ]);
    }
    kinds
}

async fn fill(client: &Client, everything: bool) {
    let installed = |i: usize| format!("timbr-{i}");
    let strange = |i: usize| format!("strange-{}", i % STRANGERS);
    let namespaces = (0..INSTALLATIONS).map(installed).chain((0..STRANGERS).map(strange));
    create_all(client, namespaces.map(|name| namespace(&name))).await;
    create_all(client, (0..STRANGE_SECRETS).map(|i| secret(&strange(i), &format!("secret-{i}"), SECRET_SIZE))).await;
    create_all(client, (0..STRANGE_DEPLOYMENTS).map(|i| deployment(&strange(i), &format!("deployment-{i}")))).await;
    create_all(client, (0..INSTALLATIONS).map(|i| secret(&installed(i), "entra", 40))).await;
    for component in components(everything) {
        create_all(client, (0..INSTALLATIONS).map(|i| deployment(&installed(i), component))).await;
    }
    create_all(client, (0..INSTALLATIONS).map(|i| azure_sso(&installed(i)))).await;
    if everything {
        create_all(client, (0..INSTALLATIONS).flat_map(|i| others(&installed(i)))).await;
    }
}

/// Every other integration that is delivered.
fn others(namespace: &str) -> Vec<Object> {
    let from_sso = json!({"azureSso": "sso"});
    let mappings: Vec<Value> = ["viewer", "editor", "author"]
        .iter()
        .map(|role| json!({"role": role, "group": {"name": format!("Timbr {role}s of {namespace}")}}))
        .collect();
    let resource = |kind: &str, plural: &str, name: &str, spec: Value| resource(namespace, kind, plural, name, spec);
    let databricks = json!({"workspaceHost": "adb-123456789.azuredatabricks.net"});
    let groups = json!({"credentialsFrom": from_sso, "mappings": mappings});
    let vault = json!({"credentialsFrom": from_sso, "vaultUrl": "https://contoso.vault.azure.net"});
    let jwt = json!({"type": "Azure", "audience": "timbr", "issuer": "https://tokens.example.com"});
    let mut resources = vec![
        resource("DatabricksPassthrough", "databrickspassthroughs", "dbx", databricks),
        resource("RoleGroupSync", "rolegroupsyncs", "groups", groups),
        resource("KeyVaultBinding", "keyvaultbindings", "vault", vault),
        resource("JwtAuthentication", "jwtauthentications", "jwt", jwt),
    ];
    resources.extend((0..TENANTS).map(|i| {
        let name = format!("tenant{i}");
        resource("JwtTenant", "jwttenants", &name, json!({"tenant": name, "audience": name}))
    }));
    resources
}
