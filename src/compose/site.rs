//! A Deployment of the installation, and where in it each component is.

use std::{cell::OnceCell, collections::BTreeMap};

use crate::api::{Component, Reason};

use super::{Attribution, LiveDeployment, Lookup, Snapshot, Verdict, installation::Target, live::Variables};

/// A Deployment that the plan is about.
#[derive(Debug)]
pub struct Site<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was found.
    pub lookup: &'a Lookup<LiveDeployment>,
    /// The container of each component that runs in it, or the sentence that says why there is none.
    containers: BTreeMap<Component, Result<String, String>>,
    /// Its variables, once somebody asks for them.
    variables: OnceCell<Variables<'a>>,
    /// Our annotation, once somebody asks for it.
    record: OnceCell<Option<Attribution>>,
}

impl<'a> Site<'a> {
    /// The Deployment called `name`, in which `targets` run.
    pub fn new(snapshot: &'a Snapshot, name: &'a str, targets: &[Target]) -> Self {
        let lookup = snapshot.deployments.get(name).unwrap_or(&Lookup::Missing);
        let container = |target: &Target| match lookup.found() {
            Some(live) => target.find_container(live).map_err(|candidates| sentence(target, &candidates)),
            None => Ok(target.presumed_container()),
        };
        let here = targets.iter().filter(|target| target.deployment == name);
        let containers = here.map(|target| (target.component, container(target))).collect();
        Self { name, lookup, containers, variables: OnceCell::new(), record: OnceCell::new() }
    }

    /// The live object.
    pub fn live(&self) -> Option<&'a LiveDeployment> {
        self.lookup.found()
    }

    /// Its live variables.
    pub fn variables(&self) -> &Variables<'a> {
        self.variables.get_or_init(|| self.live().map(Variables::of).unwrap_or_default())
    }

    /// What our annotation says, if it is there and can be read.
    pub fn record(&self) -> Option<&Attribution> {
        let read = || Attribution::read(self.live().and_then(|live| live.delivered.as_deref()));
        self.record.get_or_init(read).as_ref()
    }

    /// The container of a component; `None` when the component runs elsewhere.
    pub fn container(&self, component: Component) -> Option<Result<&str, &str>> {
        self.containers.get(&component).map(|found| found.as_deref().map_err(String::as_str))
    }

    /// The component in a container; what is kept in a container that is no component's any more
    /// needs no answer.
    pub fn component(&self, container: &str) -> Option<Component> {
        self.containers.iter().find(|(_, found)| found.as_deref() == Ok(container)).map(|(component, _)| *component)
    }

    /// Why nothing can be delivered to the Deployment at all.
    pub fn absence(&self, namespace: &str) -> Option<Verdict> {
        let name = self.name;
        match self.lookup {
            Lookup::Found(_) | Lookup::NotInInput => None,
            Lookup::Forbidden => Some(Verdict::no(Reason::Forbidden, forbidden(name, namespace))),
            Lookup::Missing => Some(Verdict::no(
                Reason::DeploymentNotFound,
                format!(
                    "Deployment {name} does not exist in namespace {namespace}; install Timbr there, or name its Deployment in a TimbrInstallation"
                ),
            )),
        }
    }
}

/// The sentence about a Deployment that may not be read.
pub fn forbidden(name: &str, namespace: &str) -> String {
    format!(
        "Deployment {name}: the operator may not read Deployments in namespace {namespace}; grant its ServiceAccount get, list, watch and patch on deployments there"
    )
}

fn sentence(target: &Target, candidates: &[String]) -> String {
    let (deployment, component) = (&target.deployment, target.component.name());
    let there = candidates.join(", ");
    match &target.container {
        Some(container) => format!(
            "Deployment {deployment} has no container {container} (there are: {there}); correct spec.components.{component}.container of the TimbrInstallation"
        ),
        None => format!(
            "Deployment {deployment} has several containers ({there}) and none is called {}; name one in spec.components.{component}.container of a TimbrInstallation",
            target.component.usual_containers().join(" or ")
        ),
    }
}
