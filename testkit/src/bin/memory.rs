//! `make bench-memory`: how much memory the operator takes in a large cluster.
//!
//! A thousand namespaces with single sign-on each, among Deployments and Secrets that are none of the
//! operator's business. Measured is the most that the process ever held (VmHWM), once while all of it
//! is delivered, and once more for an operator that starts when it is. No controllers run, so no pod is
//! ever replaced: the operator delivers and waits.
//!
//! `memory everything`: the same with every integration in each namespace, ten thousand resources in
//! all, on three Deployments each; each Deployment must be written once and no more.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{TryStreamExt as _, stream};
use kube::Client;
use serde_json::{Value, json};
use timbr_identity_testkit::{ControlPlane, Options, Process, ServiceAccount, Signal, Writes as _, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Namespaces with a Timbr and an AzureSso.
const INSTALLATIONS: usize = 1_000;
/// Namespaces with what does not concern the operator.
const STRANGERS: usize = 20;
const STRANGE_DEPLOYMENTS: usize = 2_000;
const STRANGE_SECRETS: usize = 10_000;
/// Characters of base64 in each of these Secrets.
const SECRET_SIZE: usize = 10 * 1024;
/// Requests at once, while the cluster is filled.
const CONCURRENCY: usize = 32;
/// The most that the operator may take, in KiB: with single sign-on alone,
const LIMIT: u64 = 40_000_000 / 1024;
/// and with everything.
const LIMIT_OF_EVERYTHING: u64 = 80_000_000 / 1024;
/// JwtTenants in each namespace with everything; with one of five other kinds that makes ten.
const TENANTS: usize = 5;
/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(600);
/// The operator is idle when it has looked at nothing for this long; its debounce is a second.
const QUIET: Duration = Duration::from_secs(10);

/// The namespace and the account of deploy/rbac.yaml.
const OPERATOR_NAMESPACE: &str = "timbr-identity-system";
const OPERATOR_ACCOUNT: &str = "timbr-identity-operator";

#[tokio::main]
async fn main() -> ExitCode {
    let binary = binary();
    let everything = std::env::args().nth(1).is_some_and(|argument| argument == "everything");
    eprintln!("memory: measuring {}", binary.display());
    let cluster = ControlPlane::start_with(Options { controllers: false, ..Options::default() }).await;
    install(&cluster, &binary).await;
    let begun = Instant::now();
    fill(&cluster.admin(), everything).await;
    eprintln!("memory: the cluster is filled, after {:.0?}", begun.elapsed());

    let account = cluster.service_account(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await;
    let mut most = 0;
    for run in ["while everything is delivered", "started when everything is delivered"] {
        most = most.max(measure(&cluster, &binary, &account, run, everything).await);
    }
    let applies = cluster.audit().writes_of(&account.username).await.of("deployments").len();
    let deployments = INSTALLATIONS * components(everything).len();
    println!("{applies} writes of {deployments} Deployments");
    let limit = if everything { LIMIT_OF_EVERYTHING } else { LIMIT };
    let within = most <= limit && applies == deployments;
    println!("{}: {most} KiB of {limit} KiB", if within { "within the limit" } else { "ABOVE THE LIMIT" });
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One life of the operator; the most memory it held, in KiB.
async fn measure(cluster: &ControlPlane, binary: &Path, account: &ServiceAccount, run: &str, everything: bool) -> u64 {
    let log = cluster.dir().join(format!("operator-{}.log", run.len()));
    let begun = Instant::now();
    let process = Process::builder(binary, log)
        .env_clear()
        .env("KUBECONFIG", &account.kubeconfig)
        .args(["operator", "--namespace", OPERATOR_NAMESPACE, "--log-format=json"])
        .args(["--health-bind=127.0.0.1:0", "--metrics-bind=127.0.0.1:0"])
        .start()
        .expect("the operator can be started");
    let metrics = metrics_address(&process).await;
    for (plural, each) in kinds(everything) {
        all_delivered(&cluster.admin(), plural, each * INSTALLATIONS).await;
    }
    let took = begun.elapsed();
    until_idle(&metrics).await;
    let most = memory(&process, "VmHWM");
    let (now, file) = (memory(&process, "VmRSS"), memory(&process, "RssFile"));
    println!("{run} (after {took:.0?}): most {most} KiB; idle {now} KiB, of which {file} KiB are the program itself");
    process.stop(Signal::TERM, Duration::from_secs(20)).await;
    most
}

/// The operator's binary: `$TIMBR_IDENTITY_BIN`, or the one that was built beside this one.
fn binary() -> PathBuf {
    let beside = || std::env::current_exe().expect("a program knows where it is").with_file_name("timbr-identity");
    let binary = std::env::var_os("TIMBR_IDENTITY_BIN").map_or_else(beside, PathBuf::from);
    assert!(binary.exists(), "{} is missing: run make bench-memory, or set TIMBR_IDENTITY_BIN", binary.display());
    binary
}

async fn install(cluster: &ControlPlane, binary: &Path) {
    let output = tokio::process::Command::new(binary).arg("crds").output().await.expect("the binary runs");
    let crds = String::from_utf8(output.stdout).expect("the CRDs are UTF-8");
    cluster.kubectl(&["apply", "-f", "-"], Some(&crds)).await.ok();
    let rbac = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac.yaml");
    cluster.kubectl(&["apply", "-f", &rbac.display().to_string()], None).await.ok();
    cluster.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], None).await.ok();
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
    create_all(client, namespaces.map(|name| ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": name}}))))
        .await;
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
fn others(namespace: &str) -> Vec<(String, Value)> {
    let from_sso = json!({"azureSso": "sso"});
    let mappings: Vec<Value> = ["viewer", "editor", "author"]
        .iter()
        .map(|role| json!({"role": role, "group": {"name": format!("Timbr {role}s of {namespace}")}}))
        .collect();
    let resource = |kind: &str, plural: &str, name: &str, spec: Value| {
        let object = json!({
            "apiVersion": "identity.timbr.ai/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        });
        (format!("/apis/identity.timbr.ai/v1alpha1/namespaces/{namespace}/{plural}"), object)
    };
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

/// Sends creates, some at once.
async fn create_all(client: &Client, objects: impl Iterator<Item = (String, Value)>) {
    let created = stream::iter(objects.map(Ok)).try_for_each_concurrent(CONCURRENCY, async |(path, object)| {
        let request = http::Request::post(path).header("Content-Type", "application/json");
        let request = request.body(object.to_string().into_bytes()).expect("a valid request");
        client.request_text(request).await.map(drop)
    });
    created.await.expect("the object is created");
}

fn secret(namespace: &str, name: &str, size: usize) -> (String, Value) {
    let object = json!({"metadata": {"name": name}, "data": {"client-secret": "QUJD".repeat(size / 4)}});
    (format!("/api/v1/namespaces/{namespace}/secrets"), object)
}

fn deployment(namespace: &str, name: &str) -> (String, Value) {
    let variables: Vec<Value> = (0..10).map(|i| json!({"name": format!("TIMBR_{i}"), "value": "on"})).collect();
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": "timbr.example/stand-in:1", "env": variables}]},
            },
        },
    });
    (format!("/apis/apps/v1/namespaces/{namespace}/deployments"), object)
}

fn azure_sso(namespace: &str) -> (String, Value) {
    let object = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "AzureSso",
        "metadata": {"name": "sso"},
        "spec": {
            "tenantId": "contoso.onmicrosoft.com",
            "clientId": "11111111-2222-3333-4444-555555555555",
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
            "publicUrl": format!("https://{namespace}.example.com"),
            "selfRegistration": {"role": "viewer"},
        },
    });
    (format!("/apis/identity.timbr.ai/v1alpha1/namespaces/{namespace}/azuressos"), object)
}

async fn metrics_address(process: &Process) -> String {
    let line = process
        .wait_for_line(|line| line.contains("\"listening\"") && line.contains("\"server\":\"metrics\""), DEADLINE)
        .await;
    let record: Value = serde_json::from_str(&line).expect("a JSON record");
    record["address"].as_str().expect("an address").to_owned()
}

async fn all_delivered(client: &Client, plural: &str, count: usize) {
    eventually("everything is delivered", DEADLINE, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let request = http::Request::get(format!("/apis/identity.timbr.ai/v1alpha1/{plural}")).body(Vec::new());
        let list: Value = client.request(request.expect("a valid request")).await.map_err(|error| error.to_string())?;
        let delivered = list["items"].as_array().into_iter().flatten().filter(|it| is_delivered(it)).count();
        if delivered == count { Ok(()) } else { Err(format!("{delivered} of {plural} are delivered")) }
    })
    .await;
}

fn is_delivered(sso: &Value) -> bool {
    let mut conditions = sso["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Delivered" && condition["status"] == "True")
}

/// Waits until no look at an installation has ended for a while, and some have.
async fn until_idle(metrics: &str) {
    let mut last = (0, Instant::now());
    eventually("the operator is idle", DEADLINE, async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let looks = looks(metrics).await.map_err(|error| error.to_string())?;
        if looks != last.0 {
            last = (looks, Instant::now());
        }
        if looks > 0 && last.1.elapsed() >= QUIET { Ok(()) } else { Err(format!("{looks} looks")) }
    })
    .await;
}

/// How many looks at installations have ended.
async fn looks(metrics: &str) -> std::io::Result<u64> {
    let mut connection = tokio::net::TcpStream::connect(metrics).await?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let counts = answer.lines().filter(|line| line.starts_with("timbr_identity_reconciles_total{"));
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// A figure of the process table (`/proc/PID/status`), in KiB.
fn memory(process: &Process, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).expect("the operator runs");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("the kernel tells the figure")
}
