//! Every kind at once, as the examples and the cases have them: what arrives is what `render` says, in
//! one rollout for each Deployment, and everything goes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use testkit::{Writes as _, eventually};
use timbr_identity::yaml;

use crate::{
    fixtures::{comparable, secret},
    harness::{Lab, SOON, age, condition},
};

pub const DEPLOYMENTS: [&str; 3] = ["timbr-api", "timbr-platform", "timbr-server"];

/// A path of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The documents of a file or folder.
pub fn documents(path: &Path) -> Vec<Value> {
    let read = timbr_identity::offline::read(&[path.to_owned()]).expect("the manifests can be read");
    read.into_iter().map(|document| document.value).collect()
}

pub fn is_ours(document: &Value) -> bool {
    document["apiVersion"].as_str().is_some_and(|version| version.starts_with("identity.timbr.ai/"))
}

/// The values of all Secrets of the namespace.
async fn secrets(lab: &Lab) -> BTreeMap<String, Value> {
    let text = lab.kubectl(&["get", "secrets", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| (item["metadata"]["name"].as_str().expect("a name").to_owned(), item["data"].clone())).collect()
}

/// The keys of a Secret's data.
fn keys(data: &Value) -> Vec<String> {
    data.as_object().map(|data| data.keys().cloned().collect()).unwrap_or_default()
}

/// The environment of each container of a Deployment, with the contents of Secrets instead of their
/// names.
fn environment(
    deployment: &Value,
    content: impl Fn(&str, &str) -> String,
    all: impl Fn(&str) -> Vec<String>,
) -> BTreeMap<String, Vec<(String, String)>> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let entry = |env: &Value| {
        let reference = &env["valueFrom"]["secretKeyRef"];
        let value = match env.get("value") {
            Some(value) => text(value),
            None => content(&text(&reference["name"]), &text(&reference["key"])),
        };
        (text(&env["name"]), value)
    };
    containers
        .iter()
        .map(|container| {
            let env = container["env"].as_array().into_iter().flatten();
            let from = container["envFrom"].as_array().into_iter().flatten();
            let taken = from.flat_map(|from| {
                let secret = text(&from["secretRef"]["name"]);
                let entry = |key: String| (key.clone(), content(&secret, &key));
                all(&secret).into_iter().map(entry).collect::<Vec<_>>()
            });
            (text(&container["name"]), taken.chain(env.map(entry)).collect())
        })
        .collect()
}

/// The environments of every Deployment as the cluster has them.
pub async fn delivered(lab: &Lab) -> BTreeMap<String, BTreeMap<String, Vec<(String, String)>>> {
    use base64::Engine as _;
    // In this order: a Secret is there before the Deployment that names it.
    let list: Value = serde_json::from_str(&lab.kubectl(&["get", "deployments", "-o", "json"]).await).expect("JSON");
    let secrets = secrets(lab).await;
    let content = |name: &str, key: &str| {
        let encoded = secrets[name][key].as_str().unwrap_or_else(|| panic!("Secret {name} has no {key}"));
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")).expect("UTF-8")
    };
    let items = list["items"].as_array().expect("items").iter();
    // The operator's own Deployment may be there too.
    let is_operator = |item: &Value| item["metadata"]["labels"]["app.kubernetes.io/component"] == "operator";
    items
        .filter(|item| !is_operator(item))
        .map(|item| {
            (
                item["metadata"]["name"].as_str().expect("a name").to_owned(),
                environment(item, content, |name| keys(&secrets[name])),
            )
        })
        .collect()
}

