//! A kill before and after every write ends as if nothing had happened.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Secret};
use kube::{
    Api,
    api::{DynamicObject, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use testkit::{Action, Hook, Proxy, eventually, proxy::Call};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, comparable, entra, installation, platform, variable},
    harness::{LEASE, Lab, SOON},
};

/// Everything that must not depend on when the operator died.
#[derive(Debug, PartialEq)]
struct End {
    deployment: Value,
    status: Value,
    secrets: Vec<Value>,
    /// ADDED and DELETED of Secrets and ReplicaSets.
    came_and_went: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    After,
}

/// The clean-up of old Secrets comes within the run: ten minutes are a second.
const FLAGS: [&str; 2] = ["--concurrency=1", "--clock-rate=600"];

type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Counts what comes and goes in the namespace from now on.
fn count(lab: &Lab) -> (Counts, Vec<tokio::task::JoinHandle<()>>) {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let watch = |kind: &'static str, api: Api<DynamicObject>| {
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            let mut events = api.watch(&WatchParams::default(), "0").await.expect("a watch").boxed();
            while let Ok(Some(event)) = events.try_next().await {
                let what = match event {
                    WatchEvent::Added(_) => "ADDED",
                    WatchEvent::Deleted(_) => "DELETED",
                    _ => continue,
                };
                *counts.lock().expect("a count").entry(format!("{kind} {what}")).or_insert(0) += 1;
            }
        })
    };
    let api = |resource| Api::namespaced_with(lab.plane.admin(), &lab.namespace, &resource);
    let tasks = vec![
        watch("Secret", api(kube::api::ApiResource::erase::<Secret>(&()))),
        watch("ReplicaSet", api(kube::api::ApiResource::erase::<ReplicaSet>(&()))),
    ];
    (counts, tasks)
}

/// Names that differ from run to run become equal ones.
fn masked(value: &Value, namespace: &str) -> Value {
    match value {
        Value::String(text) => {
            let text = text.replace(namespace, "NAMESPACE");
            match text.strip_prefix("timbr-platform-identity-") {
                Some(_) => json!("timbr-platform-identity-X"),
                None => json!(text),
            }
        }
        Value::Array(items) => items.iter().map(|item| masked(item, namespace)).collect(),
        Value::Object(fields) => {
            let volatile = ["uid", "creationTimestamp", "lastTransitionTime", "resourceVersion"];
            let kept = fields.iter().filter(|(key, _)| !volatile.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), masked(value, namespace))).collect()
        }
        other => other.clone(),
    }
}

/// What happens while the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    /// A resource is delivered, and its Secret changed.
    Rotation,
    /// A variable of another tool's is adopted, and put back when the resource goes.
    AdoptAndRelease,
}

