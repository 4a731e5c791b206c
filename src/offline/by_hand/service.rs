//! A part of Timbr that was set up by hand, in whichever form.

use std::collections::BTreeSet;

use crate::{
    api::{Component, Sensitive},
    offline::{Document, Installation, objects::Objects},
};

use super::{Documented, Stranger, compose_file, deployment, documented, read};

/// A container of a Deployment, or a service of a Docker Compose file, that is a part of Timbr.
#[derive(Debug)]
pub struct Service {
    /// Its document.
    pub at: usize,
    /// Which part of Timbr it is.
    pub component: Component,
    /// What messages call it: `Deployment timbr/timbr-platform`.
    pub title: String,
    /// The Deployment's or service's name.
    pub name: String,
    /// The namespace that it counts in.
    pub namespace: String,
    /// Whether its document names that namespace.
    pub names_namespace: bool,
    /// Where its variables are.
    pub path: String,
    /// Kubernetes or Docker.
    pub origin: Origin,
    /// The variables that are set by hand, in their order.
    pub variables: Vec<Variable>,
    /// Variables that a resource looks after: not set by hand, but there.
    pub ours: BTreeSet<String>,
    /// Variables that are set by hand although a resource looks after them.
    pub set_twice: Vec<Variable>,
    /// Where it may have variables from that are not listed here.
    pub elsewhere: Vec<Elsewhere>,
}

/// Something that sets variables which are not in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// `envFrom`, `env_file` or `extends`.
    pub what: &'static str,
    /// Where it stands.
    pub path: String,
}

/// In which form a service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Deployment.
    Kubernetes {
        /// The container.
        container: String,
        /// Whether it is the only one.
        alone: bool,
        /// Whether its pods are labelled for Azure's workload identity.
        workload_identity: bool,
    },
    /// A Docker Compose file.
    Compose,
}

/// A variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where its entry is.
    pub path: String,
    /// Its value.
    pub value: Value,
}

/// The value of a variable.
#[derive(Debug)]
pub enum Value {
    /// As the container gets it.
    Plain(Text),
    /// A boolean or a number, which YAML took it for.
    NotText(Text),
    /// A key of a Secret.
    SecretRef {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
        /// What is there, if the Secret is in the input.
        found: Option<Sensitive>,
    },
    /// From somewhere else; the value is not known.
    Other(Source),
}

/// Where a value comes from that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A key of a ConfigMap.
    ConfigMap,
    /// A field of the pod, or something else that Kubernetes offers.
    Field,
    /// `$(NAME)`: the kubelet puts another variable's value there.
    OtherVariable,
    /// `${NAME}`: Docker Compose puts something from outside there.
    Interpolation,
    /// The shell in which Docker Compose runs.
    Shell,
    /// Neither a text, a number nor a boolean.
    NoScalar,
}

impl Source {
    /// The words after "its value".
    pub const fn sentence(self) -> &'static str {
        match self {
            Source::ConfigMap => "comes from a ConfigMap; write it as a plain value",
            Source::Field => "comes from a field of the pod; write it as a plain value",
            Source::OtherVariable => {
                "holds $(…), which Kubernetes replaces by another variable; write the value itself"
            }
            Source::Interpolation => "holds ${…}, which Docker Compose replaces from outside; write the value itself",
            Source::Shell => "comes from the shell in which Docker Compose runs; write the value itself",
            Source::NoScalar => "is no text; write it in quotes",
        }
    }
}

/// A text that may be a secret: printed by nobody by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Sensitive);

impl Text {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }
}

impl<T: AsRef<str>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(Sensitive::from(text.as_ref()))
    }
}

impl Variable {
    /// What the variable is to Timbr, wherever it is set.
    pub fn documented(&self) -> Option<&'static Documented> {
        documented(&self.name)
    }

    /// The value as it is meant, where that can be told.
    pub fn meant(&self) -> Option<Text> {
        read(self.documented()?.form, self.text()?.as_str()).meant
    }

    /// A key, as it is meant; one in a Secret as it is there.
    pub fn key(&self) -> Option<Sensitive> {
        match &self.value {
            Value::SecretRef { found, .. } => found.clone(),
            _ => self.meant().map(|Text(key)| key),
        }
    }

    /// The value, where the document holds it.
    pub fn text(&self) -> Option<&Text> {
        match &self.value {
            Value::Plain(text) | Value::NotText(text) => Some(text),
            Value::SecretRef { .. } | Value::Other(_) => None,
        }
    }
}

