//! A restart and a resync find nothing to do.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use testkit::Action;

use crate::{
    fixtures::{azure_sso_with, deployment, entra, installation},
    harness::Lab,
};

const INSTALLATIONS: usize = 200;

/// Versions of everything that the operator could have touched.
async fn versions(lab: &Lab) -> BTreeMap<String, String> {
    let list = lab.kubectl(&["get", "deployments,secrets,azuressos,timbrinstallations", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let version = |item: &Value| {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        (format!("{}/{}", text("/kind"), text("/metadata/name")), text("/metadata/resourceVersion"))
    };
    list["items"].as_array().expect("items").iter().map(version).collect()
}

#[tokio::test]
async fn a_restart_and_a_resync_of_200_installations_write_nothing() {
    let lab = Lab::new("many").await;
    lab.apply(&entra("s3cr3t")).await;
    let objects: Vec<Value> = (0..INSTALLATIONS)
        .flat_map(|i| {
            let components = json!({"platform": {"deployment": format!("web-{i}")}, "server": {"deployment": format!("server-{i}")}, "api": {"deployment": format!("api-{i}")}});
            [
                deployment(&format!("web-{i}"), &["web"]),
                installation(&format!("i-{i}"), json!({"components": components})),
                azure_sso_with(&format!("sso-{i}"), json!({"installationRef": {"name": format!("i-{i}")}})),
            ]
        })
        .collect();
    lab.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects})).await;
    let first = lab.start().await;
    lab.kubectl(&["wait", "azuresso", "--all", "--for=condition=Ready", "--timeout=240s"]).await;
    first.looked(INSTALLATIONS).await;
    first.stop().await;
    let before = versions(&lab).await;
    let writes = lab.writes().await.len();

    // A restart, through a proxy that can make the watches begin anew.
    let proxy = lab.plane.proxy();
    let second = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    let looks = second.looked(INSTALLATIONS).await;
    assert_eq!(lab.writes().await.len() - writes, 0, "{:?}", proxy.writes());

    // A full resync: each watch is told that its version is too old, and lists again.
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    proxy.on_read(move |call| {
        if call.uri.contains("watch=true") && count.fetch_add(1, Ordering::SeqCst) < 4 {
            Action::Refuse(410, None)
        } else {
            Action::Pass
        }
    });
    proxy.cut_watches();
    second.looked(looks + INSTALLATIONS).await;
    assert!(refused.load(Ordering::SeqCst) >= 4, "each of the four watches was refused");
    let new = lab.writes().await.len() - writes;
    println!("writes by a restart and a full resync of {INSTALLATIONS} installations: {new}");
    assert_eq!(new, 0, "{:?}", proxy.writes());
    assert_eq!(versions(&lab).await, before);
    second.stop().await;
}
