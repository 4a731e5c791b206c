//! What must be read, live, before an installation can be composed.

use std::collections::BTreeSet;

use crate::api::{Component, Credentials, Delivery, PolicyTarget, Resource, SecretKeyRef, Spec, TimbrInstallationSpec};

use super::{
    InstallationKey,
    installation::{Claims, Target, named},
    kinds::components_of,
    network_policy::{guarded_by, guards_network, network_name},
};

/// Names of objects in the installation's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Deployments: the installation's own, those it must release, and those to which what is on them goes.
    pub deployments: BTreeSet<String>,
    /// Secrets that its resources name, and those that its Deployments are to name.
    pub secrets: BTreeSet<String>,
    /// NetworkPolicies in front of its Deployments: those that are to be there, and those that are.
    pub networks: BTreeSet<String>,
}

/// What an installation needs, given the resources of its namespace, the Deployments there that carry our label, the
/// components whose Secrets that charts name are there, and the NetworkPolicies there that we made.
pub fn needs(
    key: &InstallationKey,
    installations: &[Resource<TimbrInstallationSpec>],
    resources: &[Resource<Spec>],
    managed: &BTreeSet<String>,
    stable: &BTreeSet<Component>,
    networks: &BTreeSet<String>,
) -> Needs {
    // Whether anything still names such a Secret tells the usual Deployment.
    let usual = stable.iter().map(|component| component.usual_deployment().to_owned());
    let managed: BTreeSet<String> = managed.iter().cloned().chain(usual).collect();
    let claims = Claims::new(installations);
    let names = claims.names();
    let mine: Vec<_> = resources.iter().filter(|resource| resource.key(&names).as_ref() == Ok(key)).collect();
    let guarded: BTreeSet<Component> =
        mine.iter().filter_map(|resource| guards_network(resource)).map(PolicyTarget::component).collect();
    let wanted: BTreeSet<Component> =
        mine.iter().flat_map(|resource| components_of(resource.meta.kind)).chain(guarded.iter().copied()).collect();
    let is_in_charge = |name: &str| guarded_by(name).is_some_and(|it| claims.holder(it) == key.name.as_deref());
    let mut networks: BTreeSet<String> = networks.iter().filter(|name| is_in_charge(name)).cloned().collect();
    // A Deployment with nothing of ours and no resource that wants it is not even read, unless a TimbrInstallation
    // tells of it.
    let is_read = |target: &Target| {
        key.name.is_some()
            || wanted.contains(&target.component)
            || managed.contains(&target.deployment)
            || networks.contains(&network_name(&target.deployment))
    };
    let targets = claims.targets(key);
    let mut deployments: BTreeSet<String> =
        targets.iter().filter(|target| is_read(target)).map(|target| target.deployment.clone()).collect();
    let guarded = targets.iter().filter(|target| guarded.contains(&target.component));
    networks.extend(guarded.map(|target| network_name(&target.deployment)));
    // Whether what is guarded is there still, though it is nobody's any more.
    deployments.extend(networks.iter().filter_map(|name| guarded_by(name)).map(str::to_owned));
    if key.name.is_none() {
        let given_up: Vec<&String> = managed.iter().filter(|name| claims.holder(name).is_none()).collect();
        if !given_up.is_empty() || !stable.is_empty() {
            // What is on them, or in the Secrets, stays until it is where it belongs now.
            deployments.extend(installations.iter().flat_map(named));
        }
        deployments.extend(given_up.into_iter().cloned());
    }
    let installation = key.name.as_ref().and_then(|name| claims.get(name));
    let references = mine.iter().flat_map(|resource| secret_refs(resource)).chain(installation.and_then(token_ref));
    let mut secrets: BTreeSet<String> = references.map(|reference| reference.name.clone()).collect();
    let spec = installation.and_then(|installation| installation.spec.as_ref().ok());
    if spec.is_some_and(|spec| spec.delivery == Delivery::Reference) {
        secrets.extend(Component::ALL.map(|component| component.stable_secret().to_owned()));
    }
    Needs { deployments, secrets, networks }
}

/// Every Secret that a resource names.
pub fn secret_refs(resource: &Resource<Spec>) -> Vec<&SecretKeyRef> {
    match &resource.spec {
        Ok(Spec::AzureSso(spec)) => spec.client_id_ref.iter().chain([&spec.client_secret_ref]).collect(),
        Ok(Spec::RoleGroupSync(spec)) => of_principal(&spec.credentials),
        Ok(Spec::KeyVaultBinding(spec)) => of_principal(&spec.credentials),
        Ok(Spec::JwtAuthentication(spec)) => spec.key_ref.iter().collect(),
        Ok(Spec::JwtTenant(spec)) => spec.key_ref.iter().collect(),
        Ok(Spec::DatabricksPassthrough(_) | Spec::ExternalTokenProvider(_) | Spec::InboundAccessPolicy(_)) | Err(_) => {
            vec![]
        }
    }
}

fn of_principal(credentials: &Credentials) -> Vec<&SecretKeyRef> {
    credentials.client_id_ref.iter().chain(&credentials.client_secret_ref).collect()
}

/// The Secret that holds a TimbrInstallation's API key.
pub fn token_ref(installation: &Resource<TimbrInstallationSpec>) -> Option<&SecretKeyRef> {
    installation.spec.as_ref().ok()?.sql.as_ref().map(|sql| &sql.token_secret_ref)
}
