//! Least rights: with those of the table the API server refuses the operator nothing, and without any one verb of
//! them it refuses exactly that.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};
use testkit::{ControlPlane, TimbrApi, audit::Write, eventually};
use timbr_identity::{
    api::Kind,
    rights::{Install, Place, Rule, rules},
};

use crate::{
    fixtures::{CLIENT_ID, TENANT, deployment, installation, platform, secret},
    harness::{LEASE, Lab, Operator, SOON, cluster_role, condition, install, role},
};

/// Operators at once.
const AT_ONCE: usize = 6;
/// Makes ten minutes one second.
const FAST: &str = "--clock-rate=600";
/// Longest wait until a verb is missed. The machine has other operators to run meanwhile.
const MISSED: Duration = Duration::from_secs(120);

/// One verb on one resource, in a row of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    place: Place,
    group: String,
    resource: String,
    names: Vec<String>,
    verb: String,
}

impl Right {
    /// Each right of a row.
    fn of(rule: &Rule) -> Vec<Self> {
        let resources = rule.resources.iter();
        let rights = resources.flat_map(|resource| {
            rule.verbs.iter().map(|verb| Self {
                place: rule.place,
                group: rule.group.to_owned(),
                resource: resource.clone(),
                names: rule.names.iter().map(|name| (*name).to_owned()).collect(),
                verb: (*verb).to_owned(),
            })
        });
        rights.collect()
    }

    fn policy(&self) -> PolicyRule {
        PolicyRule {
            api_groups: Some(vec![self.group.clone()]),
            resources: Some(vec![self.resource.clone()]),
            resource_names: Some(self.names.clone()).filter(|names| !names.is_empty()),
            verbs: vec![self.verb.clone()],
            ..Default::default()
        }
    }

    /// The same, of an operator in this namespace: the configuration of its webhook is called as the namespace is.
    fn policy_of(&self, own: &str) -> PolicyRule {
        let policy = self.policy();
        match self.place {
            Place::Cluster => PolicyRule { resource_names: Some(vec![own.to_owned()]), ..policy },
            _ => policy,
        }
    }

    /// Whether a request asks for it.
    fn is_asked_by(&self, request: &Write, own: &str) -> bool {
        let resource = match request.subresource.as_str() {
            "" => request.resource.clone(),
            subresource => format!("{}/{subresource}", request.resource),
        };
        let is_there = match self.place {
            Place::Own => request.namespace == own,
            Place::Watched => request.namespace != own,
            Place::Cluster => request.namespace.is_empty(),
        };
        is_there
            && (&self.group, &self.resource, &self.verb) == (&request.group, &resource, &request.verb)
            // The API server names what is to be made only when it is there already.
            && (self.names.is_empty() || self.names.contains(&request.name) || self.place == Place::Cluster)
    }
}

/// Every right of an install.
fn table(install: Install<'_>) -> Vec<Right> {
    rules(install).iter().flat_map(Right::of).collect()
}

/// An operator whose own namespace is another than the one it watches, where everything is that it knows of.
struct Stage {
    lab: Lab,
    watched: String,
    api: TimbrApi,
}

fn resource(kind: Kind, name: &str, installation: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["installationRef"] = json!({"name": installation});
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind.name(), "metadata": {"name": name}, "spec": spec,
    })
}

fn sso(name: &str, installation: &str) -> Value {
    let spec = json!({
        "tenantId": TENANT,
        "clientId": CLIENT_ID,
        "clientSecretRef": {"name": "entra", "key": "client-secret"},
        "publicUrl": "https://timbr.example.com",
    });
    resource(Kind::AzureSso, name, installation, spec)
}

/// An access policy that has a NetworkPolicy, or none.
fn policy(rules: Value, mode: &str) -> Value {
    let spec = json!({"target": "Api", "inbound": {"rules": rules}, "networkPolicy": {"mode": mode}});
    resource(Kind::InboundAccessPolicy, "policy", "main", spec)
}

