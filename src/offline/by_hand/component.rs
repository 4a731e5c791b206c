//! Which part of Timbr something is that was set up by hand.

use crate::api::Component;

use super::{Section, documented};

/// Variables that nobody but Timbr has, by the component that reads them.
const TELLING: &[(&str, Component)] = &[
    ("OAUTH_AZURE_WITH_UPN_FIRST", Component::Platform),
    ("AUTH_WITH_USERPASS", Component::Platform),
    ("SYNC_GROUPS_INTERVAL", Component::Server),
    ("SYNC_GROUPS_AUTO_CREATE_USER", Component::Server),
    ("KV_VAULT", Component::Server),
    ("KV_VAULT_TYPE", Component::Server),
    ("KV_VAULT_AUTH_TYPE", Component::Server),
    ("OAUTH_REFRESH_TOKEN_EXPIRATION", Component::Server),
    ("OAUTH_REFRESH_TOKEN_VALIDATION", Component::Server),
    ("JWT_TYPE", Component::Api),
    ("JWT_DEFAULT_ALGORITHM", Component::Api),
    ("JWT_DEFAULT_AUDIENCE", Component::Api),
    ("JWT_USE_EMAIL_OR_USER", Component::Api),
    ("JWT_USE_TENANT_USER", Component::Api),
];

/// Documented names that others have too: they tell nothing. So do those of tenants: `JWT_SECRET_KEY` need be
/// none.
const EVERYBODYS: &[&str] = &[
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_SECRET",
    "OAUTH_CLIENT_ID",
    "OAUTH_SECRET",
    "OAUTH_SCOPES",
    "JWT_ISSUER",
];

/// Whether something that sets a variable is likely to be a part of Timbr.
pub fn is_likely(variable: &str) -> bool {
    documented(variable).is_some_and(|known| known.section != Section::Tenants && !EVERYBODYS.contains(&known.name))
}

/// The component with this name, as a Deployment, a container or a service.
pub fn by_name(name: &str) -> Option<Component> {
    Component::ALL
        .into_iter()
        .find(|component| component.usual_deployment() == name || component.usual_containers().contains(&name))
}

/// The component by the name that labels give it.
pub fn by_label(name: &str) -> Option<Component> {
    Component::ALL.into_iter().find(|component| component.name() == name)
}

/// The one component that reads the telling variables among `names`.
pub fn by_variables<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Component> {
    let mut found = names
        .into_iter()
        .filter_map(|name| TELLING.iter().find(|(telling, _)| *telling == name).map(|(_, component)| *component));
    let first = found.next()?;
    found.all(|component| component == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_what_only_timbr_has() {
        assert_eq!(by_variables(["AZURE_CLIENT_ID", "SYNC_GROUPS_INTERVAL"]), Some(Component::Server));
        assert_eq!(by_variables(["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "OAUTH_SECRET", "JWT_ISSUER"]), None);
        assert_eq!(by_variables(["JWT_USE_TENANT_USER", "KV_VAULT_TYPE"]), None);
        assert!(TELLING.iter().all(|(name, _)| is_likely(name)) && is_likely("OAUTH_PROVIDER"));
        assert!(!["OAUTH_SECRET", "JWT_SECRET_KEY", "LOG"].into_iter().any(is_likely));
        assert_eq!(by_name("timbr"), Some(Component::Server));
        assert_eq!(by_name("timbr-platform-2"), None);
    }
}
