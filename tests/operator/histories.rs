//! Random histories on a real API server, the operator being killed and started again meanwhile: each ends as if its
//! end had been applied to an empty namespace.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use testkit::{ControlPlane, Writes as _, eventually, wait_gone};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    fixtures::effective,
    harness::{LEASE, Lab, Operator},
    history::{Act, History, KINDS, OURS, THEIRS},
};

/// How long a namespace may take to come to rest, with many beside it.
const REST: Duration = Duration::from_secs(180);
/// The ones that are played at the same time.
const AT_ONCE: usize = 24;
/// Between two restarts the operator gets somewhere.
const LIFE: Duration = Duration::from_secs(2);

/// One namespace, in the hands of people.
struct Stage(Lab);

impl Stage {
    async fn new(of: &Lab, prefix: &str) -> Self {
        Self(Lab::of(of.plane, of.plane.namespace(prefix).await, of.account.clone(), vec![]))
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        self.0.api(&kind.to_lowercase())
    }

    async fn deployment(&self, name: &str) -> Value {
        self.0.get(&format!("deployment/{name}")).await
    }

    async fn play(&self, acts: &[Act], operator: &Mortal<'_>) {
        for act in acts {
            match act {
                Act::Apply(manifest) => self.apply(manifest).await,
                Act::Delete(kind, name) => {
                    self.api(kind).delete(name, &DeleteParams::background()).await.expect("it is there");
                    wait_gone(self.api(kind), name, REST).await;
                }
                Act::Theirs(deployment, value) => self.set(deployment, THEIRS, value).await,
                Act::Ours(deployment) => {
                    self.has(deployment, OURS).await;
                    self.set(deployment, OURS.0, "theirs").await;
                    self.has(deployment, OURS).await;
                }
                Act::Restart(kill) => operator.restart(*kill).await,
                // For a moment: whether everything is done shows at the end.
                Act::Settle => tokio::time::sleep(Duration::from_millis(700)).await,
            }
        }
    }

    async fn apply(&self, manifest: &Value) {
        let (kind, name) = (&manifest["kind"], &manifest["metadata"]["name"]);
        let api = self.api(kind.as_str().expect("a kind"));
        let params = PatchParams::apply("owner").force();
        api.patch(name.as_str().expect("a name"), &params, &Patch::Apply(manifest)).await.expect("it is valid");
    }

    /// As `kubectl set env` does.
    async fn set(&self, deployment: &str, variable: &str, value: &str) {
        let there = self.deployment(deployment).await;
        let container = &there["spec"]["template"]["spec"]["containers"][0]["name"];
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": container, "env": [{"name": variable, "value": value}]}
        ]}}}});
        let params = PatchParams { field_manager: Some("kubectl-set".to_owned()), ..PatchParams::default() };
        self.api("Deployment").patch(deployment, &params, &Patch::Strategic(patch)).await.expect("it is valid");
    }

    /// Waits until a Deployment has a variable with this value.
    async fn has(&self, deployment: &str, (variable, value): (&str, &str)) {
        eventually(&format!("{}/{deployment} has {variable}={value}", self.0.namespace), REST, async || {
            let there = self.deployment(deployment).await;
            let env = &there["spec"]["template"]["spec"]["containers"][0]["env"];
            let wanted = json!({"name": variable, "value": value});
            if env.as_array().is_some_and(|env| env.contains(&wanted)) { Ok(()) } else { Err(env.to_string()) }
        })
        .await;
    }

    /// What must not depend on the way, as lines.
    async fn end(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        // In this order: what a template names is there before it.
        let deployments = self.0.list("deployment").await;
        let secrets = self.0.list("secret").await;
        for deployment in deployments {
            template(&deployment, &secrets, &mut lines);
        }
        for kind in KINDS {
            for object in self.0.list(&kind.to_lowercase()).await {
                let name = name_of(&object);
                let status = steady(&object["status"], &self.0.namespace);
                let fields = status.as_object().cloned().unwrap_or_default();
                lines.extend(fields.into_iter().flat_map(|(field, value)| match value {
                    Value::Array(items) => items.iter().map(|item| format!("{kind}/{name}: {field}: {item}")).collect(),
                    value => vec![format!("{kind}/{name}: {field}: {value}")],
                }));
            }
        }
        lines
    }
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

/// The variables of a template and what pods get, whose they are and on whose account.
fn template(deployment: &Value, secrets: &[Value], lines: &mut BTreeSet<String>) {
    let metadata = &deployment["metadata"];
    let name = name_of(deployment);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    for env in container["env"].as_array().into_iter().flatten() {
        let variable = env["name"].as_str().expect("a name");
        lines.insert(match env["valueFrom"]["secretKeyRef"].is_null() {
            true => format!("{name}: {variable} is {}", env["value"]),
            false => format!("{name}: {variable} by Secret"),
        });
    }
    let effective = effective(deployment, secrets);
    lines.extend(effective.iter().map(|(variable, value)| format!("{name}: pods get {variable} = {value}")));
    for entry in metadata["managedFields"].as_array().into_iter().flatten() {
        let manager = entry["manager"].as_str().expect("a manager");
        if manager.starts_with("timbr-identity") {
            // The hash in the content's annotation is of another namespace's.
            lines.insert(format!("{name}: {manager} has {}", entry["fieldsV1"]));
        }
    }
    lines.insert(format!("{name}: {} {}", metadata["labels"], metadata["annotations"]["identity.timbr.ai/delivered"]));
}

