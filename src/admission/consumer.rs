//! Workloads that use Timbr, by the labels of their pods.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::Deserialize;

use crate::{
    api::{CONSUMES, PolicyTarget},
    compose::{application, used},
    policy::Workload,
};

use super::review::{Operation, Request, Verdict, no_object};

/// A workload that uses Timbr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// `Deployment shop/orders`.
    pub title: String,
    /// Who it is to access policies.
    pub workload: Workload,
    /// What it uses: a component of the Timbr in a namespace.
    pub uses: BTreeSet<(PolicyTarget, String)>,
    /// Labels that look as if they named a component.
    pub misspelt: Vec<String>,
}

/// The kinds that have pods, with API group and resource. Of each the labels of its pods count.
pub const KINDS: [(&str, &str, &str); 8] = [
    ("", "Pod", "pods"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
];

/// The control plane's own controllers that make objects of these kinds: whoever may run a workload was asked about the
/// workload, and pods that are made anew, as when a node is drained, must not fail. Who asks is known from the API
/// server; owner references are the asker's own words.
pub const CONTROLLERS: [&str; 8] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:cronjob-controller",
    "system:serviceaccount:kube-system:daemon-set-controller",
    "system:serviceaccount:kube-system:deployment-controller",
    "system:serviceaccount:kube-system:job-controller",
    "system:serviceaccount:kube-system:replicaset-controller",
    "system:serviceaccount:kube-system:replication-controller",
    "system:serviceaccount:kube-system:statefulset-controller",
];

/// What is looked at of an object.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Object {
    metadata: Option<Metadata>,
    spec: Option<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    generate_name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    template: Option<Template>,
    job_template: Option<JobTemplate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Template {
    metadata: Option<Metadata>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct JobTemplate {
    spec: Option<JobSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct JobSpec {
    template: Option<Template>,
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: it uses no Timbr, or is none of our business.
    Nothing,
    /// Whether it may use what it uses.
    Use(Consumer),
    /// The same of one that was there before and uses nothing new: it is told, and not stopped.
    UseOn(Consumer),
}

impl Asked {
    /// What a request asks; `decode` makes of an object what is looked at.
    ///
    /// # Errors
    /// A refusal: the request is none that can be judged.
    pub fn of<'r, O>(
        request: &'r Request<O>,
        decode: impl Fn(&'r O) -> Result<Cow<'r, Object>, Verdict>,
    ) -> Result<Self, Verdict> {
        let (group, kind) = (request.kind.group.as_str(), request.kind.kind.as_str());
        if !KINDS.iter().any(|known| (known.0, known.1) == (group, kind)) {
            let message = format!(
                "{kind} has no pods, so this webhook cannot judge it; correct the rules of consumers.{} in the ValidatingWebhookConfiguration",
                crate::api::GROUP
            );
            return Err(Verdict::Denied(400, message));
        }
        if !matches!(request.operation, Operation::Create | Operation::Update) || is_controller(request) {
            return Ok(Self::Nothing);
        }
        let consumer = decode(request.object.as_ref().ok_or_else(no_object)?)?.consumer(request);
        if consumer.uses.is_empty() && consumer.misspelt.is_empty() {
            return Ok(Self::Nothing);
        }
        let before = match request.operation {
            Operation::Update => {
                let before = request.old_object.as_ref().map(decode).transpose()?;
                before.map(|before| before.consumer(request))
            }
            _ => None,
        };
        let is_as_before =
            before.is_some_and(|before| before.workload == consumer.workload && consumer.uses.is_subset(&before.uses));
        Ok(if is_as_before { Self::UseOn(consumer) } else { Self::Use(consumer) })
    }
}

fn is_controller<O>(request: &Request<O>) -> bool {
    request.user_info.username.as_deref().is_some_and(|name| CONTROLLERS.contains(&name))
}

impl Object {
    fn consumer<O>(&self, request: &Request<O>) -> Consumer {
        let metadata = self.metadata.as_ref();
        let name = match metadata.map(|metadata| (&metadata.name, &metadata.generate_name)) {
            Some((Some(name), _)) => name.clone(),
            Some((None, Some(prefix))) => format!("{prefix}…"),
            Some((None, None)) | None => request.name.clone(),
        };
        let spec = self.spec.as_ref();
        let of_template = |template: &'_ Option<Template>| template.as_ref()?.metadata.as_ref()?.labels.clone();
        let labels = match request.kind.kind.as_str() {
            "Pod" => metadata.and_then(|metadata| metadata.labels.clone()),
            "CronJob" => spec.and_then(|spec| of_template(&spec.job_template.as_ref()?.spec.as_ref()?.template)),
            _ => spec.and_then(|spec| of_template(&spec.template)),
        };
        let labels = labels.unwrap_or_default();
        let title = format!("{} {}/{name}", request.kind.kind, request.namespace);
        Consumer::new(title, &request.namespace, &labels)
    }
}

impl Consumer {
    /// By the labels of its pods.
    pub fn new(title: String, namespace: &str, labels: &BTreeMap<String, String>) -> Self {
        let uses = PolicyTarget::ALL.into_iter().filter_map(|target| Some((target, used(target, namespace, labels)?)));
        let is_known = |label: &String| PolicyTarget::ALL.iter().any(|target| target.label() == *label);
        let misspelt = labels.keys().filter(|label| label.starts_with(CONSUMES) && !is_known(label));
        let workload =
            Workload { application: application(labels).cloned(), namespace: namespace.to_owned(), cluster: None };
        Self { title, workload, uses: uses.collect(), misspelt: misspelt.cloned().collect() }
    }
}
