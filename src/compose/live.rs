//! A Deployment as compose sees it: containers, their variables, and who owns them.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, EnvVar, PodSpec},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde_json::{Value as Json, json};

use crate::api::{
    ANNOTATION_CONTENT, ANNOTATION_DELIVERED, Component, LABEL_MANAGED, LABEL_WORKLOAD_IDENTITY, Sensitive,
};

use super::{Ownership, Rollout};

/// A live Deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveDeployment {
    /// Its uid; empty offline.
    pub uid: String,
    /// The version of it that this is; empty offline.
    pub version: String,
    /// Its generation.
    pub generation: i64,
    /// Its containers; init and ephemeral containers are never ours to touch.
    pub containers: Vec<LiveContainer>,
    /// Who owns what.
    pub ownership: Ownership,
    /// Value of our label.
    pub managed: Option<String>,
    /// Value of our annotation.
    pub delivered: Option<String>,
    /// Value of our annotation on the pod template.
    pub content: Option<String>,
    /// Secrets of the kind that charts name ([`Component::stable_secret`]) that the pod template names elsewhere than in
    /// the environment of its containers.
    pub elsewhere: BTreeSet<String>,
    /// Whether Azure Workload Identity sets variables in its pods.
    pub workload_identity: bool,
    /// Which pods are its.
    pub selector: LabelSelector,
    /// The ports that its pods say they listen at.
    pub ports: BTreeSet<LivePort>,
    /// How far its pods are.
    pub rollout: Rollout,
}

/// A container and its variables.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveContainer {
    /// Its name.
    pub name: String,
    /// Its variables, in their order.
    pub env: Vec<LiveEnv>,
    /// The Secrets all of whose keys are variables too, unless there is one of that name in `env`.
    pub env_from: Vec<LiveEnvFrom>,
}

/// A port that a container says it listens at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LivePort {
    /// The container.
    pub container: String,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// Its number.
    pub number: i32,
}

/// A Secret all of whose keys are variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEnvFrom {
    /// The Secret.
    pub secret: String,
    /// Whether the variables have other names than the keys.
    pub prefixed: bool,
}

/// A variable.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveEnv {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: LiveValue,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveValue {
    /// Written in the template. Other people's plain values may be secrets: never printed.
    Plain(Sensitive),
    /// A key of a Secret.
    SecretKey {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// Anything else that Kubernetes offers, as the template has it: none of it is a value.
    Other(Json),
}

impl LiveValue {
    /// The Secret and the key that it is, however it is written.
    pub(super) fn secret(&self) -> Option<(&str, &str)> {
        match self {
            LiveValue::Plain(_) => None,
            LiveValue::SecretKey { name, key } => Some((name, key)),
            LiveValue::Other(source) => {
                let text = |field: &str| source.get("secretKeyRef")?.get(field)?.as_str();
                Some((text("name")?, text("key")?))
            }
        }
    }
}

impl LiveEnv {
    /// The entry as the template has it. May hold another's secret: for a request, not for people.
    pub(super) fn entry(&self) -> Json {
        let name = &self.name;
        match &self.value {
            LiveValue::Plain(value) if value.expose().is_empty() => json!({"name": name}),
            LiveValue::Plain(value) => json!({"name": name, "value": String::from_utf8_lossy(value.expose())}),
            LiveValue::SecretKey { name: secret, key } => {
                json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
            }
            LiveValue::Other(source) => json!({"name": name, "valueFrom": source}),
        }
    }
}

impl LiveDeployment {
    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&LiveContainer> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The Secrets that our variables refer to, whatever their labels say by now.
    pub fn our_secrets(&self) -> impl Iterator<Item = &str> {
        let variables = Variables::of(self);
        self.ownership.ours.iter().filter_map(move |(container, variable)| {
            variables.get(container, variable).iter().find_map(|value| match value {
                LiveValue::SecretKey { name, .. } => Some(name.as_str()),
                LiveValue::Plain(_) | LiveValue::Other(_) => None,
            })
        })
    }

