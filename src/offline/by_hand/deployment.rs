//! Containers of a Deployment.

use serde_json::Value as Json;

use crate::{
    api::{Component, Object},
    offline::objects::Objects,
};

use super::{Elsewhere, Service, Source, Stranger, Text, Value, Variable, component, service::Origin};

/// The label by which a pod asks Azure's webhook for an identity.
const WORKLOAD_IDENTITY: &str = "/spec/template/metadata/labels/azure.workload.identity~1use";

/// A Deployment that counts.
struct Opened<'a> {
    document: &'a Json,
    /// Namespace and name.
    place: (String, String),
    /// Whether it names its namespace itself.
    names_namespace: bool,
    containers: Vec<Container<'a>>,
    parts: Vec<(Component, Container<'a>)>,
}

impl<'a> Opened<'a> {
    fn new(at: usize, document: &'a Json, objects: &Objects, namespace: &str) -> Option<Self> {
        if (text(document, "/apiVersion"), text(document, "/kind")) != (Some("apps/v1"), Some("Deployment")) {
            return None;
        }
        let own_namespace = text(document, "/metadata/namespace");
        let name = text(document, "/metadata/name").unwrap_or_default();
        let place = (own_namespace.unwrap_or(namespace).to_owned(), name.to_owned());
        // Of two Deployments with one name the last counts, as when they are applied.
        if objects.deployments.get(&place).is_some_and(|found| found.at != at) {
            return None;
        }
        let containers = containers(document);
        let parts = parts(document, &place, &containers, objects);
        Some(Self { document, place, names_namespace: own_namespace.is_some(), containers, parts })
    }

    fn title(&self) -> String {
        let (namespace, name) = &self.place;
        format!("Deployment {namespace}/{name}")
    }

    fn variables(&self, container: &Container<'_>, objects: &Objects) -> Vec<Variable> {
        let mut variables = variables(&format!("{}.env", container.path()), container.value);
        for variable in &mut variables {
            if let Value::SecretRef { name, key, found } = &mut variable.value {
                let secret = objects.secrets.get(&(self.place.0.clone(), name.clone()));
                *found = secret.and_then(|secret| secret.data.get(key)).cloned();
            }
        }
        variables
    }
}

fn text<'a>(document: &'a Json, pointer: &str) -> Option<&'a str> {
    document.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty())
}

/// The parts of Timbr in a Deployment.
pub fn services(at: usize, document: &Json, objects: &Objects, namespace: &str) -> Vec<Service> {
    let Some(opened) = Opened::new(at, document, objects, namespace) else { return vec![] };
    let found = objects.deployments.get(&opened.place);
    let workload_identity = text(opened.document, WORKLOAD_IDENTITY) == Some("true");
    let service = |(component, container): &(Component, Container<'_>)| {
        let is_ours = |variable: &Variable| {
            found.is_some_and(|found| {
                found.live.ownership.ours.contains(&(container.name.to_owned(), variable.name.clone()))
            })
        };
        let (ours, by_hand): (Vec<Variable>, Vec<Variable>) =
            opened.variables(container, objects).into_iter().partition(is_ours);
        let (namespace, name) = &opened.place;
        Service {
            at,
            component: *component,
            title: opened.title(),
            name: name.clone(),
            namespace: namespace.clone(),
            names_namespace: opened.names_namespace,
            path: format!("{}.env", container.path()),
            origin: Origin::Kubernetes {
                container: container.name.to_owned(),
                alone: opened.containers.len() == 1,
                workload_identity,
            },
            variables: by_hand,
            ours: ours.into_iter().map(|variable| variable.name).collect(),
            set_twice: vec![],
            elsewhere: container.elsewhere(),
        }
    };
    opened.parts.iter().map(service).collect()
}

/// Containers that are no part of Timbr, and set its variables.
pub fn strangers(at: usize, document: &Json, objects: &Objects, namespace: &str) -> Vec<Stranger> {
    let Some(opened) = Opened::new(at, document, objects, namespace) else { return vec![] };
    let is_part = |container: &Container<'_>| opened.parts.iter().any(|(_, part)| part.index == container.index);
    let stranger = |container: &Container<'_>| {
        let why = format!(
            "container {} of {} is not recognised as a part of Timbr; name it in a TimbrInstallation if it is one, and import the two together",
            container.name,
            opened.title()
        );
        Stranger::new(at, why, opened.variables(container, objects))
    };
    opened.containers.iter().filter(|container| !is_part(container)).filter_map(stranger).collect()
}

#[derive(Clone, Copy)]
struct Container<'a> {
    index: usize,
    name: &'a str,
    value: &'a Json,
}

impl Container<'_> {
    fn path(&self) -> String {
        format!("spec.template.spec.containers[{}]", self.index)
    }

    fn elsewhere(&self) -> Vec<Elsewhere> {
        let is_there = self.value.get("envFrom").and_then(Json::as_array).is_some_and(|from| !from.is_empty());
        let envs = is_there.then(|| Elsewhere { what: "envFrom", path: format!("{}.envFrom", self.path()) });
        envs.into_iter().collect()
    }
}

fn containers(deployment: &Json) -> Vec<Container<'_>> {
    let list = deployment.pointer("/spec/template/spec/containers").and_then(Json::as_array);
    list.into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, value)| Some(Container { index, name: value.get("name")?.as_str()?, value }))
        .collect()
}

