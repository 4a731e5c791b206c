//! Containers of a Deployment.

use serde_json::Value as Json;

use crate::{
    api::{Component, Object},
    offline::objects::Objects,
};

use super::{Service, Source, Text, Value, Variable, component, service::Origin};

/// The label by which a pod asks Azure's webhook for an identity.
const WORKLOAD_IDENTITY: &str = "/spec/template/metadata/labels/azure.workload.identity~1use";

/// The parts of Timbr in a Deployment.
pub fn services(at: usize, document: &Json, objects: &Objects, namespace: &str) -> Vec<Service> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty());
    if (text("/apiVersion"), text("/kind")) != (Some("apps/v1"), Some("Deployment")) {
        return vec![];
    }
    let own_namespace = text("/metadata/namespace");
    let place = (own_namespace.unwrap_or(namespace).to_owned(), text("/metadata/name").unwrap_or_default().to_owned());
    let found = objects.deployments.get(&place);
    // Of two Deployments with one name the last counts, as when they are applied.
    if found.is_some_and(|found| found.at != at) {
        return vec![];
    }
    let containers = containers(document);
    let workload_identity = text(WORKLOAD_IDENTITY) == Some("true");
    let parts = parts(document, &place, &containers, objects);
    parts
        .into_iter()
        .map(|(component, container)| {
            let is_ours = |variable: &Variable| {
                found.is_some_and(|found| {
                    found.live.ownership.ours.contains(&(container.name.to_owned(), variable.name.clone()))
                })
            };
            let path = format!("spec.template.spec.containers[{}].env", container.index);
            let (ours, by_hand): (Vec<Variable>, Vec<Variable>) =
                variables(&path, container.value).into_iter().partition(is_ours);
            let (namespace, name) = &place;
            Service {
                at,
                component,
                title: format!("Deployment {namespace}/{name}"),
                name: name.clone(),
                namespace: namespace.clone(),
                names_namespace: own_namespace.is_some(),
                path,
                origin: Origin::Kubernetes {
                    container: container.name.to_owned(),
                    alone: containers.len() == 1,
                    workload_identity,
                },
                variables: by_hand,
                ours: ours.into_iter().map(|variable| variable.name).collect(),
                is_open: container.value.get("envFrom").and_then(Json::as_array).is_some_and(|from| !from.is_empty()),
            }
        })
        .collect()
}

#[derive(Clone, Copy)]
struct Container<'a> {
    index: usize,
    name: &'a str,
    value: &'a Json,
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
            (Some(name), Some(key)) => Value::SecretRef { name, key },
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
