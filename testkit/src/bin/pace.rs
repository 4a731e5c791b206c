//! `make bench-pace`: how fast the operator delivers when it starts in a large cluster.
//!
//! A thousand namespaces with single sign-on each. The operator has to write each Deployment once and each status
//! at most twice. Then a bare client sends the same writes, to as many other namespaces of the same server, as many
//! at once: the operator, which reads and decides too, has to reach at least 80 % of its writes per second.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{TryStreamExt as _, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, events::v1::Event};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use timbr_identity_testkit::large_cluster::{
    INSTALLATIONS, LargeCluster, NO_LIMIT_OF_ROLLOUTS, OPERATOR_NAMESPACE, azure_sso, create_all, deployment, memory,
    namespace, secret, until_idle,
};
use timbr_identity_testkit::{Signal, Writes as _, audit::Write};

/// The operator looks at so many installations at once, and the bare client writes to as many namespaces.
const AT_ONCE: usize = 8;
/// Of the bare client's writes per second.
const WANTED: f64 = 0.8;

const MANAGER: &str = "timbr-identity-operator";
const PLATFORM: &str = "timbr-platform";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cluster = LargeCluster::start().await;
    let admin = cluster.plane.admin();
    fill(&admin, "timbr").await;

    let concurrency = format!("--concurrency={AT_ONCE}");
    let (process, metrics) = cluster.operator("cold", &[NO_LIMIT_OF_ROLLOUTS, &concurrency]).await;
    // By its own metrics: to ask the API server for a thousand objects again and again would slow it down.
    until_idle(&metrics).await;
    cluster.all_delivered("azuressos", INSTALLATIONS).await;
    let most = memory(&process, "VmHWM");
    process.stop(Signal::TERM, Duration::from_secs(20)).await;
    let writes = cluster.plane.audit().writes_of(&cluster.account.username).await.without_leases();
    // Without what comes before the watches are complete.
    let (before, writes): (Vec<Write>, Vec<Write>) = writes
        .into_iter()
        .partition(|write| !write.namespace.starts_with("timbr-") || write.namespace == OPERATOR_NAMESPACE);
    assert_eq!(before.len(), 1, "the key of Secret names: {before:?}");
    let pace = pace(&writes);
    let mut reads = cluster.plane.audit().requests_of(&cluster.account).await;
    reads.retain(|request| {
        request.verb == "get" && request.namespace.starts_with("timbr-") && request.resource != "leases"
    });

    // Nobody looks after these.
    fill(&admin, "bare").await;
    let samples = Samples::read(&admin, &writes).await;
    let bare = cluster.plane.service_account("default", "bare").await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bare"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "bare", "namespace": "default"}],
    });
    cluster.plane.kubectl(&["apply", "-f", "-"], Some(&binding.to_string())).await.ok();
    let client = bare.client();
    let begun = Instant::now();
    let all = stream::iter((0..INSTALLATIONS).map(Ok));
    let sent = all.try_for_each_concurrent(AT_ONCE, async |i| samples.send(&client, &format!("bare-{i}")).await);
    sent.await.expect("the writes are sent");
    let took = begun.elapsed();
    let writes_of_bare = cluster.plane.audit().writes_of(&bare.username).await;
    let pace_of_bare = self::pace(&writes_of_bare);

    let of = |resource: &str| count(&writes, |write| write.resource == resource);
    let reads_of = |resource: &str| reads.iter().filter(|read| read.resource == resource).count();
    let (applies, statuses) = (of("deployments"), of("azuressos"));
    println!(
        "{INSTALLATIONS} installations: {} writes ({applies} of Deployments, {statuses} of statuses, {} of Secrets, {} of Events) and {} reads ({} of Deployments, {} of Secrets), {pace:.0} writes a second; VmHWM {most} KiB",
        writes.len(),
        of("secrets"),
        of("events"),
        reads.len(),
        reads_of("deployments"),
        reads_of("secrets"),
    );
    println!("a bare client: {} writes in {took:.1?}, {pace_of_bare:.0} a second", writes_of_bare.len());
    let share = pace / pace_of_bare;
    let most_of_one = most_statuses_of_one(&writes);
    let is_well =
        applies == INSTALLATIONS && most_of_one <= 2 && writes_of_bare.len() == writes.len() && share >= WANTED;
    println!(
        "{}: {:.0} % of the bare client's pace (at least {:.0} % wanted), at most {most_of_one} writes of one status",
        if is_well { "well" } else { "NOT AS IT SHOULD BE" },
        share * 100.0,
        WANTED * 100.0
    );
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn fill(client: &Client, prefix: &str) {
    let names = || (0..INSTALLATIONS).map(|i| format!("{prefix}-{i}"));
    create_all(client, names().map(|name| namespace(&name))).await;
    create_all(client, names().map(|name| secret(&name, "entra", 40))).await;
    create_all(client, names().map(|name| deployment(&name, PLATFORM))).await;
    create_all(client, names().map(|name| azure_sso(&name))).await;
}

/// Writes per second, by the times at which the API server received the first and the last.
fn pace(writes: &[Write]) -> f64 {
    let times = || writes.iter().map(|write| write.time.parse::<Timestamp>().expect("a time"));
    let (first, last) = (times().min().expect("writes"), times().max().expect("writes"));
    writes.len() as f64 / last.duration_since(first).as_secs_f64()
}

fn count(writes: &[Write], of: impl Fn(&Write) -> bool) -> usize {
    writes.iter().filter(|write| of(write)).count()
}

fn most_statuses_of_one(writes: &[Write]) -> usize {
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for write in writes.iter().filter(|write| write.subresource == "status") {
        *statuses.entry(write.namespace.as_str()).or_default() += 1;
    }
    statuses.into_values().max().unwrap_or_default()
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
    async fn read(client: &Client, writes: &[Write]) -> Self {
        let namespace = "timbr-0";
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        let ours = ListParams::default().labels("identity.timbr.ai/component");
        let secret = secrets.list(&ours).await.expect("a list").items.remove(0);
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        let events = Api::<Event>::namespaced(client.clone(), namespace);
        Self {
            secret,
            deployment: deployments.get(PLATFORM).await.expect("the Deployment"),
            statuses: count(writes, |write| write.namespace == namespace && write.subresource == "status"),
            sso: sso(client, namespace).get("sso").await.expect("the AzureSso"),
            events: events.list(&ListParams::default()).await.expect("a list").items,
        }
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
