//! A double of what the operator asks in Azure: Entra, Microsoft Graph, a Key Vault and a Databricks
//! workspace, strict, with state, and misbehaving as told. Beside them stands a timbr-platform that people sign in to.
//!
//! Each service has an address of its own, on 127.0.0.1 and over HTTPS, with a certificate of an
//! authority made for this double ([`Azure::ca_pem`]). The formats are the documented ones and what the
//! vendors' own clients understand, which `hack/referees/run-azure` tries against it. Tokens are signed
//! with RS256, and Graph and the vault verify them. What no client should send is refused and kept in
//! [`Azure::violations`]. It runs on a thread and a runtime of its own.

mod ask;
mod databricks;
mod directory;
mod entra;
mod graph;
mod keys;
mod objects;
mod odata;
mod platform;
mod serve;
mod token;
mod vault;
mod world;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

pub use crate::fault::Fault;
pub use directory::{App, Grant, Group, Secret, Tenant, guid};
pub use objects::{GRAPH_PRINCIPAL, GRAPH_ROLES};
pub use platform::Platform;
pub use vault::{Denial, Operation, Vault, VaultSecret};

use crate::certificates::Authority;
use crate::fault::Faults;
use crate::http_server::{Background, acceptor, listen};
use world::World;

/// Microsoft Graph's application id, the same in every tenant.
pub const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
/// Key Vault's application id, the same in every tenant.
pub const KEY_VAULT: &str = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093";
/// Azure Databricks' application id, the same in every tenant.
pub const DATABRICKS: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";

/// A service of the double, with an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Entra: discovery, keys and tokens.
    Entra,
    /// Microsoft Graph, v1.0.
    Graph,
    /// A Key Vault.
    Vault,
    /// A Databricks workspace.
    Databricks,
    /// timbr-platform.
    Platform,
}

impl Service {
    /// All services.
    pub const ALL: [Self; 5] = [Self::Entra, Self::Graph, Self::Vault, Self::Databricks, Self::Platform];
}

/// By its name in lower case.
impl FromStr for Service {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "entra" => Ok(Self::Entra),
            "graph" => Ok(Self::Graph),
            "vault" => Ok(Self::Vault),
            "databricks" => Ok(Self::Databricks),
            "platform" => Ok(Self::Platform),
            _ => Err(format!("{name:?} is no service; there are entra graph vault databricks platform")),
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Its number among the requests to all services, from 1.
    pub nth: usize,
    /// To which service.
    pub service: Service,
    /// When its head had arrived.
    #[serde(skip)]
    pub at: Instant,
    /// `POST`
    pub method: String,
    /// The path and query, credentials as `<redacted>`.
    pub uri: String,
    /// The headers by their names in lower case, credentials as `<redacted>`.
    pub headers: BTreeMap<String, String>,
    /// The body, empty until it has been read; credentials and secrets as `<redacted>`.
    pub body: String,
    /// The status of the service's own answer, also where a fault hid it; none before, and none where a
    /// fault kept the request from the service.
    pub status: Option<u16>,
}

/// A running double. Dropping it closes its connections and its ports.
pub struct Azure {
    urls: BTreeMap<Service, String>,
    ca_pem: String,
    tenant: String,
    world: Arc<Mutex<World>>,
    _server: Background,
}

