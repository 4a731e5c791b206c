//! Other hands on our variables, by the tools themselves or by what they send.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::{Proxy, Writes as _, audit::Write, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso_with, comparable, deployment, entra, env, installation, variable},
    harness::{Lab, SOON, condition},
};

fn managers(deployment: &Value) -> Vec<String> {
    let entries = deployment["metadata"]["managedFields"].as_array().expect("managed fields");
    entries
        .iter()
        .map(|entry| format!("{} {}", entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap()))
        .collect()
}

/// A person changes what is ours: it is ours again, once; a second time it is left alone.
#[tokio::test]
async fn what_a_person_sets_is_taken_back_once() {
    let lab = Lab::with_sso("taken-back").await;
    let operator = lab.start().await;
    lab.wait(SSO, "Ready").await;
    let before = lab.get(PLATFORM).await;
    lab.kubectl(&["set", "env", PLATFORM, "OAUTH_PROVIDER=google", "AUTH_WITH_USERPASS-"]).await;
    eventually("it is taken back", SOON, async || {
        let now = lab.get(PLATFORM).await;
        let is_ours = variable(&now, "OAUTH_PROVIDER")["value"] == "azure"
            && !managers(&now).contains(&"timbr-identity-adopt Update".to_owned());
        if is_ours { Ok(()) } else { Err(now["metadata"]["managedFields"].to_string()) }
    })
    .await;
    let now = lab.get(PLATFORM).await;
    assert_eq!(now["spec"], before["spec"]);
    let note = "Deployment timbr-platform, container timbr-platform: variable OAUTH_PROVIDER was changed or taken off by kubectl-set (Update), and is as this resource asks for again; to keep it otherwise, change the resource or say suspend: true";
    eventually("an Event tells", SOON, async || {
        let events = lab.notes("AzureSso", "TakenBack").await;
        if events == [note] { Ok(()) } else { Err(format!("{events:?}")) }
    })
    .await;
    lab.wait(SSO, "Ready").await;

    lab.kubectl(&["set", "env", PLATFORM, "OAUTH_PROVIDER=google"]).await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "OwnershipLost").await;
    assert!(message.starts_with("Deployment timbr-platform, container timbr-platform: variable OAUTH_PROVIDER was changed again by kubectl-set (Update) although it was taken back"), "{message}");
    assert_eq!(condition(&lab.get(SSO).await, "Stalled")["reason"], "OwnershipLost");
    assert_eq!(variable(&lab.get(PLATFORM).await, "OAUTH_PROVIDER")["value"], "google");
    assert!(!variable(&lab.get(PLATFORM).await, "OAUTH_SECRET").is_null(), "the others stay");

    // Somebody asks for another try.
    lab.kubectl(&["annotate", SSO, "identity.timbr.ai/reconcile-requested-at=now"]).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(variable(&lab.get(PLATFORM).await, "OAUTH_PROVIDER")["value"], "azure");
    operator.stop().await;
}

/// `rollout undo` brings back a template of before us, or an older one of ours.
#[tokio::test]
async fn an_undo_is_undone() {
    for (name, rotate) in [("undo-before-us", false), ("undo-older-us", true)] {
        let lab = Lab::with_sso(name).await;
        lab.kubectl(&["rollout", "status", PLATFORM]).await;
        let operator = lab.start().await;
        lab.wait(SSO, "Ready").await;
        if rotate {
            let first = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
            lab.apply(&entra("second")).await;
            eventually("the rotation is delivered", SOON, async || {
                let now = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
                now != first && !now.is_null()
            })
            .await;
            lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
        }
        let before = lab.get(PLATFORM).await;
        lab.kubectl(&["rollout", "undo", PLATFORM]).await;
        eventually("it is as before", SOON, async || {
            let now = lab.get(PLATFORM).await;
            let generation = |object: &Value| object["metadata"]["generation"].as_i64();
            let is_done = env(&now, "timbr-platform") == env(&before, "timbr-platform")
                && generation(&now) > generation(&before)
                && !managers(&now).contains(&"timbr-identity-adopt Update".to_owned());
            if is_done { Ok(()) } else { Err(now["spec"]["template"].to_string()) }
        })
        .await;
        lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
        operator.stop().await;
    }
}

