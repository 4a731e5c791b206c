//! A control plane of its own for a test binary: etcd, kube-apiserver, kube-controller-manager,
//! kube-scheduler, and KWOK in the kubelets' place.
//!
//! All programs are the real ones, so what a test sees is what a cluster does. They live in a
//! temporary folder on ports of their own, any number side by side, and end with the test process.
//! Nothing here outlives the runtime of the test that started it but plain processes: each test has
//! its own runtime, and makes its own clients.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{self as core, Namespace, Node};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OnceCell;

use crate::audit::AuditLog;
use crate::certificates::{self, Authority};
use crate::kwok;
use crate::pipe::Pipe;
use crate::ports::{free_port, random};
use crate::proxy::Proxy;
use crate::replica::Replica;
use crate::servers::{self, ApiServer, Layout};
use crate::supervisor::{Process, Scratch, Signal};
use crate::users::{Credentials, Server, ServiceAccount, client, write};
use crate::wait::eventually;
use crate::{assets, supervisor};

/// How long a program may take to start; a busy machine takes several times what an idle one does.
const START: Duration = Duration::from_secs(120);

/// How a control plane differs from the usual one.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether controllers, scheduler and KWOK run. Without them objects are stored and nothing
    /// happens to them: no rollouts, no garbage collection, and namespaces do not end.
    pub controllers: bool,
    /// More flags for kube-apiserver.
    pub apiserver_flags: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { controllers: true, apiserver_flags: Vec::new() }
    }
}

/// A running control plane. Dropping it ends its processes and removes its files.
#[derive(Debug)]
pub struct ControlPlane {
    options: Options,
    layout: Layout,
    authority: Authority,
    server: Server,
    admin: Credentials,
    audit: AuditLog,
    made: AtomicU32,
    // Dropped in this order: an API server whose etcd is gone would not end, and the folder goes last.
    controllers: Vec<Process>,
    apiserver: Mutex<Option<Process>>,
    etcd: Mutex<Option<Process>>,
    scratch: Scratch,
}

/// What a kubectl command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that must have succeeded.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "kubectl failed ({}): {}{}", self.status, self.stdout, self.stderr);
        self.stdout
    }
}

/// A program's port was taken by another between its choice and its use.
struct Snatched;

