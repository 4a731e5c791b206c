//! What of a namespace decides who may use its Timbr.
//!
//! A consumer names the namespace of the Timbr that it uses, and nothing more. So several installations of one namespace
//! are guarded together: by the policies of all of them.

use std::collections::BTreeSet;

use crate::{
    api::{AccessPolicy, Kind, Resource, Severity, Spec, TimbrInstallationSpec},
    policy::{Policy, State, Trust, Unlisted},
};

use super::{LiveGuards, Lookup, Settings, Snapshot, is_guid, kinds};

/// What of a namespace decides who may use its Timbr.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// Whom it trusts.
    pub trust: Trust,
    /// Its policies, of all components.
    pub policies: Vec<Policy<'a>>,
}

impl<'a> Access<'a> {
    /// Of a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let installations = snapshot.installations.iter();
        let resources = snapshot.resources.iter().map(|resource| (resource, is_sound(resource)));
        let guards = snapshot.guards.as_ref().and_then(Lookup::found);
        Self::new(&snapshot.settings, &snapshot.key.namespace, installations, resources, guards)
    }

    /// Of the installations and the resources of one namespace, each with whether it [is sound](is_sound), and what is
    /// recorded of its policies.
    pub fn new(
        settings: &Settings,
        namespace: &'a str,
        installations: impl Iterator<Item = &'a Resource<TimbrInstallationSpec>> + Clone,
        resources: impl Iterator<Item = (&'a Resource<Spec>, bool)> + Clone,
        guards: Option<&'a LiveGuards>,
    ) -> Self {
        let names: BTreeSet<&str> = installations.clone().map(|found| found.meta.name.as_str()).collect();
        // What cannot be read may say Required.
        let is_closed = |found: &Resource<TimbrInstallationSpec>| {
            found.spec.as_ref().map_or(true, |spec| spec.access_policy == AccessPolicy::Required)
        };
        let trust = Trust {
            cluster: settings.cluster_name.clone(),
            directory: directory(resources.clone(), &names),
            entra: settings.entra(),
            unlisted: if installations.clone().any(is_closed) { Unlisted::Closed } else { Unlisted::Open },
            ..Trust::default()
        };
        let mut policies: Vec<Policy<'a>> = resources.filter_map(|(it, sound)| policy(it, sound, &names)).collect();
        let guards = guards.filter(|live| live.ours).map(|live| &live.guards);
        policies.extend(guards.map(|guards| guards.removed(namespace, &policies)).unwrap_or_default());
        Self { trust, policies }
    }
}

/// Whether nothing is wrong with a resource by itself.
pub fn is_sound(resource: &Resource<Spec>) -> bool {
    let is_sound = |spec| kinds::problems(spec).iter().all(|problem| problem.severity == Severity::Warning);
    resource.spec.as_ref().is_ok_and(is_sound)
}

/// A resource as a policy, if it is one.
fn policy<'a>(resource: &'a Resource<Spec>, sound: bool, installations: &BTreeSet<&str>) -> Option<Policy<'a>> {
    let (target, state) = match &resource.spec {
        Ok(Spec::InboundAccessPolicy(spec)) if sound && resource.key(installations).is_ok() => {
            (Some(spec.target), State::Accepted(spec))
        }
        Ok(Spec::InboundAccessPolicy(spec)) => (Some(spec.target), State::Invalid),
        Err(_) if resource.meta.kind == Kind::InboundAccessPolicy => (None, State::Invalid),
        _ => return None,
    };
    Some(Policy { namespace: &resource.meta.namespace, name: &resource.meta.name, target, state })
}

/// The directory that people sign in to: of the oldest AzureSso that is valid, if it names it by its id.
fn directory<'a>(
    resources: impl Iterator<Item = (&'a Resource<Spec>, bool)>,
    installations: &BTreeSet<&str>,
) -> Option<String> {
    let sign_on = resources.filter_map(|(resource, sound)| match &resource.spec {
        Ok(Spec::AzureSso(spec)) if sound && resource.key(installations).is_ok() => {
            Some((&resource.meta, &spec.tenant_id))
        }
        _ => None,
    });
    let (_, tenant) = sign_on.min_by(|(a, _), (b, _)| a.age_order(b))?;
    is_guid(tenant.as_bytes()).then(|| tenant.clone())
}
