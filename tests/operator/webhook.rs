//! The webhook on a real API server: who is let in, what is refused, and with which words.

use serde_json::{Value, json};
use testkit::{ControlPlane, eventually};

use crate::{
    fixtures::{CLIENT_ID, TENANT, deployment, entra, secret},
    harness::{Lab, SOON, tally},
    shop::{Stage, loosen, own_plane_without_controllers},
};

/// Where it is recorded by which policies Timbr is guarded.
const RECORD: &str = "secret/timbr-identity-guards";

/// A refusal of the webhook's, without what kubectl and the API server put before it.
fn refusal(printed: &str) -> &str {
    printed.split_once("denied the request: ").map_or(printed, |(_, rest)| rest)
}

/// Must show 1.
#[tokio::test]
async fn who_is_not_on_the_list_is_told_what_to_paste() {
    let stage = Stage::new("Fail").await;
    let (timbr, shop) = (&stage.lab.namespace, &stage.shop);
    // Nothing speaks of the component: everybody comes in.
    let deployment = stage.consumer("Deployment", "early");
    stage.apply(&deployment).await;

    let nobody = stage.policy(json!([]));
    stage.apply(&nobody).await;
    const OTHERS: [&str; 7] =
        ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"];
    for kind in OTHERS.into_iter().chain(["Pod"]) {
        let consumer = stage.consumer(kind, "orders").to_string();
        let (done, printed) = stage.try_apply(&consumer).await;
        assert!(!done, "{kind}: {printed}");
        let expected = format!(
            "{kind} {shop}/orders may not use Api of the Timbr in namespace {timbr}: no rule of InboundAccessPolicy api admits application orders of namespace {shop}; add to spec.inbound.rules: {{\"application\": \"orders\", \"namespace\": \"{shop}\"}}\nWhoever looks after that Timbr lets it in by applying this:\n---\n"
        );
        let (said, cure) = refusal(&printed).split_at(expected.len().min(refusal(&printed).len()));
        assert_eq!(said, expected, "{kind}: {printed}");
        if kind == "Pod" {
            // Pasted, it is let in.
            let (done, printed) = stage.try_apply(cure).await;
            assert!(done, "{cure}\n{printed}");
        }
        let (done, _) = stage.try_apply(&consumer).await;
        assert_eq!(done, kind == "Pod", "{kind}");
    }
    for kind in OTHERS {
        let (done, printed) = stage.try_apply(&stage.consumer(kind, "orders").to_string()).await;
        assert!(done, "{kind}: {printed}");
    }
}