impl ControlPlane {
    /// Starts a control plane in which a Deployment can roll out.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// The control plane that all tests of a binary share; the first to ask starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a control plane that differs from the usual one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: Options) -> Self {
        certificates::use_aws_lc();
        // The first time this builds for minutes, which must not hold up the runtime.
        tokio::task::spawn_blocking(|| assets::path("kube-apiserver")).await.expect("the programs are there");
        for _ in 0..5 {
            if let Ok(started) = Self::try_start(options.clone()).await {
                return started;
            }
        }
        panic!("the ports of the control plane were taken by others again and again");
    }

    async fn try_start(options: Options) -> Result<Self, Snatched> {
        let scratch = Scratch::new("testkit-").expect("a temporary folder");
        let layout = Layout {
            dir: scratch.path().to_owned(),
            etcd_port: free_port(),
            peer_port: free_port(),
            api_port: free_port(),
        };
        let authority = Authority::new();
        let serving = authority.server();
        let (private, public) = certificates::service_account_key();
        for (name, text) in [
            ("ca.crt", &authority.pem()),
            ("server.crt", &serving.certificate_pem),
            ("server.key", &serving.key_pem),
            ("sa.key", &private),
            ("sa.pub", &public),
            ("audit-policy.yaml", &servers::AUDIT_POLICY.to_owned()),
            ("stages.yaml", &if options.controllers { kwok::stages() } else { String::new() }),
        ] {
            write(&layout.file(name), text);
        }
        let server = Server { url: layout.api_url(), ca: authority.der(), ca_file: layout.file("ca.crt") };
        let superuser = |user: &str, name: &str| {
            let identity = authority.client(user, &["system:masters"]);
            let credentials = Credentials::certificate(&identity, scratch.path(), name);
            server.kubeconfig(&credentials, &servers::kubeconfig(scratch.path(), name));
            credentials
        };
        let admin = superuser("admin", "admin");
        for name in servers::CONTROLLERS {
            superuser(&format!("system:{name}"), name);
        }
        let mut this = Self {
            audit: AuditLog::new(layout.file(&layout.first().audit_log()), server.config(&admin)),
            options,
            layout,
            authority,
            server,
            admin,
            made: AtomicU32::new(0),
            controllers: Vec::new(),
            apiserver: Mutex::default(),
            etcd: Mutex::default(),
            scratch,
        };
        // The API server waits for etcd by itself: started together they are ready sooner.
        let etcd = launch(servers::etcd(&this.layout));
        let apiserver = launch(this.apiserver());
        ready(&[&etcd], async || this.etcd_answers().await).await?;
        ready(&[&etcd, &apiserver], async || this.readyz().await).await?;
        *lock(&this.etcd) = Some(etcd);
        *lock(&this.apiserver) = Some(apiserver);
        if this.options.controllers {
            this.start_controllers().await;
        }
        Ok(this)
    }

    async fn start_controllers(&mut self) {
        let kwok = kwok::kwok(
            &servers::kubeconfig(self.dir(), "kwok"),
            &self.layout.file("stages.yaml"),
            &self.layout.log("kwok"),
        );
        self.controllers =
            [servers::controller_manager(&self.layout), servers::scheduler(&self.layout), kwok].map(launch).into();
        let admin = self.admin();
        let nodes: Api<Node> = Api::all(admin.clone());
        let room = json!({"cpu": "10k", "memory": "10Ti", "pods": "1M"});
        let node = serde_json::from_value(json!({
            "metadata": {"name": "kwok", "labels": {"kubernetes.io/hostname": "kwok", "kubernetes.io/os": "linux"}},
            "status": {"allocatable": room, "capacity": room},
        }));
        nodes.create(&PostParams::default(), &node.expect("a valid node")).await.expect("the node is created");
        eventually("the control plane schedules", START, async || {
            for process in &self.controllers {
                assert!(process.is_running(), "a controller ended:\n{}", process.tail());
            }
            let node = nodes.get("kwok").await.map_err(|error| error.to_string())?;
            let ready = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let ready = ready.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
            if ready && taints.is_empty() { Ok(()) } else { Err(format!("node ready: {ready}, taints: {taints:?}")) }
        })
        .await;
        // Pods need the account that a controller makes in each namespace.
        has_default_account(&admin, "default").await;
    }

    /// The API server's address.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// etcd's address (its gRPC gateway speaks JSON under /v3/), to look at what is stored.
    pub fn etcd_url(&self) -> String {
        self.layout.etcd_url()
    }

    /// The certificate of the authority that signed the servers' certificates, PEM.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The same in a file.
    pub fn ca_file(&self) -> &Path {
        &self.server.ca_file
    }

    /// The authority, for servers that the API server or a client should trust.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The folder of this control plane: its logs, and room for a test's own files.
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// A new client that may do everything.
    pub fn admin(&self) -> Client {
        self.server.client(&self.admin)
    }

    /// The kubeconfig of the one who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        servers::kubeconfig(self.dir(), "admin")
    }

    /// A new client for a user with a client certificate, in at most two groups.
    pub fn user(&self, name: &str, groups: &[&str]) -> Client {
        self.server.client(&self.credentials(name, groups))
    }

    /// A kubeconfig for a user with a client certificate, in at most two groups.
    pub fn user_kubeconfig(&self, name: &str, groups: &[&str]) -> PathBuf {
        let path = self.dir().join(format!("user-{}.kubeconfig", self.next()));
        self.server.kubeconfig(&self.credentials(name, groups), &path);
        path
    }

    fn credentials(&self, name: &str, groups: &[&str]) -> Credentials {
        Credentials::certificate(&self.authority.client(name, groups), self.dir(), &format!("user-{}", self.next()))
    }

    /// Creates a service account, unless it exists, and requests a token for it.
    ///
    /// # Panics
    /// When that fails.
    pub async fn service_account(&self, namespace: &str, name: &str) -> ServiceAccount {
        let accounts: Api<core::ServiceAccount> = Api::namespaced(self.admin(), namespace);
        let account = core::ServiceAccount { metadata: named(name), ..Default::default() };
        match accounts.create(&PostParams::default(), &account).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => drop(other.expect("the service account is created")),
        }
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(24 * 60 * 60), ..Default::default() }),
            ..Default::default()
        };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        let token = answer.expect("a token is issued").status.and_then(|status| status.token);
        let token = token.expect("an issued token is in the answer");
        let kubeconfig = self.dir().join(format!("account-{}.kubeconfig", self.next()));
        self.server.kubeconfig(&Credentials::Token(token.clone()), &kubeconfig);
        ServiceAccount {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            token,
            kubeconfig,
            server: self.server.clone(),
        }
    }

    /// Creates a namespace with a name of its own and returns the name.
    ///
    /// # Panics
    /// When that fails.
    pub async fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{:08x}", random() as u32);
        let admin = self.admin();
        let namespace = Namespace { metadata: named(&name), ..Default::default() };
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        namespaces.create(&PostParams::default(), &namespace).await.expect("the namespace is created");
        if self.options.controllers {
            has_default_account(&admin, &name).await;
        }
        name
    }

    /// Runs kubectl as the one who may do everything.
    pub async fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> Output {
        self.kubectl_as(&self.kubeconfig(), args, stdin).await
    }

    /// Runs kubectl with a kubeconfig.
    ///
    /// # Panics
    /// When it cannot be run.
    pub async fn kubectl_as(&self, kubeconfig: &Path, args: &[&str], stdin: Option<&str>) -> Output {
        let mut child = tokio::process::Command::new(assets::path("kubectl"))
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            // Its cache of the API, and no preferences of the developer's.
            .env("HOME", self.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("kubectl can be run");
        let mut pipe = child.stdin.take().expect("standard input is a pipe");
        let text = stdin.unwrap_or_default();
        // Together: a command may answer before it has read all.
        let (_, output) = tokio::join!(
            async move {
                let _ = pipe.write_all(text.as_bytes()).await;
            },
            child.wait_with_output()
        );
        let output = output.expect("kubectl's output can be read");
        Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// A proxy before the API server that can refuse, delay and lose requests.
    pub fn proxy(&self) -> Proxy {
        Proxy::start(&self.server.url, &self.authority)
    }

    /// Starts another API server on the same etcd.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn replica(&self) -> Replica {
        for _ in 0..5 {
            let pipe = Pipe::start(self.layout.etcd_port);
            let (port, etcd_url) = (free_port(), format!("http://{}", pipe.address()));
            let server = ApiServer { name: format!("kube-apiserver-{}", self.next()), port, etcd_url };
            let process = launch(servers::apiserver(&self.layout, &server, &self.options.apiserver_flags));
            let server = self.server.at(&format!("https://127.0.0.1:{port}"));
            if ready(&[&process], async || readyz(&server, &self.admin).await).await.is_ok() {
                return Replica { server, admin: self.admin.clone(), pipe, _process: process };
            }
        }
        panic!("the ports of the API server were taken by others again and again");
    }

    fn apiserver(&self) -> supervisor::Builder {
        servers::apiserver(&self.layout, &self.layout.first(), &self.options.apiserver_flags)
    }

    /// Kills the API server: connections break, and the next are refused.
    pub fn stop_apiserver(&self) {
        drop(lock(&self.apiserver).take());
    }

    /// Starts the API server again, at the same address and on the same data.
    ///
    /// # Panics
    /// When it runs or does not start.
    pub async fn start_apiserver(&self) {
        assert!(lock(&self.apiserver).is_none(), "the API server runs already");
        let process = launch(self.apiserver());
        let up = ready(&[&process], async || self.readyz().await).await;
        assert!(up.is_ok(), "the API server's port {} was taken by another meanwhile", self.layout.api_port);
        *lock(&self.apiserver) = Some(process);
    }

    /// Sends the API server a signal: stopped, it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal_apiserver(&self, signal: Signal) {
        lock(&self.apiserver).as_ref().expect("the API server runs").signal(signal);
    }

    /// Stops etcd; the API server goes on without its store.
    pub async fn stop_etcd(&self) {
        // Taken out of the lock first, which must not be held while waiting.
        let process = lock(&self.etcd).take();
        if let Some(process) = process {
            process.stop(Signal::TERM, Duration::from_secs(5)).await;
        }
    }

    /// Starts etcd again, at the same address and on the same data.
    ///
    /// # Panics
    /// When it runs or does not start.
    pub async fn start_etcd(&self) {
        assert!(lock(&self.etcd).is_none(), "etcd runs already");
        let process = launch(servers::etcd(&self.layout));
        let up = ready(&[&process], async || self.etcd_answers().await).await;
        assert!(up.is_ok(), "a port of etcd was taken by another meanwhile");
        *lock(&self.etcd) = Some(process);
    }

    /// Waits until the API server says that it is ready, its store included.
    ///
    /// # Panics
    /// When it does not within two minutes.
    pub async fn wait_ready(&self) {
        eventually("the API server is ready", START, async || self.readyz().await).await;
    }

    async fn readyz(&self) -> Result<(), String> {
        readyz(&self.server, &self.admin).await
    }

    async fn etcd_answers(&self) -> Result<(), String> {
        let connection = tokio::net::TcpStream::connect(("127.0.0.1", self.layout.etcd_port)).await;
        connection.map(drop).map_err(|error| error.to_string())
    }

    /// A number that no other file of this control plane has in its name.
    fn next(&self) -> u32 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }
}

