//! The objects of a tenant as Graph shows them.

use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::GRAPH;
use super::directory::{App, Directory, Grant, Group};

/// The id of Graph's own service principal here, in every tenant.
pub const GRAPH_PRINCIPAL: &str = "6f1a2d3c-5b4e-4c7d-8a9b-0e1f2d3c4b5a";

/// Graph's application permissions that matter here, with the ids by which applications ask for them.
pub const GRAPH_ROLES: [(&str, &str); 6] = [
    ("User.Read.All", "df021288-bdef-4463-88db-98f22de89214"),
    ("Group.Read.All", "5b567255-7703-4780-807c-7be8301ae99b"),
    ("GroupMember.Read.All", "98830695-27a2-44f7-8c18-0c3ebc9698f6"),
    ("Application.Read.All", "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"),
    ("Directory.Read.All", "7ab1d382-f21e-4acd-a863-ba3e13f7da61"),
    ("DelegatedPermissionGrant.Read.All", "81b4724a-58aa-41c1-8a55-84ef97466587"),
];

/// A collection of Graph.
pub(super) struct Collection {
    /// Its objects' type.
    pub(super) kind: &'static str,
    /// The permissions each of which is enough.
    pub(super) roles: &'static [&'static str],
    /// By what it can be filtered.
    pub(super) filters: &'static [&'static str],
    /// An object, which has the properties that all have.
    pub(super) sample: Value,
    pub(super) objects: Vec<Value>,
}

/// A collection of a tenant, by its name.
pub(super) fn collection(directory: &Directory, tenant: &str, name: &str) -> Option<Collection> {
    let apps = || directory.apps.values().filter(|app| app.tenant == tenant);
    let any = || App::new("", "");
    Some(match name {
        "groups" => Collection {
            kind: "group",
            roles: &["GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"],
            filters: &["displayName", "mail", "id"],
            sample: group(&Group::new("", "")),
            objects: directory.groups.values().filter(|group| group.tenant == tenant).map(group).collect(),
        },
        "applications" => Collection {
            kind: "application",
            roles: &["Application.Read.All", "Directory.Read.All"],
            filters: &["appId", "displayName", "id"],
            sample: application(&any()),
            objects: apps().map(application).collect(),
        },
        "servicePrincipals" => Collection {
            kind: "servicePrincipal",
            roles: &["Application.Read.All", "Directory.Read.All"],
            filters: &["appId", "displayName", "id"],
            sample: principal(&any()),
            objects: apps().map(principal).chain([graph_principal()]).collect(),
        },
        "oauth2PermissionGrants" => Collection {
            kind: "oAuth2PermissionGrant",
            roles: &["DelegatedPermissionGrant.Read.All", "Directory.Read.All"],
            // The id of the service principal, not the client id.
            filters: &["clientId"],
            sample: grant(&any(), &Grant::for_all("")),
            objects: apps().flat_map(|app| app.grants.iter().map(|of| grant(app, of))).collect(),
        },
        _ => return None,
    })
}

fn group(group: &Group) -> Value {
    json!({
        "id": group.id, "displayName": group.display_name, "description": null, "mail": group.mail,
        "mailEnabled": group.mail.is_some(), "mailNickname": group.id, "securityEnabled": true, "groupTypes": [],
        "createdDateTime": "2024-01-01T00:00:00Z", "visibility": null,
    })
}

fn application(app: &App) -> Value {
    let secrets = app.secrets.iter().map(|secret| {
        json!({
            "customKeyIdentifier": null, "displayName": secret.display_name, "keyId": secret.key_id,
            "hint": secret.value.chars().take(3).collect::<String>(), "secretText": null,
            "startDateTime": "2024-01-01T00:00:00Z", "endDateTime": date(secret.end),
        })
    });
    json!({
        "id": app.object_id, "appId": app.client_id, "displayName": app.display_name,
        "signInAudience": app.sign_in_audience, "identifierUris": [], "createdDateTime": "2024-01-01T00:00:00Z",
        "web": {
            "homePageUrl": null, "logoutUrl": null, "redirectUris": app.redirect_uris,
            "implicitGrantSettings": {"enableAccessTokenIssuance": false, "enableIdTokenIssuance": false},
        },
        "spa": {"redirectUris": app.spa_redirect_uris},
        "publicClient": {"redirectUris": app.public_redirect_uris},
        "passwordCredentials": secrets.collect::<Vec<_>>(), "keyCredentials": [],
        "requiredResourceAccess": app.required_resource_access,
        "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [], "preAuthorizedApplications": []},
        "appRoles": [],
    })
}

fn principal(app: &App) -> Value {
    json!({
        "id": app.principal_id, "appId": app.client_id, "displayName": app.display_name,
        "appDisplayName": app.display_name, "accountEnabled": !app.disabled, "servicePrincipalType": "Application",
        "appOwnerOrganizationId": app.tenant, "appRoleAssignmentRequired": false,
        "servicePrincipalNames": [app.client_id], "signInAudience": app.sign_in_audience, "appRoles": [],
        "oauth2PermissionScopes": [],
    })
}

fn graph_principal() -> Value {
    let roles = GRAPH_ROLES.map(|(value, id)| {
        json!({
            "id": id, "value": value, "displayName": value, "isEnabled": true,
            "allowedMemberTypes": ["Application"],
        })
    });
    json!({
        "id": GRAPH_PRINCIPAL, "appId": GRAPH, "displayName": "Microsoft Graph", "appDisplayName": "Microsoft Graph",
        "accountEnabled": true, "servicePrincipalType": "Application",
        // The tenant of Microsoft's own applications.
        "appOwnerOrganizationId": "f8cdef31-a31e-4b4a-93e4-5f571e91255a", "appRoleAssignmentRequired": false,
        "servicePrincipalNames": [GRAPH, "https://graph.microsoft.com"], "signInAudience": "AzureADMultipleOrgs",
        "appRoles": roles, "oauth2PermissionScopes": [],
    })
}

fn grant(app: &App, grant: &Grant) -> Value {
    json!({
        "id": grant.id, "clientId": app.principal_id, "principalId": grant.principal,
        "consentType": if grant.principal.is_some() { "Principal" } else { "AllPrincipals" },
        "resourceId": grant.resource, "scope": grant.scope,
    })
}

fn date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).expect("a time that a calendar knows");
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
