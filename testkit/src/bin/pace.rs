//! `make bench-pace`: how fast the operator delivers when it starts in a large cluster.
//!
//! A thousand namespaces with single sign-on each. The operator has to write each Deployment once and each status
//! at most twice. A bare client sends the same writes, to as many other namespaces of the same server, as many at
//! once, half of them before and half of them after: a server's pace drifts while it fills, and a machine's whenever
//! it has neighbours. So all of it is done three times. The operator, which reads and decides too, has to reach at
//! least 80 % of the bare client's writes per second.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use futures::{TryStreamExt as _, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, events::v1::Event};
use k8s_openapi::jiff::Timestamp;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::{Api, Client};
use serde_json::json;
use timbr_identity_testkit::large_cluster::{
    INSTALLATIONS, LargeCluster, NO_LIMIT_OF_ROLLOUTS, azure_sso, create_all, deployment, memory, namespace, secret,
    until_idle,
};
use timbr_identity_testkit::{ServiceAccount, Signal, Writes as _, audit::Write};

/// The operator looks at so many installations at once, and the bare client writes to as many namespaces: enough to
/// keep the API server busy.
const AT_ONCE: usize = 16;
const ROUNDS: usize = 3;
/// Of the bare client's writes per second.
const WANTED: f64 = 0.8;

const MANAGER: &str = "timbr-identity-operator";
const PLATFORM: &str = "timbr-platform";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cluster = LargeCluster::start().await;
    let admin = cluster.plane.admin();
    // What is to be written is seen in one namespace.
    fill(&admin, "sample", 1).await;
    let (process, metrics) = cluster.operator("sample", &[NO_LIMIT_OF_ROLLOUTS]).await;
    until_idle(&metrics).await;
    process.stop(Signal::TERM, Duration::from_secs(20)).await;
    let before = writes_of(&cluster, &cluster.account).await;
    let samples = Samples::read(&admin, &before, "sample-0").await;
    empty(&admin, "sample", 1).await;
    let account = bare_account(&cluster).await;

    let (mut ours, mut bare, mut is_well) = (Vec::new(), Vec::new(), true);
    for round in 1..=ROUNDS {
        let before = samples.send_all(&cluster, &account, &format!("before{round}")).await;
        let cold = Cold::run(&cluster, &format!("cold{round}")).await;
        let after = samples.send_all(&cluster, &account, &format!("after{round}")).await;
        println!("round {round}: {cold}");
        println!("a bare client: {} and {} writes a second", pace(&[&before]).round(), pace(&[&after]).round());
        is_well &= cold.is_minimal() && before.len() + after.len() == cold.writes.len();
        ours.push(cold);
        bare.extend([before, after]);
    }

    let phases: Vec<&[Write]> = ours.iter().map(|cold| cold.writes.as_slice()).collect();
    let bare: Vec<&[Write]> = bare.iter().map(Vec::as_slice).collect();
    let share = pace(&phases) / pace(&bare);
    is_well &= share >= WANTED;
    println!(
        "{}: {:.0} % of the bare client's pace ({:.0} of {:.0} writes a second; at least {:.0} % wanted)",
        if is_well { "well" } else { "NOT AS IT SHOULD BE" },
        share * 100.0,
        pace(&phases),
        pace(&bare),
        WANTED * 100.0
    );
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the operator did from its start until everything was delivered.
struct Cold {
    writes: Vec<Write>,
    reads: Vec<Write>,
    /// Most memory that it held, in KiB.
    most: u64,
}

