//! What Timbr's documentation has a person click in Azure's portal, for each integration: as data.
//! Ids of permissions: Microsoft, "Microsoft Graph permissions reference"; of AzureDatabricks: Timbr's
//! documentation, "SSO for Databricks Datasources".

use std::borrow::Cow;

use crate::api::PortalEntry;

/// A permission of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// What it is called in status.portal: the API, as the portal calls it, and the permission's name.
    pub title: &'static str,
    /// The API's application id.
    pub api_id: &'static str,
    /// The permission's id.
    pub id: &'static str,
    /// Whether it is an application permission; else a delegated one.
    pub application: bool,
}

impl Permission {
    /// Its name, as tokens and grants have it.
    pub fn name(&self) -> &'static str {
        self.title.rsplit(' ').next().unwrap_or_default()
    }
}

/// Microsoft Graph's application id.
pub const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
const DATABRICKS: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";

macro_rules! permission {
    ($api:literal $api_id:ident $name:literal $id:literal, $application:literal) => {
        Permission {
            title: concat!("API permission ", $api, " ", $name),
            api_id: $api_id,
            id: $id,
            application: $application,
        }
    };
}

macro_rules! delegated {
    ($api:literal $api_id:ident $name:literal $id:literal) => {
        permission!($api $api_id $name $id, false)
    };
}

macro_rules! application {
    ($name:literal $id:literal) => {
        permission!("Microsoft Graph" GRAPH $name $id, true)
    };
}

/// What single sign-on needs.
pub const SIGN_ON: &[Permission] = &[
    delegated!("Microsoft Graph" GRAPH "email" "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0"),
    delegated!("Microsoft Graph" GRAPH "openid" "37f7f235-527c-4136-accd-4a02d197296e"),
    delegated!("Microsoft Graph" GRAPH "profile" "14dad69e-099b-42c9-810b-d002981feec1"),
    delegated!("Microsoft Graph" GRAPH "User.Read" "e1fe6dd8-ba31-4d61-89e7-88639da4683d"),
];

/// What group synchronisation needs.
pub const GROUP_SYNC: &[Permission] = &[
    application!("User.Read.All" "df021288-bdef-4463-88db-98f22de89214"),
    application!("Group.Read.All" "5b567255-7703-4780-807c-7be8301ae99b"),
    application!("GroupMember.Read.All" "98830695-27a2-44f7-8c18-0c3ebc9698f6"),
];

/// What Databricks with each user's own sign-in needs.
pub const PASSTHROUGH: &[Permission] = &[
    delegated!("AzureDatabricks" DATABRICKS "user_impersonation" "739272be-e143-11e8-9f32-f2801f1b9fd1"),
    delegated!("Microsoft Graph" GRAPH "offline_access" "7427e0e9-2fba-42fe-b0c0-848c9e6a8182"),
];

/// What a key vault's access policy grants, or the role that stands for it under Azure RBAC.
pub const VAULT_PERMISSIONS: &str = "Get, List, Set, Delete";
/// The role that stands for [`VAULT_PERMISSIONS`] under Azure RBAC.
pub const VAULT_ROLE: &str = "Key Vault Secrets Officer";

/// An entry of status.portal.
pub fn entry(
    what: impl Into<Cow<'static, str>>,
    value: impl Into<Cow<'static, str>>,
    kind: &'static str,
) -> PortalEntry {
    PortalEntry { what: what.into(), value: value.into(), kind: kind.into() }
}

/// Permissions as entries of status.portal.
pub fn permissions(permissions: &[Permission]) -> impl Iterator<Item = PortalEntry> {
    permissions.iter().map(|permission| {
        let kind = if permission.application { "Application" } else { "Delegated" };
        entry(permission.title, permission.id, kind)
    })
}

/// The page on which an administrator consents for everybody. A client id that is in a Secret is not
/// told.
pub fn consent(authority: &str, tenant: &str, client_id: Option<&str>) -> PortalEntry {
    let client_id = client_id.unwrap_or("CLIENT-ID");
    entry("Admin consent", format!("{authority}/{tenant}/adminconsent?client_id={client_id}"), "Link")
}
