//! A Timbr and a shop that uses it, with the webhook in between.

use serde_json::{Value, json};
use testkit::{Balancer, ControlPlane, Options};

use crate::harness::{Lab, Operator};

/// A Timbr's namespace and a shop's, replicas of an operator that looks after both, and their webhook.
pub struct Stage {
    pub lab: Lab,
    pub shop: String,
    pub operators: Vec<Operator>,
    /// Before the replicas, as a Service is.
    _balancer: Balancer,
}

impl Stage {
    /// With one replica, on the shared control plane.
    pub async fn new(failure_policy: &str) -> Self {
        Self::of(Lab::new("webhook").await, failure_policy, 1, &[]).await
    }

    /// With so many replicas.
    pub async fn of(mut lab: Lab, failure_policy: &str, replicas: usize, flags: &[&str]) -> Self {
        let shop = lab.plane.namespace("shop").await;
        lab.grant(&shop).await;
        lab.watched.push(shop.clone());
        let mut operators = Vec::new();
        for _ in 0..replicas {
            operators.push(lab.launch_with_webhook(lab.account.kubeconfig.clone(), flags).await);
        }
        let servers: Vec<_> = operators.iter().map(Operator::webhook_address).collect();
        let balancer = Balancer::start(&servers);
        lab.configure_webhook(&format!("https://{}", balancer.address()), &[&lab.namespace, &shop], failure_policy)
            .await;
        for operator in &operators {
            operator.wait_ready().await;
        }
        lab.wait_trusted().await;
        Self { lab, shop, operators, _balancer: balancer }
    }

    /// Applies as admin; the exit's success, and what was printed.
    pub async fn try_apply(&self, manifest: &str) -> (bool, String) {
        let done = self.lab.plane.kubectl(&["apply", "-f", "-"], Some(manifest)).await;
        (done.status.success(), format!("{}{}", done.stdout, done.stderr))
    }

    /// The same, which must succeed.
    pub async fn apply(&self, manifest: &Value) {
        let (done, printed) = self.try_apply(&manifest.to_string()).await;
        assert!(done, "{printed}");
    }

    /// A workload of the shop that uses the API of this Timbr.
    pub fn consumer(&self, kind: &str, name: &str) -> Value {
        let labels = json!({"app.kubernetes.io/name": "orders", "consumes.identity.timbr.ai/api": self.lab.namespace});
        let spec = json!({"containers": [{"name": "main", "image": "shop.example.com/orders:1"}]});
        let template = json!({"metadata": {"labels": labels}, "spec": spec});
        let selector = json!({"matchLabels": {"app.kubernetes.io/name": "orders"}});
        let of_job = json!({"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": spec["containers"]}});
        let (version, spec, own) = match kind {
            "Pod" => ("v1", spec, labels),
            "ReplicationController" => {
                ("v1", json!({"selector": selector["matchLabels"], "template": template}), json!({}))
            }
            "Job" => ("batch/v1", json!({"template": of_job}), json!({})),
            "CronJob" => {
                ("batch/v1", json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": of_job}}}), json!({}))
            }
            "StatefulSet" => {
                ("apps/v1", json!({"serviceName": "orders", "selector": selector, "template": template}), json!({}))
            }
            _ => ("apps/v1", json!({"selector": selector, "template": template}), json!({})),
        };
        json!({
            "apiVersion": version, "kind": kind,
            "metadata": {"name": name, "namespace": self.shop, "labels": own}, "spec": spec,
        })
    }

    /// The policy of the API, with these rules.
    pub fn policy(&self, rules: Value) -> Value {
        json!({
            "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "InboundAccessPolicy",
            "metadata": {"name": "api", "namespace": self.lab.namespace},
            "spec": {"target": "Api", "inbound": {"rules": rules}},
        })
    }
}

/// A control plane of a test's own, in which nothing rolls out.
pub async fn own_plane_without_controllers() -> &'static ControlPlane {
    Box::leak(Box::new(ControlPlane::start_with(Options { controllers: false, ..Default::default() }).await))
}

/// Takes the rules out of a kind's CRD.
pub async fn loosen(plane: &ControlPlane, plural: &str) {
    fn without_rules(schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                fields.remove("x-kubernetes-validations");
                fields.values_mut().for_each(without_rules);
            }
            Value::Array(items) => items.iter_mut().for_each(without_rules),
            _ => {}
        }
    }
    let name = format!("{plural}.identity.timbr.ai");
    let crd = plane.kubectl(&["get", "crd", &name, "-o", "json"], None).await.ok();
    let mut crd: Value = serde_json::from_str(&crd).expect("JSON");
    without_rules(&mut crd["spec"]["versions"]);
    plane.kubectl(&["replace", "-f", "-"], Some(&crd.to_string())).await.ok();
}
