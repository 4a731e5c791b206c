//! What the seeds of an integration make a person click in Azure's portal: as data.
//! Ids of permissions: Microsoft, "Microsoft Graph permissions reference"; of AzureDatabricks: Timbr's
//! documentation, "SSO for Databricks Datasources".

use crate::api::PortalEntry;

/// A permission of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The API, as the portal calls it.
    pub api: &'static str,
    /// The API's application id.
    pub api_id: &'static str,
    /// The permission's name.
    pub name: &'static str,
    /// The permission's id.
    pub id: &'static str,
    /// Whether it is an application permission; else a delegated one.
    pub application: bool,
}

const GRAPH: (&str, &str) = ("Microsoft Graph", "00000003-0000-0000-c000-000000000000");
const DATABRICKS: (&str, &str) = ("AzureDatabricks", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d");

const fn delegated((api, api_id): (&'static str, &'static str), name: &'static str, id: &'static str) -> Permission {
    Permission { api, api_id, name, id, application: false }
}

const fn application(name: &'static str, id: &'static str) -> Permission {
    Permission { api: GRAPH.0, api_id: GRAPH.1, name, id, application: true }
}

/// What single sign-on needs.
pub const SIGN_ON: &[Permission] = &[
    delegated(GRAPH, "email", "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0"),
    delegated(GRAPH, "openid", "37f7f235-527c-4136-accd-4a02d197296e"),
    delegated(GRAPH, "profile", "14dad69e-099b-42c9-810b-d002981feec1"),
    delegated(GRAPH, "User.Read", "e1fe6dd8-ba31-4d61-89e7-88639da4683d"),
];

/// What group synchronisation needs.
pub const GROUP_SYNC: &[Permission] = &[
    application("User.Read.All", "df021288-bdef-4463-88db-98f22de89214"),
    application("Group.Read.All", "5b567255-7703-4780-807c-7be8301ae99b"),
    application("GroupMember.Read.All", "98830695-27a2-44f7-8c18-0c3ebc9698f6"),
];

/// What Databricks with each user's own sign-in needs.
pub const PASSTHROUGH: &[Permission] = &[
    delegated(DATABRICKS, "user_impersonation", "739272be-e143-11e8-9f32-f2801f1b9fd1"),
    delegated(GRAPH, "offline_access", "7427e0e9-2fba-42fe-b0c0-848c9e6a8182"),
];

/// What a key vault's access policy grants, or the role that stands for it under Azure RBAC.
pub const VAULT_PERMISSIONS: &str = "Get, List, Set, Delete";
/// The role that stands for [`VAULT_PERMISSIONS`] under Azure RBAC.
pub const VAULT_ROLE: &str = "Key Vault Secrets Officer";

/// An entry of status.portal.
pub fn entry(what: impl Into<String>, value: impl Into<String>, kind: &str) -> PortalEntry {
    PortalEntry { what: what.into(), value: value.into(), kind: kind.to_owned() }
}

/// Permissions as entries of status.portal.
pub fn permissions(permissions: &[Permission]) -> impl Iterator<Item = PortalEntry> {
    permissions.iter().map(|permission| {
        let kind = if permission.application { "Application" } else { "Delegated" };
        entry(format!("API permission {} {}", permission.api, permission.name), permission.id, kind)
    })
}

/// The page on which an administrator consents for everybody. A client id that is in a Secret is not
/// told.
pub fn consent(authority: &str, tenant: &str, client_id: Option<&str>) -> PortalEntry {
    let client_id = client_id.unwrap_or("CLIENT-ID");
    entry("Admin consent", format!("{authority}/{tenant}/adminconsent?client_id={client_id}"), "Link")
}
