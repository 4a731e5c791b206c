//! What is each kind's own, in one place: which components it writes to, what is wrong with it by
//! itself, what it asks for, and which places it takes that no other may have.

use std::collections::BTreeSet;

use crate::api::{Component, Kind, Problem, Resource, Spec, Status, rules};

use super::{
    Case, azure_sso, databricks_passthrough, external_token_provider, inbound_access_policy, jwt_authentication,
    jwt_tenant, key_vault_binding, plan::Asked, role_group_sync,
};

/// The components that a kind writes to.
pub fn components_of(kind: Kind) -> BTreeSet<Component> {
    match kind {
        Kind::AzureSso => BTreeSet::from([Component::Platform]),
        Kind::DatabricksPassthrough => BTreeSet::from([Component::Platform, Component::Server]),
        Kind::JwtAuthentication | Kind::JwtTenant => BTreeSet::from([Component::Api]),
        Kind::KeyVaultBinding | Kind::RoleGroupSync => BTreeSet::from([Component::Server]),
        Kind::ExternalTokenProvider | Kind::InboundAccessPolicy | Kind::TimbrInstallation => BTreeSet::new(),
    }
}

/// Whether others of its installation build on it, so that it is judged before them.
pub fn is_lead(kind: Kind) -> bool {
    matches!(kind, Kind::AzureSso | Kind::JwtAuthentication)
}

/// What is wrong with a spec by itself.
pub fn problems(spec: &Spec) -> Vec<Problem> {
    let mut problems = match spec {
        Spec::AzureSso(spec) => azure_sso::problems(spec),
        Spec::DatabricksPassthrough(spec) => databricks_passthrough::problems(spec),
        Spec::ExternalTokenProvider(spec) => external_token_provider::problems(spec),
        Spec::InboundAccessPolicy(spec) => inbound_access_policy::problems(spec),
        Spec::JwtAuthentication(spec) => jwt_authentication::problems(spec),
        Spec::JwtTenant(spec) => jwt_tenant::problems(spec),
        Spec::KeyVaultBinding(spec) => key_vault_binding::problems(spec),
        Spec::RoleGroupSync(spec) => role_group_sync::problems(spec),
    };
    if let Some(installation) = spec.installation_ref() {
        problems.extend(rules::OBJECT_NAME.check("spec.installationRef.name", &installation.name));
    }
    problems
}

/// What a valid spec asks for.
pub fn ask(spec: &Spec, case: &Case<'_>) -> Asked {
    match spec {
        Spec::AzureSso(spec) => azure_sso::ask(spec, case),
        Spec::DatabricksPassthrough(spec) => databricks_passthrough::ask(spec, case),
        Spec::ExternalTokenProvider(spec) => external_token_provider::ask(spec, case),
        Spec::InboundAccessPolicy(spec) => inbound_access_policy::ask(spec, case),
        Spec::JwtAuthentication(spec) => jwt_authentication::ask(spec, case),
        Spec::JwtTenant(spec) => jwt_tenant::ask(spec, case),
        Spec::KeyVaultBinding(spec) => key_vault_binding::ask(spec, case),
        Spec::RoleGroupSync(spec) => role_group_sync::ask(spec, case),
    }
}

/// A place in an installation that one resource has: its kind's, of which there is one, or one by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The only one of a kind.
    Kind(Kind),
    /// Something of a kind that has a name.
    Named(Kind, String),
}

/// The places that a resource takes. One that cannot be read takes its kind's all the same, and what its
/// record says that it has.
pub fn places(resource: &Resource<Spec>) -> Vec<Place> {
    let kind = resource.meta.kind;
    match (&resource.spec, kind) {
        (Ok(Spec::JwtTenant(spec)), _) => vec![Place::Named(kind, jwt_tenant::variable_part(spec))],
        (_, Kind::ExternalTokenProvider) => {
            external_token_provider::wanted(resource).iter().map(external_token_provider::place).collect()
        }
        (_, Kind::JwtTenant | Kind::InboundAccessPolicy) => vec![],
        _ => vec![Place::Kind(kind)],
    }
}

/// Whether a resource's status says that it has a place: then it keeps it, however old the others are.
pub fn is_incumbent(resource: &Resource<Spec>, place: &Place) -> bool {
    match resource.status.as_deref() {
        Some(Status::ExternalTokenProvider(status)) => {
            status.holds.iter().any(|pair| external_token_provider::place(pair) == *place)
        }
        _ => false,
    }
}

/// What a sentence calls a place.
pub fn place_title(place: &Place) -> String {
    match place {
        Place::Kind(kind) => kind.to_string(),
        Place::Named(Kind::JwtTenant, name) => format!("tenant {name} (in upper case, as in variables' names)"),
        Place::Named(_, name) => format!("issuer and audience {name}"),
    }
}
