//! A session of checks: each probe by whoever it takes, and what several need asked for once.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    api::{CheckReason, CheckResult},
    compose::{Application, Audience, Probe, Registration, VaultUse},
};

use super::{
    Entra, Graph, Http, Issuer, Outcome, Site, TimbrApi, Token, Vault,
    graph::{App, judge_roles},
};

/// Where Microsoft's services are: whoever runs the operator says so, as they receive credentials.
#[derive(Clone, Debug)]
pub struct Services {
    /// Entra.
    pub authority: Url,
    /// Microsoft Graph.
    pub graph: Url,
    /// What a token for Graph is asked for.
    pub graph_scope: String,
    /// What a token for key vaults is asked for.
    pub vault_scope: String,
}

/// Tries things out. What is asked for twice is asked once: a session is short.
#[derive(Debug)]
pub struct Session<'a> {
    http: &'a Http,
    services: &'a Services,
    now: Timestamp,
    tokens: Memo<Token>,
    apps: Memo<App>,
}

/// An application, and for which service.
type By = (Application, Audience);

/// What was asked for, and by whom. These are few.
#[derive(Debug)]
struct Memo<V>(Mutex<Vec<(By, Asked<V>)>>);

/// What came of it, once somebody has asked.
type Asked<V> = Arc<OnceCell<Result<V, Outcome>>>;

impl<V: Clone> Memo<V> {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    async fn get(
        &self,
        application: &Application,
        audience: Audience,
        ask: impl Future<Output = Result<V, Outcome>>,
    ) -> Result<V, Outcome> {
        let cell = {
            let mut asked = self.0.lock().await;
            let found = asked.iter().find(|((by, of), _)| by == application && *of == audience);
            match found {
                Some((_, cell)) => Arc::clone(cell),
                None => {
                    let cell = Asked::default();
                    asked.push(((application.clone(), audience), Arc::clone(&cell)));
                    cell
                }
            }
        };
        cell.get_or_init(|| ask).await.clone()
    }
}

impl<'a> Session<'a> {
    /// A session that begins now.
    pub fn new(http: &'a Http, services: &'a Services, now: Timestamp) -> Self {
        Self { http, services, now, tokens: Memo::new(), apps: Memo::new() }
    }

    /// Tries something out.
    pub async fn run(&self, probe: &Probe) -> Outcome {
        let outcome = match probe {
            Probe::NotInInput(what) => Err(Outcome::new(
                CheckReason::NotInInput,
                format!("{what} is not in the input; add it, or let the operator check"),
            )),
            Probe::Tenant(tenant) => Ok(self.entra().tenant(tenant).await),
            Probe::Token(application, audience) => self.sign_in(application, *audience).await.map(|_| {
                let service = match audience {
                    Audience::Graph => "Microsoft Graph",
                    Audience::KeyVault => "key vaults",
                };
                let title = application.title();
                Outcome::new(CheckReason::Passed, format!("Entra gives {title} tokens for {service}"))
            }),
            Probe::Roles(application, wanted) => self
                .token(application, Audience::Graph)
                .await
                .map(|token| judge_roles(&token, wanted, &application.title())),
            Probe::Group(application, group) => match self.token(application, Audience::Graph).await {
                Ok(token) => Ok(self.graph(&token).group(group).await),
                Err(outcome) => Err(outcome),
            },
            Probe::Registration(application, aspect) => self.registered(application, aspect).await,
            Probe::Vault(application, url, what_for) => self.vault(application, url, *what_for).await,
            Probe::Issuer { issuer, jwks_url, algorithms } => {
                Ok(Issuer { http: self.http, issuer }.keys(jwks_url.as_deref(), algorithms).await)
            }
            Probe::Site(url) => Ok(Site { http: self.http, url }.answers().await),
            Probe::SignIn(wanted) => {
                let site = Site { http: self.http, url: &wanted.url };
                Ok(site.signs_in(&self.services.authority, wanted).await)
            }
            Probe::TimbrApi(target) => Ok(TimbrApi { http: self.http, target }.takes_key().await),
            Probe::Workspace(host) => {
                let url = format!("https://{host}/");
                Ok(Site { http: self.http, url: &url }.is_workspace().await)
            }
        };
        outcome.unwrap_or_else(|outcome| outcome)
    }

    fn entra(&self) -> Entra<'_> {
        Entra { http: self.http, authority: &self.services.authority }
    }

    fn graph<'t>(&'t self, token: &'t Token) -> Graph<'t> {
        Graph { http: self.http, url: &self.services.graph, token }
    }

    /// A token for something else: why there is none is told by the check of the credentials themselves.
    async fn token(&self, application: &Application, audience: Audience) -> Result<Token, Outcome> {
        self.sign_in(application, audience).await.map_err(|outcome| match outcome.finding() {
            CheckResult::Fail => {
                let message = format!("not tried, for want of a token: {}", outcome.message);
                Outcome { reason: CheckReason::NoToken, message, ..outcome }
            }
            CheckResult::Pass | CheckResult::Unknown => outcome,
        })
    }

    async fn sign_in(&self, application: &Application, audience: Audience) -> Result<Token, Outcome> {
        let scope = match audience {
            Audience::Graph => &self.services.graph_scope,
            Audience::KeyVault => &self.services.vault_scope,
        };
        self.tokens.get(application, audience, self.entra().token(application, scope)).await
    }

    async fn registered(&self, application: &Application, aspect: &Registration) -> Result<Outcome, Outcome> {
        let token = self.token(application, Audience::Graph).await?;
        let graph = self.graph(&token);
        let app = self.apps.get(application, Audience::Graph, graph.app(application)).await?;
        Ok(graph.registration(application, &app, aspect, self.now).await)
    }

    async fn vault(&self, application: &Application, url: &str, what_for: VaultUse) -> Result<Outcome, Outcome> {
        let Ok(url) = Url::parse(url) else {
            return Err(Outcome::new(CheckReason::HostNotAllowed, "spec.vaultUrl is no URL"));
        };
        let vault = Vault { http: self.http, url: &url };
        if what_for == VaultUse::Tenant {
            return Ok(vault.tenant(&application.tenant).await);
        }
        let token = self.token(application, Audience::KeyVault).await?;
        Ok(vault.allows(&token, what_for).await)
    }
}

impl Services {
    /// Services at these addresses: what tokens are asked for follows from them.
    pub fn new(authority: Url, graph: Url, vault_suffix: &str) -> Self {
        Self {
            authority,
            graph_scope: format!("{}/.default", graph.as_str().trim_end_matches('/')),
            graph,
            vault_scope: format!("https://{}/.default", vault_suffix.trim_start_matches('.')),
        }
    }
}