    /// Whether the pod template names a Secret of the kind that charts name, anywhere.
    pub fn names(&self, secret: &str) -> bool {
        let in_container = |container: &LiveContainer| {
            container.env_from.iter().any(|from| from.secret == secret)
                || container.env.iter().any(|env| env.value.secret().is_some_and(|(name, _)| name == secret))
        };
        self.elsewhere.contains(secret) || self.containers.iter().any(in_container)
    }

    /// Names of the containers, for messages.
    pub fn container_names(&self) -> Vec<String> {
        self.containers.iter().map(|container| container.name.clone()).collect()
    }
}

impl LiveContainer {
    /// The variables of that name: more than one is legal.
    pub fn variables<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a LiveValue> {
        self.env.iter().filter(move |env| env.name == name).map(|env| &env.value)
    }
}

/// The variables of a Deployment by container and name, for who looks up many. More than one of a name
/// is legal.
#[derive(Debug, Default)]
pub struct Variables<'a>(HashMap<&'a str, HashMap<&'a str, Variable<'a>>>);

#[derive(Debug, Default)]
struct Variable<'a> {
    values: Vec<&'a LiveValue>,
    /// Whether it is ours, or about to be.
    ours: bool,
    /// Whether somebody else owns its value.
    others: bool,
}

impl<'a> Variables<'a> {
    /// Those of a Deployment.
    pub fn of(live: &'a LiveDeployment) -> Self {
        let mut variables = Self::default();
        for container in &live.containers {
            let of_container = variables.0.entry(&container.name).or_default();
            of_container.reserve(container.env.len());
            for env in &container.env {
                of_container.entry(&env.name).or_default().values.push(&env.value);
            }
        }
        for (container, variable) in live.ownership.held() {
            variables.0.entry(container).or_default().entry(variable).or_default().ours = true;
        }
        for (container, variable) in live.ownership.others.keys() {
            variables.0.entry(container).or_default().entry(variable).or_default().others = true;
        }
        variables
    }

    /// The values of a variable, in their order.
    pub fn get(&self, container: &str, variable: &str) -> &[&'a LiveValue] {
        self.find(container, variable).map(|found| found.values.as_slice()).unwrap_or_default()
    }

    /// Whether a variable is ours and nobody else's.
    pub fn is_ours_alone(&self, container: &str, variable: &str) -> bool {
        self.find(container, variable).is_some_and(|found| found.ours && !found.others)
    }

    fn find(&self, container: &str, variable: &str) -> Option<&Variable<'a>> {
        self.0.get(container)?.get(variable)
    }
}

/// Reads a Deployment.
pub fn live_deployment(deployment: &Deployment) -> LiveDeployment {
    let meta = &deployment.metadata;
    let value = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref().and_then(|map| map.get(key).cloned());
    let pod = deployment.spec.template.spec.as_ref();
    LiveDeployment {
        uid: meta.uid.clone().unwrap_or_default(),
        version: meta.resource_version.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        containers: pod.map(|pod| pod.containers.iter().map(container).collect()).unwrap_or_default(),
        ownership: Ownership::read(meta.managed_fields.as_deref().unwrap_or_default()),
        managed: value(&meta.labels, LABEL_MANAGED),
        delivered: value(&meta.annotations, ANNOTATION_DELIVERED),
        content: value(
            &deployment.spec.template.metadata.as_ref().and_then(|template| template.annotations.clone()),
            ANNOTATION_CONTENT,
        ),
        elsewhere: pod.map(elsewhere).unwrap_or_default(),
        workload_identity: value(
            &deployment.spec.template.metadata.as_ref().and_then(|template| template.labels.clone()),
            LABEL_WORKLOAD_IDENTITY,
        )
        .is_some_and(|value| value == "true"),
        selector: deployment.spec.selector.clone(),
        ports: pod.map(ports).unwrap_or_default(),
        rollout: Rollout::read(deployment),
    }
}

fn container(container: &Container) -> LiveContainer {
    LiveContainer {
        name: container.name.clone(),
        env: container.env.iter().flatten().map(|env| LiveEnv { name: env.name.clone(), value: value(env) }).collect(),
        env_from: env_from(container).collect(),
    }
}