/// A manager, what it does, and what it sets.
#[derive(Clone, Debug)]
struct Row {
    manager: &'static str,
    apply: bool,
    what: &'static str,
    adopt: bool,
}

impl Row {
    fn all() -> Vec<Self> {
        const MANAGERS: [(&str, bool); 10] = [
            ("helm", false),
            ("helm", true),
            ("argocd-controller", false),
            ("argocd-controller", true),
            ("kustomize-controller", true),
            ("kubectl-client-side-apply", false),
            ("kubectl-edit", false),
            ("kubectl-set", false),
            ("kubectl", false),
            ("Terraform", true),
        ];
        let mut rows = Vec::new();
        for (manager, apply) in MANAGERS {
            for what in ["value", "valueFrom", "both", "equal"] {
                for adopt in [false, true] {
                    rows.push(Self { manager, apply, what, adopt });
                }
            }
        }
        rows
    }

    /// What the manager sets of what we deliver.
    fn entries(&self) -> Vec<Value> {
        let value = json!({"name": "OAUTH_PROVIDER", "value": "google"});
        let source =
            json!({"name": "OAUTH_SECRET", "valueFrom": {"secretKeyRef": {"name": "chart", "key": "oauth-secret"}}});
        match self.what {
            "value" => vec![value],
            "valueFrom" => vec![source],
            "both" => vec![source, value],
            _ => vec![json!({"name": "OAUTH_PROVIDER", "value": "azure"})],
        }
    }

    fn operation(&self) -> &'static str {
        if self.apply { "Apply" } else { "Update" }
    }

    /// The Deployment as the manager would have it.
    fn manifest(&self, name: &str, level: &str) -> Value {
        let mut manifest = deployment(name, &["web"]);
        let mut entries = self.entries();
        entries.insert(0, json!({"name": "TIMBR_LOG_LEVEL", "value": level}));
        manifest["spec"]["template"]["spec"]["containers"][0]["env"] = entries.into();
        manifest
    }
}

async fn send(lab: &Lab, row: &Row, name: &str, level: &str, create: bool) {
    let api: Api<Deployment> = Api::namespaced(lab.plane.admin(), &lab.namespace);
    let manifest = row.manifest(name, level);
    let manager = Some(row.manager.to_owned());
    if row.apply {
        let params = PatchParams { field_manager: manager, ..Default::default() };
        api.patch(name, &params, &Patch::Apply(manifest)).await.unwrap_or_else(|error| panic!("{row:?} {error}"));
    } else if create {
        let params = PostParams { field_manager: manager, ..Default::default() };
        let manifest = serde_json::from_value(manifest).expect("a Deployment");
        api.create(&params, &manifest).await.expect("created");
    } else {
        let params = PatchParams { field_manager: manager, ..Default::default() };
        api.patch(name, &params, &Patch::Strategic(manifest)).await.unwrap_or_else(|error| panic!("{row:?} {error}"));
    }
}

