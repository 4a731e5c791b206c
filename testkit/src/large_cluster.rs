//! A cluster with a thousand Timbrs, and the operator in it as it is installed: what benchmarks measure.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::{TryStreamExt as _, stream};
use kube::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::control_plane::{ControlPlane, Options};
use crate::supervisor::Process;
use crate::users::ServiceAccount;
use crate::wait::eventually;

/// Namespaces with a Timbr and an AzureSso.
pub const INSTALLATIONS: usize = 1_000;
/// Longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(600);
/// Requests at once, while the cluster is filled.
const CONCURRENCY: usize = 32;
/// The operator is idle when it has looked at nothing for this long; its debounce is a second.
const QUIET: Duration = Duration::from_secs(10);

/// The namespace and the account of deploy/rbac.yaml.
pub const OPERATOR_NAMESPACE: &str = "timbr-identity-system";
const OPERATOR_ACCOUNT: &str = "timbr-identity-operator";

/// The flag without which the operator waits for rollouts to end, which none does here.
pub const NO_LIMIT_OF_ROLLOUTS: &str = "--max-concurrent-rollouts=65535";

/// An object to be created: the path, and the object.
pub type Object = (String, Value);

/// The cluster. No controllers run, so no pod is ever replaced: the operator delivers and waits.
#[derive(Debug)]
pub struct LargeCluster {
    /// Its control plane.
    pub plane: ControlPlane,
    /// The operator's account.
    pub account: ServiceAccount,
    binary: PathBuf,
}

impl LargeCluster {
    /// Starts one, with the CRDs and the operator's rights installed.
    ///
    /// # Panics
    /// When it does not start, or there is no binary of the operator: `$TIMBR_IDENTITY_BIN`, or the one that was
    /// built beside this program.
    pub async fn start() -> Self {
        let beside = || std::env::current_exe().expect("a program knows where it is").with_file_name("timbr-identity");
        let binary = std::env::var_os("TIMBR_IDENTITY_BIN").map_or_else(beside, PathBuf::from);
        assert!(binary.exists(), "{} is missing: build it, or set TIMBR_IDENTITY_BIN", binary.display());
        eprintln!("measuring {}", binary.display());
        let plane = ControlPlane::start_with(Options { controllers: false, ..Options::default() }).await;
        let output = tokio::process::Command::new(&binary).arg("crds").output().await.expect("the binary runs");
        let crds = String::from_utf8(output.stdout).expect("the CRDs are UTF-8");
        plane.kubectl(&["apply", "-f", "-"], Some(&crds)).await.ok();
        let rbac = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac.yaml");
        plane.kubectl(&["apply", "-f", &rbac.display().to_string()], None).await.ok();
        plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], None).await.ok();
        let account = plane.service_account(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await;
        Self { plane, account, binary }
    }

    /// Starts the operator with these flags beside the usual ones; its process, and where its metrics are.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn operator(&self, run: &str, flags: &[&str]) -> (Process, String) {
        let process = Process::builder(&self.binary, self.plane.dir().join(format!("operator-{run}.log")))
            .env_clear()
            .env("KUBECONFIG", &self.account.kubeconfig)
            .args(["operator", "--namespace", OPERATOR_NAMESPACE, "--log-format=json"])
            .args(["--health-bind=127.0.0.1:0", "--metrics-bind=127.0.0.1:0"])
            .env("TIMBR_IDENTITY_WEBHOOK_BIND", "127.0.0.1:0")
            // Who measures checks says how often.
            .env("TIMBR_IDENTITY_CHECK_INTERVAL", "0s")
            .args(flags)
            .start()
            .expect("the operator can be started");
        let is_metrics = |line: &str| line.contains("\"listening\"") && line.contains("\"server\":\"metrics\"");
        let line = process.wait_for_line(is_metrics, DEADLINE).await;
        let record: Value = serde_json::from_str(&line).expect("a JSON record");
        let metrics = record["address"].as_str().expect("an address").to_owned();
        (process, metrics)
    }

    /// Waits until a condition is True of so many resources of a kind.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn all_are(&self, condition: &str, plural: &str, count: usize) {
        let client = self.plane.admin();
        eventually(&format!("everything is {condition}"), DEADLINE, async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let request = http::Request::get(format!("/apis/identity.timbr.ai/v1alpha1/{plural}")).body(Vec::new());
            let list: Value =
                client.request(request.expect("a valid request")).await.map_err(|error| error.to_string())?;
            let items = list["items"].as_array().into_iter().flatten();
            let there = items.filter(|resource| is(resource, condition)).count();
            if there == count { Ok(()) } else { Err(format!("{there} of {plural} are {condition}")) }
        })
        .await;
    }
}

/// Sends creates, some at once.
///
/// # Panics
/// When one fails.
pub async fn create_all(client: &Client, objects: impl Iterator<Item = Object>) {
    let created = stream::iter(objects.map(Ok)).try_for_each_concurrent(CONCURRENCY, async |(path, object)| {
        let request = http::Request::post(path).header("Content-Type", "application/json");
        let request = request.body(object.to_string().into_bytes()).expect("a valid request");
        client.request_text(request).await.map(drop)
    });
    created.await.expect("the object is created");
}

/// A namespace.
pub fn namespace(name: &str) -> Object {
    ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": name}}))
}

/// A Secret with so many characters of base64.
pub fn secret(namespace: &str, name: &str, size: usize) -> Object {
    let object = json!({"metadata": {"name": name}, "data": {"client-secret": "QUJD".repeat(size / 4)}});
    (format!("/api/v1/namespaces/{namespace}/secrets"), object)
}

/// A Deployment with ten variables of its own.
pub fn deployment(namespace: &str, name: &str) -> Object {
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

/// An object of one of the operator's kinds.
pub fn resource(namespace: &str, kind: &str, plural: &str, name: &str, spec: Value) -> Object {
    let object = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    });
    (format!("/apis/identity.timbr.ai/v1alpha1/namespaces/{namespace}/{plural}"), object)
}

/// An AzureSso called `sso`; its client secret is in the Secret `entra`.
pub fn azure_sso(namespace: &str) -> Object {
    let spec = json!({
        "tenantId": "contoso.onmicrosoft.com",
        "clientId": "11111111-2222-3333-4444-555555555555",
        "clientSecretRef": {"name": "entra", "key": "client-secret"},
        "publicUrl": format!("https://{namespace}.example.com"),
        "selfRegistration": {"role": "viewer"},
    });
    resource(namespace, "AzureSso", "azuressos", "sso", spec)
}

fn is(resource: &Value, type_: &str) -> bool {
    let mut conditions = resource["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == type_ && condition["status"] == "True")
}

/// Waits until no look at an installation has ended for a while, and some have.
///
/// # Panics
/// At the deadline.
pub async fn until_idle(metrics: &str) {
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
///
/// # Panics
/// When the process does not run.
pub fn memory(process: &Process, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).expect("the operator runs");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("the kernel tells the figure")
}
