//! The Secret that charts name: one a component, under a name that never changes, with all of its
//! variables. The pod template is the chart's; ours is the content, and a word on the template that the
//! content is another, so that pods are replaced.
//!
//! It is kept for every pod template that names it, whatever the installation's delivery: so a chart may
//! name it before or after that is switched, and no container is without its variables in between.

use std::collections::BTreeMap;

use crate::api::{Component, Delivery, Reason};

use super::{
    EnvEntry, EnvSource, InstallationKey, LiveDeployment, LiveSecret, Lookup, SecretPlan, Snapshot, Value, Verdict,
    keep::{KeptValue, could_be_kept},
    live::LiveContainer,
    ownership::{Place, PlaceRef},
    secret::{labels, unreadable},
    site::Site,
};

/// The stable Secret of a component, as an installation finds it.
#[derive(Debug)]
pub enum Stable<'a> {
    /// There is none, and it may be made.
    Free,
    /// It is ours to write.
    Ours(&'a LiveSecret),
    /// It is not ours to touch; what that means for who wants to be in it.
    Foreign(Verdict),
}

impl<'a> Stable<'a> {
    /// Looks for it.
    pub fn find(snapshot: &'a Snapshot, component: Component) -> Self {
        let name = component.stable_secret();
        let secret = match snapshot.secrets.get(name) {
            Some(Lookup::Found(secret)) => secret,
            Some(Lookup::Forbidden) => {
                return Self::Foreign(unreadable(name, &snapshot.key.namespace));
            }
            Some(Lookup::Missing | Lookup::NotInInput) | None => return Self::Free,
        };
        let in_the_way = |why: String| Self::Foreign(Verdict::no(Reason::Conflict, format!("Secret {name} {why}")));
        if !secret.ours {
            return in_the_way(
                "is in the way: it was not made by this operator, which would keep the variables in a Secret of that name; rename it, and the operator makes its own"
                    .to_owned(),
            );
        }
        match other_owner(snapshot, secret) {
            Some(other) => in_the_way(format!(
                "belongs to TimbrInstallation {other}, and its name is the same for all of a namespace; give this one delivery: Patch, or a namespace of its own"
            )),
            None => Self::Ours(secret),
        }
    }

    /// The Secret, if it is ours.
    pub fn ours(&self) -> Option<&'a LiveSecret> {
        match self {
            Self::Ours(secret) => Some(secret),
            Self::Free | Self::Foreign(_) => None,
        }
    }
}

/// Another installation that exists and has the Secret, by its label.
fn other_owner<'a>(snapshot: &'a Snapshot, secret: &LiveSecret) -> Option<&'a str> {
    if is_of(snapshot, secret) {
        return None;
    }
    let label = secret.installation.as_deref()?;
    let key = |name: &str| InstallationKey { namespace: snapshot.key.namespace.clone(), name: Some(name.to_owned()) };
    let mut names = snapshot.installations.iter().map(|installation| installation.meta.name.as_str());
    names.find(|name| key(name).label() == label)
}

/// Whether the label says that a Secret is of this very installation, not of one that is gone.
fn is_of(snapshot: &Snapshot, secret: &LiveSecret) -> bool {
    secret.installation.as_deref() == Some(&snapshot.key.label())
}

/// Whether a Secret is of this installation, or of one that is gone and has no other successor.
fn is_own(snapshot: &Snapshot, secret: &LiveSecret) -> bool {
    is_of(snapshot, secret) || snapshot.installations.is_empty()
}

/// What a container's template says of one of its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The value comes from the Secret.
    Taken,
    /// An entry of somebody else's says otherwise.
    Shadowed,
    /// Nothing takes it from the Secret.
    Missing,
}

/// Whether a container takes a variable from a Secret, entries of ours aside.
pub fn reference(site: &Site<'_>, (container, variable): PlaceRef<'_>, secret: &str) -> Reference {
    let Some(live) = site.live() else { return Reference::Taken };
    // Of several entries of a name the last one counts.
    let entry = site.variables().get(container, variable).last();
    if let Some(entry) = entry.filter(|_| !site.variables().is_ours_alone(container, variable)) {
        let is_taken = entry.secret() == Some((secret, variable));
        return if is_taken { Reference::Taken } else { Reference::Shadowed };
    }
    if live.container(container).is_some_and(|container| takes_all(container, secret)) {
        Reference::Taken
    } else {
        Reference::Missing
    }
}

