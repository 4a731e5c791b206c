//! Documents as the engine's objects: ours, and the Deployments and Secrets among them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    api::{
        API_VERSION, Code, Component, GROUP, GUARDS_SECRET, Kind, LABEL_ORGANIZATION, Object, Problem, without_values,
    },
    compose::{
        Attribution, LiveDeployment, LiveGuards, LiveSecret, LiveValue, is_guid, live_deployment, live_guards,
        live_secret,
    },
};

use super::{
    Document, Finding,
    schema::{checker, wrong_type},
};

/// Namespace and name.
pub type Name = (String, String);

/// What the input holds that concerns us.
#[derive(Debug, Default)]
pub struct Objects {
    /// Objects of our group that can be looked at.
    pub ours: Vec<Ours>,
    /// Deployments; where one is in the input twice, the last counts, as when it is applied.
    pub deployments: BTreeMap<Name, InputDeployment>,
    /// Secrets.
    pub secrets: BTreeMap<Name, LiveSecret>,
    /// By which access policies the Timbr of a namespace is guarded, as it is recorded.
    pub guards: BTreeMap<String, LiveGuards>,
    /// Applications that are registered in a directory: client ids, in lower case, and whose they are. What makes them
    /// so is `AzureAdApplication`s of NAIS.
    pub registered: BTreeSet<(String, Name)>,
    /// Which organization a namespace belongs to.
    pub organizations: BTreeMap<String, String>,
    /// Deployments and Secrets that are in the input but cannot be read.
    pub unreadable: BTreeSet<(&'static str, Name)>,
}

/// An object of ours.
#[derive(Debug)]
pub struct Ours {
    /// Its document.
    pub at: usize,
    /// The object as the API server would store it.
    pub object: Object,
    /// Where the API server would find fault with it.
    pub faults: Vec<String>,
    /// Whether nobody can tell to which installation it belongs.
    pub adrift: bool,
    /// Whether the input has another one of its kind and name: nobody knows which of them counts.
    pub twice: bool,
}

impl Ours {
    /// Whether the API server would refuse it.
    pub fn is_refused(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Whether a cluster would have it as it stands there.
    pub fn stands(&self) -> bool {
        !self.is_refused() && !self.adrift && !self.twice
    }
}

/// A Deployment in the input.
#[derive(Debug)]
pub struct InputDeployment {
    /// Its document.
    pub at: usize,
    /// The object as it stands there.
    pub value: Value,
    /// The object as compose sees it.
    pub live: LiveDeployment,
}

/// Reads objects; what is wrong with one by itself becomes a finding.
pub struct Reader<'a> {
    documents: &'a [Document],
    namespace: &'a str,
    objects: Objects,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    /// Reads `documents`, those without a namespace as if they were in `namespace`.
    pub fn read(documents: &'a [Document], namespace: &'a str) -> (Objects, Vec<Finding>) {
        let mut reader = Self { documents, namespace, objects: Objects::default(), findings: Vec::new() };
        for (at, document) in documents.iter().enumerate() {
            let text = |key: &str| document.value.get(key).and_then(Value::as_str);
            match (text("apiVersion"), text("kind")) {
                (Some("apps/v1"), Some("Deployment")) => reader.deployment(at),
                (Some("v1"), Some("Secret")) => reader.secret(at),
                (Some("nais.io/v1"), Some("AzureAdApplication")) => reader.registered(&document.value),
                (Some("v1"), Some("Namespace")) => reader.organization(&document.value),
                (version, kind) => reader.perhaps_ours(at, version, kind),
            }
        }
        (reader.objects, reader.findings)
    }

    /// What has no client id yet is not registered yet.
    fn registered(&mut self, application: &Value) {
        let client = application.pointer("/status/clientId").and_then(Value::as_str);
        if let Some(client) = client.filter(|client| is_guid(client.as_bytes())) {
            self.objects.registered.insert((client.to_ascii_lowercase(), self.name(application)));
        }
    }

    fn organization(&mut self, namespace: &Value) {
        let label = namespace.get("metadata").and_then(|meta| meta.get("labels")?.get(LABEL_ORGANIZATION)?.as_str());
        if let Some(label) = label.filter(|label| !label.is_empty()) {
            self.objects.organizations.insert(self.name(namespace).1, label.to_owned());
        }
    }

    fn find(&mut self, at: usize, problem: &Problem) {
        let document = &self.documents[at];
        self.findings.push(Finding::new(at, document, self.title(at), problem));
    }

    /// `Kind namespace/name`.
    fn title(&self, at: usize) -> String {
        let value = &self.documents[at].value;
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = self.name(value);
        format!("{kind} {namespace}/{name}").trim_start().to_owned()
    }