impl Cold {
    async fn run(cluster: &LargeCluster, prefix: &str) -> Self {
        let admin = cluster.plane.admin();
        let audit = || cluster.plane.audit();
        let sent = writes_of(cluster, &cluster.account).await.len();
        let asked = audit().requests_of(&cluster.account).await.len();
        fill(&admin, prefix, INSTALLATIONS).await;
        let concurrency = format!("--concurrency={AT_ONCE}");
        let (process, metrics) = cluster.operator(prefix, &[NO_LIMIT_OF_ROLLOUTS, &concurrency]).await;
        // By its own metrics: to ask the API server for a thousand objects again and again would slow it down.
        until_idle(&metrics).await;
        cluster.all_are("Delivered", "azuressos", INSTALLATIONS).await;
        let most = memory(&process, "VmHWM");
        process.stop(Signal::TERM, Duration::from_secs(20)).await;
        let is_here = |write: &&Write| write.namespace.starts_with(&format!("{prefix}-"));
        let writes = writes_of(cluster, &cluster.account).await.split_off(sent);
        let elsewhere: Vec<&Write> = writes.iter().filter(|write| !is_here(write)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        let mut reads = audit().requests_of(&cluster.account).await.split_off(asked);
        reads.retain(|request| request.verb == "get" && is_here(&request));
        empty(&admin, prefix, INSTALLATIONS).await;
        Self { writes, reads, most }
    }

    /// Whether each Deployment was written once, and each status at most twice.
    fn is_minimal(&self) -> bool {
        let applies = of(&self.writes, "deployments");
        let deployments: BTreeSet<&str> = applies.iter().map(|write| write.namespace.as_str()).collect();
        (applies.len(), deployments.len()) == (INSTALLATIONS, INSTALLATIONS) && self.most_statuses_of_one() <= 2
    }

    fn most_statuses_of_one(&self) -> usize {
        let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
        for write in of(&self.writes, "azuressos") {
            *statuses.entry(write.namespace.as_str()).or_default() += 1;
        }
        statuses.into_values().max().unwrap_or_default()
    }
}

impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, reads, most } = self;
        write!(
            f,
            "{INSTALLATIONS} installations: {} writes ({} of Deployments, {} of statuses, at most {} of one, {} of Secrets, {} of Events) and {} reads ({} of Deployments, {} of Secrets), {:.0} writes a second; VmHWM {most} KiB",
            writes.len(),
            of(writes, "deployments").len(),
            of(writes, "azuressos").len(),
            self.most_statuses_of_one(),
            of(writes, "secrets").len(),
            of(writes, "events").len(),
            reads.len(),
            of(reads, "deployments").len(),
            of(reads, "secrets").len(),
            pace(&[writes]),
        )
    }
}

/// Those that concern a kind of object.
fn of<'a>(requests: &'a [Write], resource: &str) -> Vec<&'a Write> {
    requests.iter().filter(|request| request.resource == resource).collect()
}

async fn writes_of(cluster: &LargeCluster, account: &ServiceAccount) -> Vec<Write> {
    cluster.plane.audit().writes_of(&account.username).await.without_leases()
}

/// An account that may do everything.
async fn bare_account(cluster: &LargeCluster) -> ServiceAccount {
    let account = cluster.plane.service_account("default", "bare").await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bare"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "bare", "namespace": "default"}],
    });
    cluster.plane.kubectl(&["apply", "-f", "-"], Some(&binding.to_string())).await.ok();
    account
}

async fn fill(client: &Client, prefix: &str, count: usize) {
    let names = || (0..count).map(|i| format!("{prefix}-{i}"));
    create_all(client, names().map(|name| namespace(&name))).await;
    create_all(client, names().map(|name| secret(&name, "entra", 40))).await;
    create_all(client, names().map(|name| deployment(&name, PLATFORM))).await;
    create_all(client, names().map(|name| azure_sso(&name))).await;
}

/// Takes everything out of the namespaces that is of interest to the operator.
async fn empty(client: &Client, prefix: &str, count: usize) {
    let all = stream::iter((0..count).map(|i| Ok(format!("{prefix}-{i}"))));
    let emptied = all.try_for_each_concurrent(AT_ONCE, async |namespace| {
        let (params, all) = (DeleteParams::default(), ListParams::default());
        sso(client, &namespace).delete_collection(&params, &all).await?;
        Api::<Deployment>::namespaced(client.clone(), &namespace).delete_collection(&params, &all).await?;
        Api::<Secret>::namespaced(client.clone(), &namespace).delete_collection(&params, &all).await.map(drop)
    });
    emptied.await.expect("the namespaces are emptied");
}