/// Of what runs beside each other. An init container that goes on running is one that is restarted always.
fn ports(pod: &PodSpec) -> BTreeSet<LivePort> {
    let runs = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let running = pod.containers.iter().chain(pod.init_containers.iter().flatten().filter(runs));
    let of_container = running.flat_map(|container| {
        container.ports.iter().flatten().map(|port| LivePort {
            container: container.name.clone(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            number: port.container_port,
        })
    });
    of_container.collect()
}

fn env_from(container: &Container) -> impl Iterator<Item = LiveEnvFrom> {
    container.env_from.iter().flatten().filter_map(|from| {
        let secret = from.secret_ref.as_ref()?.name.clone();
        Some(LiveEnvFrom { secret, prefixed: from.prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) })
    })
}

/// The Secrets that charts name, where a pod template names them in an init container or in a volume.
fn elsewhere(pod: &PodSpec) -> BTreeSet<String> {
    let of_env = pod.init_containers.iter().flatten().flat_map(|container| {
        let env = container.env.iter().flatten().filter_map(|env| value(env).secret().map(|(name, _)| name.to_owned()));
        env.chain(env_from(container).map(|from| from.secret)).collect::<Vec<_>>()
    });
    let of_volumes = pod.volumes.iter().flatten().flat_map(|volume| {
        let secret = volume.secret.iter().filter_map(|secret| secret.secret_name.clone());
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        secret.chain(projected.filter_map(|source| Some(source.secret.as_ref()?.name.clone()))).collect::<Vec<_>>()
    });
    let is_stable = |name: &String| Component::ALL.iter().any(|component| component.stable_secret() == name);
    of_env.chain(of_volumes).filter(is_stable).collect()
}

