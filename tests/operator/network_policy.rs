//! The NetworkPolicies that access policies ask for, on a real API server.

use serde_json::{Value, json};
use testkit::{Writes as _, eventually};

use crate::{
    fixtures::deployment,
    harness::{Lab, SOON, condition, tally},
};

const POLICY: &str = "inboundaccesspolicy/api";
const NETWORK: &str = "networkpolicy/timbr-api-identity";

/// The policy of timbr-api, with these rules.
fn policy(rules: Value, mode: &str) -> Value {
    let ingress = json!([
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}, "podSelector": {}},
        {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}},
    ]);
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "InboundAccessPolicy", "metadata": {"name": "api"},
        "spec": {
            "target": "Api", "inbound": {"rules": rules}, "networkPolicy": {"mode": mode, "ingressFrom": ingress},
        },
    })
}

fn api() -> Value {
    let mut api = deployment("timbr-api", &["timbr-api"]);
    api["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 9100}]);
    api
}

/// Waits until the NetworkPolicy lets in this many peers, and returns it; none: it lets in nobody.
async fn lets_in(lab: &Lab, peers: usize) -> Value {
    eventually(&format!("{peers} peers"), SOON, async || {
        let network = lab.find(NETWORK).await.ok_or("there is none")?;
        let found = network["spec"]["ingress"][0]["from"].as_array().map_or(0, Vec::len);
        if found == peers { Ok(network) } else { Err(network["spec"].to_string()) }
    })
    .await
}

async fn is_gone(lab: &Lab) {
    eventually("it is gone", SOON, async || lab.find(NETWORK).await.map_or(Ok(()), |it| Err(it.to_string()))).await;
}

#[tokio::test]
async fn the_network_follows_the_policies() {
    let lab = Lab::new("network").await;
    lab.apply_all(&[api(), policy(json!([{"application": "orders", "namespace": "shop"}]), "Managed")]).await;
    let operator = lab.start().await;
    lab.wait_condition(POLICY, "Delivered", "True", "Delivered").await;
    lab.wait(POLICY, "Ready").await;
    let network = lab.get(NETWORK).await;
    let shop = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    let uses = json!({"key": "consumes.identity.timbr.ai/api", "operator": "In", "values": [lab.namespace]});
    let unnamed = json!({"key": "app.kubernetes.io/name", "operator": "DoesNotExist"});
    let expected = json!({
        "podSelector": {"matchLabels": {"app": "timbr-api"}},
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [
                {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}},
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}},
                    "podSelector": {},
                },
                {
                    "namespaceSelector": shop,
                    "podSelector": {"matchLabels": {"app": "orders"}, "matchExpressions": [unnamed, uses]},
                },
                {
                    "namespaceSelector": shop,
                    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "orders"}, "matchExpressions": [uses]},
                },
            ],
            "ports": [{"port": 9000, "protocol": "TCP"}, {"port": 9100, "protocol": "TCP"}],
        }],
    });
    assert_eq!(network["spec"], expected);
    assert!(network["metadata"]["ownerReferences"].is_null(), "it outlives whatever is deleted");

    // What a person takes out of it, or it itself, is put back; what a person adds beside it stays.
    lab.kubectl(&["annotate", NETWORK, "example.com/ticket=7"]).await;
    lab.kubectl(&["patch", NETWORK, "--type=json", "-p", r#"[{"op": "remove", "path": "/spec/ingress/0/from/0"}]"#])
        .await;
    let back = lets_in(&lab, 4).await;
    assert_eq!((&back["spec"], &back["metadata"]["annotations"]["example.com/ticket"]), (&expected, &json!("7")));
    lab.kubectl(&[
        "patch",
        NETWORK,
        "--type=merge",
        "-p",
        r#"{"spec": {"egress": [{}]}, "metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}"#,
    ])
    .await;
    eventually("it is as before", SOON, async || {
        let now = lab.get(NETWORK).await;
        let is_labelled = now["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "timbr-identity-operator";
        if now["spec"] == expected && is_labelled { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    lab.kubectl(&["delete", NETWORK]).await;
    let anew = lets_in(&lab, 4).await;
    assert_ne!(anew["metadata"]["uid"], network["metadata"]["uid"]);
    assert_eq!(anew["spec"], expected);

    // Rules change, and the Deployment's pods.
    lab.apply(&policy(json!([]), "Managed")).await;
    lets_in(&lab, 2).await;
    lab.kubectl(&["delete", "deployment", "timbr-api", "--wait=true"]).await;
    lab.wait_condition(POLICY, "Delivered", "False", "DeploymentNotFound").await;
    let mut other = api();
    for path in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        *other.pointer_mut(path).expect("labels") = json!({"run": "timbr-api"});
    }
    lab.apply(&other).await;
    eventually("its pods are others", SOON, async || {
        let selector = lab.get(NETWORK).await["spec"]["podSelector"].clone();
        if selector == json!({"matchLabels": {"run": "timbr-api"}}) { Ok(()) } else { Err(selector.to_string()) }
    })
    .await;
    lab.wait_condition(POLICY, "Delivered", "True", "Delivered").await;

    // What is removed opens nothing.
    lab.kubectl(&["delete", POLICY]).await;
    let network = lets_in(&lab, 0).await;
    assert_eq!(network["spec"]["policyTypes"], json!(["Ingress"]));
    operator.stop().await;
    let before = lab.writes().await.len();
    let operator = lab.start().await;
    operator.looks_at_least(1).await;
    assert_eq!(lab.writes().await.split_off(before), []);
    lab.apply(&policy(json!([]), "Disabled")).await;
    is_gone(&lab).await;
    lab.wait(POLICY, "Ready").await;
    assert!(condition(&lab.get(POLICY).await, "Delivered").is_null());
    operator.stop().await;

    let writes = lab.writes().await;
    let tally = tally(&writes);
    println!("one policy's NetworkPolicy: {tally:?}");
    assert_eq!((tally["create networkpolicies"], tally["delete networkpolicies"]), (2, 1), "{tally:?}");
    assert_eq!(tally["patch networkpolicies"], 5, "put back twice, other rules, other pods, no policy: {tally:?}");
    let others = ["create secrets", "patch inboundaccesspolicies/status", "patch secrets"];
    let networks = |what: &&String| what.ends_with(" networkpolicies");
    assert_eq!(tally.keys().filter(|it| !networks(it)).collect::<Vec<_>>(), others);
    assert_eq!((tally["create secrets"], tally["patch secrets"]), (2, 2), "the key of names, and what is recorded");
}

/// What somebody else called so is neither changed nor deleted.
#[tokio::test]
async fn one_in_the_way_is_left_alone() {
    let lab = Lab::new("in-the-way").await;
    let theirs = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "timbr-api-identity"},
        "spec": {"podSelector": {"matchLabels": {"app": "timbr-api"}}, "policyTypes": ["Ingress"]},
    });
    lab.apply_all(&[api(), theirs, policy(json!([]), "Managed")]).await;
    let before = lab.get(NETWORK).await;
    let operator = lab.start().await;
    let message = lab.wait_condition(POLICY, "Ready", "False", "Conflict").await;
    assert_eq!(
        message,
        "NetworkPolicy timbr-api-identity is in the way: it was not made by this operator, which would give its own that name; rename it"
    );
    assert_eq!(lab.get(NETWORK).await, before);
    lab.kubectl(&["delete", NETWORK]).await;
    lab.kubectl(&["annotate", POLICY, "identity.timbr.ai/reconcile-requested-at=now"]).await;
    lab.wait(POLICY, "Ready").await;
    lets_in(&lab, 2).await;
    operator.stop().await;
    assert_eq!(lab.writes().await.of("networkpolicies").len(), 1);
}

/// An admission policy that changes what the operator writes is told, and not fought for ever.
#[tokio::test]
async fn whoever_changes_the_record_each_time_is_told() {
    const RECORD: &str = "timbr-identity-guards";
    let lab = Lab::new("changed").await;
    let name = &lab.namespace;
    let label = "Object{metadata: Object.metadata{labels: {'app.kubernetes.io/managed-by': 'somebody'}}}";
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]);
    let changes = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"namespaceSelector": here, "resourceRules": rules},
            "matchConditions": [{"name": "record", "expression": format!("object.metadata.name == '{RECORD}'")}],
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": label}}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name},
    });
    for object in [changes, binding] {
        lab.plane.kubectl(&["apply", "-f", "-"], Some(&object.to_string())).await.ok();
    }
    eventually("it is in force", SOON, async || {
        let args = ["create", "secret", "generic", RECORD, "-n", name, "--dry-run=server", "-o", "json"];
        // Just made, it may refuse what it cannot change yet.
        let tried = lab.plane.kubectl(&args, None).await;
        if tried.stdout.contains("somebody") { Ok(()) } else { Err(tried.stdout + &tried.stderr) }
    })
    .await;
    lab.apply_all(&[api(), policy(json!([]), "Disabled")]).await;
    let operator = lab.start().await;
    let message = lab.wait_condition(POLICY, "Ready", "False", "Conflict").await;
    assert_eq!(
        message,
        "Secret timbr-identity-guards: somebody changes what the operator writes there, each time: an admission policy?"
    );
    operator.looks_at_least(1).await;
    let writes = tally(&lab.writes().await);
    println!("{writes:?}");
    assert!(writes["patch secrets"] <= 3 * 8, "{writes:?}");
    for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
        lab.plane.kubectl(&["delete", kind, name], None).await.ok();
    }
    operator.stop().await;
}