/// Writes per second of one phase after another, by the times at which the API server received the first and the
/// last of each.
fn pace(phases: &[&[Write]]) -> f64 {
    let took = |writes: &&[Write]| {
        let times = || writes.iter().map(|write| write.time.parse::<Timestamp>().expect("a time"));
        let (first, last) = (times().min().expect("writes"), times().max().expect("writes"));
        last.duration_since(first).as_secs_f64()
    };
    phases.iter().map(|writes| writes.len()).sum::<usize>() as f64 / phases.iter().map(took).sum::<f64>()
}

/// What the operator wrote in one namespace, to be written in others.
struct Samples {
    secret: Secret,
    deployment: Deployment,
    statuses: usize,
    sso: DynamicObject,
    events: Vec<Event>,
}

impl Samples {
    async fn read(client: &Client, writes: &[Write], namespace: &str) -> Self {
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        let ours = ListParams::default().labels("identity.timbr.ai/component");
        let secret = secrets.list(&ours).await.expect("a list").items.remove(0);
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        let events = Api::<Event>::namespaced(client.clone(), namespace);
        Self {
            secret,
            deployment: deployments.get(PLATFORM).await.expect("the Deployment"),
            statuses: of(writes, "azuressos").iter().filter(|write| write.namespace == namespace).count(),
            sso: sso(client, namespace).get("sso").await.expect("the AzureSso"),
            events: events.list(&ListParams::default()).await.expect("a list").items,
        }
    }

    /// The same writes, in half as many other namespaces as the operator has; what they were for the API server.
    async fn send_all(&self, cluster: &LargeCluster, account: &ServiceAccount, prefix: &str) -> Vec<Write> {
        let count = INSTALLATIONS / 2;
        fill(&cluster.plane.admin(), prefix, count).await;
        let (sent, client) = (writes_of(cluster, account).await.len(), account.client());
        let all = stream::iter((0..count).map(Ok));
        let all = all.try_for_each_concurrent(AT_ONCE, async |i| self.send(&client, &format!("{prefix}-{i}")).await);
        all.await.expect("the writes are sent");
        let writes = writes_of(cluster, account).await.split_off(sent);
        // The operator has nothing to do there.
        empty(&cluster.plane.admin(), prefix, count).await;
        writes
    }

    /// The same writes, in another namespace.
    async fn send(&self, client: &Client, namespace: &str) -> kube::Result<()> {
        let metadata = |name: &Option<String>, labels: &Option<BTreeMap<String, String>>| ObjectMeta {
            name: name.clone(),
            namespace: Some(namespace.to_owned()),
            labels: labels.clone(),
            ..ObjectMeta::default()
        };
        let force = PatchParams::apply(MANAGER).force();
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let secret = Secret {
            metadata: metadata(&self.secret.metadata.name, &self.secret.metadata.labels),
            ..self.secret.clone()
        };
        Api::namespaced(client.clone(), namespace).create(&params, &secret).await?;

        let container = &self.deployment.spec.template.spec.as_ref().expect("a pod").containers[0];
        let ours = container.env.iter().flatten().filter(|env| !env.name.starts_with("TIMBR_"));
        let apply = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": PLATFORM,
                "labels": {"identity.timbr.ai/managed": "true"},
                "annotations": {"identity.timbr.ai/delivered": self.deployment.metadata.annotations.as_ref().expect("ours")["identity.timbr.ai/delivered"]},
            },
            "spec": {"template": {"spec": {"containers": [{"name": container.name, "env": ours.collect::<Vec<_>>()}]}}},
        });
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        deployments.patch(PLATFORM, &PatchParams::apply(MANAGER), &Patch::Apply(apply)).await?;

        for _ in 0..self.statuses {
            let apply = json!({
                "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "AzureSso", "metadata": {"name": "sso"},
                "status": self.sso.data["status"],
            });
            sso(client, namespace).patch_status("sso", &force, &Patch::Apply(apply)).await?;
        }
        for event in &self.events {
            let mut event = Event { metadata: metadata(&event.metadata.name, &None), ..event.clone() };
            if let Some(regarding) = &mut event.regarding {
                regarding.namespace = Some(namespace.to_owned());
            }
            Api::namespaced(client.clone(), namespace).create(&params, &event).await?;
        }
        Ok(())
    }
}

fn sso(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("identity.timbr.ai", "v1alpha1", "AzureSso");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "azuressos"))
}
