//! A double of Timbr's REST API: strict, with state, and misbehaving as told.
//!
//! It speaks the documented wire format and what Timbr's own Python client sends, which
//! `hack/referees/run-timbr-api` tries against it. What no client should send is answered with a clear
//! error and kept in [`TimbrApi::violations`]. It runs on a thread and a runtime of its own.

mod judge;
mod serve;
mod sql;
mod world;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

pub use crate::fault::Fault;

use crate::fault::Faults;
use crate::http_server::{Background, listen};
use world::World;

/// The ontology for statements that concern no ontology. It always exists.
pub const SYSTEM_ONTOLOGY: &str = "system_db";

/// What a role is mapped to: a group of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// By its name.
    Name(String),
    /// By its id.
    Id(String),
    /// By its address.
    Email(String),
}

impl Group {
    fn of(key: &str, value: &str) -> Option<Self> {
        match key.to_ascii_lowercase().as_str() {
            "name" => Some(Self::Name(value.to_owned())),
            "id" => Some(Self::Id(value.to_owned())),
            "email" => Some(Self::Email(value.to_owned())),
            _ => None,
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Its number among all requests, from 1.
    pub nth: usize,
    /// When its head had arrived.
    #[serde(skip)]
    pub at: Instant,
    /// `POST`
    pub method: String,
    /// The path and query.
    pub uri: String,
    /// The headers by their names in lower case, credentials as `<redacted>`.
    pub headers: BTreeMap<String, String>,
    /// The ontology of a statement that was no violation, else empty.
    pub ontology: String,
    /// The body, empty until it has been read.
    pub sql: String,
    /// Whether the statement took effect, whatever was answered.
    pub executed: bool,
}

/// A running double. Dropping it closes its connections and its port.
pub struct TimbrApi {
    url: String,
    key: String,
    world: Arc<Mutex<World>>,
    _server: Background,
}

impl std::fmt::Debug for TimbrApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimbrApi").field("url", &self.url).finish_non_exhaustive()
    }
}

impl TimbrApi {
    /// Starts a double on a free port of 127.0.0.1, with a key of its own, no roles, and no ontology but
    /// [`SYSTEM_ONTOLOGY`].
    pub fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts a double at this address.
    pub fn start_at(address: SocketAddr) -> Self {
        let (listener, address) = listen(address);
        let url = format!("http://{address}");
        // Hashers are seeded at random: two doubles never have the same key.
        let random = || RandomState::new().hash_one(());
        let key = format!("tk_{:016x}{:016x}", random(), random());
        let world = Arc::new(Mutex::new(World::new(&key)));
        let server = Background::run("timbr-api", serve::accept(listener, world.clone()));
        Self { url, key, world, _server: server }
    }

    /// With these roles, see [`TimbrApi::set_roles`].
    pub fn with_roles<R: Into<String>>(self, roles: impl IntoIterator<Item = R>) -> Self {
        self.set_roles(roles);
        self
    }

    /// With one more ontology.
    pub fn with_ontology(self, name: impl Into<String>) -> Self {
        self.world().ontologies.insert(name.into());
        self
    }

    /// Takes this JWT as well as the key; with a tenant, only for that or none.
    pub fn with_jwt(self, token: &str, tenant: Option<&str>) -> Self {
        self.world().jwt = Some((token.to_owned(), tenant.map(str::to_owned)));
        self
    }

    /// Answers this very statement with these rows. Others than of roles are violations unless known so.
    pub fn with_answer(self, sql: impl Into<String>, rows: Value) -> Self {
        self.world().answers.insert(sql.into(), rows);
        self
    }

    /// Sets the roles there are. A statement never makes one; the mapping of one that goes is gone.
    pub fn set_roles<R: Into<String>>(&self, roles: impl IntoIterator<Item = R>) {
        let world = &mut *self.world();
        world.roles = roles.into_iter().map(Into::into).collect();
        world.mappings.retain(|role, _| world.roles.contains(role));
    }

    /// Sets whether the user may edit roles; it may, unless told otherwise.
    pub fn set_may_edit(&self, may_edit: bool) {
        self.world().may_edit = may_edit;
    }

    /// The n-th request of all, from 1, meets this fault.
    pub fn fail(&self, nth: usize, fault: Fault) {
        self.world().faults.at(nth, fault);
    }

    /// The next request meets this fault; said again, the one after it.
    pub fn fail_next(&self, fault: Fault) {
        let mut world = self.world();
        let arrived = world.received.len();
        world.faults.next(arrived, fault);
    }

    /// Every request meets this fault, unless a fault of its own was set.
    pub fn always(&self, fault: Fault) {
        self.world().faults.always(fault);
    }

    /// No further request meets a fault.
    pub fn recover(&self) {
        self.world().faults = Faults::default();
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The key that it takes.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// All requests so far in the order of their arrival, also those that were refused.
    pub fn received(&self) -> Vec<Received> {
        self.world().received.clone()
    }

    /// The statements that took effect, in the order in which they did.
    pub fn executed(&self) -> Vec<String> {
        self.world().executed.clone()
    }

    /// What each role is mapped to; the last statement wins.
    pub fn mappings(&self) -> BTreeMap<String, Group> {
        self.world().mappings.clone()
    }

    /// The roles of the executed `SYNC ROLE` statements, in order.
    pub fn synced(&self) -> Vec<String> {
        self.world().synced.clone()
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
