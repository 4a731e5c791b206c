//! What of a resource can be tried out where it is said to be so: as data. Who tries it out is elsewhere.

use crate::api::{CheckLevel, Group, Sensitive};

use super::{NameKey, Permission, SqlTarget, Value, plan::Asked};

/// One thing to try out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is called, once in a resource.
    pub name: String,
    /// What depends on it.
    pub level: CheckLevel,
    /// What to try.
    pub probe: Probe,
}

/// An application and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The tenant: its id, or one of its domains.
    pub tenant: String,
    /// The application's client id.
    pub client_id: Sensitive,
    /// The same for messages; none of one that comes from a Secret, which is never shown.
    pub shown: Option<String>,
    /// The secret's value.
    pub secret: Sensitive,
}

/// A service for which an application gets a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Microsoft Graph.
    Graph,
    /// Key vaults.
    KeyVault,
}

/// What to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Offline: nothing can be tried, as this is not in the input.
    NotInInput(String),
    /// Whether a tenant is there.
    Tenant(String),
    /// Whether an application gets a token.
    Token(Application, Audience),
    /// Whether its token for Graph carries these application permissions.
    Roles(Application, &'static [Permission]),
    /// Whether a group is there, once.
    Group(Application, Group),
    /// What an application's registration says.
    Registration(Application, Registration),
    /// Whether an application may use a key vault, by its address.
    Vault(Application, String, VaultUse),
    /// Whether an issuer publishes keys that can be used.
    Issuer {
        /// The issuer, as tokens name it.
        issuer: String,
        /// Where its keys are, unless its discovery document is to say so.
        jwks_url: Option<String>,
        /// The algorithms of which a key must be there, as JWA calls them.
        algorithms: Vec<&'static str>,
    },
    /// Whether somebody answers at an address, with a certificate that is trusted.
    Site(String),
    /// Whether the running Timbr sends people to Entra as this says.
    SignIn(SignIn),
    /// Whether a host is a Databricks workspace.
    Workspace(String),
    /// Whether Timbr's REST API takes the key.
    TimbrApi(SqlTarget),
}

/// How people are to come from Timbr to Entra and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Timbr's public address.
    pub url: String,
    /// The application that they sign in to. Its secret is sent to nobody: another one makes new pods, and it is looked at
    /// anew.
    pub application: Application,
    /// Where Entra is to send them back to.
    pub redirect_uri: String,
}

/// What is looked at in an application's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Whether people are sent back to this address.
    RedirectUri(String),
    /// Whether it is for one tenant only.
    SingleTenant,
    /// Whether it asks for these delegated permissions, and an administrator has consented for everybody.
    Delegated(&'static [Permission]),
    /// When the secret that is used ends.
    SecretExpiry,
}

/// What is done with a key vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultUse {
    /// Nothing: whose it is.
    Tenant,
    /// List its secrets.
    List,
    /// Read a secret.
    Get,
    /// Write and delete a secret of ours.
    Write,
}

impl Application {
    /// From values that a resource names. `None` when one of them is missing, which is said elsewhere; what is not in
    /// the input is told.
    pub fn of(
        tenant: &str,
        shown: Option<&str>,
        client_id: Option<&Value>,
        secret: Option<&Value>,
    ) -> Option<Result<Self, String>> {
        let text = |value: &Value| match value {
            Value::Plain(value) => Ok(value.as_str().into()),
            Value::Sensitive(value) => Ok(value.clone()),
            Value::Placeholder(what) => Err(what.clone()),
        };
        let (client_id, secret) = (text(client_id?), text(secret?));
        let of = |(client_id, secret)| Self {
            tenant: tenant.to_owned(),
            client_id,
            shown: shown.map(str::to_owned),
            secret,
        };
        Some(client_id.and_then(|client_id| Ok((client_id, secret?))).map(of))
    }

    /// What messages call it.
    pub fn title(&self) -> String {
        self.shown.as_ref().map_or_else(|| "the application".to_owned(), |id| format!("application {id}"))
    }
}