fn value(env: &EnvVar) -> LiveValue {
    let Some(source) = &env.value_from else {
        return LiveValue::Plain(Sensitive::from(env.value.as_deref().unwrap_or_default()));
    };
    match &source.secret_key_ref {
        // We never write `optional`: an entry with it is another entry, whatever it says.
        Some(secret) if secret.optional.is_none() => {
            LiveValue::SecretKey { name: secret.name.clone(), key: secret.key.clone() }
        }
        _ => LiveValue::Other(serde_json::to_value(source).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn deployment(json: serde_json::Value) -> LiveDeployment {
        live_deployment(&serde_json::from_value(json).expect("a Deployment"))
    }

    #[test]
    fn a_deployment_is_read_as_it_is() {
        let fields = serde_json::json!({
            "f:metadata": {
                "f:labels": {format!("f:{LABEL_MANAGED}"): {}},
                "f:annotations": {format!("f:{ANNOTATION_DELIVERED}"): {}},
            },
            "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"timbr\"}": {"f:env": {
                "k:{\"name\":\"PLAIN\"}": {}, "k:{\"name\":\"KEY\"}": {}, "k:{\"name\":\"SAME\"}": {}, "k:{\"name\":\"GONE\"}": {},
            }}}}}},
        });
        let key = |name: &str| serde_json::json!({"secretKeyRef": {"name": name, "key": "k"}});
        let mut optional = key("optional");
        optional["secretKeyRef"]["optional"] = true.into();
        let mut needed = key("ours");
        needed["secretKeyRef"]["optional"] = false.into();
        let live = deployment(serde_json::json!({
            "metadata": {
                "name": "server", "uid": "u", "resourceVersion": "31", "generation": 7,
                "labels": {LABEL_MANAGED: "true"},
                "annotations": {ANNOTATION_DELIVERED: "{}"},
                "managedFields": [{"manager": crate::api::FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}],
            },
            "spec": {"selector": {}, "template": {
                "metadata": {"labels": {LABEL_WORKLOAD_IDENTITY: "true"}, "annotations": {ANNOTATION_CONTENT: "0123"}},
                "spec": {
                    "initContainers": [{
                        "name": "init", "env": [{"name": "INIT", "value": "x"}],
                        "envFrom": [{"secretRef": {"name": "timbr-api-identity"}}],
                    }],
                    "volumes": [
                        {"name": "a", "secret": {"secretName": "timbr-platform-identity"}},
                        {"name": "b", "projected": {"sources": [{"secret": {"name": "other"}}]}},
                    ],
                    "containers": [{"name": "timbr", "envFrom": [
                        {"secretRef": {"name": "timbr-server-identity"}},
                        {"configMapRef": {"name": "any"}},
                        {"prefix": "X_", "secretRef": {"name": "prefixed"}},
                    ], "env": [
                        {"name": "PLAIN", "value": "x"},
                        {"name": "EMPTY"},
                        {"name": "KEY", "valueFrom": key("ours")},
                        {"name": "SAME", "valueFrom": key("ours")},
                        {"name": "THEIRS", "valueFrom": key("theirs")},
                        {"name": "NEEDED", "valueFrom": needed},
                        {"name": "OPTIONAL", "valueFrom": optional},
                        {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    ]}],
                },
            }},
        }));
        let stable: Vec<&str> = live.stable_secrets().collect();
        assert_eq!(stable, ["timbr-server-identity", "timbr-api-identity", "timbr-platform-identity"]);
        let reference = |name: &str| LiveValue::SecretKey { name: name.to_owned(), key: "k".to_owned() };
        let expected = [
            ("PLAIN", LiveValue::Plain("x".into())),
            ("EMPTY", LiveValue::Plain("".into())),
            ("KEY", reference("ours")),
            ("SAME", reference("ours")),
            ("THEIRS", reference("theirs")),
            ("NEEDED", LiveValue::Other(needed)),
            ("OPTIONAL", LiveValue::Other(optional)),
            ("FIELD", LiveValue::Other(serde_json::json!({"fieldRef": {"fieldPath": "metadata.name"}}))),
        ];
        let env = expected.map(|(name, value)| LiveEnv { name: name.to_owned(), value });
        let env_from = [("timbr-server-identity", false), ("prefixed", true)]
            .map(|(secret, prefixed)| LiveEnvFrom { secret: secret.to_owned(), prefixed });
        let expected = LiveContainer { name: "timbr".to_owned(), env: env.to_vec(), env_from: env_from.to_vec() };
        assert_eq!(live.containers, [expected]);
        assert_eq!(live.content.as_deref(), Some("0123"));
        assert_eq!(live.elsewhere, ["timbr-api-identity".to_owned(), "timbr-platform-identity".to_owned()].into());
        let named =
            ["timbr-server-identity", "timbr-api-identity", "optional", "theirs", "other"].map(|it| live.names(it));
        assert_eq!(named, [true, true, true, true, false]);
        assert_eq!((live.uid.as_str(), live.version.as_str(), live.generation), ("u", "31", 7));
        assert_eq!((live.managed.as_deref(), live.delivered.as_deref()), (Some("true"), Some("{}")));
        assert!(live.workload_identity && live.ownership.metadata);
        assert_eq!(live.our_secrets().collect::<BTreeSet<_>>(), BTreeSet::from(["ours"]));
    }

    #[test]
    fn workload_identity_is_on_the_pods_and_says_true() {
        for (labels, expected) in [("true", true), ("false", false)] {
            let live = deployment(serde_json::json!({
                "metadata": {"labels": {LABEL_WORKLOAD_IDENTITY: "true"}},
                "spec": {"selector": {}, "template": {"metadata": {"labels": {LABEL_WORKLOAD_IDENTITY: labels}}}},
            }));
            assert_eq!(live.workload_identity, expected);
        }
    }

    #[test]
    fn what_is_ours_alone() {
        let place = |name: &str| ("timbr".to_owned(), name.to_owned());
        let mut live = deployment(serde_json::json!({"metadata": {}, "spec": {"selector": {}, "template": {}}}));
        live.ownership.ours = [place("OURS"), place("SHARED")].into();
        live.ownership.others = [place("SHARED"), place("THEIRS")].map(|place| (place, BTreeSet::new())).into();
        let variables = Variables::of(&live);
        let alone = ["OURS", "SHARED", "THEIRS", "NONE"].map(|name| variables.is_ours_alone("timbr", name));
        assert_eq!(alone, [true, false, false, false]);
        assert!(!variables.is_ours_alone("other", "OURS"));
        assert!(variables.get("timbr", "OURS").is_empty());
    }
}
