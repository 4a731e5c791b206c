//! A Deployment of the installation, and where in it each component is.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::api::{Component, Delivery, PolicyTarget, Reason, Sensitive};

use super::{
    Attribution, LiveDeployment, LiveSecret, Lookup, Owner, Snapshot, Verdict,
    attribution::DISPLACED,
    displaced::Displaced,
    installation::Target,
    live::Variables,
    ownership::{Place, PlaceRef},
    stable::Stable,
};

/// A Deployment that the plan is about.
#[derive(Debug)]
pub struct Site<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was found.
    pub lookup: &'a Lookup<LiveDeployment>,
    /// The container of each component that runs in it, or the sentence that says why there is none.
    containers: BTreeMap<Component, Result<String, String>>,
    /// The Secret that charts name, of each container in which a component runs.
    stables: BTreeMap<String, (Component, Stable<'a>)>,
    /// Whether charts are to name our Secrets.
    refers: bool,
    /// Its variables, once somebody asks for them.
    variables: OnceCell<Variables<'a>>,
    /// Our annotation, once somebody asks for it.
    record: OnceCell<Option<Attribution>>,
    /// Whether our annotation tells what stood in the place of anything: mostly not, and it need not be read.
    records_displaced: bool,
}

/// Where a component runs, and in which container; `None` where nobody knows.
pub fn place_of<'s, 'a>(
    sites: &'s [Site<'a>],
    component: Component,
) -> Option<(&'s Site<'a>, Result<&'s str, &'s str>)> {
    sites.iter().find_map(|site| Some((site, site.container(component)?)))
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
        let containers: BTreeMap<Component, Result<String, String>> =
            here.map(|target| (target.component, container(target))).collect();
        let mut stables = BTreeMap::new();
        for (component, container) in &containers {
            if let Ok(container) = container {
                let stable = || (*component, Stable::find(snapshot, *component));
                stables.entry(container.clone()).or_insert_with(stable);
            }
        }
        let delivered = lookup.found().and_then(|live| live.delivered.as_deref());
        Self {
            name,
            lookup,
            containers,
            stables,
            refers: snapshot.delivery() == Some(Delivery::Reference),
            variables: OnceCell::new(),
            record: OnceCell::new(),
            records_displaced: delivered.is_some_and(|delivered| delivered.contains(DISPLACED)),
        }
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

    /// The components that run in it, as access policies call them.
    pub fn targets(&self) -> impl Iterator<Item = PolicyTarget> {
        PolicyTarget::ALL.into_iter().filter(|target| self.containers.contains_key(&target.component()))
    }

    /// What stood in a variable's place before it was adopted, as our annotation has it.
    pub fn recorded(&self, place: PlaceRef<'_>) -> Option<&Displaced> {
        self.records_displaced.then(|| self.record())??.displaced(place)
    }

    /// What stood in a variable's place and is to be put back. What a chart is to say once it names our Secret is not
    /// put back any more once its owner has let go of the entry.
    pub fn displaced(&self, place: PlaceRef<'_>) -> Option<&Displaced> {
        let displaced = self.recorded(place)?;
        let owner = displaced.owner();
        let place = (place.0.to_owned(), place.1.to_owned());
        let has =
            |owners: &BTreeMap<Place, BTreeSet<Owner>>| owners.get(&place).is_some_and(|all| all.contains(&owner));
        let is_let_go = self.refers
            && self.live().is_some_and(|live| {
                let ownership = &live.ownership;
                ownership.ours.contains(&place) && !has(&ownership.shells) && !has(&ownership.others)
            });
        (!is_let_go).then_some(displaced)
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

    /// The component in a container, and its Secret that charts name.
    pub fn stable(&self, container: &str) -> Option<(Component, &Stable<'a>)> {
        self.stables.get(container).map(|(component, stable)| (*component, stable))
    }

    /// The containers in which components run.
    pub fn component_containers(&self) -> impl Iterator<Item = &str> {
        self.stables.keys().map(String::as_str)
    }

    /// The Secret that charts name, of a container's component, if it is there and ours.
    fn shelf(&self, container: &str) -> Option<&'a LiveSecret> {
        self.stables.get(container)?.1.ours()
    }

    /// The value that a variable has in the Secret that charts name.
    pub fn shelved(&self, (container, variable): PlaceRef<'_>) -> Option<&'a Sensitive> {
        self.shelf(container)?.data.get(variable)
    }

    /// The variables that are in Secrets that charts name.
    pub fn all_shelved(&self) -> impl Iterator<Item = Place> {
        self.stables.keys().flat_map(|container| {
            let data = self.shelf(container).into_iter().flat_map(|secret| secret.data.keys());
            data.map(move |variable| (container.clone(), variable.clone()))
        })
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
