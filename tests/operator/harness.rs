//! Starts the operator under a service account of its own, with the rights of the table and no others.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment, coordination::v1::Lease, core::v1::Secret, networking::v1::NetworkPolicy,
    rbac::v1::PolicyRule,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use testkit::{ControlPlane, Process, ServiceAccount, Signal, Writes as _, audit::Write};
use timbr_identity::{
    admission::configuration,
    rights::{self, Install, Place, Rule},
};
use tokio::sync::OnceCell;

use crate::fixtures::{azure_sso, entra, platform};

/// Longest wait for anything that the operator does.
pub const SOON: Duration = Duration::from_secs(60);

/// A lease that is over soon, for tests in which a leader ends without giving it back. What remains of a
/// write's time limit, 5 seconds, is not waited for: these operators end, or send nothing when it counts.
pub const LEASE: [&str; 4] =
    ["--lease-duration=2s", "--lease-renew-deadline=1500ms", "--lease-retry=300ms", "--lease-margin=1s"];

/// A namespace of a test's own, with the CRDs installed and an operator's account in it.
pub struct Lab {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    admin: Client,
    pub account: ServiceAccount,
    /// Namespaces that the operator watches.
    pub watched: Vec<String>,
}

/// A running operator.
pub struct Operator {
    pub process: Process,
    pub health: String,
    pub metrics: String,
    /// Where its webhook answers, if it has one.
    pub webhook: Option<SocketAddr>,
}

impl Lab {
    /// A new namespace on the shared control plane.
    pub async fn new(prefix: &str) -> Self {
        Self::on(ControlPlane::shared().await, prefix).await
    }

    /// A new namespace with timbr-platform, a client secret, and an AzureSso `sso` that names it.
    pub async fn with_sso(prefix: &str) -> Self {
        let lab = Self::new(prefix).await;
        lab.apply_all(&[platform(), entra("s3cr3t"), azure_sso("sso")]).await;
        lab
    }

    /// A new namespace on a control plane.
    pub async fn on(plane: &'static ControlPlane, prefix: &str) -> Self {
        install(plane).await;
        let namespace = plane.namespace(prefix).await;
        let account = plane.service_account(&namespace, "operator").await;
        let lab = Self::of(plane, namespace.clone(), account, vec![namespace]);
        let roles = [Place::Watched, Place::Own].map(|place| roles(&lab.account, &lab.namespace, place));
        let of_webhook = cluster_role(&lab.namespace, &lab.webhook_policies(), &lab.account);
        lab.apply_all(&[roles.as_flattened(), &of_webhook].concat()).await;
        lab
    }

    /// An operator's account with whatever rights it has been given.
    pub fn of(plane: &'static ControlPlane, namespace: String, account: ServiceAccount, watched: Vec<String>) -> Self {
        Self { plane, namespace, admin: plane.admin(), account, watched }
    }

    /// The account of an operator of all namespaces, on a control plane that is no other test's.
    pub async fn of_all_namespaces(plane: &'static ControlPlane) -> Self {
        install(plane).await;
        let namespace = plane.namespace("everywhere").await;
        let account = plane.service_account(&namespace, "operator").await;
        let of = |place| policies(Install::ClusterWide, place);
        let cluster = cluster_role("everywhere", &of(Place::Watched), &account);
        let roles = [cluster, role(&namespace, "own", &of(Place::Own), &account)].concat();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": roles});
        plane.kubectl(&["apply", "-f", "-"], Some(&list.to_string())).await.ok();
        Self::of(plane, namespace, account, vec![])
    }

    /// What the operator may do to the configuration of its webhook, which is called as the namespace is: those of
    /// other tests are none of its business.
    pub fn webhook_policies(&self) -> Vec<PolicyRule> {
        let policies = policies(Install::Namespaced(&[]), Place::Cluster).into_iter();
        policies.map(|rule| PolicyRule { resource_names: Some(vec![self.namespace.clone()]), ..rule }).collect()
    }

