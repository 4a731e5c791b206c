//! `delivery: Reference` on a real API server: the chart names a Secret, and no pod is ever without what it
//! had.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::eventually;
use tokio::{sync::Mutex, task::JoinHandle};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, chart, delivered_by, deployment, entra, env, platform, secret},
    harness::{Lab, Operator, SOON, condition},
    story,
};

const STABLE: &str = "timbr-platform-identity";
const SECRET: &str = "secret/timbr-platform-identity";
const VARIABLES: [&str; 5] =
    ["OAUTH_AZURE_WITH_UPN_FIRST", "OAUTH_BASE_URL", "OAUTH_CLIENT_ID", "OAUTH_PROVIDER", "OAUTH_SECRET"];

/// How many rollouts the Deployment has had.
async fn revision(lab: &Lab, what: &str) -> u32 {
    let object = lab.get(what).await;
    let revision = object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str();
    revision.and_then(|revision| revision.parse().ok()).unwrap_or_default()
}

/// Waits until the Deployment has had so many rollouts, and none more follows.
async fn revision_is(lab: &Lab, what: &str, expected: u32) {
    eventually(&format!("{what} is at revision {expected}"), SOON, async || {
        let revision = revision(lab, what).await;
        if revision == expected { Ok(()) } else { Err(format!("{revision}")) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(revision(lab, what).await, expected, "{what}");
}

/// What a pod gets that is started now: `env` over `envFrom`.
async fn effective(lab: &Lab, name: &str) -> BTreeMap<String, String> {
    // In this order: what a template names is there before it, and goes after it.
    let deployment = lab.get(&format!("deployment/{name}")).await;
    crate::fixtures::effective(&deployment, &lab.list("secret").await)
}

/// Looks again and again at what pods would get, and panics when any of the variables is missing.
struct Guard {
    task: JoinHandle<()>,
    looks: Arc<Mutex<usize>>,
}

impl Guard {
    fn new(lab: &Arc<Lab>, name: &'static str, variables: &'static [&'static str]) -> Self {
        let looks = Arc::new(Mutex::new(0));
        let (lab, count) = (Arc::clone(lab), Arc::clone(&looks));
        let task = tokio::spawn(async move {
            loop {
                let now = effective(&lab, name).await;
                for variable in variables {
                    assert!(now.contains_key(*variable), "{variable} is missing: {:?}", now.keys());
                }
                *count.lock().await += 1;
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        });
        Self { task, looks }
    }

    async fn end(self) -> usize {
        assert!(!self.task.is_finished(), "a variable was missing");
        self.task.abort();
        *self.looks.lock().await
    }
}

async fn keys(lab: &Lab, what: &str) -> Vec<String> {
    let secret = lab.get(what).await;
    secret["data"].as_object().map(|data| data.keys().cloned().collect()).unwrap_or_default()
}

/// Entries of variables that are ours to deliver.
async fn entries(lab: &Lab) -> Vec<String> {
    let deployment = lab.get(PLATFORM).await;
    let names =
        env(&deployment, "timbr-platform").into_iter().map(|env| env["name"].as_str().expect("a name").to_owned());
    names.filter(|name| VARIABLES.contains(&name.as_str())).collect()
}

async fn restart_writes_nothing(lab: &Lab, operator: Operator) -> Operator {
    operator.stop().await;
    let before = lab.writes().await.len();
    let operator = lab.start().await;
    operator.looks_at_least(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let writes = lab.writes().await.split_off(before);
    assert!(writes.is_empty(), "{writes:?}");
    operator
}

#[tokio::test]
async fn reference_from_the_beginning() {
    let lab = Lab::new("reference").await;
    for manifest in [delivered_by("Reference"), chart(platform(), false), entra("s3cr3t"), azure_sso("sso")] {
        lab.apply(&manifest).await;
    }
    let operator = lab.start().await;
    let message = lab.wait_condition(SSO, "Delivered", "Unknown", "Pending").await;
    assert!(message.ends_with("are not taken from Secret timbr-platform-identity yet; put envFrom: [{secretRef: {name: timbr-platform-identity}}] into the container where it is deployed from"), "{message}");
    assert_eq!(condition(&lab.get(SSO).await, "Reconciling")["reason"], "WaitingForDeployment");
    let made = lab.get(SECRET).await;
    assert_eq!(keys(&lab, SECRET).await, VARIABLES);
    assert!(made["immutable"].is_null() && made["metadata"]["ownerReferences"].is_null(), "{made}");
    assert_eq!(made["metadata"]["labels"]["identity.timbr.ai/installation"], "main");
    let before = lab.get(PLATFORM).await;
    assert_eq!(before["metadata"]["labels"]["identity.timbr.ai/managed"], "true");
    assert!(before["metadata"]["annotations"]["identity.timbr.ai/delivered"].as_str().is_some());
    revision_is(&lab, PLATFORM, 1).await;
    let operator = restart_writes_nothing(&lab, operator).await;

    // The chart names it: its own rollout, and one that tells the content.
    lab.apply(&chart(platform(), true)).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    revision_is(&lab, PLATFORM, 3).await;
    assert_eq!(entries(&lab).await, [] as [&str; 0]);
    let now = lab.get(PLATFORM).await;
    let content = now["spec"]["template"]["metadata"]["annotations"]["identity.timbr.ai/content"].clone();
    assert!(content.as_str().is_some_and(|content| content.len() == 20), "{content}");
    let effective = effective(&lab, "timbr-platform").await;
    assert_eq!(effective["OAUTH_SECRET"], "s3cr3t");
    assert_eq!(effective["OAUTH_PROVIDER"], "azure");
    let delivered = lab.get(SSO).await["status"]["delivered"].clone();
    assert_eq!(delivered[0]["secret"], STABLE);
    assert_eq!(delivered[0]["variables"], json!(VARIABLES));
    // The chart is applied again: nothing of ours goes.
    lab.apply(&chart(platform(), true)).await;
    let operator = restart_writes_nothing(&lab, operator).await;
    revision_is(&lab, PLATFORM, 3).await;

    // A rotation is one rollout.
    lab.apply(&entra("second")).await;
    revision_is(&lab, PLATFORM, 4).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(self::effective(&lab, "timbr-platform").await["OAUTH_SECRET"], "second");
    let log = operator.process.tail();
    assert!(!log.contains("s3cr3t") && !log.contains("second"), "{log}");

    // An undo brings back what the template said of the content before, in kubectl's name; it is set right again.
    let content =
        lab.get(PLATFORM).await["spec"]["template"]["metadata"]["annotations"]["identity.timbr.ai/content"].clone();
    lab.kubectl(&["rollout", "undo", PLATFORM]).await;
    eventually("it is set right", SOON, async || {
        let now = lab.get(PLATFORM).await;
        let is_right = now["spec"]["template"]["metadata"]["annotations"]["identity.timbr.ai/content"] == content;
        let is_over = !now["metadata"]["managedFields"].to_string().contains("timbr-identity-adopt");
        if is_right && is_over { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    // The statuses are of this rollout, not of the one before it.
    story::ready(&lab).await;
    story::counted(&lab, "main", "1/1").await;
    let operator = restart_writes_nothing(&lab, operator).await;
    let undone = revision(&lab, PLATFORM).await;

    // Without the resource the Secret is emptied, and goes when the chart lets go of it.
    lab.kubectl(&["delete", SSO]).await;
    revision_is(&lab, PLATFORM, undone + 1).await;
    assert_eq!(keys(&lab, SECRET).await, [] as [&str; 0]);
    let now = lab.get(PLATFORM).await;
    assert!(now["metadata"]["labels"]["identity.timbr.ai/managed"].is_null(), "{now}");
    assert!(now["metadata"]["annotations"]["identity.timbr.ai/delivered"].is_null(), "{now}");
    assert!(now["spec"]["template"]["metadata"]["annotations"]["identity.timbr.ai/content"].is_null(), "{now}");
    assert!(!now["metadata"]["managedFields"].to_string().contains("timbr-identity-operator"), "{now}");
    lab.apply(&chart(platform(), false)).await;
    eventually("the Secret is gone", SOON, async || {
        let left = lab.kubectl(&["get", "secrets", "-o", "name"]).await;
        if left.contains(STABLE) { Err(left) } else { Ok(()) }
    })
    .await;
    println!("writes: {:?}", lab.writes().await.len());
    operator.stop().await;
}

#[tokio::test]
async fn reference_there_and_back_without_a_moment_without_variables() {
    let lab = Arc::new(Lab::with_sso("reference-switch").await);
    lab.apply(&delivered_by("Patch")).await;
    let operator = lab.start().await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    let first = revision(&lab, PLATFORM).await;
    let guard = Guard::new(&lab, "timbr-platform", &VARIABLES);

    lab.apply(&delivered_by("Reference")).await;
    let message = lab.wait_condition(SSO, "Delivered", "True", "DeliveredLastGood").await;
    assert!(message.starts_with("what was delivered before stays on Deployment timbr-platform; Deployment timbr-platform, container timbr-platform: variables "), "{message}");
    assert_eq!(condition(&lab.get(SSO).await, "Ready")["status"], "Unknown");
    assert_eq!(entries(&lab).await.len(), VARIABLES.len());
    revision_is(&lab, PLATFORM, first).await;

    // One rollout of the chart, one of ours.
    lab.apply(&chart(platform(), true)).await;
    lab.wait_condition(SSO, "Delivered", "True", "Delivered").await;
    revision_is(&lab, PLATFORM, first + 2).await;
    assert_eq!(entries(&lab).await, [] as [&str; 0]);
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;

    // And back: one of ours, one of the chart.
    lab.apply(&delivered_by("Patch")).await;
    revision_is(&lab, PLATFORM, first + 3).await;
    assert_eq!(entries(&lab).await.len(), VARIABLES.len());
    let now = lab.get(PLATFORM).await;
    assert!(now["spec"]["template"]["metadata"]["annotations"]["identity.timbr.ai/content"].is_null(), "{now}");
    assert_eq!(keys(&lab, SECRET).await, VARIABLES, "the chart still names it");
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    lab.apply(&chart(platform(), false)).await;
    eventually("the Secret is gone", SOON, async || {
        let left = lab.kubectl(&["get", "secrets", "-o", "name"]).await;
        if left.contains("secret/timbr-platform-identity\n") { Err(left) } else { Ok(()) }
    })
    .await;
    revision_is(&lab, PLATFORM, first + 4).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    println!("{} looks, and no variable was missing; {} rollouts", guard.end().await, 4);
    operator.stop().await;
}

#[tokio::test]
async fn reference_says_what_hides_a_variable_and_who_has_the_name() {
    let lab = Lab::new("reference-hidden").await;
    // Somebody else's Secret has the name.
    lab.apply(&secret(STABLE, "THEIRS", "theirs")).await;
    let groups = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "RoleGroupSync",
        "metadata": {"name": "groups"},
        "spec": {"credentialsFrom": {"azureSso": "sso"}},
    });
    let server = chart(deployment("timbr-server", &["timbr"]), true);
    for manifest in
        [delivered_by("Reference"), chart(platform(), true), server, entra("s3cr3t"), azure_sso("sso"), groups]
    {
        lab.apply(&manifest).await;
    }
    let operator = lab.start().await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "Conflict").await;
    assert!(message.starts_with("Secret timbr-platform-identity is in the way"), "{message}");
    lab.wait_condition("rolegroupsync/groups", "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(keys(&lab, SECRET).await, ["THEIRS"]);
    lab.kubectl(&["delete", SECRET]).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(keys(&lab, SECRET).await, VARIABLES);

    // An entry of the chart hides a variable: what was delivered stays, and so does everybody else.
    let mut hiding = chart(platform(), true);
    let container = &mut hiding["spec"]["template"]["spec"]["containers"][0];
    container["env"].as_array_mut().expect("env").push(json!({"name": "OAUTH_PROVIDER", "value": "google"}));
    lab.apply(&hiding).await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "ShadowedByEnv").await;
    assert_eq!(
        message,
        "Deployment timbr-platform, container timbr-platform: variable OAUTH_PROVIDER is set by kubectl-client-side-apply (Update) in env, which hides it from Secret timbr-platform-identity; remove it there"
    );
    assert_eq!(condition(&lab.get(SSO).await, "Stalled")["reason"], "ShadowedByEnv");
    assert_eq!(keys(&lab, SECRET).await, VARIABLES);
    assert_eq!(condition(&lab.get("rolegroupsync/groups").await, "Ready")["status"], "True");
    lab.apply(&chart(platform(), true)).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;

    // Somebody deletes the Secret: it is made anew.
    lab.kubectl(&["delete", SECRET]).await;
    eventually("the Secret is there", SOON, async || {
        let there = lab.kubectl(&["get", "secrets", "-o", "name"]).await;
        if there.contains(STABLE) { Ok(()) } else { Err(there) }
    })
    .await;
    // Without the TimbrInstallation variables come by patch, and none is missing.
    lab.kubectl(&["delete", "timbrinstallation", "main"]).await;
    eventually("the entries are there", SOON, async || {
        let entries = entries(&lab).await;
        if entries.len() == VARIABLES.len() { Ok(()) } else { Err(format!("{entries:?}")) }
    })
    .await;
    assert_eq!(keys(&lab, SECRET).await, VARIABLES);
    operator.stop().await;
}

#[tokio::test]
async fn reference_keeps_what_a_resource_delivered_that_turned_invalid() {
    let lab = Arc::new(Lab::new("reference-last-good").await);
    let jwt = |kind: &str, name: &str, key: &str, more: Value| {
        let mut spec = json!({"algorithms": ["HS256"], "keyRef": {"name": key, "key": "key"}});
        spec.as_object_mut().expect("a spec").extend(more.as_object().expect("fields").clone());
        json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    };
    for manifest in [
        delivered_by("Reference"),
        chart(deployment("timbr-api", &["timbr-api"]), true),
        secret("a", "key", "first-of-a"),
        secret("b", "key", "first-of-b"),
        jwt("JwtAuthentication", "jwt", "a", json!({"type": "Custom"})),
        jwt("JwtTenant", "acme", "b", json!({"tenant": "acme"})),
    ] {
        lab.apply(&manifest).await;
    }
    let operator = lab.start().await;
    lab.wait_condition("jwttenant/acme", "Ready", "True", "DeliveredUnverified").await;
    let guard = Guard::new(&lab, "timbr-api", &["JWT_DEFAULT_KEY", "JWT_ACME_KEY"]);
    lab.kubectl(&["delete", "secret", "b"]).await;
    lab.wait_condition("jwttenant/acme", "Delivered", "True", "DeliveredLastGood").await;
    let before = revision(&lab, "deployment/timbr-api").await;
    lab.apply(&secret("a", "key", "second-of-a")).await;
    revision_is(&lab, "deployment/timbr-api", before + 1).await;
    let now = effective(&lab, "timbr-api").await;
    assert_eq!((now["JWT_DEFAULT_KEY"].as_str(), now["JWT_ACME_KEY"].as_str()), ("second-of-a", "first-of-b"));
    let record = lab.get("deployment/timbr-api").await["metadata"]["annotations"].to_string();
    assert!(!record.contains("-of-a") && !record.contains("-of-b"), "{record}");
    println!("{} looks", guard.end().await);
    operator.stop().await;
}
