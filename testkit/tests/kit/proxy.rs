//! The proxy names and numbers writes and makes faults.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use testkit::proxy::Call;
use testkit::{Action, ControlPlane, Hook, Proxy};

use crate::objects::{DEADLINE, config_map};

/// A proxy, a client through it, and one around it.
struct Ways {
    proxy: Proxy,
    through: Api<ConfigMap>,
    around: Api<ConfigMap>,
    namespace: String,
}

async fn ways() -> Ways {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("proxy").await;
    let account = cluster.service_account(&namespace, "client").await;
    let binding = ["create", "rolebinding", "client", "--clusterrole=admin", "-n", &namespace];
    let subject = format!("--serviceaccount={namespace}:client");
    cluster.kubectl(&[&binding[..], &[&subject]].concat(), None).await.ok();
    let proxy = cluster.proxy();
    let through: Api<ConfigMap> = Api::namespaced(account.client_at(proxy.url()), &namespace);
    testkit::eventually("the role is in force", DEADLINE, async || through.list(&Default::default()).await).await;
    Ways { proxy, through, around: Api::namespaced(cluster.admin(), &namespace), namespace }
}

fn told(writes: &[Call]) -> Vec<(usize, &str, &str, &str)> {
    writes.iter().map(|call| (call.nth, call.verb.as_str(), call.resource.as_str(), call.name.as_str())).collect()
}

#[tokio::test]
async fn writes_are_numbered_refused_and_lost() {
    let Ways { proxy, through, around, namespace } = ways().await;
    let post = PostParams::default();
    let dry = PostParams { dry_run: true, ..Default::default() };
    proxy.on_write(|write| match write.nth {
        2 => Action::Refuse(409, None),
        3 => Action::Lose,
        4 => Action::Reset,
        _ => Action::Pass,
    });
    through.create(&post, &config_map("one")).await.unwrap();
    through.create(&dry, &config_map("dry")).await.unwrap();
    let refused = through.create(&post, &config_map("two")).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(s) if s.code == 409 && s.reason == "Conflict"), "{refused:?}");
    let lost = through.create(&post, &config_map("three")).await.unwrap_err();
    assert!(!matches!(lost, kube::Error::Api(_)), "{lost:?}");
    let reset = through.create(&post, &config_map("four")).await.unwrap_err();
    assert!(!matches!(reset, kube::Error::Api(_)), "{reset:?}");
    let change = Patch::Merge(json!({"data": {"a": "c"}}));
    through.patch("one", &PatchParams::default(), &change).await.unwrap();

    let expected = [
        (1, "create", "configmaps", "one"),
        (2, "create", "configmaps", "two"),
        (3, "create", "configmaps", "three"),
        (4, "create", "configmaps", "four"),
        (5, "patch", "configmaps", "one"),
    ];
    let writes = proxy.writes();
    assert_eq!(told(&writes), expected);
    assert!(writes.iter().all(|write| write.namespace == namespace));
    for (name, there) in [("one", true), ("two", false), ("three", true), ("four", false)] {
        assert_eq!(around.get_opt(name).await.unwrap().is_some(), there, "{name}");
    }
}

#[tokio::test]
async fn writes_are_doubled_and_pretended_and_answers_grow_old() {
    let Ways { proxy, through, around, .. } = ways().await;
    let post = PostParams::default();
    proxy.on_write(|write| if write.nth == 1 { Action::Duplicate } else { Action::Pretend });
    let second = through.create(&post, &config_map("one")).await.unwrap_err();
    assert!(matches!(&second, kube::Error::Api(s) if s.code == 409 && s.reason == "AlreadyExists"), "{second:?}");
    around.get("one").await.unwrap();
    let pretended = through.create(&post, &config_map("two")).await.unwrap();
    assert_eq!(pretended.metadata.name.as_deref(), Some("two"));
    assert!(around.get_opt("two").await.unwrap().is_none());

    proxy.on_read(|_| Action::Keep);
    let before = through.get("one").await.unwrap();
    proxy.on_read(|_| Action::Replay);
    let change = Patch::Merge(json!({"data": {"a": "c"}}));
    around.patch("one", &PatchParams::default(), &change).await.unwrap();
    assert_eq!(through.get("one").await.unwrap(), before);
    // Nothing was kept of this one.
    through.list(&Default::default()).await.unwrap();
    proxy.pass();
    assert_ne!(through.get("one").await.unwrap(), before);
}

#[tokio::test]
async fn writes_are_held_before_and_after_the_server() {
    let Ways { proxy, through, around, .. } = ways().await;
    let (before, after) = (Hook::new(), Hook::new());
    let (first, second) = (before.clone(), after.clone());
    proxy.on_write(move |write| match write.nth {
        1 => Action::HoldBefore(first.clone()),
        2 => Action::HoldAfter(second.clone()),
        _ => Action::Delay(Duration::from_millis(300)),
    });
    let create = |name: &'static str| {
        let through = through.clone();
        tokio::spawn(async move { through.create(&PostParams::default(), &config_map(name)).await })
    };
    let one = create("one");
    assert_eq!(before.reached().await.name, "one");
    assert!(around.get_opt("one").await.unwrap().is_none(), "a held write has reached the server");
    before.release();
    one.await.unwrap().unwrap();

    let two = create("two");
    assert_eq!(after.reached().await.name, "two");
    assert!(around.get_opt("two").await.unwrap().is_some(), "a write whose answer is held is not done");
    assert!(!two.is_finished(), "the answer is not held");
    after.discard();
    two.await.unwrap().unwrap_err();

    let start = Instant::now();
    create("three").await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300), "no delay");
}

#[tokio::test]
async fn a_held_write_is_forwarded_after_its_sender_is_gone() {
    let Ways { proxy, through, around, .. } = ways().await;
    let hook = Hook::new();
    let held = hook.clone();
    proxy.on_write(move |_| Action::HoldBefore(held.clone()));
    let sender = tokio::spawn(async move { through.create(&PostParams::default(), &config_map("late")).await });
    hook.reached().await;
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_millis(200)).await;
    hook.release();
    testkit::wait_for(around, "late", |_| true, DEADLINE).await;
}

#[tokio::test]
async fn reads_are_refused_and_watches_cut() {
    let Ways { proxy, through, around, .. } = ways().await;
    let mut watch = through.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    around.create(&PostParams::default(), &config_map("seen")).await.unwrap();
    loop {
        let event = tokio::time::timeout(DEADLINE, watch.next()).await.expect("an event arrives");
        if let WatchEvent::Added(map) = event.expect("the watch goes on").unwrap()
            && map.metadata.name.as_deref() == Some("seen")
        {
            break;
        }
    }
    proxy.cut_watches();
    let end = tokio::time::timeout(DEADLINE, watch.next()).await.expect("a cut watch ends");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");

    proxy.on_read(|read| if read.verb == "get" { Action::Refuse(500, Some(1)) } else { Action::Pass });
    let refused = through.get("seen").await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(s) if s.code == 500 && s.reason == "InternalError"), "{refused:?}");
    through.list(&Default::default()).await.unwrap();
    proxy.pass();
    through.get("seen").await.unwrap();
    assert_eq!(proxy.writes(), []);
}