/// A Timbr with every kind of resource, and another whose chart names a Secret.
fn manifests(api: &TimbrApi) -> Vec<Value> {
    let mut chart = deployment("chart-platform", &["timbr-platform"]);
    chart["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"secretRef": {"name": "timbr-platform-identity"}}]);
    let components = json!({
        "platform": {"deployment": "chart-platform"},
        "server": {"deployment": "chart-server"},
        "api": {"deployment": "chart-api"},
    });
    let sql = json!({"url": api.url(), "tokenSecretRef": {"name": "timbr-api-key", "key": "key"}});
    let from_sso = json!({"azureSso": "sso"});
    let groups = json!({
        "credentialsFrom": from_sso,
        "mappings": [{"role": "editor", "group": {"name": "Timbr Editors"}}],
    });
    let vault = json!({"credentialsFrom": from_sso, "vaultUrl": "https://contoso.vault.azure.net"});
    let databricks = json!({"workspaceHost": "adb-123456789.azuredatabricks.net"});
    let jwt = json!({"type": "Azure", "audience": "timbr", "issuer": "https://tokens.example.com"});
    let provider = json!({
        "displayName": "Power BI", "audiences": ["api://timbr"], "userClaim": "upn",
        "issuerUrl": "https://sts.windows.net/contoso/",
    });
    vec![
        platform(),
        deployment("timbr-server", &["timbr-server"]),
        deployment("timbr-api", &["timbr-api"]),
        chart,
        secret("entra", "client-secret", "first"),
        secret("timbr-api-key", "key", api.key()),
        installation("main", json!({"sql": sql})),
        installation("charts", json!({"components": components, "delivery": "Reference"})),
        sso("sso", "main"),
        sso("sso-of-charts", "charts"),
        resource(Kind::DatabricksPassthrough, "dbx", "main", databricks),
        resource(Kind::RoleGroupSync, "groups", "main", groups),
        resource(Kind::KeyVaultBinding, "vault", "main", vault),
        resource(Kind::JwtAuthentication, "jwt", "main", jwt),
        resource(Kind::JwtTenant, "contoso", "main", json!({"tenant": "contoso", "audience": "timbr"})),
        resource(Kind::ExternalTokenProvider, "bi", "main", provider),
        policy(json!([{"application": "orders"}]), "Managed"),
    ]
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

impl Stage {
    /// Everything in place, and an account that has these rights.
    async fn new(rights: &[Right]) -> Self {
        let plane = ControlPlane::shared().await;
        install(plane).await;
        let (own, watched) = (plane.namespace("rights-own").await, plane.namespace("rights").await);
        let account = plane.service_account(&own, "operator").await;
        let policies = |place: Place| -> Vec<PolicyRule> {
            rights.iter().filter(|right| right.place == place).map(|right| right.policy_of(&own)).collect()
        };
        let roles = [
            role(&own, "own", &policies(Place::Own), &account),
            role(&watched, "watched", &policies(Place::Watched), &account),
            cluster_role(&own, &policies(Place::Cluster), &account),
        ];
        plane.kubectl(&["apply", "-f", "-"], Some(&list(&roles.concat()))).await.ok();
        let lab = Lab::of(plane, own, account, vec![watched.clone()]);
        Self { lab, watched, api: TimbrApi::start().with_roles(["editor"]) }
    }

    async fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> String {
        let args: Vec<&str> = ["-n", self.watched.as_str()].into_iter().chain(args.iter().copied()).collect();
        self.lab.plane.kubectl(&args, stdin).await.ok()
    }

    async fn apply(&self, items: &[Value]) {
        self.kubectl(&["apply", "-f", "-"], Some(&list(items))).await;
    }

    /// The operator, whose webhook is called, and whose certificates end soon.
    async fn launch(&self) -> Operator {
        let more = [FAST, "--allowed-sql-hosts=127.0.0.1", "--webhook-certificate-life=6s"];
        let flags: Vec<&str> = LEASE.into_iter().chain(more).collect();
        let operator = self.lab.launch_with_webhook(self.lab.account.kubeconfig.clone(), &flags).await;
        let url = format!("https://{}", operator.webhook_address());
        self.lab.configure_webhook(&url, &[&self.watched], "Ignore").await;
        operator
    }

    /// The Secret that timbr-platform's template names.
    async fn named(&self) -> String {
        let path =
            "jsonpath={.spec.template.spec.containers[0].env[?(@.name==\"OAUTH_SECRET\")].valueFrom.secretKeyRef.name}";
        self.kubectl(&["get", "deployment", "timbr-platform", "-o", path], None).await
    }

    /// Waits until another Secret than these is named there.
    async fn names_another(&self, before: &[String]) -> String {
        eventually("another value is delivered", MISSED, async || {
            let now = self.named().await;
            if now.is_empty() || before.contains(&now) { Err(now) } else { Ok(now) }
        })
        .await
    }

    /// All that happens in a Timbr's life: delivered, rotated until the first Secret is needed by nobody, closed to
    /// others and opened.
    async fn life(&self) -> Vec<String> {
        self.apply(&manifests(&self.api)).await;
        let mut names = vec![self.names_another(&[]).await];
        for value in ["second", "third"] {
            let rolled_out = ["rollout", "status", "deployment/timbr-platform", "--timeout=120s"];
            self.kubectl(&rolled_out, None).await;
            self.apply(&[secret("entra", "client-secret", value)]).await;
            names.push(self.names_another(&names).await);
        }
        self.apply(&[policy(json!([]), "Managed")]).await;
        let network =
            ["get", "networkpolicy", "timbr-api-identity", "--ignore-not-found", "-o", "jsonpath={.spec.ingress}"];
        eventually("nobody connects", MISSED, async || {
            let found = self.kubectl(&[&network[..4], &["-o", "name"]].concat(), None).await;
            let ingress = self.kubectl(&network, None).await;
            if !found.is_empty() && ingress.is_empty() { Ok(()) } else { Err(found + &ingress) }
        })
        .await;
        self.apply(&[policy(json!([]), "Disabled")]).await;
        eventually("everybody connects", MISSED, async || {
            let found = self.kubectl(&[&network[..4], &["-o", "name"]].concat(), None).await;
            if found.is_empty() { Ok(()) } else { Err(found) }
        })
        .await;
        names
    }

    async fn forbidden(&self) -> Vec<Write> {
        self.lab.plane.audit().forbidden_to(&self.lab.account).await
    }
}

#[tokio::test]
async fn with_the_rights_of_the_table_nothing_is_forbidden_and_each_is_used() {
    let rights = table(Install::Namespaced(&[]));
    let stage = Stage::new(&rights).await;
    let operator = stage.launch().await;
    operator.wait_ready().await;
    let names = stage.life().await;
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
    eventually("everything is as it should be", SOON, async || {
        let all = stage.kubectl(&["get", &kinds.join(","), "-o", "json"], None).await;
        let all: Value = serde_json::from_str(&all).expect("JSON");
        let items = all["items"].as_array().expect("items");
        let not_ready: Vec<String> = items
            .iter()
            .filter(|item| condition(item, "Ready")["status"] != "True" && item["kind"] != "ExternalTokenProvider")
            .map(|item| format!("{} {}: {}", item["kind"], item["metadata"]["name"], item["status"]["conditions"]))
            .collect();
        if not_ready.is_empty() { Ok(()) } else { Err(not_ready.join("\n")) }
    })
    .await;
    eventually("the first Secret is cleared away", SOON, async || {
        let found = stage.kubectl(&["get", "secret", &names[0], "--ignore-not-found", "-o", "name"], None).await;
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await;
    eventually("the statement is executed", SOON, async || {
        if stage.api.executed().is_empty() { Err(format!("{:?}", stage.api.received())) } else { Ok(()) }
    })
    .await;
    let events = stage.kubectl(&["get", "events.events.k8s.io", "-o", "name"], None).await;
    assert!(events.contains("/sso."), "{events}");
    operator.stop().await;

    assert_eq!(stage.forbidden().await, []);
    let requests = stage.lab.plane.audit().requests_of(&stage.lab.account).await;
    let own = &stage.lab.namespace;
    let unused: Vec<&Right> =
        rights.iter().filter(|right| !requests.iter().any(|request| right.is_asked_by(request, own))).collect();
    assert!(unused.is_empty(), "{unused:#?}");
    println!("{} requests used {} rights, and none was forbidden", requests.len(), rights.len());
}

/// Takes one right away, and waits until the API server refuses the operator something that asks for it. Returns
/// what else it was refused.
async fn without(taken: &Right, all: &[Right]) -> BTreeSet<String> {
    let rest: Vec<Right> = all.iter().filter(|right| *right != taken).cloned().collect();
    let stage = Stage::new(&rest).await;
    let operator = stage.launch().await;
    let own = &stage.lab.namespace;
    let what = format!("{taken:?} is missed");
    let missed = eventually(&what, MISSED, async || {
        let forbidden = stage.forbidden().await;
        let missed = forbidden.iter().any(|request| taken.is_asked_by(request, own));
        if missed { Ok(forbidden) } else { Err(format!("{forbidden:?}")) }
    });
    let forbidden = tokio::select! {
        forbidden = missed => forbidden,
        never = async { stage.life().await; std::future::pending().await } => never,
    };
    operator.process.kill();
    let others = forbidden.iter().filter(|request| !taken.is_asked_by(request, own));
    others.map(|request| format!("{} {}", request.verb, request.resource)).collect()
}

#[tokio::test]
async fn without_any_one_right_exactly_that_is_missed() {
    let all = table(Install::Namespaced(&[]));
    let runs = stream::iter(&all).map(async |right| (right, without(right, &all).await));
    let missed: Vec<(&Right, BTreeSet<String>)> = runs.buffer_unordered(AT_ONCE).collect().await;
    for (right, others) in &missed {
        assert!(others.is_empty(), "without {right:?} this is refused too: {others:?}");
    }
    println!(
        "each of {} rights (verb on a resource, in a row of the table) is missed when it is taken away",
        missed.len()
    );
    assert!(missed.len() >= 48 && missed.len() == all.len());
}

/// What a cluster-wide operator has and another has not, on a control plane of its own: it would look after all
/// namespaces of the tests.
#[tokio::test]
async fn without_the_rights_of_its_own_an_operator_of_all_namespaces_is_not_ready() {
    let plane = ControlPlane::start_with(testkit::Options { controllers: false, ..Default::default() }).await;
    install(&plane).await;
    let cluster_wide = table(Install::ClusterWide);
    let namespaced: BTreeSet<Right> = table(Install::Namespaced(&[])).into_iter().collect();
    let more: Vec<&Right> = cluster_wide.iter().filter(|right| !namespaced.contains(right)).collect();
    assert_eq!(more.iter().map(|right| right.verb.as_str()).collect::<Vec<_>>(), ["list", "watch", "list", "watch"]);
    for (turn, taken) in more.iter().enumerate() {
        let own = plane.namespace("own").await;
        let account = plane.service_account(&own, "operator").await;
        let rest = || cluster_wide.iter().filter(|right| right != taken);
        let policies: Vec<PolicyRule> = rest().filter(|right| right.place != Place::Own).map(Right::policy).collect();
        let own_policies: Vec<PolicyRule> =
            rest().filter(|right| right.place == Place::Own).map(Right::policy).collect();
        let roles =
            [cluster_role(&format!("turn-{turn}"), &policies, &account), role(&own, "own", &own_policies, &account)];
        plane.kubectl(&["apply", "-f", "-"], Some(&list(&roles.concat()))).await.ok();
        let port = testkit::ports::free_port();
        let operator =
            testkit::Process::builder(env!("CARGO_BIN_EXE_timbr-identity"), plane.dir().join(format!("{turn}.log")))
                .args(["operator", "--metrics-bind=127.0.0.1:0", "--webhook-bind=127.0.0.1:0"])
                .arg(format!("--health-bind=127.0.0.1:{port}"))
                .arg(format!("--namespace={own}"))
                .env("KUBECONFIG", &account.kubeconfig)
                .start()
                .expect("it starts");
        eventually(&format!("{taken:?} is missed"), SOON, async || {
            let forbidden = plane.audit().forbidden_to(&account).await;
            let exactly = !forbidden.is_empty() && forbidden.iter().all(|request| taken.is_asked_by(request, &own));
            if exactly { Ok(()) } else { Err(format!("{forbidden:?}")) }
        })
        .await;
        if taken.verb == "list" {
            let watch = if taken.resource == "leases" { "claims" } else { "namespaces" };
            eventually("it says so", SOON, async || {
                let (status, body) = crate::harness::get(&format!("http://127.0.0.1:{port}/readyz")).await?;
                if status == 503 && body.contains(&format!("[-] watch {watch}: ")) { Ok(()) } else { Err(body) }
            })
            .await;
        }
        operator.kill();
    }
    println!("each of {} rights of an operator of all namespaces only is missed when it is taken away", more.len());
}
