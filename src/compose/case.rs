//! What a kind may look at when it says what it asks for: the snapshot, and the resources beside it.

use std::cell::OnceCell;

use crate::api::{AzureSsoSpec, Component, JwtAuthenticationSpec, Kind, Resource, Spec};

use super::{LiveContainer, LiveDeployment, Lookup, Snapshot, consumer::Guests, installation::Target};

/// A resource that others build on, and whether they may.
#[derive(Debug)]
pub struct Lead<'a, S> {
    /// Its name.
    pub name: &'a str,
    /// What it asks for, if it is accepted.
    pub spec: Option<&'a S>,
    /// Whether it is accepted, and everything that it references is there.
    pub ready: bool,
}

/// What there is beside a resource in its installation.
#[derive(Debug)]
pub struct Case<'a> {
    /// Everything.
    pub snapshot: &'a Snapshot,
    /// Where the installation's components run.
    pub targets: &'a [Target],
    /// Its AzureSsos, oldest first.
    pub sign_ons: Vec<Lead<'a, AzureSsoSpec>>,
    /// Its JwtAuthentications, oldest first.
    pub jwt: Vec<Lead<'a, JwtAuthenticationSpec>>,
    /// Whether it has JwtTenants.
    pub has_tenants: bool,
    /// What the access policies make of who uses this Timbr; looked at once.
    guests: OnceCell<Guests<'a>>,
    /// Whether the resource belongs to an installation at all: else nothing is known of what is beside
    /// it.
    pub at_home: bool,
}

impl<'a> Case<'a> {
    /// A case of which nothing is known yet that is beside the resource.
    pub fn new(snapshot: &'a Snapshot, targets: &'a [Target]) -> Self {
        let guests = OnceCell::new();
        Self { snapshot, targets, sign_ons: vec![], jwt: vec![], has_tenants: false, guests, at_home: true }
    }

    /// The case of a resource that belongs nowhere.
    pub fn of_nobody(snapshot: &'a Snapshot) -> Self {
        Self { at_home: false, ..Self::new(snapshot, &[]) }
    }

    /// Remembers a resource that others build on. One that cannot be read is there all the same.
    pub fn lead(&mut self, resource: &'a Resource<Spec>, valid: bool, ready: bool) {
        let name = &resource.meta.name;
        let spec = resource.spec.as_ref().ok().filter(|_| valid);
        match resource.meta.kind {
            Kind::AzureSso => {
                let spec = match spec {
                    Some(Spec::AzureSso(spec)) => Some(spec),
                    _ => None,
                };
                self.sign_ons.push(Lead { name, spec, ready });
            }
            Kind::JwtAuthentication => {
                let spec = match spec {
                    Some(Spec::JwtAuthentication(spec)) => Some(spec),
                    _ => None,
                };
                self.jwt.push(Lead { name, spec, ready });
            }
            _ => {}
        }
    }

    /// What the access policies make of who uses this Timbr.
    pub fn guests(&self) -> &Guests<'a> {
        self.guests.get_or_init(|| Guests::of(self.snapshot))
    }

    /// The JwtAuthentication that tenants build on.
    pub fn authentication(&self) -> Option<&'a JwtAuthenticationSpec> {
        self.jwt.iter().find(|lead| lead.ready).and_then(|lead| lead.spec)
    }

    /// Whether people sign in by single sign-on, or will once what that waits for is there.
    pub fn has_sign_on(&self) -> bool {
        !self.at_home || self.sign_ons.iter().any(|lead| lead.spec.is_some())
    }

    /// Whether a lead of that name may be there all the same: it is not in the input.
    pub fn is_unknown<S>(&self, leads: &[Lead<'_, S>], name: &str) -> bool {
        !self.snapshot.complete && leads.iter().all(|lead| lead.name != name)
    }

    /// The Deployment in which a component runs.
    pub fn deployment(&self, component: Component) -> Option<(&'a Target, &'a LiveDeployment)> {
        let target = self.targets.iter().find(|target| target.component == component)?;
        Some((target, self.snapshot.deployments.get(&target.deployment).and_then(Lookup::found)?))
    }

    /// The container in which a component runs.
    pub fn container(&self, component: Component) -> Option<&'a LiveContainer> {
        let (target, live) = self.deployment(component)?;
        live.container(&target.find_container(live).ok()?)
    }
}