#[tokio::test]
async fn a_policy_that_is_deleted_opens_nothing() {
    let stage = Stage::new("Fail").await;
    let (lab, shop) = (&stage.lab, &stage.shop);
    lab.apply(&deployment("timbr-api", &["timbr-api"])).await;
    stage.apply(&stage.policy(json!([]))).await;
    lab.wait("inboundaccesspolicy/api", "Ready").await;
    let record = lab.get(RECORD).await;
    assert_eq!(record["metadata"]["annotations"], json!({"identity.timbr.ai/guards": r#"{"Api":["api"]}"#}));
    assert_eq!((&record["data"], &record["metadata"]["ownerReferences"]), (&Value::Null, &Value::Null));
    lab.kubectl(&["delete", "iap", "api"]).await;
    let consumer = stage.consumer("Deployment", "orders").to_string();
    let (done, printed) = stage.try_apply(&consumer).await;
    assert!(!done, "{printed}");
    let expected = format!(
        "Deployment {shop}/orders may not use Api of the Timbr in namespace {}: nobody may use Api: InboundAccessPolicy api was removed, which opens nothing; write one with target: Api that admits application orders of namespace {shop}, or, to let everybody in, write it again with enforcement: Audit, and delete it once it is Ready (or delete Secret timbr-identity-guards)\n",
        lab.namespace
    );
    assert!(refusal(&printed).starts_with(&expected), "{printed}");
    // Whoever looks after that Timbr is told too, though there is no TimbrInstallation.
    let notes = eventually("it is told", SOON, async || {
        let notes = lab.notes("Secret", "PolicyRemoved").await;
        if notes.is_empty() { Err("not yet") } else { Ok(notes) }
    })
    .await;
    assert!(notes.len() == 1 && notes[0].starts_with("InboundAccessPolicy api was deleted, "), "{notes:?}");
    // Nor does it matter what becomes of Timbr's Deployment.
    lab.kubectl(&["delete", "deployment", "timbr-api"]).await;
    assert!(!stage.try_apply(&consumer).await.0);
    // As it says: once it was said that it may be open, it is.
    let mut audit = stage.policy(json!([]));
    audit["spec"]["enforcement"] = json!("Audit");
    stage.apply(&audit).await;
    lab.wait("inboundaccesspolicy/api", "Ready").await;
    lab.kubectl(&["delete", "iap", "api"]).await;
    let (done, printed) = stage.try_apply(&consumer).await;
    assert!(done, "{printed}");
    assert!(lab.find(RECORD).await.is_none());
    let writes = lab.writes().await;
    let tally = tally(&writes);
    assert!(tally.keys().all(|what| !what.ends_with(" deployments")), "{tally:?}");
    assert_eq!((tally["patch secrets"], tally["delete secrets"]), (1, 1), "noted, and forgotten: {tally:?}");
}

/// Must show 1, the end.
#[tokio::test]
async fn a_policy_and_its_consumer_arrive_in_one_apply() {
    let stage = Stage::new("Fail").await;
    for round in 0..10 {
        let name = format!("orders-{round}");
        let mut consumer = stage.consumer("Deployment", &name);
        consumer["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = json!(name);
        consumer["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = json!(name);
        let rules = json!([{"application": name, "namespace": stage.shop}]);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [stage.policy(rules), consumer]});
        let (done, printed) = stage.try_apply(&list.to_string()).await;
        assert!(done, "{printed}");
    }
}

/// Everything that is wrong, in one refusal; and what is only worth knowing, as warnings.
#[tokio::test]
async fn a_resource_is_judged_before_it_is_stored() {
    let plane = own_plane_without_controllers().await;
    let stage = Stage::of(Lab::on(plane, "webhook").await, "Fail", 1, &[]).await;
    let timbr = &stage.lab.namespace;
    let sso = |spec: Value| {
        json!({
            "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "AzureSso",
            "metadata": {"name": "sso", "namespace": timbr}, "spec": spec,
        })
        .to_string()
    };
    let good = json!({
        "tenantId": TENANT, "clientId": CLIENT_ID, "publicUrl": "https://timbr.example.com",
        "clientSecretRef": {"name": "entra", "key": "client-secret"},
    });
    // The Secret may come later.
    let (done, printed) = stage.try_apply(&sso(good.clone())).await;
    assert!(done, "{printed}");
    let mut jwt = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "JwtAuthentication",
        "metadata": {"name": "jwt", "namespace": timbr}, "spec": {"type": "Azure"},
    });
    let (done, printed) = stage.try_apply(&jwt.to_string()).await;
    assert!(done && printed.contains("Warning: spec.audience: AudienceNotValidated: "), "{printed}");
    assert!(printed.contains("Warning: spec.issuer: IssuerNotValidated: "), "{printed}");

    // With the rules in the CRDs loosened, as under an older version of them, the webhook still has them.
    for plural in ["azuressos", "jwtauthentications"] {
        loosen(plane, plural).await;
    }
    let mut bad = good;
    bad["publicUrl"] = json!("https://timbr.example.com/path");
    bad["tenantId"] = json!("common");
    let (done, printed) = stage.try_apply(&sso(bad)).await;
    assert!(!done);
    let said: Vec<&str> = refusal(&printed).lines().collect();
    assert_eq!(said[0], format!("AzureSso {timbr}/sso is not valid:"), "{printed}");
    assert!(said[1].starts_with("  spec.publicUrl: PublicUrlHostOnly: "), "{printed}");
    assert!(said[2].starts_with("  spec.tenantId: TenantIdInvalid: "), "{printed}");
    assert_eq!(said.len(), 3, "{printed}");
    jwt["spec"]["algorithms"] = json!(["HS256"]);
    let (done, printed) = stage.try_apply(&jwt.to_string()).await;
    assert!(!done && printed.contains("AlgorithmNeedsKey"), "{printed}");
}

/// Must show 5.
#[tokio::test]
async fn a_secret_is_used_only_by_who_may_read_it() {
    let stage = Stage::new("Fail").await;
    let timbr = stage.lab.namespace.clone();
    stage.lab.apply_all(&[entra("s3cr3t"), secret("others", "key", "not yours")]).await;
    let writer = stage.lab.plane.service_account(&timbr, "writer").await;
    let rules: Vec<k8s_openapi::api::rbac::v1::PolicyRule> = serde_json::from_value(json!([
        {"apiGroups": ["identity.timbr.ai"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["entra"], "verbs": ["get"]},
    ]))
    .expect("rules");
    stage.lab.apply_all(&crate::harness::role(&timbr, "writer", &rules, &writer)).await;
    let sso = |secret: &str| {
        json!({
            "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "AzureSso",
            "metadata": {"name": "sso", "namespace": timbr},
            "spec": {
                "tenantId": TENANT, "clientId": CLIENT_ID, "publicUrl": "https://timbr.example.com",
                "clientSecretRef": {"name": secret, "key": "key"},
            },
        })
        .to_string()
    };
    let kubeconfig = writer.kubeconfig.display().to_string();
    let as_writer = async |manifest: &str, verb: &str| {
        let args = ["--kubeconfig", kubeconfig.as_str(), verb, "--validate=false", "-f", "-"];
        let done = stage.lab.plane.kubectl(&args, Some(manifest)).await;
        (done.status.success(), format!("{}{}", done.stdout, done.stderr))
    };
    let (done, printed) = as_writer(&sso("others"), "create").await;
    assert!(!done);
    let user = format!("system:serviceaccount:{timbr}:writer");
    let expected = format!(
        "{user} may not read Secret {timbr}/others, which AzureSso sso names; ask somebody who may, or for the right to get it"
    );
    assert_eq!(refusal(&printed).trim_end(), expected);
    let (done, printed) = as_writer(&sso("entra"), "create").await;
    assert!(done, "{printed}");
    // Nor by way of one that was let in.
    let (done, printed) = as_writer(&sso("others"), "replace").await;
    assert!(!done && printed.contains("may not read Secret"), "{printed}");
    // An administrator may.
    let (done, printed) = stage.try_apply(&sso("others")).await;
    assert!(done, "{printed}");
}

/// Must show 5, the end: owner references are their author's words.
#[tokio::test]
async fn a_forged_owner_does_not_pass() {
    let stage = Stage::new("Fail").await;
    let mut early = stage.consumer("ReplicaSet", "early");
    early["spec"]["replicas"] = json!(0);
    stage.apply(&early).await;
    let path = "jsonpath={.metadata.uid}";
    let uid = stage.lab.plane.kubectl(&["-n", &stage.shop, "get", "replicaset", "early", "-o", path], None).await.ok();
    stage.apply(&stage.policy(json!([]))).await;
    let mut pod = stage.consumer("Pod", "orders-x");
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "early", "uid": uid, "controller": true}]);
    let (done, printed) = stage.try_apply(&pod.to_string()).await;
    assert!(!done && printed.contains("may not use Api"), "{printed}");
    // The real controller's pods are let in: what runs is not stopped, and a node may be drained.
    stage.lab.plane.kubectl(&["-n", &stage.shop, "scale", "replicaset", "early", "--replicas=2"], None).await.ok();
    let args =
        ["-n", &stage.shop, "wait", "replicaset", "early", "--for=jsonpath={.status.replicas}=2", "--timeout=60s"];
    stage.lab.plane.kubectl(&args, None).await.ok();
}