impl Check {
    /// A word for what is tried, values included: what was found counts for as long as it is the same.
    pub(super) fn key(&self, key: &NameKey) -> String {
        key.of_check(self.probe.parts())
    }
}

impl Probe {
    /// All that it is made of, and what it is first.
    fn parts(&self) -> Vec<&[u8]> {
        fn with<'a>(what: &'a str, application: &'a Application, more: &[&'a str]) -> Vec<&'a [u8]> {
            let Application { tenant, client_id, shown: _, secret } = application;
            let mut parts = vec![what.as_bytes(), tenant.as_bytes(), client_id.expose(), secret.expose()];
            parts.extend(more.iter().map(|more| more.as_bytes()));
            parts
        }
        let ids = |permissions: &'static [Permission]| permissions.iter().map(|permission| permission.id);
        let words = |words: &[&'static str]| words.iter().map(|word| word.as_bytes()).collect();
        match self {
            Self::NotInInput(what) => vec![b"not in input", what.as_bytes()],
            Self::Tenant(tenant) => vec![b"tenant", tenant.as_bytes()],
            Self::Token(by, audience) => with("token", by, &[audience.word()]),
            Self::Roles(by, wanted) => with("roles", by, &ids(wanted).collect::<Vec<_>>()),
            Self::Group(by, Group { name, id, email }) => {
                let [name, id, email] = [name, id, email].map(|field| field.as_deref().unwrap_or_default());
                with("group", by, &[name, id, email])
            }
            Self::Registration(by, Registration::RedirectUri(uri)) => with("redirect uri", by, &[uri]),
            Self::Registration(by, Registration::SingleTenant) => with("single tenant", by, &[]),
            Self::Registration(by, Registration::Delegated(wanted)) => {
                with("delegated", by, &ids(wanted).collect::<Vec<_>>())
            }
            Self::Registration(by, Registration::SecretExpiry) => with("secret expiry", by, &[]),
            Self::Vault(by, url, what_for) => with("vault", by, &[url, what_for.word()]),
            Self::Issuer { issuer, jwks_url, algorithms } => {
                let jwks_url = jwks_url.as_deref().unwrap_or_default();
                let algorithms: Vec<&[u8]> = words(algorithms);
                [vec![b"issuer".as_slice(), issuer.as_bytes(), jwks_url.as_bytes()], algorithms].concat()
            }
            Self::Site(url) => vec![b"site", url.as_bytes()],
            Self::SignIn(SignIn { url, application, redirect_uri }) => {
                with("sign in", application, &[url, redirect_uri])
            }
            Self::Workspace(host) => vec![b"workspace", host.as_bytes()],
            Self::TimbrApi(SqlTarget { url, ontology, token }) => {
                vec![b"timbr api", url.as_bytes(), ontology.as_bytes(), token.expose()]
            }
        }
    }
}

impl Audience {
    const fn word(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::KeyVault => "key vault",
        }
    }
}

impl VaultUse {
    const fn word(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::List => "list",
            Self::Get => "get",
            Self::Write => "write",
        }
    }
}

impl Asked {
    /// Something to try out.
    pub fn check(&mut self, name: impl Into<String>, level: CheckLevel, probe: Probe) {
        let name = name.into();
        // One that is asked for twice is one: status lists them by name.
        if self.checks.iter().all(|there| there.name != name) {
            self.checks.push(Check { name, level, probe });
        }
    }

    /// Something to try out in the name of an application; nothing where it is not known.
    pub fn check_as(
        &mut self,
        application: Option<&Result<Application, String>>,
        name: impl Into<String>,
        level: CheckLevel,
        probe: impl FnOnce(Application) -> Probe,
    ) {
        match application {
            Some(Ok(application)) => self.check(name, level, probe(application.clone())),
            Some(Err(what)) => self.check(name, level, Probe::NotInInput(what.clone())),
            None => {}
        }
    }
}