fn takes_all(container: &LiveContainer, secret: &str) -> bool {
    container.env_from.iter().any(|from| from.secret == secret && !from.prefixed)
}

/// What is put into a chart so that a container takes all variables from a Secret.
pub fn chart_line(secret: &str) -> String {
    format!("envFrom: [{{secretRef: {{name: {secret}}}}}]")
}

/// Variables of one container, and how they get there.
#[derive(Debug, Default)]
pub struct Shelf {
    /// The Secret, if it is to be there.
    pub secret: Option<SecretPlan>,
    /// The variables that the container takes from it, by name.
    pub referenced: Vec<EnvEntry>,
    /// Variables whose entries stay as they are: nothing takes them from the Secret yet.
    pub stay: BTreeMap<String, EnvSource>,
    /// Variables that have no entry of ours: they are in the Secret.
    shelved: Vec<String>,
    /// What a new content is told by.
    content: BTreeMap<String, Value>,
}

/// What is to be in a container: what is asked for, and what stays although nobody asks.
pub struct Contents<'a> {
    /// What is asked for.
    pub wanted: BTreeMap<&'a str, &'a Value>,
    /// What stays.
    pub kept: BTreeMap<&'a str, &'a KeptValue<'a>>,
}

impl Shelf {
    /// Plans the Secret of a container, and what of the container's variables is left to it.
    pub fn plan(snapshot: &Snapshot, site: &Site<'_>, container: &str, contents: &Contents<'_>) -> Self {
        let mut shelf = Self::default();
        let delivery = snapshot.delivery();
        let Some((component, stable)) = site.stable(container) else { return shelf };
        let name = component.stable_secret();
        let live = site.live();
        let is_named = live.is_some_and(|live| live.names(name));
        let mut data: BTreeMap<String, Value> = BTreeMap::new();
        data.extend(contents.wanted.iter().map(|(variable, value)| ((*variable).to_owned(), (*value).clone())));
        for (variable, kept) in &contents.kept {
            if let Some(value) = kept.resolve(snapshot).or_else(|| stable.ours()?.data.get(*variable).cloned()) {
                data.insert((*variable).to_owned(), Value::Sensitive(value));
            }
        }
        let is_needed = match (stable, delivery) {
            (Stable::Foreign(_), _) => false,
            (Stable::Ours(_), None) => true,
            (Stable::Free, None) => false,
            (_, Some(delivery)) => is_named || (delivery == Delivery::Reference && !data.is_empty()),
        };
        if !is_needed {
            // Before it goes it lets go of what is released: without a record nobody could tell whose that was.
            shelf.secret = stable.ours().filter(|live| is_own(snapshot, live)).map(|live| {
                let there = live.data.iter().filter(|(variable, _)| data.contains_key(*variable));
                let data = there.map(|(variable, value)| (variable.clone(), Value::Sensitive(value.clone())));
                SecretPlan { stays: false, ..plan(snapshot, component, stable, data.collect()) }
            });
            return shelf;
        }
        let refers = delivery != Some(Delivery::Patch);
        for variable in data.keys().filter(|_| refers) {
            let place: Place = (container.to_owned(), variable.clone());
            let ours = live.filter(|live| live.ownership.ours.contains(&place));
            let entry = ours.and_then(|live| could_be_kept(live, &place));
            let reference = reference(site, (container, variable), name);
            let entry = entry.filter(|_| delivery.is_none() || reference != Reference::Taken).and_then(EnvSource::of);
            let is_taken = entry.is_none() && reference == Reference::Taken;
            if is_taken || reference == Reference::Shadowed {
                shelf.content.insert(variable.clone(), data[variable].clone());
            }
            if is_taken {
                let source = EnvSource::Secret { name: name.to_owned(), key: variable.clone() };
                shelf.referenced.push(EnvEntry { name: variable.clone(), source });
            }
            match entry {
                Some(source) => drop(shelf.stay.insert(variable.clone(), source)),
                None => shelf.shelved.push(variable.clone()),
            }
        }
        shelf.secret = Some(plan(snapshot, component, stable, data));
        shelf
    }

