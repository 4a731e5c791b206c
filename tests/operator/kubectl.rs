//! What a person does to a whole Deployment with kubectl: ours is put back, or found where it is now.

use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, platform},
    harness::{Lab, SOON},
};

const LABEL: &str = "identity.timbr.ai/managed";
const ANNOTATION: &str = "identity.timbr.ai/delivered";

/// What a person does, and what comes of it.
struct Row {
    name: &'static str,
    args: Vec<String>,
    stdin: Option<Value>,
    /// How many variables an Event tells of.
    taken_back: usize,
}

fn patch(name: &'static str, type_: &str, patch: Value) -> Row {
    let args = ["patch", PLATFORM, &format!("--type={type_}"), "-p", &patch.to_string()].map(str::to_owned).to_vec();
    Row { name, args, stdin: None, taken_back: 0 }
}

fn rows() -> Vec<Row> {
    let no_variables =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "timbr-platform", "env": null}]}}}});
    vec![
        Row {
            args: ["replace", "-f", "-"].map(str::to_owned).to_vec(),
            stdin: Some(platform()),
            taken_back: 5,
            ..patch("replace", "merge", Value::Null)
        },
        Row { taken_back: 5, ..patch("env-null", "strategic", no_variables) },
        patch("annotations-null", "merge", json!({"metadata": {"annotations": null}})),
        patch("labels-null", "merge", json!({"metadata": {"labels": null}})),
    ]
}

/// Our variables of a Deployment, with what makes it recognisable as ours.
fn ours(deployment: &Value) -> (Vec<Value>, Value, Value) {
    let theirs = ["TIMBR_LOG_LEVEL", "OAUTH_DEFAULT_SCHEME"];
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let mut variables = env.as_array().cloned().unwrap_or_default();
    variables.retain(|env| theirs.iter().all(|name| env["name"] != *name));
    variables.sort_by_key(|env| env["name"].to_string());
    let meta = &deployment["metadata"];
    (variables, meta["labels"][LABEL].clone(), meta["annotations"][ANNOTATION].clone())
}

#[tokio::test]
async fn what_is_done_to_the_whole_object() {
    for Row { name, args, stdin, taken_back } in rows() {
        let lab = Lab::with_sso(name).await;
        let operator = lab.start().await;
        lab.wait(SSO, "Ready").await;
        let before = lab.get(PLATFORM).await;
        let args: Vec<&str> = ["-n", &lab.namespace].into_iter().chain(args.iter().map(String::as_str)).collect();
        lab.plane.kubectl(&args, stdin.map(|object| object.to_string()).as_deref()).await.ok();

        let expected = ours(&before);
        assert!(expected.0.len() == 5 && expected.1 == "true" && expected.2.is_string(), "{name}: {expected:?}");
        eventually(&format!("{name}: it is ours again"), SOON, async || {
            let now = ours(&lab.get(PLATFORM).await);
            if now == expected { Ok(()) } else { Err(format!("{now:?}\n{}", lab.get(SSO).await["status"])) }
        })
        .await;
        lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;

        // Asked to look again, it finds nothing to do.
        let writes = lab.writes().await.len();
        let looks = operator.looked(1).await;
        lab.kubectl(&["annotate", SSO, "identity.timbr.ai/reconcile-requested-at=now"]).await;
        operator.looked(looks + 1).await;
        let after = lab.writes().await;
        assert!(after[writes..].iter().all(|write| write.resource != "deployments"), "{name}: {after:?}");
        let events = lab.notes("AzureSso", "TakenBack").await;
        let told: usize =
            events.iter().map(|note| note.matches("OAUTH_").count() + note.matches("AUTH_WITH_").count()).sum();
        assert_eq!(told, taken_back, "{name}: {events:?}");
        operator.stop().await;
    }
}

/// A container that its owner calls otherwise: what was ours is released, so that nobody's sync is stuck, and
/// delivered to the new one, unless whoever renamed it took the variables along, which are theirs now.
#[tokio::test]
async fn what_becomes_of_a_renamed_container() {
    let path = "/spec/template/spec/containers/0/name";
    let rename = json!([{"op": "replace", "path": path, "value": "web"}]).to_string();
    let mut anew = platform();
    *anew.pointer_mut(path).expect("a name") = json!("web");
    for (name, took_along) in [("renamed", false), ("renamed-whole", true)] {
        let lab = Lab::with_sso(name).await;
        let operator = lab.start().await;
        lab.wait(SSO, "Ready").await;
        let before = ours(&lab.get(PLATFORM).await);
        if took_along {
            lab.kubectl(&["patch", PLATFORM, "--type=json", "-p", &rename]).await;
            let message = lab.wait_condition(SSO, "Delivered", "False", "Conflict").await;
            assert_eq!(
                message,
                "Deployment timbr-platform, container web: variable OAUTH_CLIENT_ID is set by kubectl-patch (Update) (as valueFrom); remove it there, and this resource delivers it"
            );
            assert_eq!(ours(&lab.get(PLATFORM).await), (before.0, Value::Null, Value::Null));
        } else {
            let args = ["replace", "-n", &lab.namespace, "-f", "-"];
            lab.plane.kubectl(&args, Some(&anew.to_string())).await.ok();
            eventually("it is delivered to the new container", SOON, async || {
                let now = ours(&lab.get(PLATFORM).await);
                let is_there = now.0.len() == 5 && now.2.as_str().is_some_and(|record| record.contains("web/"));
                if is_there { Ok(()) } else { Err(format!("{now:?}")) }
            })
            .await;
            lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
        }
        operator.stop().await;
    }
}

/// A Deployment without pods is delivered to all the same; there is nothing to wait for.
#[tokio::test]
async fn without_pods_it_is_delivered() {
    let lab = Lab::new("no-pods").await;
    let mut platform = platform();
    platform["spec"]["replicas"] = json!(0);
    lab.apply_all(&[platform, entra("s3cr3t"), azure_sso("sso")]).await;
    let operator = lab.start().await;
    lab.wait_condition(SSO, "RolledOut", "True", "RolledOut").await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(ours(&lab.get(PLATFORM).await).0.len(), 5);
    operator.stop().await;
}