impl Display for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control plane at {} in {}", self.server.url, self.dir().display())
    }
}

async fn readyz(server: &Server, admin: &Credentials) -> Result<(), String> {
    // A new client: an old one could hold a connection to a server that is gone.
    let admin = client(server.config(admin));
    let request = http::Request::get("/readyz").body(Vec::new()).expect("a valid request");
    admin.request_text(request).await.map_err(|error| error.to_string())?;
    // Ready means able to answer; the first namespace is made a moment later.
    let namespaces: Api<Namespace> = Api::all(admin);
    namespaces.get("default").await.map(drop).map_err(|error| error.to_string())
}

fn launch(builder: supervisor::Builder) -> Process {
    builder.start().expect("a program of the control plane can be started")
}

/// Waits until the last of the programs answers, and finds out when one has ended instead.
async fn ready<E: Display>(
    processes: &[&Process],
    mut look: impl AsyncFnMut() -> Result<(), E>,
) -> Result<(), Snatched> {
    let end = Instant::now() + START;
    loop {
        let answer = look().await;
        // Asked after the look: on a snatched port somebody else may have answered.
        if let Some(process) = processes.iter().find(|process| !process.is_running()) {
            let tail = process.tail();
            let snatched = tail.contains("address already in use");
            assert!(snatched, "{} ended:\n{tail}", process.name());
            return Err(Snatched);
        }
        let Err(error) = answer else { return Ok(()) };
        if Instant::now() > end {
            let tails: Vec<String> = processes.iter().map(|process| process.tail()).collect();
            panic!("no answer after {START:?}: {error}\n{}", tails.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn has_default_account(admin: &Client, namespace: &str) {
    let accounts: Api<core::ServiceAccount> = Api::namespaced(admin.clone(), namespace);
    eventually("the namespace has its service account", START, async || accounts.get("default").await).await;
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..Default::default() }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