    /// Gives an account the rights in the operator's own namespace, which is the lab's.
    pub async fn grant_own(&self, account: &ServiceAccount) {
        self.bind(account, &self.namespace, Place::Own).await;
    }

    /// Another account with the same rights as the operator's, but those in its own namespace.
    pub async fn another_account(&self, name: &str) -> ServiceAccount {
        let account = self.plane.service_account(&self.namespace, name).await;
        self.bind(&account, &self.namespace, Place::Watched).await;
        account
    }

    /// Gives an account the rights of an operator in a namespace.
    pub async fn bind(&self, account: &ServiceAccount, namespace: &str, place: Place) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": roles(account, namespace, place)});
        self.plane.kubectl(&["apply", "-f", "-"], Some(&list.to_string())).await.ok();
    }

    /// Gives the operator the rights of a namespace that it watches.
    pub async fn grant(&self, namespace: &str) {
        self.bind(&self.account, namespace, Place::Watched).await;
    }

    /// Applies a manifest as admin, as a person would.
    pub async fn apply(&self, manifest: &Value) {
        self.plane.kubectl(&["apply", "-n", &self.namespace, "-f", "-"], Some(&manifest.to_string())).await.ok();
    }

    /// The same of several at once, in their order.
    pub async fn apply_all(&self, manifests: &[Value]) {
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": manifests})).await;
    }

    /// Creates it anew: what was there under this name goes first.
    pub async fn replace(&self, manifest: &Value) {
        let what = format!(
            "{}/{}",
            manifest["kind"].as_str().expect("kind"),
            manifest["metadata"]["name"].as_str().expect("name")
        );
        self.kubectl(&["delete", &what, "--ignore-not-found"]).await;
        self.apply(manifest).await;
    }

    /// Runs kubectl in the namespace, which must succeed.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        let args: Vec<&str> = ["-n", self.namespace.as_str()].into_iter().chain(args.iter().copied()).collect();
        self.plane.kubectl(&args, None).await.ok()
    }

    /// An object, managed fields included; `KIND/NAME`, as for kubectl.
    pub async fn get(&self, what: &str) -> Value {
        self.find(what).await.unwrap_or_else(|| panic!("{what} is not there"))
    }

    /// The same, if it is there.
    pub async fn find(&self, what: &str) -> Option<Value> {
        let (kind, name) = what.split_once('/').expect("a kind and a name");
        let found = self.api(kind).get_opt(name).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        found.map(|object| serde_json::to_value(object).expect("JSON"))
    }

    /// All objects of a kind.
    pub async fn list(&self, kind: &str) -> Vec<Value> {
        let list = self.api(kind).list(&Default::default()).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        list.items.into_iter().map(|object| serde_json::to_value(object).expect("JSON")).collect()
    }

    /// What Events say of objects of a kind, by reason.
    pub async fn notes(&self, kind: &str, reason: &str) -> Vec<String> {
        let list = self.kubectl(&["get", "events.v1.events.k8s.io", "-o", "json"]).await;
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let items = list["items"].as_array().expect("items").iter();
        items
            .filter(|event| event["regarding"]["kind"] == kind && event["reason"] == reason)
            .map(|event| event["note"].as_str().expect("a note").to_owned())
            .collect()
    }

    /// The value of a variable that refers to a Secret, as a pod would get it.
    pub async fn of_secret(&self, entry: &Value) -> String {
        let reference = &entry["valueFrom"]["secretKeyRef"];
        let name = reference["name"].as_str().expect("a Secret's name");
        let key = reference["key"].as_str().expect("a key");
        self.of_key(name, key).await
    }

    /// What a Secret holds under a key.
    pub async fn of_key(&self, secret: &str, key: &str) -> String {
        let template = format!("go-template={{{{index .data {key:?} | base64decode}}}}");
        self.kubectl(&["get", "secret", secret, "-o", &template]).await
    }

    /// The API of a kind, by its name in the singular.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        self.api_by(self.admin.clone(), kind)
    }

    /// The same by another client.
    pub fn api_by(&self, client: Client, kind: &str) -> Api<DynamicObject> {
        let resource = match kind {
            "deployment" => ApiResource::erase::<Deployment>(&()),
            "secret" => ApiResource::erase::<Secret>(&()),
            "lease" => ApiResource::erase::<Lease>(&()),
            "networkpolicy" => ApiResource::erase::<NetworkPolicy>(&()),
            ours => {
                let ours = ours.trim_end_matches(".identity.timbr.ai").to_lowercase();
                let plural = ours.strip_suffix('y').map_or(format!("{ours}s"), |stem| format!("{stem}ies"));
                let kind = GroupVersionKind::gvk("identity.timbr.ai", "v1alpha1", &ours);
                ApiResource::from_gvk_with_plural(&kind, &plural)
            }
        };
        Api::namespaced_with(client, &self.namespace, &resource)
    }

    /// Waits with `kubectl wait`.
    pub async fn wait(&self, what: &str, condition: &str) {
        self.kubectl(&["wait", what, &format!("--for=condition={condition}"), "--timeout=60s"]).await;
    }

    /// Waits until a condition has this status and reason, and returns its message.
    pub async fn wait_condition(&self, what: &str, type_: &str, status: &str, reason: &str) -> String {
        testkit::eventually(&format!("{what}: {type_}={status}/{reason}"), SOON, async || {
            let object = self.get(what).await;
            let condition = condition(&object, type_);
            let is = |field: &str, wanted: &str| condition[field] == wanted;
            // Of this generation, so that what was said of an older one does not count.
            if is("status", status)
                && is("reason", reason)
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
            {
                Ok(condition["message"].as_str().unwrap_or_default().to_owned())
            } else {
                Err(object["status"].to_string())
            }
        })
        .await
    }

    /// Starts the operator.
    pub async fn start(&self) -> Operator {
        self.start_with(self.account.kubeconfig.clone(), &[]).await
    }

    /// Starts the operator with a kubeconfig and more flags.
    pub async fn start_with(&self, kubeconfig: PathBuf, flags: &[&str]) -> Operator {
        let operator = self.launch(kubeconfig, flags).await;
        operator.wait_ready().await;
        operator
    }

    /// Starts the operator with a webhook, without waiting until it is ready.
    pub async fn launch_with_webhook(&self, kubeconfig: PathBuf, flags: &[&str]) -> Operator {
        let flags: Vec<&str> = ["--webhook-bind=127.0.0.1:0"].into_iter().chain(flags.iter().copied()).collect();
        self.launch(kubeconfig, &flags).await
    }

    /// Tells the API server to ask the webhook at this address about these namespaces.
    pub async fn configure_webhook(&self, url: &str, watched: &[&str], policy: &str) {
        let configuration = configuration(&self.namespace, &self.namespace, watched);
        let mut configuration = serde_json::to_value(configuration).expect("JSON");
        for webhook in configuration["webhooks"].as_array_mut().expect("webhooks") {
            let path = webhook["clientConfig"]["service"]["path"].as_str().expect("a path").to_owned();
            // Pods have no network here: the API server calls the process.
            webhook["clientConfig"] = json!({"url": format!("{url}{path}")});
            webhook["failurePolicy"] = json!(policy);
        }
        configuration["apiVersion"] = json!("admissionregistration.k8s.io/v1");
        configuration["kind"] = json!("ValidatingWebhookConfiguration");
        self.plane.kubectl(&["apply", "--server-side", "-f", "-"], Some(&configuration.to_string())).await.ok();
    }

    /// Waits until the API server is told to trust the webhook.
    pub async fn wait_trusted(&self) {
        testkit::eventually("the webhook is trusted", SOON, async || {
            let path = "jsonpath={.webhooks[*].clientConfig.caBundle}";
            let args = ["get", "validatingwebhookconfiguration", self.namespace.as_str(), "-o", path];
            let bundles = self.plane.kubectl(&args, None).await.ok();
            if bundles.split_whitespace().count() == 2 { Ok(()) } else { Err(bundles) }
        })
        .await;
    }

    /// Starts the operator without waiting until it is ready.
    pub async fn launch(&self, kubeconfig: PathBuf, flags: &[&str]) -> Operator {
        let log = self.plane.dir().join(format!("operator-{}-{:08x}.log", self.namespace, rand()));
        let mut args = vec!["operator", "--health-bind=127.0.0.1:0", "--metrics-bind=127.0.0.1:0", "--log-format=json"];
        let watched = format!("--watch-namespaces={}", self.watched.join(","));
        let namespace = format!("--namespace={}", self.namespace);
        let configuration = format!("--webhook-configuration={}", self.namespace);
        args.extend([watched.as_str(), namespace.as_str(), configuration.as_str()]);
        args.extend(flags);
        let process = Process::builder(env!("CARGO_BIN_EXE_timbr-identity"), log)
            .args(&args)
            .env("KUBECONFIG", kubeconfig)
            // By environment, so that a test can say otherwise by flag.
            .env("TIMBR_IDENTITY_DEBOUNCE", "100ms")
            .env("TIMBR_IDENTITY_DEBOUNCE_MAX", "2s")
            // What a test is not about does not wait for other pods.
            .env("TIMBR_IDENTITY_MAX_CONCURRENT_ROLLOUTS", "1000")
            // A test that is about the webhook says where it listens.
            .env("TIMBR_IDENTITY_WEBHOOK_BIND", "off")
            .env("TIMBR_IDENTITY_WEBHOOK_LINGER", "0s")
            // A test that is about what is tried out says how often.
            .env("TIMBR_IDENTITY_CHECK_INTERVAL", "0s")
            // There is nobody who would have to notice its claims.
            .env("TIMBR_IDENTITY_CLAIM_MARGIN", "10ms")
            .start()
            .expect("the operator can be started");
        let has_webhook = flags.iter().any(|flag| flag.starts_with("--webhook-bind="));
        Operator::listening(process, has_webhook).await
    }

    /// The writes that this operator's account has sent so far, without Events, and without those of the
    /// Lease, which is renewed all the time.
    pub async fn writes(&self) -> Vec<Write> {
        self.writes_of(&self.account).await
    }

    /// The same of another account.
    pub async fn writes_of(&self, account: &ServiceAccount) -> Vec<Write> {
        self.plane.audit().writes_of(&account.username).await.without_events().without_leases()
    }
}