    fn name(&self, value: &Value) -> Name {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let namespace = text("/metadata/namespace").unwrap_or(self.namespace);
        (namespace.to_owned(), text("/metadata/name").unwrap_or_default().to_owned())
    }

    fn perhaps_ours(&mut self, at: usize, version: Option<&str>, kind: Option<&str>) {
        let group = version.map(|version| version.split_once('/').map_or("", |(group, _)| group));
        let known = Kind::ALL.iter().copied().find(|known| Some(known.name()) == kind);
        let kinds = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        match (group, known) {
            // Whatever else lies in a folder is none of our business.
            (Some(group), _) if group != GROUP => {}
            (None, None) => {}
            (None, Some(_)) => self.find(
                at,
                &Problem::error(
                    "apiVersion",
                    Code::FieldRequired,
                    format!("is required and absent; write {API_VERSION}"),
                ),
            ),
            (Some(_), _) if version != Some(API_VERSION) => {
                self.find(at, &Problem::error("apiVersion", Code::FieldNotSupported, format!("must be {API_VERSION}")));
            }
            (Some(_), None) if kind.is_none() => {
                self.find(
                    at,
                    &Problem::error(
                        "kind",
                        Code::FieldRequired,
                        format!("is required and absent; write one of {}", kinds()),
                    ),
                );
            }
            (Some(_), None) => {
                self.find(at, &Problem::error("kind", Code::FieldNotSupported, format!("must be one of {}", kinds())))
            }
            (Some(_), Some(kind)) => self.ours(at, kind),
        }
    }

    fn ours(&mut self, at: usize, kind: Kind) {
        let checked = checker(kind).check(&self.documents[at].value);
        let (namespace, name) = self.name(&checked.object);
        let mut problems = checked.problems;
        let metadata = match decode::<ObjectMeta>(checked.object.get("metadata").unwrap_or(&Value::Null)) {
            Ok(metadata) => metadata,
            Err((path, message)) => {
                // The schema may have said so already.
                if !problems.iter().any(|problem| problem.path.starts_with("metadata")) {
                    problems.push(Problem::error(below("metadata", &path), Code::FieldType, message));
                }
                ObjectMeta { name: Some(name.clone()), ..Default::default() }
            }
        };
        let object =
            Object::read(kind, &ObjectMeta { namespace: Some(namespace.clone()), ..metadata }, &checked.object);
        let twin = self.objects.ours.iter_mut().find(|ours| {
            let meta = ours.object.meta();
            meta.kind == kind && meta.namespace == namespace && meta.name == name
        });
        if let Some(twin) = twin {
            twin.twice = true;
            let Document { file, number, .. } = &self.documents[twin.at];
            let message =
                format!("{kind} {namespace}/{name} is in the input already, at {file}:{number}; delete one of the two");
            problems.push(Problem::error("metadata.name", Code::DuplicateInInstallation, message));
        } else if !name.is_empty() {
            let unreadable = matches!(&object, Object::Resource(resource) if resource.spec.is_err());
            let adrift = checked.object.pointer("/spec/installationRef").is_some()
                && (unreadable || problems.iter().any(|problem| problem.path.starts_with("spec.installationRef")));
            let faults = problems.iter().map(|problem| problem.path.clone()).collect();
            self.objects.ours.push(Ours { at, object, faults, adrift, twice: false });
        }
        for problem in &problems {
            self.find(at, problem);
        }
    }

    fn deployment(&mut self, at: usize) {
        let value = self.documents[at].value.clone();
        let name = self.name(&value);
        let mut readable = value.clone();
        for problem in quote_values(&mut readable) {
            self.find(at, &problem);
        }
        match decode::<Deployment>(&readable) {
            Ok(deployment) => {
                let mut live = live_deployment(&deployment);
                recall_ownership(&deployment, &mut live);
                self.objects.deployments.insert(name, InputDeployment { at, value, live });
            }
            Err((path, message)) => {
                self.find(at, &Problem::error(path, Code::FieldType, message));
                self.objects.unreadable.insert(("Deployment", name));
            }
        }
    }

    fn secret(&mut self, at: usize) {
        let mut value = self.documents[at].value.clone();
        let name = self.name(&value);
        let strings = take_strings(&mut value, "stringData");
        let encoded = take_strings(&mut value, "data").and_then(|data| data.into_iter().map(decode_base64).collect());
        let read = decode::<Secret>(&value)
            .map_err(|(path, message)| Problem::error(path, Code::FieldType, message))
            .and_then(|secret| Ok((secret, encoded?, strings?)));
        match read {
            Ok((mut secret, encoded, strings)) => {
                // What is readable goes over what is encoded, as in the API server.
                let strings = strings.into_iter().map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes())));
                let data: BTreeMap<_, _> = Vec::into_iter(encoded).chain(strings).collect();
                secret.data = Some(data);
                if name.1 == GUARDS_SECRET {
                    self.objects.guards.insert(name.0.clone(), live_guards(&secret.metadata));
                }
                self.objects.secrets.insert(name, live_secret(secret));
            }
            Err(problem) => {
                self.find(at, &problem);
                self.objects.unreadable.insert(("Secret", name));
            }
        }
    }
}

