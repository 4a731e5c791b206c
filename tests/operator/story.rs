//! Stories for tests in which an operator dies or a request fails: what is there, what a person does, and how it
//! has to end whatever happens meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Secret};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use testkit::{Proxy, eventually, proxy::Call};
use tokio::task::JoinHandle;

use crate::{
    fixtures::{
        PLATFORM, SSO, azure_sso, chart, comparable, delivered_by, deployment, entra, installation, platform, variable,
    },
    harness::{Lab, Operator, SOON, condition},
};

/// Ten minutes are a second: what is cleared away later is so within the story.
pub const FAST: &str = "--clock-rate=600";
/// The Secret that charts name.
const STABLE: &str = "secret/timbr-platform-identity";

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Story {
    /// A resource is delivered, and its Secret changed.
    Rotation,
    /// A variable of another tool's is adopted, and put back when the resource goes.
    AdoptAndRelease,
    /// Two rotations: the first Secret is needed no more, and deleted.
    CleanUp,
    /// From Patch to Reference, with a chart that names the Secret, and back.
    ModeSwitch,
    /// The installation names another Deployment: what was on the old one is on that one, and then taken off.
    TargetSwitch,
    /// Delivered by a chart that names the Secret, rotated, and let go of.
    Reference,
}

/// Which part of its story an operator is in.
#[derive(Clone, Debug, Default)]
pub struct Chapter(Arc<Mutex<&'static str>>);

impl Chapter {
    pub fn now(&self) -> &'static str {
        *self.0.lock().expect("a chapter")
    }

    fn begin(&self, name: &'static str) {
        *self.0.lock().expect("a chapter") = name;
    }
}

/// What a person does while an operator is at work.
pub type Script<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// Everything that must not depend on what happened on the way.
#[derive(Debug, PartialEq)]
pub struct End(Value);

impl End {
    /// How many ReplicaSets there have been.
    pub fn replica_sets(&self) -> usize {
        self.0["cameAndWent"]["ReplicaSet ADDED"].as_u64().map_or(0, |count| count as usize)
    }

    /// Where it is another end, and how.
    pub fn differences(&self, reference: &Self) -> Vec<String> {
        let mut found = Vec::new();
        differences("", &self.0, &reference.0, &mut found);
        found
    }
}

fn differences(path: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().for_each(|key| differences(&format!("{path}/{key}"), &one[key], &other[key], found));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.for_each(|(at, (a, b))| differences(&format!("{path}/{at}"), a, b, found));
        }
        _ if one == other => {}
        _ => found.push(format!("{path}: {one}, where it is {other}")),
    }
}

/// The story as it went.
pub struct Told {
    pub end: End,
    pub writes: Vec<Call>,
}

