//! What is in the tenants: applications with their secrets and permissions, and groups.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{GRAPH, GRAPH_PRINCIPAL};

/// A year.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// A tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id, a GUID.
    pub id: String,
    /// Its name, for error texts.
    pub name: String,
    /// Its verified domains, each of which stands for it in addresses.
    pub domains: Vec<String>,
}

impl Tenant {
    /// With an id of its own.
    pub fn new<D: Into<String>>(name: &str, domains: impl IntoIterator<Item = D>) -> Self {
        Self { id: guid(), name: name.to_owned(), domains: domains.into_iter().map(Into::into).collect() }
    }
}

/// An application, with its service principal in the same tenant.
#[derive(Debug, Clone)]
pub struct App {
    /// The id of its tenant.
    pub tenant: String,
    /// Its client id, which Graph calls `appId`.
    pub client_id: String,
    /// The id of the application object.
    pub object_id: String,
    /// The id of the service principal: `oid` and `sub` in its tokens, and `clientId` of delegated grants.
    pub principal_id: String,
    /// Its name, which need not be unique.
    pub display_name: String,
    /// Whether an administrator has disabled its service principal.
    pub disabled: bool,
    /// Its client secrets.
    pub secrets: Vec<Secret>,
    /// The application permissions that an administrator has granted, by the resource's application id.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// The redirect URIs of the platform "web".
    pub redirect_uris: Vec<String>,
    /// The redirect URIs of the platform "single-page application".
    pub spa_redirect_uris: Vec<String>,
    /// The redirect URIs of the platform "mobile and desktop".
    pub public_redirect_uris: Vec<String>,
    /// `AzureADMyOrg` and the like.
    pub sign_in_audience: String,
    /// The permissions that it asks for, as Graph shows them; whether they are granted is another thing.
    pub required_resource_access: Value,
    /// The delegated permissions that were consented to.
    pub grants: Vec<Grant>,
}

impl App {
    /// With ids of its own, of this tenant, without secrets and permissions.
    pub fn new(tenant: &str, name: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            client_id: guid(),
            object_id: guid(),
            principal_id: guid(),
            display_name: name.to_owned(),
            disabled: false,
            secrets: Vec::new(),
            roles: BTreeMap::new(),
            redirect_uris: Vec::new(),
            spa_redirect_uris: Vec::new(),
            public_redirect_uris: Vec::new(),
            sign_in_audience: "AzureADMyOrg".to_owned(),
            required_resource_access: json!([]),
            grants: Vec::new(),
        }
    }

    /// Grants application permissions of Graph. Tokens that are there already know nothing of it.
    pub fn grant<R: Into<String>>(&mut self, roles: impl IntoIterator<Item = R>) {
        self.roles.entry(GRAPH.to_owned()).or_default().extend(roles.into_iter().map(Into::into));
    }

    /// Asks for delegated permissions of Graph, by their ids, and for no others; whether they are consented to is
    /// another thing.
    pub fn ask<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) {
        let access: Vec<_> = ids.into_iter().map(|id| json!({"id": id, "type": "Scope"})).collect();
        self.required_resource_access = json!([{"resourceAppId": GRAPH, "resourceAccess": access}]);
    }

    /// Takes an application permission of Graph away, from further tokens.
    pub fn revoke(&mut self, role: &str) {
        self.roles.entry(GRAPH.to_owned()).or_default().remove(role);
    }
}

/// A client secret.
#[derive(Clone)]
pub struct Secret {
    /// Its id, a GUID, which people paste in the place of its value.
    pub key_id: String,
    /// Its description.
    pub display_name: Option<String>,
    /// Its value, of which Graph shows the first three characters.
    pub value: String,
    /// Its end.
    pub end: SystemTime,
    /// Whether it is refused although it is right, as new ones are for a while.
    pub refused: bool,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

impl Secret {
    /// With a value of its own that must be encoded in a form, and a year to go.
    pub fn new() -> Self {
        Self::of(&format!("{:.3}8Q~{}+/&=", guid(), guid().replace('-', "")))
    }

    /// With this value, and a year to go.
    pub fn of(value: &str) -> Self {
        let end = SystemTime::now() + LONG;
        Self { key_id: guid(), display_name: None, value: value.to_owned(), end, refused: false }
    }

    /// Ended a minute ago.
    pub fn expired(mut self) -> Self {
        self.end = SystemTime::now() - Duration::from_secs(60);
        self
    }

    /// Not yet known everywhere: refused until this is set otherwise.
    pub fn refused(mut self) -> Self {
        self.refused = true;
        self
    }
}

/// Delegated permissions that were consented to.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// The id of the one user who has consented; an administrator for all, if none.
    pub principal: Option<String>,
    /// The id of the resource's service principal.
    pub resource: String,
    /// The permissions, with spaces between them.
    pub scope: String,
}

impl Grant {
    /// Permissions of Graph, by an administrator for all.
    pub fn for_all(scope: &str) -> Self {
        let (principal, resource) = (None, GRAPH_PRINCIPAL.to_owned());
        Self { id: guid(), principal, resource, scope: scope.to_owned() }
    }
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// The id of its tenant.
    pub tenant: String,
    /// Its id, a GUID.
    pub id: String,
    /// Its name, which need not be unique.
    pub display_name: String,
    /// Its address.
    pub mail: Option<String>,
}

impl Group {
    /// With an id of its own, of this tenant.
    pub fn new(tenant: &str, name: &str) -> Self {
        Self { tenant: tenant.to_owned(), id: guid(), display_name: name.to_owned(), mail: None }
    }
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) tenants: BTreeMap<String, Tenant>,
    pub(super) apps: BTreeMap<String, App>,
    pub(super) groups: BTreeMap<String, Group>,
}

impl Directory {
    /// The tenant of this id or domain.
    pub(super) fn tenant(&self, name: &str) -> Option<&Tenant> {
        let is = |other: &String| other.eq_ignore_ascii_case(name);
        self.tenants.values().find(|tenant| is(&tenant.id) || tenant.domains.iter().any(is))
    }

    /// The application of this tenant that has this client id.
    pub(super) fn app(&self, tenant: &str, client_id: &str) -> Option<&App> {
        self.apps.values().find(|app| app.tenant == tenant && app.client_id.eq_ignore_ascii_case(client_id))
    }
}

/// A new GUID.
pub fn guid() -> String {
    // Hashers are seeded at random.
    let random = || RandomState::new().hash_one(());
    let hex = format!("{:016x}{:016x}", random(), random());
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

pub(super) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|char| char == '-' || char.is_ascii_hexdigit())
}
