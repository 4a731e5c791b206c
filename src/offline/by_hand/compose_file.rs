//! Services of a Docker Compose file. Source: the Compose file reference, "services", "environment" and
//! "interpolation".

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::api::Component;

use super::{Elsewhere, Service, Source, Stranger, Text, Value, Variable, component, service::Origin, words};

/// Whether a document is a Docker Compose file: `services`, and none of what makes a Kubernetes object.
pub fn is(document: &Json) -> bool {
    document.get("services").is_some_and(Json::is_object)
        && document.get("apiVersion").is_none()
        && document.get("kind").is_none()
}

/// The parts of Timbr in a Docker Compose file.
pub fn services(at: usize, document: &Json, namespace: &str) -> Vec<Service> {
    let part = |(name, service): (&String, &Map<String, Json>)| {
        let path = path(name);
        let variables = variables(&path, service.get("environment"));
        Some(Service {
            at,
            component: component(name, service, &variables)?,
            title: format!("Compose service {name}"),
            name: name.clone(),
            namespace: namespace.to_owned(),
            names_namespace: false,
            path,
            origin: Origin::Compose,
            variables,
            ours: BTreeSet::new(),
            set_twice: vec![],
            elsewhere: elsewhere(name, service),
        })
    };
    all(document).filter_map(part).collect()
}

/// Services that are no part of Timbr, and set its variables.
pub fn strangers(at: usize, document: &Json) -> Vec<Stranger> {
    let stranger = |(name, service): (&String, &Map<String, Json>)| {
        let variables = variables(&path(name), service.get("environment"));
        if component(name, service, &variables).is_some() {
            return None;
        }
        let names =
            words::any_of(&[Component::Platform, Component::Server, Component::Api].map(Component::usual_deployment));
        let why = format!(
            "service {name} is not recognised as a part of Timbr; call it, or its container_name, {names} if it is one"
        );
        Stranger::new(at, why, variables)
    };
    all(document).filter_map(stranger).collect()
}

fn all(document: &Json) -> impl Iterator<Item = (&String, &Map<String, Json>)> {
    let services = document.get("services").and_then(Json::as_object).into_iter().flatten();
    services.filter_map(|(name, service)| Some((name, service.as_object()?)))
}

fn path(name: &str) -> String {
    format!("services.{name}.environment")
}

fn component(name: &str, service: &Map<String, Json>, variables: &[Variable]) -> Option<Component> {
    let container_name = service.get("container_name").and_then(Json::as_str);
    component::by_name(name)
        .or_else(|| component::by_name(container_name?))
        .or_else(|| component::by_variables(variables.iter().map(|variable| variable.name.as_str())))
}

fn elsewhere(name: &str, service: &Map<String, Json>) -> Vec<Elsewhere> {
    let there = ["env_file", "extends"].into_iter().filter(|what| service.contains_key(*what));
    there.map(|what| Elsewhere { what, path: format!("services.{name}.{what}") }).collect()
}

fn variables(path: &str, environment: Option<&Json>) -> Vec<Variable> {
    match environment {
        Some(Json::Array(entries)) => {
            entries.iter().enumerate().flat_map(|(i, entry)| of_entry(&format!("{path}[{i}]"), entry)).collect()
        }
        Some(Json::Object(map)) => {
            let value = |value: &Json| match value {
                Json::String(text) => value_of(text),
                Json::Bool(_) => Value::NotText(Text::from(value.to_string())),
                // Docker Compose takes numbers.
                Json::Number(number) => Value::Plain(Text::from(number.to_string())),
                Json::Null => Value::Other(Source::Shell),
                Json::Array(_) | Json::Object(_) => Value::Other(Source::NoScalar),
            };
            map.iter()
                .map(|(name, found)| Variable {
                    name: name.clone(),
                    path: format!("{path}.{name}"),
                    value: value(found),
                })
                .collect()
        }
        _ => vec![],
    }
}

/// `NAME=value`, or `NAME` alone. (`- NAME: value` is a map in a list, which Docker Compose refuses.)
fn of_entry(path: &str, entry: &Json) -> Vec<Variable> {
    let variable = |name: &str, value| Variable { name: name.to_owned(), path: path.to_owned(), value };
    match entry {
        Json::String(text) => match text.split_once('=') {
            Some((name, value)) => vec![variable(name, value_of(value))],
            None => vec![variable(text, Value::Other(Source::Shell))],
        },
        Json::Object(map) => map.keys().map(|name| variable(name, Value::Other(Source::NoScalar))).collect(),
        _ => vec![],
    }
}

fn value_of(text: &str) -> Value {
    match literal(text) {
        Some(text) => Value::Plain(Text::from(text)),
        None => Value::Other(Source::Interpolation),
    }
}

/// The text with `$$` as `$`, unless Docker Compose would put something into it.
fn literal(text: &str) -> Option<String> {
    let mut literal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        literal.push('$');
        rest = match after.chars().next() {
            Some('$') => &after[1..],
            Some('{' | '_') => return None,
            Some(c) if c.is_ascii_alphabetic() => return None,
            _ => after,
        };
    }
    literal.push_str(rest);
    Some(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars() {
        for (text, expected) in
            [("a", Some("a")), ("p$$a", Some("p$a")), ("$$$$", Some("$$")), ("5$", Some("5$")), ("$5", Some("$5"))]
        {
            assert_eq!(literal(text).as_deref(), expected, "{text}");
        }
        for text in ["${A}", "$A", "x$_", "$$$A", "${A:-b}"] {
            assert_eq!(literal(text), None, "{text}");
        }
        assert_eq!(literal("$${A}").as_deref(), Some("${A}"));
    }
}