impl Story {
    /// Tells it. `act` starts an operator at the proxy, has the script read to its end, and returns whatever operator
    /// runs then.
    pub async fn tell(self, act: impl AsyncFnOnce(&Lab, &Proxy, Script<'_>, &Chapter) -> Operator) -> Told {
        let lab = Lab::new("story").await;
        let chapter = Chapter::default();
        let before = self.begin(&lab).await;
        let (counts, tasks) = count(&lab);
        let proxy = lab.plane.proxy();
        let operator = {
            let mut script = Box::pin(self.go(&lab, before, &chapter));
            act(&lab, &proxy, script.as_mut(), &chapter).await
        };
        // The queue has come to rest before the end is looked at.
        operator.looked(0).await;
        operator.stop().await;
        tasks.into_iter().for_each(|task| task.abort());
        let deployments = lab.list("deployment").await.into_iter().map(|deployment| {
            let generation = &deployment["metadata"]["generation"];
            json!({"generation": generation, "object": masked(&comparable(&deployment), &lab.namespace)})
        });
        let mut statuses = lab.list("azuresso").await;
        statuses.extend(lab.list("timbrinstallation").await);
        let ours = |secret: &Value| !secret["metadata"]["labels"]["identity.timbr.ai/component"].is_null();
        let secrets = lab.list("secret").await.into_iter().filter(ours);
        let mut secrets: Vec<Value> = secrets.map(|secret| masked(&secret, &lab.namespace)).collect();
        secrets.sort_by_key(ToString::to_string);
        let end = json!({
            "deployments": deployments.collect::<Vec<_>>(),
            "statuses": statuses.iter().map(|object| masked(&object["status"], &lab.namespace)).collect::<Vec<_>>(),
            "secrets": secrets,
            // ADDED and DELETED of Secrets and ReplicaSets.
            "cameAndWent": *counts.lock().expect("a count"),
        });
        Told { end: End(end), writes: proxy.writes() }
    }

    /// What is there before the operator starts; returns the Deployment as it is then.
    async fn begin(self, lab: &Lab) -> Value {
        let mut theirs = platform();
        let mut manifests = match self {
            Story::Rotation | Story::CleanUp => vec![],
            Story::AdoptAndRelease => {
                let env = theirs["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().expect("env");
                env.push(json!({"name": "OAUTH_PROVIDER", "value": "google"}));
                vec![installation("default", json!({"onConflict": "Adopt"}))]
            }
            Story::ModeSwitch => vec![delivered_by("Patch")],
            Story::TargetSwitch => vec![deployment("web", &["web"]), on("timbr-platform")],
            Story::Reference => {
                theirs = chart(theirs, true);
                vec![delivered_by("Reference")]
            }
        };
        manifests.splice(0..0, [theirs, entra("first")]);
        manifests.push(azure_sso("sso"));
        lab.apply_all(&manifests).await;
        lab.kubectl(&["rollout", "status", PLATFORM]).await;
        comparable(&lab.get(PLATFORM).await)
    }

    /// What a person does, and what has to come of it.
    async fn go(self, lab: &Lab, before: Value, chapter: &Chapter) {
        chapter.begin("first");
        ready(lab).await;
        match self {
            Story::Rotation => {
                chapter.begin("second");
                rotate(lab, "second").await;
            }
            Story::CleanUp => {
                let first = secret_of(&source(lab).await);
                chapter.begin("second");
                rotate(lab, "second").await;
                chapter.begin("third");
                rotate(lab, "third").await;
                gone(lab, &format!("secret/{first}")).await;
            }
            Story::AdoptAndRelease => {
                assert_eq!(variable(&lab.get(PLATFORM).await, "OAUTH_PROVIDER")["value"], "azure");
                chapter.begin("release");
                lab.kubectl(&["delete", SSO]).await;
                eventually("everything is as before", SOON, async || {
                    let now = comparable(&lab.get(PLATFORM).await);
                    if now == before { Ok(()) } else { Err(now.to_string()) }
                })
                .await;
            }
            Story::ModeSwitch => {
                chapter.begin("reference");
                lab.apply(&delivered_by("Reference")).await;
                lab.wait_condition(SSO, "Delivered", "True", "DeliveredLastGood").await;
                lab.apply(&chart(platform(), true)).await;
                entry(lab, "comes from the Secret", Value::is_null).await;
                ready(lab).await;
                chapter.begin("back");
                lab.apply(&delivered_by("Patch")).await;
                entry(lab, "is an entry again", |source| !source.is_null()).await;
                ready(lab).await;
                lab.apply(&chart(platform(), false)).await;
                gone(lab, STABLE).await;
                lab.kubectl(&["rollout", "status", PLATFORM]).await;
            }
            Story::TargetSwitch => {
                chapter.begin("moved");
                lab.apply(&on("web")).await;
                ready_on(lab, "deployment/web").await;
                eventually("nothing is left on the old one", SOON, async || {
                    let now = comparable(&lab.get(PLATFORM).await);
                    if now == before { Ok(()) } else { Err(now.to_string()) }
                })
                .await;
            }
            Story::Reference => {
                let content = async || {
                    let deployment = lab.get(PLATFORM).await;
                    deployment["spec"]["template"]["metadata"]["annotations"]["identity.timbr.ai/content"].clone()
                };
                let first = content().await;
                assert!(first.is_string(), "{first}");
                chapter.begin("second");
                lab.apply(&entra("second")).await;
                eventually("the pods are replaced", SOON, async || content().await != first).await;
                ready(lab).await;
                chapter.begin("release");
                lab.kubectl(&["delete", SSO]).await;
                eventually("the Secret is empty and nothing of ours is on the Deployment", SOON, async || {
                    let (secret, deployment) = (lab.get(STABLE).await, lab.get(PLATFORM).await);
                    let is_empty = secret["data"].as_object().is_none_or(serde_json::Map::is_empty);
                    let of_ours = deployment["metadata"]["managedFields"].to_string().contains("timbr-identity");
                    if is_empty && !of_ours { Ok(()) } else { Err(deployment["metadata"].to_string()) }
                })
                .await;
                lab.apply(&chart(platform(), false)).await;
                gone(lab, STABLE).await;
            }
        }
        self.is_told(lab).await;
    }

    /// Waits until the statuses say what there is in the end.
    pub async fn is_told(self, lab: &Lab) {
        match self {
            Story::Rotation | Story::CleanUp => ready(lab).await,
            Story::AdoptAndRelease => counted(lab, "default", "0/0").await,
            Story::ModeSwitch => {
                // The chart's rollout alone: what was delivered is as it was.
                lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
                counted(lab, "main", "1/1").await;
            }
            Story::TargetSwitch => counted(lab, "main", "1/1").await,
            Story::Reference => counted(lab, "main", "0/0").await,
        }
    }

    /// How many ReplicaSets there are in the end: one for each template there was; one that comes back is the old one.
    pub fn replica_sets(self) -> usize {
        match self {
            Story::AdoptAndRelease => 2,
            Story::Rotation => 3,
            Story::CleanUp | Story::Reference | Story::TargetSwitch => 4,
            // First, entries, entries and the chart's word, the chart's word alone, both again.
            Story::ModeSwitch => 4,
        }
    }
}

/// An installation whose platform is this Deployment.
fn on(platform: &str) -> Value {
    installation("main", json!({"components": {"platform": {"deployment": platform}}}))
}

/// Waits until the resource is ready, and says so of the Deployment as it is.
pub async fn ready(lab: &Lab) {
    ready_on(lab, PLATFORM).await;
}

async fn ready_on(lab: &Lab, deployment: &str) {
    eventually("it is delivered and rolled out", SOON, async || {
        let (deployment, sso) = (lab.get(deployment).await, lab.get(SSO).await);
        let is_of_this = sso["status"]["delivered"][0]["generation"] == deployment["metadata"]["generation"];
        if is_of_this && condition(&sso, "Ready")["status"] == "True" { Ok(()) } else { Err(sso["status"].to_string()) }
    })
    .await;
}

/// Waits until a TimbrInstallation says how many of its resources are ready.
pub async fn counted(lab: &Lab, name: &str, summary: &str) {
    eventually(&format!("{summary} are ready"), SOON, async || {
        let status = lab.get(&format!("timbrinstallation/{name}")).await["status"].clone();
        if status["resources"]["summary"] == summary { Ok(()) } else { Err(status["resources"].to_string()) }
    })
    .await;
}

/// Where the client secret comes from, as the template has it.
async fn source(lab: &Lab) -> Value {
    variable(&lab.get(PLATFORM).await, "OAUTH_SECRET")["valueFrom"]["secretKeyRef"].clone()
}

fn secret_of(source: &Value) -> String {
    source["name"].as_str().expect("a Secret").to_owned()
}

/// Waits until the client secret's entry is so.
async fn entry(lab: &Lab, what: &str, accept: impl Fn(&Value) -> bool) {
    eventually(&format!("the client secret {what}"), SOON, async || {
        let now = source(lab).await;
        if accept(&now) { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
}

/// Changes the client secret, and waits until pods run with it.
async fn rotate(lab: &Lab, value: &str) {
    let before = source(lab).await;
    lab.apply(&entra(value)).await;
    entry(lab, "is another", |now| !now.is_null() && *now != before).await;
    ready(lab).await;
}

async fn gone(lab: &Lab, what: &str) {
    eventually(&format!("{what} is gone"), SOON, async || lab.find(what).await.is_none()).await;
}

type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Counts what comes and goes in the namespace from now on.
fn count(lab: &Lab) -> (Counts, Vec<JoinHandle<()>>) {
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
        watch("Secret", api(ApiResource::erase::<Secret>(&()))),
        watch("ReplicaSet", api(ApiResource::erase::<ReplicaSet>(&()))),
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
            let volatile = ["uid", "creationTimestamp", "lastTransitionTime", "resourceVersion", "time"];
            let kept = fields.iter().filter(|(key, _)| !volatile.contains(&key.as_str()));
            // Owners' keys in managed fields.
            let name = |key: &str| if key.starts_with(r#"k:{"uid""#) { "an owner".to_owned() } else { key.to_owned() };
            kept.map(|(key, value)| (name(key), masked(value, namespace))).collect()
        }
        other => other.clone(),
    }
}