impl Operator {
    /// Waits until a process, which logs in JSON, says where it listens.
    pub async fn listening(process: Process, has_webhook: bool) -> Self {
        let listening = async |server: &str| {
            let line = process
                .wait_for_line(
                    |line| line.contains("\"listening\"") && line.contains(&format!("\"server\":\"{server}\"")),
                    SOON,
                )
                .await;
            let record: Value = serde_json::from_str(&line).expect("a JSON record");
            record["address"].as_str().expect("an address").to_owned()
        };
        let [health, metrics] =
            [listening("health").await, listening("metrics").await].map(|it| format!("http://{it}"));
        let webhook = if has_webhook { listening("webhook").await.parse().ok() } else { None };
        Self { process, health, metrics, webhook }
    }

    /// Where its webhook answers.
    pub fn webhook_address(&self) -> SocketAddr {
        self.webhook.expect("the operator has a webhook")
    }

    /// Waits until `/readyz` says so.
    pub async fn wait_ready(&self) {
        testkit::eventually("the operator is ready", SOON, async || {
            let (status, body) = get(&format!("{}/readyz?verbose", self.health)).await?;
            if status == 200 { Ok(()) } else { Err(body) }
        })
        .await;
    }

    /// How many looks at installations have ended well, and whether none waits or runs.
    async fn looks(&self) -> Result<(usize, bool), String> {
        let (_, metrics) = get(&format!("{}/metrics", self.metrics)).await?;
        let value = |name: &str| {
            let text = metrics.lines().find_map(|line| line.strip_prefix(name));
            text.map_or(0, |text| text.trim().parse().unwrap_or(0))
        };
        let idle = value("timbr_identity_queue_waiting ") == 0 && value("timbr_identity_queue_running ") == 0;
        Ok((value("timbr_identity_reconciles_total{result=\"ok\"} "), idle))
    }