/// Who runs is told, and nothing stops it when the list becomes shorter.
#[tokio::test]
async fn a_policy_tells_who_uses_it_and_who_would_not_any_more() {
    let stage = Stage::new("Ignore").await;
    let (lab, shop) = (&stage.lab, &stage.shop);
    stage.apply(&stage.policy(json!([{"application": "billing"}, {"application": "orders", "namespace": shop}]))).await;
    for (kind, name) in [("Deployment", "orders"), ("StatefulSet", "orders-db")] {
        let mut consumer = stage.consumer(kind, name);
        consumer["spec"]["replicas"] = json!(2);
        stage.apply(&consumer).await;
    }
    let told = async |what: &str, wanted: Value| {
        testkit::eventually(what, SOON, async || {
            let status = lab.get("InboundAccessPolicy/api").await["status"].clone();
            let parts = json!([status["consumers"], status["violations"], status["violationsTotal"]]);
            if parts == wanted { Ok(()) } else { Err(format!("{parts:#}")) }
        })
        .await;
    };
    let rule = json!([{"index": 1, "total": 1, "consumers": [format!("{shop}/orders")]}]);
    told("who uses it", json!([{"admitted": 2, "rules": rule}, null, null])).await;
    assert_eq!(lab.notes("InboundAccessPolicy", "NotAdmitted").await, [] as [&str; 0]);

    // The list becomes shorter: what runs goes on, and is named.
    stage.apply(&stage.policy(json!([{"application": "billing"}]))).await;
    let violation = |kind: &str, name: &str| json!({"kind": kind, "namespace": shop, "name": name});
    let both = json!([violation("Deployment", "orders"), violation("StatefulSet", "orders-db")]);
    told("who would not be let in", json!([{"admitted": 0}, both, 2])).await;
    testkit::eventually("an Event names them", SOON, async || {
        let notes = lab.notes("InboundAccessPolicy", "NotAdmitted").await;
        let expected = format!("Deployment {shop}/orders, StatefulSet {shop}/orders-db: on no list, and running;");
        if notes.len() == 1 && notes[0].starts_with(&expected) { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await;
    // A change that asks for nothing new is let pass, and told; pods are made anew; a node can be drained.
    let kubectl = async |args: &[&str]| {
        let args: Vec<&str> = ["-n", shop.as_str()].into_iter().chain(args.iter().copied()).collect();
        lab.plane.kubectl(&args, None).await
    };
    let restarted = kubectl(&["rollout", "restart", "deployment/orders"]).await;
    assert!(restarted.status.success(), "{}", restarted.stderr);
    assert!(restarted.stderr.contains("Warning: Deployment"), "{}", restarted.stderr);
    kubectl(&["delete", "pods", "--all", "--grace-period=0", "--force"]).await.ok();
    for what in ["deployment/orders", "statefulset/orders-db"] {
        kubectl(&["rollout", "status", what, "--timeout=60s"]).await.ok();
    }
    // But nobody may use more than before.
    let patch = r#"{"spec":{"template":{"metadata":{"labels":{"consumes.identity.timbr.ai/server":"TIMBR"}}}}}"#;
    let patch = patch.replace("TIMBR", &lab.namespace);
    let more = kubectl(&["patch", "deployment", "orders", "-p", &patch]).await;
    assert!(!more.status.success() && more.stderr.contains("may not use Api"), "{}", more.stderr);
    kubectl(&["delete", "deployment,statefulset", "--all"]).await.ok();
    told("nobody uses it any more", json!([{"admitted": 0}, null, null])).await;
}

/// Must show 4: an operator that is away keeps nobody from anything.
#[tokio::test]
async fn while_nobody_answers_nothing_stands_still() {
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().await));
    let stage = Stage::of(Lab::on(plane, "away").await, "Ignore", 1, &[]).await;
    let (timbr, shop) = (&stage.lab.namespace, &stage.shop);
    let mut early = stage.consumer("Deployment", "early");
    early["spec"]["replicas"] = json!(3);
    stage.apply(&early).await;
    plane.kubectl(&["-n", shop, "rollout", "status", "deployment/early", "--timeout=60s"], None).await.ok();
    let mut nobody = stage.policy(json!([]));
    nobody["metadata"]["name"] = json!("nobody");
    stage.apply(&nobody).await;
    let late = stage.consumer("Deployment", "late").to_string();
    assert!(!stage.try_apply(&late).await.0, "the webhook answers");
    stage.operators[0].process.kill();

    // Everything is deployed as ever, by server-side apply as GitOps tools do.
    let everything = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/everything");
    let sync = ["-n", timbr, "apply", "--server-side", "--field-manager=argocd-controller", "-f", everything];
    let synced = plane.kubectl(&sync, None).await.ok();
    assert_eq!(synced.lines().filter(|line| line.ends_with("serverside-applied")).count(), synced.lines().count());
    let (done, printed) = stage.try_apply(&late).await;
    assert!(done, "{printed}");

    // A node is drained, and its pods are made anew.
    let nodes = plane.kubectl(&["get", "nodes", "-o", "name"], None).await.ok();
    let node = nodes.lines().next().expect("a node").trim_start_matches("node/");
    let drain = ["drain", node, "--ignore-daemonsets", "--force", "--grace-period=0", "--timeout=60s"];
    plane.kubectl(&drain, None).await.ok();
    plane.kubectl(&["uncordon", node], None).await.ok();
    plane.kubectl(&["-n", shop, "rollout", "status", "deployment/early", "--timeout=60s"], None).await.ok();

    // Namespaces go, with everything in them.
    for namespace in [shop, timbr] {
        plane.kubectl(&["delete", "namespace", namespace, "--timeout=90s"], None).await.ok();
    }
}