impl Service {
    /// The variable as the container gets it: of two with one name the last.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|variable| variable.name == name)
    }

    /// Whether the container gets the variable from here or from a resource.
    pub fn has(&self, name: &str) -> bool {
        self.variable(name).is_some() || self.ours.contains(name)
    }

    /// The variable's value as it is meant.
    pub fn meant(&self, name: &str) -> Option<Text> {
        self.variable(name)?.meant()
    }

    /// The documented variables that the service itself reads.
    pub fn documented(&self) -> impl Iterator<Item = (&Variable, &'static Documented)> {
        let documented = self.variables.iter().filter_map(|variable| Some((variable, variable.documented()?)));
        documented.filter(|(_, known)| known.components.contains(&self.component))
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.meant(name).is_some_and(|meant| meant.as_str() == "true")
    }

    /// Whether it may have variables that are not listed here.
    pub fn is_open(&self) -> bool {
        !self.elsewhere.is_empty()
    }

    /// Whether it lacks a variable, or has nothing in it.
    pub fn lacks(&self, name: &str) -> bool {
        let is_empty = |variable: &Variable| variable.text().is_some_and(|text| text.as_str().is_empty());
        !self.is_open() && !self.ours.contains(name) && self.variable(name).is_none_or(is_empty)
    }

    /// Leaves to resources what they deliver: of the value of a variable that is set by hand too,
    /// `AlreadySetByHand` says all there is to say.
    fn leave_to_resources(&mut self, installation: &Installation) {
        let Origin::Kubernetes { container, .. } = &self.origin else { return };
        if installation.snapshot.key.namespace != self.namespace {
            return;
        }
        let plans = installation.plan.deployments.iter().filter(|plan| plan.name == self.name);
        let containers = plans.flat_map(|plan| &plan.containers).filter(|planned| planned.name == *container);
        let planned = containers.flat_map(|planned| &planned.env).map(|entry| entry.name.clone());
        let set_twice = installation.plan.resources.iter().flat_map(|judgement| &judgement.set_elsewhere);
        let set_twice = set_twice.filter(|set| set.deployment == self.name && set.container == *container);
        self.ours.extend(planned.chain(set_twice.map(|set| set.variable.to_string())));
        let is_ours = |variable: &Variable| self.ours.contains(&variable.name);
        let (set_twice, variables): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.variables).into_iter().partition(is_ours);
        self.variables = variables;
        self.set_twice.extend(set_twice);
    }

    /// Where the value of a variable is.
    pub fn value_path(&self, variable: &Variable) -> String {
        match (&self.origin, &variable.value) {
            (Origin::Compose, _) => variable.path.clone(),
            (_, Value::SecretRef { .. } | Value::Other(Source::ConfigMap | Source::Field)) => {
                format!("{}.valueFrom", variable.path)
            }
            _ => format!("{}.value", variable.path),
        }
    }

    /// Whether it is a service of a Docker Compose file.
    pub fn is_compose(&self) -> bool {
        self.origin == Origin::Compose
    }
}

/// The parts of Timbr in an input as resources leave them: without the variables that one delivers.
pub fn beside_resources(mut services: Vec<Service>, installations: &[Installation]) -> Vec<Service> {
    for service in &mut services {
        for installation in installations {
            service.leave_to_resources(installation);
        }
    }
    services
}

/// What sets Timbr's variables in an input and is no part of Timbr that can be recognised.
pub fn strangers(documents: &[Document], objects: &Objects, namespace: &str) -> Vec<Stranger> {
    let of_document = |(at, document): (usize, &Document)| match compose_file::is(&document.value) {
        true => compose_file::strangers(at, &document.value),
        false => deployment::strangers(at, &document.value, objects, namespace),
    };
    documents.iter().enumerate().flat_map(of_document).collect()
}

/// The parts of Timbr in an input; documents without a namespace count as in `namespace`.
pub fn services(documents: &[Document], objects: &Objects, namespace: &str) -> Vec<Service> {
    let of_document = |(at, document): (usize, &Document)| match compose_file::is(&document.value) {
        true => compose_file::services(at, &document.value, namespace),
        false => deployment::services(at, &document.value, objects, namespace),
    };
    documents.iter().enumerate().flat_map(of_document).collect()
}