impl std::fmt::Debug for Azure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Azure").field("urls", &self.urls).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Azure {
    /// Starts a double on free ports, with one tenant, no applications, no groups and an empty vault of
    /// that tenant in which everything is allowed.
    pub fn start() -> Self {
        let authority = Authority::new();
        let acceptor = acceptor(&authority.server());

        let listeners = Service::ALL.map(|service| (service, listen((Ipv4Addr::LOCALHOST, 0))));
        let urls: BTreeMap<_, _> =
            listeners.iter().map(|(service, (_, address))| (*service, format!("https://{address}"))).collect();
        let home = Tenant::new("Contoso", ["contoso.onmicrosoft.com"]);
        let tenant = home.id.clone();
        let world = Arc::new(Mutex::new(World::new(urls.clone(), home)));
        let served =
            listeners.map(|(service, (listener, _))| serve::accept(service, listener, acceptor.clone(), world.clone()));
        let server = Background::run("azure", async {
            futures::future::join_all(served).await;
        });
        Self { urls, ca_pem: authority.pem(), tenant, world, _server: server }
    }

    /// The address of a service, without a slash at the end.
    pub fn url(&self, service: Service) -> &str {
        &self.urls[&service]
    }

    /// The certificate of the authority to trust, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The id of the tenant that is there from the start.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The issuer of a tenant's v2 tokens, as its discovery document says.
    pub fn issuer(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.url(Service::Entra))
    }

    /// Sets a tenant, by its id.
    pub fn set_tenant(&self, tenant: Tenant) {
        self.world().directory.tenants.insert(tenant.id.clone(), tenant);
    }

    /// Removes a tenant; what is in it stays, and nobody can ask for it.
    pub fn remove_tenant(&self, id: &str) {
        self.world().directory.tenants.remove(id);
    }

    /// Registers an application of this name in the first tenant, with a secret and nothing else.
    pub fn register(&self, name: &str) -> App {
        let mut app = App::new(&self.tenant, name);
        app.secrets.push(Secret::new());
        self.set_app(app.clone());
        app
    }

    /// Sets an application, by its client id.
    pub fn set_app(&self, app: App) {
        self.world().directory.apps.insert(app.client_id.clone(), app);
    }

    /// Changes an application.
    ///
    /// # Panics
    /// Where there is none with this client id.
    pub fn edit_app(&self, client_id: &str, edit: impl FnOnce(&mut App)) {
        edit(self.world().directory.apps.get_mut(client_id).expect("an application with this client id"));
    }

    /// Removes an application.
    pub fn remove_app(&self, client_id: &str) {
        self.world().directory.apps.remove(client_id);
    }

    /// Sets a group, by its id.
    pub fn set_group(&self, group: Group) {
        self.world().directory.groups.insert(group.id.clone(), group);
    }

    /// All groups, of any tenant.
    pub fn groups(&self) -> Vec<Group> {
        self.world().directory.groups.values().cloned().collect()
    }

    /// Removes a group.
    pub fn remove_group(&self, id: &str) {
        self.world().directory.groups.remove(id);
    }

    /// The vault as it is.
    pub fn vault(&self) -> Vault {
        self.world().vault.clone()
    }

    /// Changes the vault: its secrets, and who may do what.
    pub fn edit_vault(&self, edit: impl FnOnce(&mut Vault)) {
        edit(&mut self.world().vault);
    }

    /// Sets what the pods of timbr-platform run with; `None`: with nothing of single sign-on.
    pub fn set_platform(&self, platform: Option<Platform>) {
        self.world().platform = platform;
    }

    /// Sets the secret of a client of the Databricks workspace.
    pub fn set_databricks_client(&self, client_id: &str, secret: &str) {
        self.world().databricks.insert(client_id.to_owned(), secret.to_owned());
    }

    /// Renames Graph's or the vault's resource, as in another cloud: scopes and audiences.
    pub fn set_resource(&self, service: Service, resource: &str) {
        self.world().resources.insert(service, resource.to_owned());
    }

    /// Sets for how long tokens from now on are valid.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.world().lifetime = lifetime;
    }

    /// Signs with a new key from now on. The former ones stay published.
    pub fn rotate_keys(&self) {
        self.world().keys.rotate();
    }

    /// Withdraws all keys but the one that signs now: what they signed is valid no longer.
    pub fn withdraw_former_keys(&self) {
        self.world().keys.withdraw();
    }

    /// Publishes no key that verifies a signature, or all again. Graph and the vault know them all the same.
    pub fn hide_keys(&self, hidden: bool) {
        self.world().keys.hidden = hidden;
    }

    /// Publishes these keys before its own ones, also broken ones.
    pub fn publish_keys(&self, keys: Vec<Value>) {
        self.world().keys.others = keys;
    }

    /// The id of the key that signs now.
    pub fn key_id(&self) -> String {
        self.world().keys.id().to_owned()
    }

    /// A token of these claims, signed with the present key.
    pub fn sign(&self, claims: &Value) -> String {
        self.world().keys.sign(claims)
    }

    /// The token that an application would get for this resource (`https://graph.microsoft.com`).
    ///
    /// # Panics
    /// Where there is no such application or resource.
    pub fn token(&self, client_id: &str, resource: &str) -> String {
        let world = self.world();
        let app = &world.directory.apps[client_id];
        token::issue(&world, app, resource).expect("a resource that is known")
    }

    /// The n-th request to this service, from 1, meets this fault.
    pub fn fail(&self, service: Service, nth: usize, fault: Fault) {
        self.world().faults_of(service).at(nth, fault);
    }

    /// The next request to this service meets this fault; said again, the one after it.
    pub fn fail_next(&self, service: Service, fault: Fault) {
        let mut world = self.world();
        let arrived = world.arrived(service);
        world.faults_of(service).next(arrived, fault);
    }

    /// Every request to this service meets this fault, unless a fault of its own was set.
    pub fn always(&self, service: Service, fault: Fault) {
        self.world().faults_of(service).always(fault);
    }

    /// No further request to any service meets a fault.
    pub fn recover(&self) {
        for service in Service::ALL {
            *self.world().faults_of(service) = Faults::default();
        }
    }

    /// All requests so far in the order of their arrival, also those that were refused.
    pub fn received(&self) -> Vec<Received> {
        self.world().received.clone()
    }

    /// The requests to this service, as `GET /v1.0/groups`, in the order of their arrival.
    pub fn asked(&self, service: Service) -> Vec<String> {
        let world = self.world();
        let received = world.received.iter().filter(|received| received.service == service);
        received.map(|received| format!("{} {}", received.method, received.uri)).collect()
    }

    /// What no client should have sent, each with the number of its request. Credentials are never named.
    pub fn violations(&self) -> Vec<String> {
        self.world().violations.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