/// A status without what differs from run to run.
fn steady(value: &Value, namespace: &str) -> Value {
    match value {
        Value::String(text) => {
            let text = text.replace(namespace, "NAMESPACE");
            let made = ["platform", "server", "api"].map(|of| format!("timbr-{of}-identity-"));
            match made.into_iter().find(|made| text.starts_with(made)) {
                Some(made) => json!(format!("{made}X")),
                None => json!(text),
            }
        }
        Value::Array(items) => items.iter().map(|item| steady(item, namespace)).collect(),
        Value::Object(fields) => {
            let volatile = ["uid", "lastTransitionTime", "observedGeneration", "generation", "since"];
            let kept = fields.iter().filter(|(name, _)| !volatile.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), steady(value, namespace))).collect()
        }
        other => other.clone(),
    }
}

/// The operator, which may end at any time and then begins anew.
struct Mortal<'a> {
    lab: &'a Lab,
    life: Mutex<(Operator, Instant, usize)>,
}

impl<'a> Mortal<'a> {
    async fn new(lab: &'a Lab) -> Self {
        Self { lab, life: Mutex::new((Self::born(lab).await, Instant::now(), 0)) }
    }

    async fn born(lab: &Lab) -> Operator {
        let flags: Vec<&str> = LEASE.into_iter().chain(["--clock-rate=600", "--concurrency=8"]).collect();
        lab.launch(lab.account.kubeconfig.clone(), &flags).await
    }

    /// Ends it and starts another, unless it has only begun.
    async fn restart(&self, kill: bool) {
        let mut life = self.life.lock().await;
        let (operator, since, restarts) = &mut *life;
        if since.elapsed() < LIFE {
            return;
        }
        match kill {
            true => operator.process.kill(),
            false => operator.stop().await,
        }
        *operator = Self::born(self.lab).await;
        *since = Instant::now();
        *restarts += 1;
    }
}

/// `HISTORIES` says how many, `SEED` which is the first.
#[tokio::test]
async fn every_history_ends_as_its_end_from_scratch() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (first, count): (u64, u64) =
        (number("SEED").unwrap_or_else(|| rand::random::<u16>().into()), number("HISTORIES").unwrap_or(24));
    println!("SEED={first} HISTORIES={count}");
    static OWN: OnceCell<ControlPlane> = OnceCell::const_new();
    // It watches every namespace, those of other tests too.
    let lab = Lab::of_all_namespaces(OWN.get_or_init(ControlPlane::start).await).await;
    let operator = Mortal::new(&lab).await;

    let play = async |seed: u64| {
        let history = History::of(seed, 10);
        let stage = Stage::new(&lab, "history").await;
        stage.play(&history.acts, &operator).await;
        (seed, history, stage)
    };
    let played: Vec<_> = stream::iter(first..first + count).map(play).buffer_unordered(AT_ONCE).collect().await;
    let compare = async |(seed, history, stage): (u64, History, Stage)| {
        let scratch = Stage::new(&lab, "scratch").await;
        scratch.play(&history.from_scratch, &operator).await;
        eventually(&format!("SEED={seed} HISTORIES=1 ends as from scratch: {:#?}", history.acts), REST, async || {
            let (end, expected) = (stage.end().await, scratch.end().await);
            let is: Vec<_> = end.difference(&expected).collect();
            let misses: Vec<_> = expected.difference(&end).collect();
            let waits = expected.iter().any(|line| line.contains("\"Reconciling\"") && line.contains("\"True\""));
            if is.is_empty() && misses.is_empty() && !waits {
                Ok(())
            } else {
                Err(format!("{is:#?} and misses {misses:#?}"))
            }
        })
        .await;
        (seed, stage, scratch)
    };
    let compared: Vec<_> = stream::iter(played).map(compare).buffer_unordered(AT_ONCE).collect().await;
    // And stays so.
    let life = operator.life.lock().await;
    life.0.looked(0).await;
    for (seed, stage, scratch) in &compared {
        assert_eq!(stage.end().await, scratch.end().await, "SEED={seed}");
    }
    let writes = lab.writes().await;
    println!(
        "{count} histories from seed {first} on ended as from scratch, with {} restarts of the operator and {} writes, {} of them to Deployments",
        life.2,
        writes.len(),
        writes.of("deployments").len(),
    );
    life.0.stop().await;
}
