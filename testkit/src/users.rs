//! Who talks to the API server: an address, the authority to trust there, and credentials, as a
//! kube client and as a kubeconfig file.

use std::path::{Path, PathBuf};

use kube::config::AuthInfo;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::certificates::Identity;

/// A server's address and how to trust it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub url: String,
    pub ca: CertificateDer<'static>,
    pub ca_file: PathBuf,
}

/// What proves a user.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// A client certificate and its key, in files.
    Certificate { certificate: PathBuf, key: PathBuf },
    /// A bearer token.
    Token(String),
}

impl Credentials {
    /// Writes a client certificate into a folder.
    pub fn certificate(identity: &Identity, dir: &Path, name: &str) -> Self {
        let certificate = dir.join(format!("{name}.crt"));
        let key = dir.join(format!("{name}.key"));
        write(&certificate, &identity.certificate_pem);
        write(&key, &identity.key_pem);
        Self::Certificate { certificate, key }
    }
}

impl Server {
    /// The same authority at another address.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The configuration of a client.
    pub fn config(&self, credentials: &Credentials) -> Config {
        let mut config = Config::new(self.url.parse().expect("a server's address is a URI"));
        config.root_cert = Some(vec![self.ca.to_vec()]);
        config.auth_info = match credentials {
            Credentials::Certificate { certificate, key } => AuthInfo {
                client_certificate: Some(certificate.display().to_string()),
                client_key: Some(key.display().to_string()),
                ..AuthInfo::default()
            },
            Credentials::Token(token) => AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() },
        };
        config
    }

    /// A new client.
    pub fn client(&self, credentials: &Credentials) -> Client {
        client(self.config(credentials))
    }

    /// Writes a kubeconfig.
    pub fn kubeconfig(&self, credentials: &Credentials, path: &Path) {
        let user = match credentials {
            Credentials::Certificate { certificate, key } => {
                json!({"client-certificate": certificate, "client-key": key})
            }
            Credentials::Token(token) => json!({"token": token}),
        };
        // JSON is YAML.
        let kubeconfig: Value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testkit", "cluster": {"server": self.url, "certificate-authority": self.ca_file}}],
            "users": [{"name": "testkit", "user": user}],
            "contexts": [{"name": "testkit", "context": {"cluster": "testkit", "user": "testkit"}}],
            "current-context": "testkit",
        });
        write(path, &kubeconfig.to_string());
    }
}

/// A service account that exists, with a token of its own.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// The user name the API server knows it by, in RBAC and in the audit log.
    pub username: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A bearer token, good for 24 hours.
    pub token: String,
    /// A kubeconfig with the token, for the API server itself.
    pub kubeconfig: PathBuf,
    pub(crate) server: Server,
}

impl ServiceAccount {
    /// A new client that acts as the service account.
    pub fn client(&self) -> Client {
        self.server.client(&Credentials::Token(self.token.clone()))
    }

    /// A new client that acts as the service account at another address, a proxy's. It does not
    /// try again by itself, as other clients do on 429, 503 and 504: who makes a fault wants to see
    /// it.
    pub fn client_at(&self, url: &str) -> Client {
        let mut config = self.server.at(url).config(&Credentials::Token(self.token.clone()));
        config.default_retry = false;
        client(config)
    }

    /// A kubeconfig for another address, a proxy's.
    pub fn kubeconfig_at(&self, url: &str) -> PathBuf {
        let suffix: String = url.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = self.kubeconfig.with_extension(format!("{suffix}.kubeconfig"));
        self.server.at(url).kubeconfig(&Credentials::Token(self.token.clone()), &path);
        path
    }
}

pub(crate) fn client(config: Config) -> Client {
    Client::try_from(config).expect("a client of a valid configuration")
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