/// What was sent about a Deployment, in order, without the state that each is good for. What somebody else was quicker
/// than is asked for again: of such requests the last.
fn requests(proxy: &Proxy, name: &str) -> Vec<Value> {
    let about = proxy.writes().into_iter().filter(|call| call.resource == "deployments" && call.name == name);
    let mut requests: Vec<Value> = Vec::new();
    for mut request in about.map(|call| call.body.0) {
        if let Some(steps) = request.as_array_mut() {
            let generation = steps.remove(0);
            assert_eq!((&generation["op"], &generation["path"]), (&json!("test"), &json!("/metadata/generation")));
            assert!(generation["value"].is_i64(), "{generation}");
        } else {
            let version = request["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
            assert!(version.is_some_and(|version| version.is_string()), "{request}");
        }
        let is_again =
            |last: &Value| *last == request || (is_of_managed_fields(&request) && is_of_managed_fields(last));
        if requests.last().is_some_and(is_again) {
            requests.pop();
        }
        requests.push(request);
    }
    requests
}

fn is_of_managed_fields(request: &Value) -> bool {
    let is_there =
        |step: &Value| step["path"].as_str().is_some_and(|path| path.starts_with("/metadata/managedFields/"));
    request.as_array().is_some_and(|steps| steps.iter().all(is_there))
}

/// The place of an entry in the pod template.
fn path(deployment: &Value, variable: &str) -> Option<String> {
    let at = env(deployment, "web").iter().position(|entry| entry["name"] == variable)?;
    Some(format!("/spec/template/spec/containers/0/env/{at}"))
}

fn test(path: &str, value: &Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

/// The four requests by which entries of others become ours: on record, exchanged, confirmed, and no trace of
/// the exchange.
fn assert_adopted(row: &Row, name: &str, before: &Value, after: &Value, sent: &[Value]) {
    let what = format!("{row:?}: {sent:#?}");
    let [record, rewrite, apply, finish] = sent else { panic!("{what}") };
    let uid = &before["metadata"]["uid"];
    // 1. The record: nothing of the template.
    assert_eq!((&record["metadata"]["uid"], &record["spec"]), (uid, &Value::Null), "{what}");
    let annotation = record["metadata"]["annotations"]["identity.timbr.ai/delivered"].as_str().expect("the record");
    let annotation: Value = serde_json::from_str(annotation).expect("JSON");
    for entry in row.entries() {
        let displaced = &annotation["displaced"][format!("web/{}", entry["name"].as_str().expect("a name"))];
        assert_eq!(displaced["entry"], entry, "{what}");
        assert_eq!((&displaced["manager"], &displaced["operation"]), (&row.manager.into(), &row.operation().into()));
    }
    // 2. The exchange: theirs in their places, then what is new at the end.
    let ours = env(after, "web");
    let theirs: Vec<Value> = env(before, "web");
    let is_there = |entry: &&Value| theirs.iter().any(|there| there["name"] == entry["name"]);
    let wanted: Vec<&Value> = ours.iter().filter(|entry| entry["name"] != "TIMBR_LOG_LEVEL").collect();
    let order = ["OAUTH_PROVIDER", "OAUTH_SECRET"].into_iter();
    let replaced: Vec<String> =
        order.filter(|name| row.entries().iter().any(|entry| entry["name"] == *name)).map(str::to_owned).collect();
    let mut expected = vec![test("/metadata/uid", uid)];
    let mut changes = Vec::new();
    // In the order of the template.
    let mut in_order: Vec<(String, &String)> =
        replaced.iter().map(|variable| (path(before, variable).expect("it is there"), variable)).collect();
    in_order.sort();
    for (path, variable) in &in_order {
        let entry = |all: &[Value]| all.iter().find(|entry| entry["name"] == **variable).cloned().expect("an entry");
        expected.push(test(path, &entry(&theirs)));
        changes.push(json!({"op": "replace", "path": path, "value": entry(&ours)}));
    }
    expected.push(test("/spec/template/spec/containers/0/name", &"web".into()));
    expected.append(&mut changes);
    for entry in wanted.iter().filter(|entry| !is_there(entry)) {
        expected.push(json!({"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": entry}));
    }
    assert_eq!(*rewrite, Value::from(expected), "{what}");
    // 3. Our apply, of just what is ours.
    assert_eq!(apply["metadata"]["uid"], *uid, "{what}");
    let applied = &apply["spec"]["template"]["spec"]["containers"];
    assert_eq!(*applied, json!([{"name": "web", "env": wanted}]), "{what}");
    // 4. Nothing but the managed fields.
    let operations = finish.as_array().expect("a patch");
    assert!(is_of_managed_fields(finish), "{what}");
    assert_eq!(operations.iter().filter(|step| step["op"] == "remove").count(), 1, "{what}");
    assert_eq!(name, before["metadata"]["name"]);
}

/// The three requests by which everything is as before.
fn assert_put_back(row: &Row, before: &Value, sent: &[Value]) {
    let what = format!("{row:?}: {sent:#?}");
    let [rewrite, hand_over, apply] = sent else { panic!("{what}") };
    let operations = rewrite.as_array().expect("a patch");
    let put: Vec<&Value> =
        operations.iter().filter(|step| step["op"] == "replace").map(|step| &step["value"]).collect();
    let mut entries = row.entries();
    entries.sort_by_key(|entry| entry["name"].to_string());
    assert_eq!(put, entries.iter().collect::<Vec<_>>(), "{what}");
    let removed = operations.iter().filter(|step| step["op"] == "remove").count();
    assert_eq!(removed, 5 - entries.len(), "{what}");
    assert!(is_of_managed_fields(hand_over), "{what}");
    assert_eq!(
        *apply,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": before["metadata"]["name"], "namespace": before["metadata"]["namespace"], "uid": before["metadata"]["uid"]},
        }),
        "{what}"
    );
}