    /// Waits until that many looks have ended well and none waits or runs; returns how many have.
    pub async fn looked(&self, at_least: usize) -> usize {
        testkit::eventually("the operator has looked and is idle", SOON, async || {
            let (looks, idle) = self.looks().await?;
            if looks >= at_least && idle { Ok(looks) } else { Err(format!("{looks} looks, idle: {idle}")) }
        })
        .await
    }

    /// Waits until that many looks have ended well; returns how many have. Something may still wait to
    /// be looked at again.
    pub async fn looks_at_least(&self, count: usize) -> usize {
        testkit::eventually("the operator has looked", SOON, async || {
            let (looks, _) = self.looks().await?;
            if looks >= count { Ok(looks) } else { Err(format!("{looks} looks")) }
        })
        .await
    }

    /// Ends it as a node would.
    pub async fn stop(&self) {
        let status = self.process.stop(Signal::TERM, Duration::from_secs(20)).await;
        assert!(status.success(), "{status}\n{}", self.process.tail());
    }
}

/// How many writes there are of each kind.
pub fn tally(writes: &[Write]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for Write { verb, resource, subresource, .. } in writes {
        let what = [resource.as_str(), subresource].join("/");
        *tally.entry(format!("{verb} {}", what.trim_end_matches('/'))).or_default() += 1;
    }
    tally
}

