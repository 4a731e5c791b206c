//! The API server and etcd go and come back, and control planes stand side by side.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use testkit::{ControlPlane, Options, rolled_out, wait_for};

use crate::objects::{DEADLINE, config_map, deployment};

#[tokio::test]
async fn data_and_controllers_survive_restarts() {
    let cluster = ControlPlane::start().await;
    let namespace = cluster.namespace("restart").await;
    let maps = || Api::<ConfigMap>::namespaced(cluster.admin(), &namespace);
    maps().create(&PostParams::default(), &config_map("kept")).await.unwrap();

    cluster.stop_apiserver();
    maps().get("kept").await.expect_err("nobody is there to answer");
    cluster.start_apiserver().await;
    maps().get("kept").await.unwrap();

    cluster.stop_etcd().await;
    cluster.start_etcd().await;
    cluster.wait_ready().await;
    maps().get("kept").await.unwrap();

    // The audit log goes on, and the controllers have found their way back.
    let before = cluster.audit().writes_of("admin").await.len();
    let manifest = deployment("web", json!({})).to_string();
    cluster.kubectl(&["apply", "-n", &namespace, "-f", "-"], Some(&manifest)).await.ok();
    assert_eq!(cluster.audit().writes_of("admin").await.len() - before, 1);
    wait_for(Api::<Deployment>::namespaced(cluster.admin(), &namespace), "web", rolled_out, DEADLINE).await;
}

#[tokio::test]
async fn control_planes_stand_side_by_side_and_leave_nothing() {
    let options = Options { controllers: false, ..Default::default() };
    let (one, other) = tokio::join!(ControlPlane::start_with(options.clone()), ControlPlane::start_with(options));
    assert_ne!(one.url(), other.url());
    let maps = |cluster: &ControlPlane| Api::<ConfigMap>::namespaced(cluster.admin(), "default");
    maps(&one).create(&PostParams::default(), &config_map("here")).await.unwrap();
    assert!(maps(&other).get_opt("here").await.unwrap().is_none(), "the control planes share data");
    let dir = one.dir().to_owned();
    drop(one);
    assert!(!dir.exists(), "{} is left behind", dir.display());
    maps(&other).create(&PostParams::default(), &config_map("here")).await.unwrap();
}
