//! The services of one namespace: one Timbr.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::{
    api::{API_VERSION, Component, Kind},
    compose::LiveSecret,
    offline::{
        by_hand::{Section, Service, Variable},
        objects::Objects,
    },
};

use super::Options;

/// One Timbr.
#[derive(Debug, Default)]
pub struct Timbr<'a> {
    /// The namespace, where anybody names it.
    pub namespace: Option<String>,
    /// Its parts.
    pub services: BTreeMap<Component, &'a Service>,
    /// Services of components that it has already.
    pub surplus: Vec<&'a Service>,
    /// The Secrets of its namespace that are in the input.
    pub secrets: BTreeMap<&'a str, &'a LiveSecret>,
    /// Whether the input has a TimbrInstallation for it.
    pub has_installation: bool,
    /// Whether the input has an AzureSso for it.
    pub has_sign_on: bool,
}

impl<'a> Timbr<'a> {
    /// Every Timbr among services.
    pub fn all(services: &'a [Service], objects: &'a Objects, options: &Options<'_>) -> Vec<Self> {
        let mut found: BTreeMap<&str, Self> = BTreeMap::new();
        let has = |kind: Kind, namespace: &str| {
            let mut metas = objects.ours.iter().map(|ours| ours.object.meta());
            metas.any(|meta| meta.kind == kind && meta.namespace == namespace)
        };
        let secrets = |namespace: &str| {
            let here = objects.secrets.iter().filter(|((of, _), _)| of == namespace);
            here.map(|((_, name), secret)| (name.as_str(), secret)).collect()
        };
        for service in services {
            let timbr = found.entry(&service.namespace).or_insert_with(|| Self {
                namespace: options.namespace.map(str::to_owned),
                services: BTreeMap::new(),
                surplus: vec![],
                secrets: secrets(&service.namespace),
                has_installation: has(Kind::TimbrInstallation, &service.namespace),
                has_sign_on: has(Kind::AzureSso, &service.namespace),
            });
            if service.names_namespace {
                timbr.namespace = Some(service.namespace.clone());
            }
            let first = *timbr.services.entry(service.component).or_insert(service);
            if !std::ptr::eq(first, service) {
                timbr.surplus.push(service);
            }
        }
        found.into_values().collect()
    }

    /// A variable of a component.
    pub fn variable(&self, component: Component, name: &str) -> Option<&'a Variable> {
        self.services.get(&component)?.variable(name)
    }

    /// The variables of some sections that are set where they are read.
    pub fn of_sections(&self, sections: &[Section]) -> Vec<(Component, &'a str)> {
        let is_there = |component: Component, variable: &Variable| {
            variable
                .documented()
                .is_some_and(|known| known.components.contains(&component) && sections.contains(&known.section))
        };
        self.services
            .iter()
            .flat_map(|(component, service)| {
                let there = service.variables.iter().filter(|variable| is_there(*component, variable));
                there.map(|variable| (*component, variable.name.as_str()))
            })
            .collect()
    }

    /// A resource of ours.
    pub fn resource(&self, kind: &str, name: &str, spec: Map<String, Json>) -> Json {
        let mut resource = json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec});
        if let Some(namespace) = &self.namespace {
            resource["metadata"]["namespace"] = namespace.as_str().into();
        }
        resource
    }
}