/// The same, as `render` says.
pub fn rendered(path: &Path) -> BTreeMap<String, BTreeMap<String, Vec<(String, String)>>> {
    let output = Command::new(env!("CARGO_BIN_EXE_timbr-identity"))
        .args(["render", "--show-secrets", "-f"])
        .arg(path)
        .output()
        .expect("render runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let made: Vec<Value> = yaml::read(&text).expect("YAML").into_iter().map(|document| document.value).collect();
    let input = documents(path);
    let secrets: BTreeMap<&str, &Value> = made
        .iter()
        .filter(|document| document["kind"] == "Secret")
        .map(|document| (document["metadata"]["name"].as_str().expect("a name"), &document["stringData"]))
        .collect();
    let content = |name: &str, key: &str| secrets[name][key].as_str().expect("a value").to_owned();
    // What is not changed stands as it is in the input.
    let all = input.iter().chain(&made).filter(|document| document["kind"] == "Deployment");
    all.map(|document| {
        (
            document["metadata"]["name"].as_str().expect("a name").to_owned(),
            environment(document, content, |name| keys(secrets[name])),
        )
    })
    .collect()
}

/// Waits until the operator has said what it has to say about a resource, and pods run. Statements may
/// still have to be sent: there is no API of Timbr here that takes them.
async fn settled(lab: &Lab, resource: &str) -> Value {
    eventually(&format!("{resource} is settled"), SOON, async || {
        let object = lab.get(resource).await;
        let observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        let moving = matches!(condition(&object, "Ready")["reason"].as_str(), Some("RollingOut" | "Pending"))
            && ["Delivered", "RolledOut"].iter().any(|type_| condition(&object, type_)["status"] != "True")
            // Somebody is to change the chart first.
            && condition(&object, "Reconciling")["reason"] != "WaitingForDeployment";
        if observed && !moving { Ok(object) } else { Err(object["status"]["conditions"].to_string()) }
    })
    .await
}

/// Applies a folder's documents, ours in the order in which `render` takes those that have no age.
async fn apply(lab: &Lab, path: &Path) -> Vec<String> {
    let (mut ours, others): (Vec<Value>, Vec<Value>) = documents(path).into_iter().partition(is_ours);
    for document in &others {
        lab.apply(document).await;
    }
    let text = |document: &Value, pointer: &str| {
        document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    ours.sort_by_key(|document| (text(document, "/kind"), text(document, "/metadata/name")));
    let mut names = Vec::new();
    for (i, document) in ours.iter().enumerate() {
        // Of two kinds that want one thing the older has it.
        if i > 0 {
            age().await;
        }
        lab.apply(document).await;
        names.push(format!("{}.identity.timbr.ai/{}", text(document, "/kind"), text(document, "/metadata/name")));
    }
    names
}

async fn arrives_as_rendered(path: PathBuf) -> String {
    let lab = Lab::new("as-rendered").await;
    let names = apply(&lab, &path).await;
    let operator = lab.start().await;
    for name in &names {
        settled(&lab, name).await;
    }
    assert_eq!(delivered(&lab).await, rendered(&path), "{}", path.display());
    operator.stop().await;
    path.display().to_string()
}

#[tokio::test]
async fn every_example_and_every_case_arrives_as_render_says() {
    use futures::StreamExt as _;
    let folders = |name: &str| {
        let entries = std::fs::read_dir(path(name)).expect("a folder");
        entries.map(|entry| entry.expect("a folder").path()).collect::<BTreeSet<PathBuf>>()
    };
    // Where something is missing, files only do not hold it: render goes on, and a cluster waits.
    const OTHERWISE: [&str; 2] = ["databricks-without-sign-on", "jwt-tenant-without-authentication"];
    let otherwise = |path: &PathBuf| OTHERWISE.iter().any(|name| path.ends_with(name));
    let cases = folders("tests/cases").into_iter().filter(|path| !otherwise(path)).map(|case| case.join("in.yaml"));
    let all: Vec<PathBuf> = folders("examples").into_iter().chain(cases).collect();
    let count = all.len();
    let arrived: Vec<String> = futures::stream::iter(all).map(arrives_as_rendered).buffer_unordered(4).collect().await;
    assert_eq!(arrived.len(), count);
    println!("{count} examples and cases arrived as render says");
}

async fn generations(lab: &Lab) -> Vec<i64> {
    let mut generations = Vec::new();
    for name in DEPLOYMENTS {
        let deployment = lab.get(&format!("deployment/{name}")).await;
        generations.push(deployment["metadata"]["generation"].as_i64().expect("a generation"));
    }
    generations
}

/// The whole life of `examples/everything`: applied in one go on Deployments as Timbr publishes them,
/// rotated, deleted.
#[tokio::test]
async fn everything_arrives_in_one_rollout_each_rotates_and_goes() {
    let lab = Lab::new("everything").await;
    let folder = path("examples/everything");
    let documents = documents(&folder);
    for document in documents.iter().filter(|document| document["kind"] == "Deployment") {
        lab.apply(document).await;
    }
    for name in DEPLOYMENTS {
        lab.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]).await;
    }
    let mut before = Vec::new();
    for name in DEPLOYMENTS {
        before.push(comparable(&lab.get(&format!("deployment/{name}")).await));
    }
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &["--debounce=5s", "--debounce-max=15s"]).await;
    lab.kubectl(&["apply", "-f", folder.to_str().expect("a path")]).await;
    let ours: Vec<String> = documents
        .iter()
        .filter(|document| is_ours(document))
        .map(|document| {
            format!(
                "{}/{}",
                document["kind"].as_str().expect("kind").to_lowercase(),
                document["metadata"]["name"].as_str().expect("name")
            )
        })
        .collect();
    for name in &ours {
        lab.wait(name, "Ready").await;
    }
    assert_eq!(generations(&lab).await, [2, 2, 2], "one rollout for each Deployment");
    let sets: Value = serde_json::from_str(&lab.kubectl(&["get", "replicasets", "-o", "json"]).await).expect("JSON");
    assert_eq!(sets["items"].as_array().expect("items").len(), 6);
    let arrived = delivered(&lab).await;
    assert_eq!(arrived, rendered(&folder));
    // Exactly: of the variables of the documentation none is missing.
    let count: usize = arrived.values().flat_map(BTreeMap::values).map(Vec::len).sum();
    println!("{count} variables in {} containers, one rollout each", arrived.len());
    let table = lab.kubectl(&["get", "timbr"]).await;
    println!("{table}");
    for name in &ours {
        let (_, name) = name.split_once('/').expect("a name");
        assert!(table.contains(name), "{name}");
    }
    assert!(table.matches(" True ").count() >= ours.len(), "{table}");

    // One client secret is rotated: exactly the Deployments that use it roll, once.
    let users: Vec<bool> = DEPLOYMENTS
        .iter()
        .map(|name| {
            arrived[*name].values().flatten().any(|(name, _)| name == "OAUTH_SECRET" || name == "AZURE_CLIENT_SECRET")
        })
        .collect();
    assert_eq!(users, [false, true, true]);
    lab.apply(&secret("entra", "client-secret", "r0tated-value")).await;
    eventually("the new value is delivered", SOON, async || {
        let values = delivered(&lab).await;
        let is_new = |deployment: &str, variable: &str| {
            values[deployment].values().flatten().any(|(name, value)| name == variable && value == "r0tated-value")
        };
        let done = is_new("timbr-platform", "OAUTH_SECRET") && is_new("timbr-server", "AZURE_CLIENT_SECRET");
        if done { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    for name in &ours {
        lab.wait(name, "Ready").await;
    }
    assert_eq!(generations(&lab).await, [2, 3, 3]);

    // Everything is deleted: as before.
    lab.kubectl(&["delete", "timbr", "--all"]).await;
    eventually("nothing of ours is left", SOON, async || {
        let list: Value =
            serde_json::from_str(&lab.kubectl(&["get", "deployments", "-o", "json"]).await).expect("JSON");
        let text = list.to_string();
        if text.contains("identity.timbr.ai") { Err(text) } else { Ok(()) }
    })
    .await;
    for (name, before) in DEPLOYMENTS.iter().zip(before) {
        assert_eq!(comparable(&lab.get(&format!("deployment/{name}")).await), before, "{name}");
    }
    assert_eq!(generations(&lab).await, [3, 4, 4]);
    assert_eq!(lab.writes().await.of("deployments").succeeded().len(), 3 + 2 + 3, "applies in all");
    operator.stop().await;
}

/// With Retain the key vault's variables stay, and it is said how to drop them.
#[tokio::test]
async fn a_deleted_key_vault_binding_leaves_its_variables_and_says_how_to_drop_them() {
    let lab = Lab::new("retain").await;
    lab.apply(&crate::fixtures::deployment("timbr-server", &["timbr"])).await;
    lab.kubectl(&["rollout", "status", "deployment/timbr-server", "--timeout=60s"]).await;
    let before = comparable(&lab.get("deployment/timbr-server").await);
    lab.apply(&secret("vault", "client-secret", "s3cr3t")).await;
    let binding = |policy: &str| {
        json!({
            "apiVersion": "identity.timbr.ai/v1alpha1",
            "kind": "KeyVaultBinding",
            "metadata": {"name": "vault"},
            "spec": {
                "vaultUrl": "https://contoso.vault.azure.net",
                "tenantId": crate::fixtures::TENANT,
                "clientId": crate::fixtures::CLIENT_ID,
                "clientSecretRef": {"name": "vault", "key": "client-secret"},
                "deletionPolicy": policy,
            },
        })
    };
    let operator = lab.start().await;
    lab.apply(&binding("Retain")).await;
    lab.wait("keyvaultbinding/vault", "Ready").await;
    let there = delivered(&lab).await;
    assert_eq!(there["timbr-server"]["timbr"].len(), 1 + 6);
    lab.kubectl(&["delete", "keyvaultbinding/vault"]).await;
    let note = "retained after their KeyVaultBinding was deleted, so that no datasource loses its password; to drop them, apply a KeyVaultBinding with deletionPolicy: Remove and delete it";
    let event = eventually("an Event on the Deployment tells it", SOON, async || {
        let events = lab
            .kubectl(&["get", "events.events.k8s.io", "--field-selector=reason=KeyVaultRetained", "-o", "json"])
            .await;
        let events: Value = serde_json::from_str(&events).expect("JSON");
        events["items"].get(0).cloned().ok_or_else(|| "no Event yet".to_owned())
    })
    .await;
    assert_eq!(event["regarding"]["kind"], "Deployment");
    assert_eq!(event["type"], "Warning");
    assert_eq!(
        event["note"],
        format!(
            "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_TENANT_ID, KV_VAULT, KV_VAULT_AUTH_TYPE, KV_VAULT_TYPE are {note}"
        )
    );
    let deployment = lab.get("deployment/timbr-server").await;
    assert_eq!(delivered(&lab).await, there);
    let revision = |deployment: &Value| {
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(revision(&deployment), "2", "no rollout");
    let annotation: Value = serde_json::from_str(
        deployment["metadata"]["annotations"]["identity.timbr.ai/delivered"].as_str().expect("the annotation"),
    )
    .expect("JSON");
    assert_eq!(annotation["vars"], json!({}));
    assert_eq!(annotation["retained"].as_array().map(Vec::len), Some(6));
    assert_eq!(annotation["note"], note);

    // As the note says.
    lab.apply(&binding("Remove")).await;
    lab.wait("keyvaultbinding/vault", "Ready").await;
    assert_eq!(revision(&lab.get("deployment/timbr-server").await), "2", "no rollout");
    lab.kubectl(&["delete", "keyvaultbinding/vault"]).await;
    eventually("the variables are gone", SOON, async || {
        let now = comparable(&lab.get("deployment/timbr-server").await);
        if now == before { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    operator.stop().await;
}

/// One resource of each kind that cannot be, among good ones: the good ones are delivered.
#[tokio::test]
async fn a_poisoned_resource_of_each_kind_stops_no_other() {
    let lab = Lab::new("poisoned").await;
    let folder = path("examples/everything");
    lab.kubectl(&["apply", "-f", folder.to_str().expect("a path")]).await;
    // Each names a Secret, an AzureSso or an installation that is not there, or a place that is taken.
    age().await;
    let mut poisoned = Vec::new();
    for document in documents(&folder).iter().filter(|document| is_ours(document)) {
        let kind = document["kind"].as_str().expect("kind");
        if kind == "TimbrInstallation" || poisoned.iter().any(|(of, _)| of == kind) {
            continue;
        }
        let mut bad = document.clone();
        bad["metadata"]["name"] = json!("poison");
        bad["spec"]["installationRef"] = json!({"name": "nowhere"});
        lab.apply(&bad).await;
        poisoned.push((kind.to_owned(), bad));
    }
    assert_eq!(poisoned.len(), 8);
    let operator = lab.start().await;
    for document in documents(&folder).iter().filter(|document| is_ours(document)) {
        let kind = document["kind"].as_str().expect("kind").to_lowercase();
        lab.wait(&format!("{kind}/{}", document["metadata"]["name"].as_str().expect("name")), "Ready").await;
    }
    for (kind, _) in &poisoned {
        let message = lab
            .wait_condition(&format!("{}/poison", kind.to_lowercase()), "Accepted", "False", "InstallationNotFound")
            .await;
        assert!(message.starts_with("installationRef names TimbrInstallation nowhere"), "{message}");
    }
    assert_eq!(delivered(&lab).await, rendered(&folder));
    operator.stop().await;
}
