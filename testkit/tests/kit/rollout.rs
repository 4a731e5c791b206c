//! Deployments roll out, or do not, as on a cluster.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use testkit::{ControlPlane, eventually, rolled_out, wait_for, wait_gone};

use crate::objects::{DEADLINE, deployment};

#[tokio::test]
async fn a_deployment_rolls_out() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("rollout").await;
    let manifest = deployment("web", json!({})).to_string();
    cluster.kubectl(&["apply", "-n", &namespace, "-f", "-"], Some(&manifest)).await.ok();
    let deployments: Api<Deployment> = Api::namespaced(cluster.admin(), &namespace);
    wait_for(deployments.clone(), "web", rolled_out, DEADLINE).await;

    // Both of kubectl's ends are there: what it says and how it fails.
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let got = cluster.kubectl(&["get", "deployment", "web", "-n", &namespace, "-o", image], None).await;
    assert_eq!(got.ok(), "example.test/main");
    let missing = cluster.kubectl(&["get", "deployment", "none", "-n", &namespace], None).await;
    assert!(!missing.status.success() && missing.stderr.contains("NotFound"), "{missing:?}");

    deployments.delete("web", &DeleteParams::foreground()).await.unwrap();
    wait_gone(deployments, "web", DEADLINE).await;
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), &namespace);
    eventually("the pods are gone", DEADLINE, async || {
        pods.list(&ListParams::default()).await.is_ok_and(|list| list.items.is_empty())
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_is_never_ready_runs_unready_and_can_be_deleted() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("unready").await;
    let manifest = deployment("stuck", json!({testkit::kwok::NEVER_READY: "true"})).to_string();
    cluster.kubectl(&["apply", "-n", &namespace, "-f", "-"], Some(&manifest)).await.ok();
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), &namespace);
    let states = async || {
        let list = pods.list(&ListParams::default().labels("app=stuck")).await.unwrap();
        let state = |pod: &Pod| {
            let status = pod.status.clone().unwrap_or_default();
            let ready = status.conditions.unwrap_or_default().into_iter().find(|c| c.type_ == "Ready");
            (status.phase.unwrap_or_default(), ready.map(|c| c.status).unwrap_or_default())
        };
        list.items.iter().map(state).collect::<Vec<_>>()
    };
    let unready = vec![("Running".to_owned(), "False".to_owned()); 2];
    eventually("two pods run", DEADLINE, async || {
        let states = states().await;
        if states == unready { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(states().await, unready, "a pod became ready after all");
    let deployments: Api<Deployment> = Api::namespaced(cluster.admin(), &namespace);
    let status = deployments.get("stuck").await.unwrap().status.unwrap();
    assert_eq!(status.available_replicas.unwrap_or(0), 0);

    deployments.delete("stuck", &DeleteParams::foreground()).await.unwrap();
    wait_gone(deployments, "stuck", DEADLINE).await;
}
