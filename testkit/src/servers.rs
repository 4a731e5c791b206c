//! How the control plane's own programs are started: etcd, kube-apiserver,
//! kube-controller-manager and kube-scheduler.
//!
//! The flags differ from a production cluster's where a test would otherwise wait: etcd does not
//! sync its files to the disk, and the controllers' clients are not throttled.

use std::path::{Path, PathBuf};

use crate::assets;
use crate::supervisor::{Builder, Process};

/// Records the writes of everybody, and what service accounts read, once each, when the answer is complete.
pub(crate) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
  userGroups: [system:serviceaccounts]
  verbs: [get, list, watch]
- level: None
";

/// Where a control plane's files are and on which ports it listens.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub dir: PathBuf,
    pub etcd_port: u16,
    pub peer_port: u16,
    pub api_port: u16,
}

impl Layout {
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_port)
    }

    pub fn api_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    /// The API server that everybody uses.
    pub fn first(&self) -> ApiServer {
        ApiServer { name: "kube-apiserver".to_owned(), port: self.api_port, etcd_url: self.etcd_url() }
    }

    /// `--name=value` for a file of this control plane.
    fn flag(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.file(file).display())
    }
}

/// One of a control plane's API servers.
#[derive(Debug, Clone)]
pub(crate) struct ApiServer {
    /// What its logs are called.
    pub name: String,
    pub port: u16,
    pub etcd_url: String,
}

impl ApiServer {
    /// Its audit log, in the control plane's folder.
    pub fn audit_log(&self) -> String {
        format!("{}-audit.log", self.name)
    }
}

pub(crate) fn etcd(layout: &Layout) -> Builder {
    let client = layout.etcd_url();
    let peer = format!("http://127.0.0.1:{}", layout.peer_port);
    Process::builder(assets::path("etcd"), layout.log("etcd"))
        .arg(layout.flag("data-dir", "etcd"))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        // Safe against a kill of the process, which is all that happens here.
        .arg("--unsafe-no-fsync")
}

pub(crate) fn apiserver(layout: &Layout, server: &ApiServer, extra: &[String]) -> Builder {
    Process::builder(assets::path("kube-apiserver"), layout.log(&server.name))
        .arg(format!("--etcd-servers={}", server.etcd_url))
        .arg(format!("--secure-port={}", server.port))
        .arg("--bind-address=127.0.0.1")
        .arg(layout.flag("tls-cert-file", "server.crt"))
        .arg(layout.flag("tls-private-key-file", "server.key"))
        .arg(layout.flag("client-ca-file", "ca.crt"))
        .arg(format!("--service-account-issuer={}", layout.api_url()))
        .arg(layout.flag("service-account-key-file", "sa.pub"))
        .arg(layout.flag("service-account-signing-key-file", "sa.key"))
        .arg("--service-cluster-ip-range=10.0.0.0/24")
        .arg("--authorization-mode=RBAC")
        .arg("--allow-privileged=true")
        .arg("--enable-admission-plugins=OwnerReferencesPermissionEnforcement")
        .arg(layout.flag("audit-policy-file", "audit-policy.yaml"))
        .arg(layout.flag("audit-log-path", &server.audit_log()))
        // A line is written before the request ends, and the file is never rotated.
        .arg("--audit-log-mode=blocking")
        .arg("--audit-log-maxsize=100000")
        .args(extra)
}

pub(crate) fn controller_manager(layout: &Layout) -> Builder {
    controller(layout, "kube-controller-manager")
        .arg(layout.flag("service-account-private-key-file", "sa.key"))
        .arg(layout.flag("root-ca-file", "ca.crt"))
        .arg("--concurrent-deployment-syncs=20")
        .arg("--concurrent-replicaset-syncs=20")
}

pub(crate) fn scheduler(layout: &Layout) -> Builder {
    controller(layout, "kube-scheduler")
}

fn controller(layout: &Layout, name: &str) -> Builder {
    let kubeconfig = kubeconfig(&layout.dir, name);
    let kubeconfig = kubeconfig.display();
    Process::builder(assets::path(name), layout.log(name))
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg(format!("--authentication-kubeconfig={kubeconfig}"))
        .arg(format!("--authorization-kubeconfig={kubeconfig}"))
        .args(["--leader-elect=false", "--secure-port=0"])
        .args(["--kube-api-qps=1000", "--kube-api-burst=2000"])
}

/// The programs that are the API server's clients. Each is a user of its own, so that the audit log
/// tells what they write from what a test writes.
pub(crate) const CONTROLLERS: [&str; 3] = ["kube-controller-manager", "kube-scheduler", "kwok"];

/// The kubeconfig of a program, or of the one who may do everything, `admin`.
pub(crate) fn kubeconfig(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.kubeconfig"))
}