/// Timestamps have whole seconds: who is older must show in them.
pub async fn age() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

/// A condition of an object, or null.
pub fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
}

/// A GET without TLS.
pub async fn get(url: &str) -> Result<(u16, String), String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (host, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let mut stream = tokio::net::TcpStream::connect(host).await.map_err(|error| error.to_string())?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, body.to_owned()))
}

/// A Role, and the RoleBinding that gives it to an account.
pub fn role(namespace: &str, name: &str, rules: &[PolicyRule], account: &ServiceAccount) -> [Value; 2] {
    let metadata = json!({"name": name, "namespace": namespace});
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    [
        json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
        }),
    ]
}

/// A ClusterRole, and the ClusterRoleBinding that gives it to an account.
pub fn cluster_role(name: &str, rules: &[PolicyRule], account: &ServiceAccount) -> [Value; 2] {
    let [mut role, mut binding] = role("", name, rules, account);
    for (object, kind) in [(&mut role, "ClusterRole"), (&mut binding, "ClusterRoleBinding")] {
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": name});
    }
    binding["roleRef"]["kind"] = json!("ClusterRole");
    [role, binding]
}

/// The Role and the RoleBinding that give an account an operator's rights in a namespace.
fn roles(account: &ServiceAccount, namespace: &str, place: Place) -> [Value; 2] {
    let name = format!("{}-{}-{place:?}", account.name, account.namespace).to_lowercase();
    role(namespace, &name, &policies(Install::Namespaced(&[]), place), account)
}

/// The rights of the table that hold in such a place.
pub fn policies(install: Install<'_>, place: Place) -> Vec<PolicyRule> {
    rights::rules(install).iter().filter(|rule| rule.place == place).map(Rule::policy).collect()
}

/// Installs the CRDs, once per control plane.
pub async fn install(plane: &ControlPlane) {
    static INSTALLED: OnceCell<tokio::sync::Mutex<std::collections::BTreeSet<String>>> = OnceCell::const_new();
    let mut installed = INSTALLED.get_or_init(async || tokio::sync::Mutex::default()).await.lock().await;
    if !installed.insert(plane.url().to_owned()) {
        return;
    }
    let crds =
        std::process::Command::new(env!("CARGO_BIN_EXE_timbr-identity")).arg("crds").output().expect("crds runs");
    let crds = String::from_utf8(crds.stdout).expect("UTF-8");
    plane.kubectl(&["apply", "--server-side", "-f", "-"], Some(&crds)).await.ok();
    plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], None).await.ok();
}

fn rand() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish() as u32
}