/// Reads a value; the error is a path and a sentence without the value.
fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        (path, format!("cannot be read: {}; correct it", without_values(&error.inner().to_string())))
    })
}

fn below(path: &str, rest: &str) -> String {
    if rest == "." { path.to_owned() } else { format!("{path}.{rest}") }
}

/// Takes a map of strings out of a Secret. A null is an empty value to the API server.
fn take_strings(secret: &mut Value, field: &str) -> Result<Vec<(String, String)>, Problem> {
    let not = |path: String, wanted, found: &Value| Problem::error(path, Code::FieldType, wrong_type(wanted, found));
    match secret.as_object_mut().and_then(|secret| secret.remove(field)) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Object(map)) => map
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key, text)),
                Value::Null => Ok((key, String::new())),
                other => Err(not(format!("{field}.{key}"), "string", &other)),
            })
            .collect(),
        Some(other) => Err(not(field.to_owned(), "object", &other)),
    }
}

fn decode_base64((key, text): (String, String)) -> Result<(String, k8s_openapi::ByteString), Problem> {
    // Line breaks do not matter to the API server.
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    decode(&Value::String(text)).map(|bytes| (key.clone(), bytes)).map_err(|_| {
        let message = "must be base64; put the value as it is under stringData, or encode it";
        Problem::error(format!("data.{key}"), Code::FieldType, message)
    })
}

/// Quotes values of variables that YAML takes for something else than a string (`true`, `8080`): the
/// API server refuses them, and what they mean is clear.
fn quote_values(deployment: &mut Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for list in ["initContainers", "containers"] {
        let containers = deployment.pointer_mut(&format!("/spec/template/spec/{list}")).and_then(Value::as_array_mut);
        for (c, container) in containers.into_iter().flatten().enumerate() {
            let env = container.get_mut("env").and_then(Value::as_array_mut);
            for (e, variable) in env.into_iter().flatten().enumerate() {
                let Some(value) = variable.get_mut("value").filter(|value| value.is_boolean() || value.is_number())
                else {
                    continue;
                };
                let path = format!("spec.template.spec.{list}[{c}].env[{e}].value");
                problems.push(Problem::error(path, Code::FieldType, wrong_type("string", value)));
                *value = value.to_string().into();
            }
        }
    }
    problems
}

/// `kubectl get -o yaml` leaves managed fields out. Then the annotation, which only the operator
/// writes, says what is ours.
fn recall_ownership(deployment: &Deployment, live: &mut LiveDeployment) {
    if deployment.metadata.managed_fields.is_some() || live.delivered.is_none() {
        return;
    }
    // A key of a Secret that charts name is the chart's entry.
    let is_charts = |value: &LiveValue| match value {
        LiveValue::SecretKey { name, .. } => Component::ALL.iter().any(|component| component.stable_secret() == name),
        LiveValue::Plain(_) | LiveValue::Other(_) => false,
    };
    let there = |container: &str, variable: &str| {
        let entry = live.container(container).and_then(|container| container.variables(variable).next());
        entry.is_some_and(|value| !is_charts(value))
    };
    let ours = Attribution::read(live.delivered.as_deref())
        .unwrap_or_default()
        .places()
        .filter(|(container, variable)| there(container, variable))
        .collect();
    live.ownership.ours = ours;
    live.ownership.metadata = live.managed.is_some();
    live.ownership.content = live.content.is_some();
}

/// The places of a variable in a Deployment: paths of its entries in a container.
pub fn entries(deployment: &Value, container: &str, variable: &str) -> Vec<String> {
    let named = |value: &Value, name: &str| value.get("name").and_then(Value::as_str) == Some(name);
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let found = containers.into_iter().flatten().enumerate().find(|(_, value)| named(value, container));
    let Some((c, container)) = found else { return vec![] };
    let env = container.get("env").and_then(Value::as_array).into_iter().flatten().enumerate();
    env.filter(|(_, entry)| named(entry, variable))
        .map(|(e, _)| format!("spec.template.spec.containers[{c}].env[{e}]"))
        .collect()
}

/// The annotations of an object.
pub fn annotations(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
}
