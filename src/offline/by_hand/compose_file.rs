//! Services of a Docker Compose file. Source: the Compose file reference, "services", "environment" and
//! "interpolation".

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{Service, Source, Text, Value, Variable, component, service::Origin};

/// Whether a document is a Docker Compose file: `services`, and none of what makes a Kubernetes object.
pub fn is(document: &Json) -> bool {
    document.get("services").is_some_and(Json::is_object)
        && document.get("apiVersion").is_none()
        && document.get("kind").is_none()
}

/// The parts of Timbr in a Docker Compose file.
pub fn services(at: usize, document: &Json, namespace: &str) -> Vec<Service> {
    let services = document.get("services").and_then(Json::as_object);
    services
        .into_iter()
        .flatten()
        .filter_map(|(name, service)| {
            let service = service.as_object()?;
            let path = format!("services.{name}.environment");
            let variables = variables(&path, service.get("environment"));
            let container_name = service.get("container_name").and_then(Json::as_str);
            let component = component::by_name(name)
                .or_else(|| component::by_name(container_name?))
                .or_else(|| component::by_variables(variables.iter().map(|variable| variable.name.as_str())))?;
            Some(Service {
                at,
                component,
                title: format!("Compose service {name}"),
                name: name.clone(),
                namespace: namespace.to_owned(),
                names_namespace: false,
                path,
                origin: Origin::Compose,
                variables,
                ours: BTreeSet::new(),
                is_open: is_open(service),
            })
        })
        .collect()
}

fn is_open(service: &Map<String, Json>) -> bool {
    service.contains_key("env_file") || service.contains_key("extends")
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