    /// Whether a variable has no entry of ours, as it is in the Secret.
    pub fn has(&self, variable: &str) -> bool {
        self.shelved.iter().any(|name| name == variable)
    }
}

/// The value of the annotation on a pod template some of whose containers take variables from Secrets.
pub fn content(snapshot: &Snapshot, site: &Site<'_>, shelves: &BTreeMap<String, Shelf>) -> Option<String> {
    let is_taken = shelves.values().any(|shelf| !shelf.referenced.is_empty());
    let is_there = || site.live().is_some_and(|live| live.ownership.content);
    let is_written = match snapshot.delivery() {
        Some(delivery) => delivery == Delivery::Reference,
        None => is_there(),
    };
    if !is_taken || !is_written {
        return None;
    }
    let contents = shelves.iter().map(|(container, shelf)| (container.as_str(), &shelf.content));
    Some(snapshot.name_key.content(site.name, contents))
}

/// The Secret with these variables.
fn plan(snapshot: &Snapshot, component: Component, stable: &Stable<'_>, data: BTreeMap<String, Value>) -> SecretPlan {
    let mut plan = SecretPlan {
        name: component.stable_secret().to_owned(),
        labels: labels(snapshot, component),
        owner: None,
        data,
        present: false,
        stable: true,
        stays: true,
        replaces: stable.ours().cloned(),
    };
    let is_equal = |live: &LiveSecret| is_of(snapshot, live) && live.data == plan.live().data;
    plan.present = plan.replaces.as_ref().is_some_and(is_equal);
    plan
}

/// A stable Secret that no plan of a Deployment speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum Leftover {
    /// Nothing names it: it goes.
    Delete {
        /// Its name.
        name: String,
        /// What it is.
        seen: LiveSecret,
    },
    /// Something may name it, and nobody asks for its variables: they go.
    Empty(SecretPlan),
}

/// What is to become of a component's stable Secret when no plan of a Deployment speaks of it. `at_rest`: of the
/// component's Deployment, which was read: whether it is as planned and its pods run; `None` without one. `idle`:
/// whether nobody asks for variables of the component.
pub fn leftover(
    snapshot: &Snapshot,
    component: Component,
    site: Option<&Site<'_>>,
    at_rest: Option<bool>,
    idle: bool,
) -> Option<Leftover> {
    let Stable::Ours(live) = Stable::find(snapshot, component) else { return None };
    let Some(site) = site else {
        // Of an installation that is gone. Another that takes variables from such a Secret takes it over.
        let is_taken = snapshot.installations.iter().any(|there| match &there.spec {
            Ok(spec) => spec.delivery == Delivery::Reference,
            Err(_) => true,
        });
        // The implicit one is gone, too, when there are others.
        let is_gone = !is_of(snapshot, live) || (!snapshot.installations.is_empty() && idle);
        let empties = snapshot.key.name.is_none() && !is_taken && is_gone && !live.data.is_empty();
        let stable = Stable::Ours(live);
        return empties.then(|| Leftover::Empty(plan(snapshot, component, &stable, BTreeMap::new())));
    };
    if site.live().is_some_and(|live| live.names(component.stable_secret())) {
        return None;
    }
    let goes = is_own(snapshot, live) && snapshot.delivery().is_some() && at_rest.unwrap_or(idle);
    goes.then(|| Leftover::Delete { name: component.stable_secret().to_owned(), seen: live.clone() })
}

impl LiveDeployment {
    /// The stable Secrets that the pod template names.
    pub fn stable_secrets(&self) -> impl Iterator<Item = &'static str> {
        Component::ALL.into_iter().map(Component::stable_secret).filter(|name| self.names(name))
    }
}
