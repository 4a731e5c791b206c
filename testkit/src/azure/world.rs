//! The state of the double: what it knows, and what has arrived.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::ask::{Answer, Ask};
use super::directory::{Directory, Tenant};
use super::keys::Keys;
use super::vault::Vault;
use super::{Fault, Platform, Received, Service, databricks, entra, graph, platform, vault};
use crate::fault::Faults;

/// Headers whose values are nobody's to see.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];
/// Parameters whose values are nobody's to see.
const SECRETS: [&str; 4] = ["client_secret", "client_assertion", "password", "access_token"];
const REDACTED: &str = "<redacted>";

pub(super) struct World {
    pub(super) urls: BTreeMap<Service, String>,
    pub(super) keys: Keys,
    pub(super) directory: Directory,
    pub(super) vault: Vault,
    /// The secrets of the Databricks workspace's clients.
    pub(super) databricks: BTreeMap<String, String>,
    /// What the pods of timbr-platform run with.
    pub(super) platform: Option<Platform>,
    /// How Graph and the vault are named in scopes and audiences.
    pub(super) resources: BTreeMap<Service, String>,
    /// How long tokens are valid.
    pub(super) lifetime: Duration,
    faults: BTreeMap<Service, Faults>,
    pub(super) received: Vec<Received>,
    pub(super) violations: Vec<String>,
}

impl World {
    pub(super) fn new(urls: BTreeMap<Service, String>, home: Tenant) -> Self {
        let vault = Vault::new(&home.id);
        let mut directory = Directory::default();
        directory.tenants.insert(home.id.clone(), home);
        let resource = |service, resource: &str| (service, resource.to_owned());
        Self {
            urls,
            keys: Keys::new(),
            directory,
            vault,
            databricks: BTreeMap::new(),
            platform: None,
            resources: BTreeMap::from([
                resource(Service::Graph, "https://graph.microsoft.com"),
                resource(Service::Vault, "https://vault.azure.net"),
            ]),
            lifetime: Duration::from_secs(3599),
            faults: BTreeMap::new(),
            received: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub(super) fn faults_of(&mut self, service: Service) -> &mut Faults {
        self.faults.entry(service).or_default()
    }

    /// How many requests to this service have arrived.
    pub(super) fn arrived(&self, service: Service) -> usize {
        self.received.iter().filter(|received| received.service == service).count()
    }

    /// Numbers a request whose head has arrived, and says what goes wrong with it.
    pub(super) fn arrive(&mut self, service: Service, head: &Parts) -> (usize, Option<Fault>) {
        let nth = self.received.len() + 1;
        let shown = |name: &str, value: &[u8]| match name {
            name if CREDENTIALS.contains(&name) => REDACTED.to_owned(),
            _ => String::from_utf8_lossy(value).into_owned(),
        };
        let headers =
            head.headers.iter().map(|(name, value)| (name.to_string(), shown(name.as_str(), value.as_bytes())));
        let uri = match head.uri.query() {
            Some(query) => format!("{}?{}", head.uri.path(), redact(query)),
            None => head.uri.path().to_owned(),
        };
        self.received.push(Received {
            nth,
            service,
            at: Instant::now(),
            method: head.method.to_string(),
            uri,
            headers: headers.collect(),
            body: String::new(),
            status: None,
        });
        let of_service = self.arrived(service);
        (nth, self.faults_of(service).meet(of_service))
    }

    /// Keeps the body of a request.
    pub(super) fn keep(&mut self, nth: usize, body: &[u8]) {
        let received = &mut self.received[nth - 1];
        let text = String::from_utf8_lossy(body);
        received.body = match received.service {
            Service::Vault if body.is_empty() => String::new(),
            Service::Vault => match serde_json::from_slice::<Value>(body) {
                Ok(Value::Object(mut secret)) => {
                    if let Some(value) = secret.get_mut("value") {
                        *value = REDACTED.into();
                    }
                    Value::Object(secret).to_string()
                }
                _ => REDACTED.to_owned(),
            },
            Service::Entra | Service::Databricks => redact(&text),
            Service::Graph | Service::Platform => text.into_owned(),
        };
    }

    /// Answers a request that is there as a whole, and keeps what was wrong with it. Without an effect,
    /// nothing is another than before.
    pub(super) fn answer(&mut self, nth: usize, head: &Parts, body: &[u8], effect: bool) -> Answer {
        let service = self.received[nth - 1].service;
        let before = (!effect).then(|| self.vault.clone());
        let answered = match Ask::read(head, body) {
            Ok(ask) => match service {
                Service::Entra => entra::answer(self, &ask),
                Service::Graph => graph::answer(self, &ask),
                Service::Vault => vault::answer(self, &ask),
                Service::Databricks => databricks::answer(self, &ask),
                Service::Platform => platform::answer(self, &ask),
            },
            Err(violation) => {
                let body = json!({"error": {"code": "BadRequest", "message": violation}});
                Err(Answer::json(400, &body).violating(violation))
            }
        };
        if let Some(before) = before {
            self.vault = before;
        }
        let answer = answered.unwrap_or_else(|refusal| refusal);
        if let Some(violation) = &answer.violation {
            self.violations.push(format!("request {nth}: {violation}"));
        }
        self.received[nth - 1].status = Some(answer.status);
        answer
    }
}

/// A query or form whose secrets are not shown.
fn redact(text: &str) -> String {
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRETS.contains(&&*percent_decode_str(name).decode_utf8_lossy()) => {
            format!("{name}={REDACTED}")
        }
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}
