//! `make demo`: a cluster of its own with the operator in it, and single sign-on brought to a Timbr.
//!
//! Everything is real but the kubelets, so pods run nothing, and Entra, which is a double. The operator has the rights of
//! its own ServiceAccount and no others. With `KEYCLOAK_HOME` a real Keycloak is an identity provider, too. With `DEMO_ONCE=1` the demo ends by itself, and fails when a condition
//! does not come; otherwise it goes on until Ctrl-C. Both leave nothing behind.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use serde_json::json;
use timbr_identity_testkit::{
    Azure, ControlPlane, Keycloak, Process, Signal, assets,
    azure::{App, Grant, Secret, Service, Tenant},
};
use tokio::signal::unix::{SignalKind, signal};

/// Where the demo's Timbr runs.
const NAMESPACE: &str = "timbr";
/// Where the operator belongs: the namespace and the account of deploy/rbac.yaml.
const OPERATOR_NAMESPACE: &str = "timbr-identity-system";
const OPERATOR_ACCOUNT: &str = "timbr-identity-operator";
/// The ids and the client secret of examples/single-sign-on.
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT_ID: &str = "66666666-7777-8888-9999-000000000000";
const CLIENT_SECRET: &str = "replace-me-with-the-client-secret-value";
/// What the example's application asks for: email, openid, profile and User.Read.
const PERMISSIONS: [&str; 4] = [
    "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0",
    "37f7f235-527c-4136-accd-4a02d197296e",
    "14dad69e-099b-42c9-810b-d002981feec1",
    "e1fe6dd8-ba31-4d61-89e7-88639da4683d",
];
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
    println!("# Entra is a double on this machine, which knows the example's application and its secret.");
    let entra = entra();
    let keycloak = match std::env::var_os("KEYCLOAK_HOME") {
        Some(home) => Some(Keycloak::start(Path::new(&home)).await),
        None => None,
    };
    let bundle = cluster.dir().join("ca.pem");
    let authorities = entra.ca_pem().to_owned() + &keycloak.as_ref().map(Keycloak::ca_pem).unwrap_or_default();
    std::fs::write(&bundle, authorities).expect("the bundle can be written");
    let (authority, graph) = (entra.url(Service::Entra), entra.url(Service::Graph));
    println!("$ timbr-identity operator --authority-url={authority} --graph-url={graph} --ca-bundle=ca.pem &");
    let flags = [
        format!("--authority-url={authority}"),
        format!("--graph-url={graph}"),
        format!("--ca-bundle={}", bundle.display()),
        // Keycloak is on this machine, too.
        "--allow-cidr=127.0.0.0/8".to_owned(),
    ];
    let log = cluster.dir().join("operator.log");
    let operator = operator(&cluster, &binary, &log, &flags).await;

    let told = tokio::select! {
        told = tell(&stage, keycloak.as_ref()) => told,
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

/// Entra as the example needs it.
fn entra() -> Azure {
    let entra = Azure::start();
    entra.set_resource(Service::Graph, entra.url(Service::Graph));
    let none: [String; 0] = [];
    entra.set_tenant(Tenant { id: TENANT.to_owned(), ..Tenant::new("Example", none) });
    let mut app = App { client_id: CLIENT_ID.to_owned(), ..App::new(TENANT, "Timbr") };
    app.secrets = vec![Secret::of(CLIENT_SECRET)];
    app.grant(["Application.Read.All", "DelegatedPermissionGrant.Read.All"]);
    app.redirect_uris = vec!["https://timbr.example.com/oauth-authorized/azure".to_owned()];
    app.ask(PERMISSIONS);
    app.grants = vec![Grant::for_all("openid profile email User.Read")];
    entra.set_app(app);
    entra
}

/// What the demo is about: a resource is applied, and Timbr has single sign-on.
async fn tell(stage: &Stage<'_>, keycloak: Option<&Keycloak>) -> Result<(), Failed> {
    stage.says("Single sign-on: one resource, and the Secret that it names.");
    stage.kubectl(&["apply", "-n", NAMESPACE, "-f", "examples/single-sign-on"]).await?;
    for condition in ["Verified", "Delivered", "RolledOut", "Ready"] {
        let condition = format!("--for=condition={condition}");
        stage.kubectl(&["wait", "-n", NAMESPACE, &condition, "azuresso/sso", TIMEOUT]).await?;
    }
    stage.kubectl(&["get", "azuresso", "-n", NAMESPACE]).await?;

    stage.says("What that did: variables on timbr-platform, the sensitive ones by way of a Secret, one rollout.");
    stage.kubectl(&["set", "env", "deployment/timbr-platform", "-n", NAMESPACE, "--list"]).await?;
    stage.kubectl(&["describe", "secret", "-n", NAMESPACE, "-l", "identity.timbr.ai/component=platform"]).await?;
    stage.kubectl(&["rollout", "status", "deployment/timbr-platform", "-n", NAMESPACE]).await?;
    stage.kubectl(&["rollout", "history", "deployment/timbr-platform", "-n", NAMESPACE]).await?;

    stage.says("A wrong rotation: Entra refuses it, so it reaches no pod, and the resource says what to do.");
    let wrong = r#"{"stringData": {"client-secret": "a-value-that-is-none-of-its-secrets"}}"#;
    let shown = format!("kubectl patch secret entra -n {NAMESPACE} -p '{wrong}'");
    stage.run(&shown, &["patch", "secret", "entra", "-n", NAMESPACE, "-p", wrong], None).await?;
    stage.kubectl(&["wait", "-n", NAMESPACE, "--for=condition=Verified=False", "azuresso/sso", TIMEOUT]).await?;
    stage.kubectl(&["get", "azuresso", "-n", NAMESPACE]).await?;
    let message = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
    let shown = format!("kubectl get azuresso sso -n {NAMESPACE} -o '{message}'");
    stage.run(&shown, &["get", "azuresso", "sso", "-n", NAMESPACE, "-o", message], None).await?;
    stage.kubectl(&["rollout", "history", "deployment/timbr-platform", "-n", NAMESPACE]).await?;
    match keycloak {
        Some(keycloak) => trust(stage, keycloak).await,
        None => Ok(()),
    }
}

/// A real identity provider is looked at.
async fn trust(stage: &Stage<'_>, keycloak: &Keycloak) -> Result<(), Failed> {
    stage.says("An identity provider: a real Keycloak, whose keys are looked at.");
    let provider = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "ExternalTokenProvider",
        "metadata": {"name": "keycloak"},
        "spec": {
            "displayName": "Keycloak",
            "issuerUrl": format!("{}/realms/master", keycloak.url()),
            "audiences": ["timbr"],
            "userClaim": "preferred_username",
        },
    });
    let apply = ["apply", "-n", NAMESPACE, "-f", "-"];
    stage.run("kubectl apply -n timbr -f keycloak.yaml", &apply, Some(&provider.to_string())).await?;
    let verified = ["wait", "-n", NAMESPACE, "--for=condition=Verified", "externaltokenprovider/keycloak", TIMEOUT];
    stage.kubectl(&verified).await?;
    stage.kubectl(&["get", "externaltokenprovider", "-n", NAMESPACE, "-o", "wide"]).await
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
async fn operator(cluster: &ControlPlane, binary: &Path, log: &Path, flags: &[String]) -> Process {
    let account = cluster.service_account(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await;
    Process::builder(binary, log)
        .env_clear()
        .env("KUBECONFIG", &account.kubeconfig)
        .args(["operator", "--namespace", OPERATOR_NAMESPACE])
        .args(["--health-bind=127.0.0.1:0", "--metrics-bind=127.0.0.1:0", "--webhook-bind=127.0.0.1:0"])
        .args(flags)
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