/// Every tool that may hold a variable, by what it sends: what the operator does about it, that it rests
/// then, that everything is as before once it is gone, and that the tool goes on.
#[tokio::test]
async fn every_manager_by_what_it_sets_and_what_the_installation_says() {
    let lab = Lab::new("matrix").await;
    lab.apply(&entra("s3cr3t")).await;
    let rows: Vec<(String, Row)> =
        Row::all().into_iter().enumerate().map(|(i, row)| (format!("web-{i}"), row)).collect();
    for (name, row) in &rows {
        send(&lab, row, name, "info", true).await;
    }
    let mut before = Vec::new();
    for (name, _) in &rows {
        lab.kubectl(&["rollout", "status", &format!("deployment/{name}")]).await;
        before.push(lab.get(&format!("deployment/{name}")).await);
    }
    let proxy = lab.plane.proxy();
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    let resources: Vec<Value> = rows
        .iter()
        .flat_map(|(name, row)| {
            let of = |component: &str| json!({"deployment": format!("{name}-{component}")});
            let components = json!({"platform": {"deployment": name}, "server": of("server"), "api": of("api")});
            let on_conflict = if row.adopt { "Adopt" } else { "Report" };
            [
                installation(name, json!({"components": components, "onConflict": on_conflict})),
                azure_sso_with(name, json!({"installationRef": {"name": name}})),
            ]
        })
        .collect();
    lab.apply(&json!({"apiVersion": "v1", "kind": "List", "items": resources})).await;

    for ((name, row), before) in rows.iter().zip(&before) {
        let sso = format!("azuresso/{name}");
        let what = format!("{row:?}");
        let first = row.entries()[0]["name"].as_str().expect("a name").to_owned();
        let at = |variable: &str| format!("Deployment {name}, container web: variable {variable}");
        if row.what == "equal" || row.adopt {
            let message = lab.wait_condition(&sso, "Delivered", "True", "Delivered").await;
            let mut expected = format!("the variables are on Deployment {name}");
            let adopted: Vec<String> = match row.what {
                "equal" => vec![],
                // In the order in which they are asked for.
                _ => {
                    let order = ["OAUTH_PROVIDER", "OAUTH_SECRET"];
                    let set: Vec<String> =
                        row.entries().iter().map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect();
                    order
                        .iter()
                        .filter(|name| set.iter().any(|set| set == *name))
                        .map(|name| (*name).to_owned())
                        .collect()
                }
            };
            if !adopted.is_empty() {
                expected += &format!(
                    "; adopted from {} ({}): {}; take them out of what it deploys, or its next change of them fails or undoes this",
                    row.manager,
                    row.operation(),
                    adopted.join(", ")
                );
            }
            assert_eq!(message, expected, "{what}");
            lab.wait_condition(&sso, "Ready", "True", "DeliveredUnverified").await;
            let now = lab.get(&format!("deployment/{name}")).await;
            assert_eq!(variable(&now, "OAUTH_PROVIDER"), json!({"name": "OAUTH_PROVIDER", "value": "azure"}), "{what}");
            let secret = variable(&now, "OAUTH_SECRET")["valueFrom"]["secretKeyRef"]["name"].clone();
            assert!(
                secret.as_str().is_some_and(|secret| secret.starts_with("timbr-platform-identity-")),
                "{what}: {secret}"
            );
            assert!(!managers(&now).iter().any(|manager| manager.starts_with("timbr-identity-adopt")), "{what}");
            let sent: Vec<Value> = requests(&proxy, name);
            if row.adopt && row.what != "equal" {
                assert_adopted(row, name, before, &now, &sent);
            } else {
                assert_eq!(sent.len(), 1, "{what}: {sent:?}");
            }
            // One rollout.
            let generation = |object: &Value| object["metadata"]["generation"].as_i64().expect("a generation");
            let others = usize::from(row.adopt && row.what != "equal");
            assert!(generation(&now) <= generation(before) + 2 + 2 * others as i64, "{what}: {}", generation(&now));
            let sets = lab.kubectl(&["get", "replicasets", "-l", &format!("app={name}"), "-o", "name"]).await;
            assert_eq!(sets.lines().count(), 2, "{what}: {sets}");
        } else {
            let how = if first == "OAUTH_SECRET" && row.what == "valueFrom" { "valueFrom" } else { "value" };
            let variable = if how == "valueFrom" { "OAUTH_SECRET" } else { "OAUTH_PROVIDER" };
            let message = lab.wait_condition(&sso, "Delivered", "False", "Conflict").await;
            let expected = format!(
                "{} is set by {} ({}) (as {how}); remove it there, and this resource delivers it",
                at(variable),
                row.manager,
                row.operation()
            );
            assert_eq!(message, expected, "{what}");
            let now = lab.get(&format!("deployment/{name}")).await;
            assert_eq!(comparable(&now), comparable(before), "{what}");
        }
    }
    // Then silence.
    let sent = lab.writes().await.len();
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let later: Vec<Write> = lab.writes().await.split_off(sent);
    assert!(later.is_empty(), "{later:?}");

    // The resources go: everything is as before, by one rollout at most.
    lab.kubectl(&["delete", "azuresso", "--all"]).await;
    for ((name, row), before) in rows.iter().zip(&before) {
        eventually(&format!("{name} {row:?} is as before"), SOON, async || {
            let now = lab.get(&format!("deployment/{name}")).await;
            let (now, before) = (comparable(&now), comparable(before));
            if now == before { Ok(()) } else { Err(format!("{now:#}\nbefore: {before:#}")) }
        })
        .await;
    }
    for ((name, row), before) in rows.iter().zip(&before) {
        if row.adopt && row.what != "equal" {
            assert_put_back(row, before, &requests(&proxy, name)[4..]);
        }
        let sets = lab.kubectl(&["get", "replicasets", "-l", &format!("app={name}"), "-o", "name"]).await;
        assert!(sets.lines().count() <= 2, "{row:?}: {sets}");
    }
    // And the tools go on.
    for (name, row) in &rows {
        send(&lab, row, name, "debug", false).await;
        let now = lab.get(&format!("deployment/{name}")).await;
        assert_eq!(variable(&now, "TIMBR_LOG_LEVEL")["value"], "debug");
    }
    println!(
        "{} rows, silent for 30 s, {} writes to Deployments in all",
        rows.len(),
        lab.writes().await.of("deployments").len()
    );
    operator.stop().await;
}
