//! The audit log counts what one user wrote, and nothing else.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{ControlPlane, Writes as _};

use crate::objects::config_map;

#[tokio::test]
async fn writes_are_counted_by_user_without_dry_runs_and_reviews() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("audit").await;
    let account = cluster.service_account(&namespace, "writer").await;
    let binding = ["create", "rolebinding", "writer", "--clusterrole=edit", "-n", &namespace];
    let subject = format!("--serviceaccount={namespace}:writer");
    cluster.kubectl(&[&binding[..], &[&subject]].concat(), None).await.ok();
    assert_eq!(cluster.audit().writes_of(&account.username).await, []);

    let maps: Api<ConfigMap> = Api::namespaced(account.client(), &namespace);
    let others: Api<ConfigMap> = Api::namespaced(cluster.admin(), &namespace);
    let (post, dry) = (PostParams::default(), PostParams { dry_run: true, ..Default::default() });
    let change = Patch::Merge(json!({"data": {"a": "c"}}));
    testkit::eventually("the role is in force", crate::objects::DEADLINE, async || {
        maps.create(&dry, &config_map("dry")).await
    })
    .await;
    let before = cluster.audit().writes_of(&account.username).await;
    assert_eq!(before, [], "a dry run counts");

    maps.create(&post, &config_map("one")).await.unwrap();
    maps.patch("one", &PatchParams::default(), &change).await.unwrap();
    maps.patch("one", &PatchParams::default().dry_run(), &change).await.unwrap();
    others.create(&post, &config_map("two")).await.unwrap();
    maps.list(&Default::default()).await.unwrap();
    maps.create(&post, &config_map("one")).await.unwrap_err();
    let kubeconfig = &account.kubeconfig;
    let may = cluster.kubectl_as(kubeconfig, &["auth", "can-i", "create", "pods", "-n", &namespace], None).await;
    assert_eq!(may.ok().trim(), "yes");
    cluster.kubectl_as(kubeconfig, &["auth", "whoami"], None).await.ok();
    maps.delete("one", &DeleteParams::default()).await.unwrap();

    let writes = cluster.audit().writes_of(&account.username).await;
    let told: Vec<_> = writes.iter().map(|w| (w.verb.as_str(), w.resource.as_str(), w.name.as_str(), w.code)).collect();
    let expected = [
        ("create", "configmaps", "one", 201),
        ("patch", "configmaps", "one", 200),
        ("create", "configmaps", "one", 409),
        ("delete", "configmaps", "one", 200),
    ];
    assert_eq!(told, expected, "{writes:#?}");
    assert!(writes.iter().all(|write| write.namespace == namespace), "{writes:#?}");
    assert_eq!(writes.clone().succeeded().len(), 3);
    assert_eq!(writes.in_namespace("default"), []);
}

#[tokio::test]
async fn what_is_forbidden_to_a_service_account_is_told_reads_and_dry_runs_too() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("forbidden").await;
    let account = cluster.service_account(&namespace, "reader").await;
    let role = ["create", "role", "reader", "--verb=get,watch", "--resource=configmaps", "-n", &namespace];
    cluster.kubectl(&role, None).await.ok();
    let subject = format!("--serviceaccount={namespace}:reader");
    cluster.kubectl(&["create", "rolebinding", "reader", "--role=reader", "-n", &namespace, &subject], None).await.ok();
    let maps: Api<ConfigMap> = Api::namespaced(account.client(), &namespace);
    testkit::eventually("the role is in force", crate::objects::DEADLINE, async || maps.get_opt("none").await).await;
    let before = cluster.audit().forbidden_to(&account).await.len();

    maps.get_opt("none").await.unwrap();
    maps.list(&Default::default()).await.unwrap_err();
    maps.create(&PostParams { dry_run: true, ..Default::default() }, &config_map("dry")).await.unwrap_err();
    let others: Api<ConfigMap> = Api::namespaced(account.client(), "default");
    assert!(others.watch(&Default::default(), "0").await.is_err());
    let forbidden = cluster.audit().forbidden_to(&account).await.split_off(before);
    let told: Vec<_> = forbidden.iter().map(|it| (it.verb.as_str(), it.namespace.as_str(), it.code)).collect();
    let here = namespace.as_str();
    assert_eq!(told, [("list", here, 403), ("create", here, 403), ("watch", "default", 403)]);
    let requests = cluster.audit().requests_of(&account).await;
    assert!(requests.iter().any(|it| (it.verb.as_str(), it.name.as_str(), it.code) == ("get", "none", 404)));
    assert_eq!(cluster.audit().writes_of(&account.username).await, []);
}

#[tokio::test]
async fn a_certificate_carries_a_user_and_groups() {
    let cluster = ControlPlane::shared().await;
    let kubeconfig = cluster.user_kubeconfig("someone", &["first", "second"]);
    let told = cluster.kubectl_as(&kubeconfig, &["auth", "whoami", "-o", "json"], None).await.ok();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let told = &told["status"]["userInfo"];
    assert_eq!(told["username"], "someone");
    assert_eq!(told["groups"], json!(["first", "second", "system:authenticated"]));
    let maps: Api<ConfigMap> = Api::namespaced(cluster.user("someone", &[]), "default");
    let refused = maps.create(&PostParams::default(), &config_map("x")).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused:?}");
    assert_eq!(cluster.audit().writes_of("someone").await.in_namespace("default").len(), 1);
}