/// Which container is which part of Timbr: a TimbrInstallation says so, or the Deployment's name or
/// labels do, or those of its containers, or their variables.
fn parts<'a>(
    deployment: &Json,
    place: &(String, String),
    containers: &[Container<'a>],
    objects: &Objects,
) -> Vec<(Component, Container<'a>)> {
    let named = named_by_installations(place, objects);
    if !named.is_empty() {
        return named
            .into_iter()
            .filter_map(|(component, container)| {
                let found = match container {
                    Some(name) => containers.iter().find(|container| container.name == name).copied(),
                    None => of_component(component, containers),
                };
                Some((component, found?))
            })
            .collect();
    }
    let (_, name) = place;
    if let Some(component) = component::by_name(name).or_else(|| by_labels(deployment)) {
        return of_component(component, containers).map(|container| (component, container)).into_iter().collect();
    }
    let by_name = |container: &Container<'a>| Some((component::by_name(container.name)?, *container));
    let by_variables = |container: &Container<'a>| Some((component::by_variables(names(container.value))?, *container));
    let by_names: Vec<_> = containers.iter().filter_map(by_name).collect();
    if by_names.is_empty() { containers.iter().filter_map(by_variables).collect() } else { by_names }
}

/// The container of a component: with a usual name, or the only one, or by its variables.
fn of_component<'a>(component: Component, containers: &[Container<'a>]) -> Option<Container<'a>> {
    let usual = component.usual_containers().iter();
    let mut by_name = usual.filter_map(|name| containers.iter().find(|container| container.name == *name));
    if let Some(found) = by_name.next() {
        return Some(*found);
    }
    match containers {
        [only] => Some(*only),
        several => several.iter().find(|found| component::by_variables(names(found.value)) == Some(component)).copied(),
    }
}

fn named_by_installations((namespace, name): &(String, String), objects: &Objects) -> Vec<(Component, Option<String>)> {
    let installations = objects.ours.iter().filter_map(|ours| match &ours.object {
        Object::Installation(found) if found.meta.namespace == *namespace => found.spec.as_ref().ok(),
        _ => None,
    });
    installations
        .flat_map(|spec| {
            let target = |component| (component, spec.components.get(component));
            Component::ALL.into_iter().map(target).filter(|(_, target)| target.deployment.as_ref() == Some(name))
        })
        .map(|(component, target)| (component, target.container.clone()))
        .collect()
}

/// Timbr's Helm chart lets people choose the Deployments' names, and labels them.
fn by_labels(deployment: &Json) -> Option<Component> {
    let label = |name: &str| {
        let pointer = format!("/metadata/labels/app.kubernetes.io~1{name}");
        deployment.pointer(&pointer).and_then(Json::as_str)
    };
    (label("name") == Some("timbr")).then(|| component::by_label(label("component")?)).flatten()
}

fn entries(container: &Json) -> impl Iterator<Item = (usize, &str, &Json)> {
    let env = container.get("env").and_then(Json::as_array).into_iter().flatten().enumerate();
    env.filter_map(|(index, entry)| Some((index, entry.get("name")?.as_str()?, entry)))
}

fn names(container: &Json) -> impl Iterator<Item = &str> {
    entries(container).map(|(_, name, _)| name)
}

fn variables(path: &str, container: &Json) -> Vec<Variable> {
    entries(container)
        .map(|(index, name, entry)| Variable {
            name: name.to_owned(),
            path: format!("{path}[{index}]"),
            value: value(entry),
        })
        .collect()
}

fn value(entry: &Json) -> Value {
    if let Some(from) = entry.get("valueFrom").filter(|from| !from.is_null()) {
        let text = |pointer: &str| from.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        return match (text("/secretKeyRef/name"), text("/secretKeyRef/key")) {
            (Some(name), Some(key)) => Value::SecretRef { name, key, found: None },
            _ if from.get("configMapKeyRef").is_some() => Value::Other(Source::ConfigMap),
            _ => Value::Other(Source::Field),
        };
    }
    match entry.get("value") {
        None | Some(Json::Null) => Value::Plain(Text::from("")),
        Some(Json::String(text)) => {
            expanded(text).map_or(Value::Other(Source::OtherVariable), |text| Value::Plain(Text::from(text)))
        }
        Some(scalar @ (Json::Bool(_) | Json::Number(_))) => Value::NotText(Text::from(scalar.to_string())),
        Some(Json::Array(_) | Json::Object(_)) => Value::Other(Source::NoScalar),
    }
}

/// The text as the container gets it, unless the kubelet would put another variable's value into it:
/// `$(NAME)` is replaced, `$$` is `$`. Source: Kubernetes, third_party/forked/golang/expansion.
fn expanded(text: &str) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        expanded.push('$');
        rest = match after.chars().next() {
            Some('$') => &after[1..],
            Some('(') if after.contains(')') => return None,
            _ => after,
        };
    }
    expanded.push_str(rest);
    Some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars() {
        let table = [("a", "a"), ("a$b", "a$b"), ("a$$b", "a$b"), ("$$(A)", "$(A)"), ("$(A", "$(A"), ("$", "$")];
        for (text, expected) in table {
            assert_eq!(expanded(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["$(A)", "x$(A)y", "$$$(A)"] {
            assert_eq!(expanded(text), None, "{text}");
        }
    }
}