impl Story {
    /// What is there before the operator starts; returns the Deployment as it is then.
    async fn begin(self, lab: &Lab) -> Value {
        match self {
            Story::Rotation => lab.apply(&platform()).await,
            Story::AdoptAndRelease => {
                let mut theirs = platform();
                let env = theirs["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().expect("env");
                env.push(json!({"name": "OAUTH_PROVIDER", "value": "google"}));
                lab.apply(&theirs).await;
                lab.apply(&installation("default", json!({"onConflict": "Adopt"}))).await;
            }
        }
        lab.kubectl(&["rollout", "status", PLATFORM]).await;
        lab.apply(&entra("first")).await;
        lab.apply(&azure_sso("sso")).await;
        comparable(&lab.get(PLATFORM).await)
    }

    /// What a person does, and what has to come of it.
    async fn go(self, lab: &Lab, before: Value) {
        lab.wait(SSO, "Ready").await;
        match self {
            Story::Rotation => {
                let first = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
                lab.apply(&entra("second")).await;
                eventually("the rotation is delivered", SOON, async || {
                    let now = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
                    !now.is_null() && now != first
                })
                .await;
            }
            Story::AdoptAndRelease => {
                assert_eq!(variable(&lab.get(PLATFORM).await, "OAUTH_PROVIDER")["value"], "azure");
                lab.kubectl(&["delete", SSO]).await;
                return eventually("everything is as before", SOON, async || {
                    let now = comparable(&lab.get(PLATFORM).await);
                    if now == before { Ok(()) } else { Err(now.to_string()) }
                })
                .await;
            }
        }
        eventually("and rolled out", SOON, async || {
            let (deployment, sso) = (lab.get(PLATFORM).await, lab.get(SSO).await);
            let generation = &deployment["metadata"]["generation"];
            let ready = crate::harness::condition(&sso, "Ready")["status"] == "True";
            if sso["status"]["delivered"][0]["generation"] == *generation && ready {
                Ok(())
            } else {
                Err(sso["status"].to_string())
            }
        })
        .await;
    }

    fn replica_sets(self) -> usize {
        // Each template there was; one that comes back is the old ReplicaSet.
        match self {
            Story::Rotation => 3,
            Story::AdoptAndRelease => 2,
        }
    }
}

/// Tells a story and says how it ended. The operator is killed at the n-th write, and started again;
/// `None` is the reference run.
async fn run(story: Story, kill: Option<(usize, When)>) -> (End, Vec<Call>) {
    let lab = Lab::new("crash").await;
    let before = story.begin(&lab).await;
    let (counts, tasks) = count(&lab);
    let proxy = lab.plane.proxy();
    let script = story.go(&lab, before);
    tokio::pin!(script);
    let operator = killed(&lab, &proxy, kill, script.as_mut()).await;
    // The queue has come to rest before the end is looked at.
    operator.looked(0).await;
    operator.stop().await;
    for task in tasks {
        task.abort();
    }
    let secrets: Value = serde_json::from_str(
        &lab.kubectl(&["get", "secrets", "-l", "identity.timbr.ai/component", "-o", "json"]).await,
    )
    .expect("JSON");
    let mut secrets: Vec<Value> =
        secrets["items"].as_array().expect("items").iter().map(|secret| masked(secret, &lab.namespace)).collect();
    secrets.sort_by_key(ToString::to_string);
    let came_and_went = counts.lock().expect("a count").clone();
    let end = End {
        deployment: masked(&comparable(&lab.get(PLATFORM).await), &lab.namespace),
        status: match story {
            Story::Rotation => masked(&lab.get(SSO).await["status"], &lab.namespace),
            Story::AdoptAndRelease => Value::Null,
        },
        secrets,
        came_and_went,
    };
    (end, proxy.writes())
}

/// Runs the script with an operator that is killed on the way, and returns its successor.
async fn killed(
    lab: &Lab,
    proxy: &Proxy,
    kill: Option<(usize, When)>,
    mut script: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> crate::harness::Operator {
    let kubeconfig = || lab.account.kubeconfig_at(proxy.url());
    // A successor waits until the lease of the one that was killed is over.
    let flags: Vec<&str> = LEASE.into_iter().chain(FLAGS).collect();
    let Some((nth, when)) = kill else {
        let operator = lab.launch(kubeconfig(), &flags).await;
        script.await;
        return operator;
    };
    let hook = Hook::new();
    let there = Arc::clone(&hook);
    proxy.on_write(move |call| match when {
        _ if call.nth != nth => Action::Pass,
        When::Before => Action::HoldBefore(Arc::clone(&there)),
        When::After => Action::HoldAfter(Arc::clone(&there)),
    });
    let operator = lab.launch(kubeconfig(), &flags).await;
    tokio::select! {
        _ = hook.reached() => {
            operator.process.kill();
            hook.discard();
            let successor = lab.launch(kubeconfig(), &flags).await;
            script.await;
            successor
        }
        // Statuses on the way may be fewer than in the reference run: then there is no such write.
        () = script.as_mut() => operator,
    }
}

#[tokio::test]
async fn a_kill_before_or_after_every_write_ends_the_same() {
    everywhere(Story::Rotation).await;
}

#[tokio::test]
async fn so_it_is_while_a_variable_is_adopted_and_put_back() {
    everywhere(Story::AdoptAndRelease).await;
}

async fn everywhere(story: Story) {
    let (reference, writes) = run(story, None).await;
    let names: Vec<String> = writes
        .iter()
        .map(|call| format!("{} {}/{} {}", call.verb, call.resource, call.subresource, call.name))
        .collect();
    println!("{story:?}: the reference run sent {} writes: {}", names.len(), names.join(", "));
    assert_eq!(reference.came_and_went["ReplicaSet ADDED"], story.replica_sets(), "{reference:#?}");
    let kills: Vec<(usize, When)> =
        (1..=writes.len()).flat_map(|nth| [(nth, When::Before), (nth, When::After)]).collect();
    let ends = futures::stream::iter(kills.clone())
        .map(|kill| async move { (kill, run(story, Some(kill)).await.0) })
        .buffer_unordered(4);
    let ends: Vec<_> = ends.collect().await;
    for (kill, end) in ends {
        assert_eq!(end, reference, "{story:?} killed {kill:?} of {names:?}");
    }
    println!("{story:?}: {} kills ended as the reference run", kills.len());
}
