//! Objects for the tests, as kubectl takes them.

use std::time::Duration;

use serde_json::{Value, json};

/// Long enough for a machine that also builds something.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A Deployment of one container; the labels go to its pods too.
pub fn deployment(name: &str, mut labels: Value) -> Value {
    labels["app"] = name.into();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.test/main"}]},
            },
        },
    })
}

/// A ConfigMap.
pub fn config_map(name: &str) -> k8s_openapi::api::core::v1::ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}})).unwrap()
}
