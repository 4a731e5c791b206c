//! `make demo`: a cluster of its own with the operator in it, and single sign-on brought to a Timbr.
//!
//! Everything is real but the kubelets: pods run nothing. The operator has the rights of its own
//! ServiceAccount and no others. With `DEMO_ONCE=1` the demo ends by itself, and fails when a condition
//! does not come; otherwise it goes on until Ctrl-C. Both leave nothing behind.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use timbr_identity_testkit::{ControlPlane, Process, Signal, assets};
use tokio::signal::unix::{SignalKind, signal};

/// Where the demo's Timbr runs.
const NAMESPACE: &str = "timbr";
/// Where the operator belongs: the namespace and the account of deploy/rbac.yaml.
const OPERATOR_NAMESPACE: &str = "timbr-identity-system";
const OPERATOR_ACCOUNT: &str = "timbr-identity-operator";
/// How long a condition may take to come, as kubectl takes it. It takes seconds on an idle machine.
const TIMEOUT: &str = "--timeout=180s";

/// A command of the demo did not succeed; it has said why.
struct Failed;

#[tokio::main]
async fn main() -> ExitCode {
    let once = std::env::var_os("DEMO_ONCE").is_some_and(|value| value == "1");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be awaited");
    tokio::select! {
        ended = demo(once) => if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        _ = tokio::signal::ctrl_c() => stopped(once),
        _ = terminate.recv() => stopped(once),
    }
}

/// Being stopped is how a demo ends, but not one that was to come to an end by itself.
fn stopped(once: bool) -> ExitCode {
    println!();
    if once { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn demo(once: bool) -> Result<(), Failed> {
    // The commands below name files as one does in the clone.
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::set_current_dir(&clone).expect("the clone is there");
    let binary = binary();
    eprintln!("demo: starting a control plane");
    let cluster = ControlPlane::start().await;
    let stage = Stage { cluster: &cluster };

    stage.says("A cluster with a Timbr in it, as it was installed.");
    stage.kubectl(&["create", "namespace", NAMESPACE]).await?;
    stage.kubectl(&["apply", "-n", NAMESPACE, "-f", "examples/single-sign-on/timbr.yaml"]).await?;
    stage.kubectl(&["wait", "-n", NAMESPACE, "--for=condition=Available", "deployment", "--all", TIMEOUT]).await?;

    stage.says("The operator: its kinds, its rights, and its process, which has these rights and no others.");
    let crds = crds(&binary).await;
    stage.run("timbr-identity crds | kubectl apply -f -", &["apply", "-f", "-"], Some(&crds)).await?;
    stage.kubectl(&["wait", "--for=condition=Established", "crd", "--all", TIMEOUT]).await?;
    stage.kubectl(&["apply", "-f", "deploy/rbac.yaml"]).await?;
    println!("$ timbr-identity operator &");
    let log = cluster.dir().join("operator.log");
    let operator = operator(&cluster, &binary, &log).await;

    let told = tokio::select! {
        told = tell(&stage) => told,
        status = ended(&operator) => {
            eprintln!("demo: the operator ended by itself: {status}");
            Err(Failed)
        }
    };
    if told.is_err() {
        eprintln!("demo: the operator's log ends:\n{}", operator.tail());
    } else if !once {
        println!();
        println!("The cluster stays until Ctrl-C. To use it in another terminal:");
        println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
        println!("  alias kubectl={}", assets::path("kubectl").display());
        println!("  kubectl get azuresso -n {NAMESPACE} -o yaml      # what the operator says");
        println!("  kubectl delete azuresso sso -n {NAMESPACE}       # takes the variables off again");
        println!("  tail -f {}", log.display());
        std::future::pending::<()>().await;
    }
    operator.stop(Signal::TERM, Duration::from_secs(15)).await;
    told
}

/// What the demo is about: a resource is applied, and Timbr has single sign-on.
async fn tell(stage: &Stage<'_>) -> Result<(), Failed> {
    stage.says("Single sign-on: one resource, and the Secret that it names.");
    stage.kubectl(&["apply", "-n", NAMESPACE, "-f", "examples/single-sign-on"]).await?;
    for condition in ["Delivered", "RolledOut", "Ready"] {
        let condition = format!("--for=condition={condition}");
        stage.kubectl(&["wait", "-n", NAMESPACE, &condition, "azuresso/sso", TIMEOUT]).await?;
    }
    stage.kubectl(&["get", "azuresso", "-n", NAMESPACE]).await?;

    stage.says("What that did: variables on timbr-platform, the sensitive ones by way of a Secret, one rollout.");
    stage.kubectl(&["set", "env", "deployment/timbr-platform", "-n", NAMESPACE, "--list"]).await?;
    stage.kubectl(&["describe", "secret", "-n", NAMESPACE, "-l", "identity.timbr.ai/component=platform"]).await?;
    stage.kubectl(&["rollout", "status", "deployment/timbr-platform", "-n", NAMESPACE]).await?;
    stage.kubectl(&["rollout", "history", "deployment/timbr-platform", "-n", NAMESPACE]).await
}

/// The operator's binary: `$TIMBR_IDENTITY_BIN`, or the one that was built beside this one.
fn binary() -> PathBuf {
    let beside = || std::env::current_exe().expect("a program knows where it is").with_file_name("timbr-identity");
    let binary = std::env::var_os("TIMBR_IDENTITY_BIN").map_or_else(beside, PathBuf::from);
    assert!(binary.exists(), "{} is missing: run make build, or set TIMBR_IDENTITY_BIN", binary.display());
    binary
}

async fn crds(binary: &Path) -> String {
    let output = tokio::process::Command::new(binary).arg("crds").output().await.expect("the binary runs");
    assert!(output.status.success(), "timbr-identity crds failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the CRDs are UTF-8")
}

/// Starts the operator as a pod would run it, but for the network addresses.
async fn operator(cluster: &ControlPlane, binary: &Path, log: &Path) -> Process {
    let account = cluster.service_account(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await;
    Process::builder(binary, log)
        .env_clear()
        .env("KUBECONFIG", &account.kubeconfig)
        .args(["operator", "--namespace", OPERATOR_NAMESPACE])
        .args(["--health-bind=127.0.0.1:0", "--metrics-bind=127.0.0.1:0"])
        .start()
        .expect("the operator can be started")
}

/// Waits for a process that ought not to end.
async fn ended(process: &Process) -> ExitStatus {
    loop {
        if let Some(status) = process.status() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Where commands are run before an audience: each is printed, then its output.
struct Stage<'a> {
    cluster: &'a ControlPlane,
}

impl Stage<'_> {
    fn says(&self, sentence: &str) {
        println!("\n# {sentence}");
    }

    async fn kubectl(&self, args: &[&str]) -> Result<(), Failed> {
        self.run(&format!("kubectl {}", args.join(" ")), args, None).await
    }

    async fn run(&self, shown: &str, args: &[&str], stdin: Option<&str>) -> Result<(), Failed> {
        println!("$ {shown}");
        let output = self.cluster.kubectl(args, stdin).await;
        // Some tables have spaces at the ends of lines, and lists an empty line at their end.
        for line in output.stdout.trim_end().lines() {
            println!("{}", line.trim_end());
        }
        eprint!("{}", output.stderr);
        if output.status.success() { Ok(()) } else { Err(Failed) }
    }
}
