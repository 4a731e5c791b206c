//! Timbr-like Deployments and the resources that tests apply.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Value, json};

pub const TENANT: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
pub const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";
pub const PLATFORM: &str = "deployment/timbr-platform";
pub const SSO: &str = "azuresso/sso";

/// A Deployment of Timbr's; `container` runs with one variable of its own.
pub fn deployment(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|container| {
            json!({
                "name": container,
                "image": "timbr.example/stand-in:1",
                "env": [{"name": "TIMBR_LOG_LEVEL", "value": "info"}],
            })
        })
        .collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    })
}

/// timbr-platform as Timbr's manifests have it.
pub fn platform() -> Value {
    let mut platform = deployment("timbr-platform", &["timbr-platform"]);
    let env = platform["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().expect("env");
    env.push(json!({"name": "OAUTH_DEFAULT_SCHEME", "value": "https"}));
    platform
}

/// A Secret with one value.
pub fn secret(name: &str, key: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}})
}

/// The Secret that [`azure_sso`] names.
pub fn entra(value: &str) -> Value {
    secret("entra", "client-secret", value)
}

/// A valid AzureSso.
pub fn azure_sso(name: &str) -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "AzureSso",
        "metadata": {"name": name},
        "spec": {
            "tenantId": TENANT,
            "clientId": CLIENT_ID,
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
            "publicUrl": "https://timbr.example.com",
        },
    })
}

/// A valid AzureSso with more in its spec.
pub fn azure_sso_with(name: &str, more: Value) -> Value {
    let mut sso = azure_sso(name);
    let spec = sso["spec"].as_object_mut().expect("a spec");
    for (field, value) in more.as_object().expect("fields") {
        spec.insert(field.clone(), value.clone());
    }
    sso
}

/// A TimbrInstallation.
pub fn installation(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": "TimbrInstallation", "metadata": {"name": name}, "spec": spec})
}

/// What a chart renders that names the Secret of the component, or that does not.
pub fn chart(mut deployment: Value, names: bool) -> Value {
    if names {
        let name = format!("{}-identity", deployment["metadata"]["name"].as_str().expect("a name"));
        let from = json!([{"secretRef": {"name": name}}]);
        deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = from;
    }
    deployment
}

/// The TimbrInstallation `main` that says how variables are delivered.
pub fn delivered_by(delivery: &str) -> Value {
    installation("main", json!({"delivery": delivery}))
}

/// What a pod of a Deployment's only container gets that is started now, given all Secrets: `env` over `envFrom`.
pub fn effective(deployment: &Value, secrets: &[Value]) -> BTreeMap<String, String> {
    let data = |name: &Value| {
        let secret = secrets.iter().find(|secret| secret["metadata"]["name"] == *name);
        let data = secret.and_then(|secret| secret["data"].as_object()).into_iter().flatten();
        data.map(|(key, value)| (key.clone(), text(value))).collect::<BTreeMap<String, String>>()
    };
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let items = |field: &str| container[field].as_array().cloned().unwrap_or_default();
    let mut effective = BTreeMap::new();
    for from in items("envFrom") {
        effective.extend(data(&from["secretRef"]["name"]));
    }
    for env in items("env") {
        let variable = env["name"].as_str().expect("a name").to_owned();
        let source = &env["valueFrom"]["secretKeyRef"];
        let value = match source["key"].as_str() {
            Some(key) => data(&source["name"]).remove(key),
            None => env["value"].as_str().map(str::to_owned),
        };
        effective.remove(&variable);
        effective.extend(value.map(|value| (variable, value)));
    }
    effective
}

/// A value of a Secret, from base64.
/// A value of a Secret.
pub fn text(value: &Value) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().expect("base64")).expect("base64");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The variables of a Deployment's container, as the template has them.
pub fn env(deployment: &Value, container: &str) -> Vec<Value> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    let container = containers.iter().find(|there| there["name"] == container).expect("the container");
    container["env"].as_array().cloned().unwrap_or_default()
}

/// A variable of a Deployment's only container.
pub fn variable(deployment: &Value, name: &str) -> Value {
    let container = deployment["spec"]["template"]["spec"]["containers"][0]["name"].as_str().expect("a name");
    env(deployment, container).into_iter().find(|env| env["name"] == name).unwrap_or_default()
}

/// A Deployment reduced to what must be as before once we are gone: all of metadata and spec but
/// what its own controller writes, and times and versions.
pub fn comparable(deployment: &Value) -> Value {
    let mut deployment = deployment.clone();
    deployment.as_object_mut().expect("an object").remove("status");
    let meta = deployment["metadata"].as_object_mut().expect("metadata");
    for field in ["generation", "resourceVersion"] {
        meta.remove(field);
    }
    if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            meta.remove("annotations");
        }
    }
    let managed = meta["managedFields"].as_array_mut().expect("managed fields");
    managed.retain(|entry| entry["subresource"] != "status" && entry["manager"] != "kube-controller-manager");
    for entry in managed {
        entry.as_object_mut().expect("an entry").remove("time");
    }
    deployment
}
