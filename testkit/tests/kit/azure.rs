//! The double of Azure refuses as the services do, keeps what no client should send, verifies what it
//! signs, and misbehaves as told.

mod databricks;
mod entra;
mod faults;
mod graph;
mod strictness;
mod vault;

use std::sync::Arc;

use http::{Method, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use testkit::Azure;
use testkit::azure::{App, Service};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const GRAPH: &str = "https://graph.microsoft.com";
const VAULT: &str = "https://vault.azure.net";
const API: &str = "api-version=7.4";

/// What stands for itself in forms and addresses.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The answer, or that the connection was cut.
async fn send(azure: &Azure, service: Service, request: Request<String>) -> Result<Response<String>, String> {
    let (url, ca) = (azure.url(service).to_owned(), azure.ca_pem().to_owned());
    exchange(&url, &ca, request).await
}

async fn exchange(url: &str, ca: &str, request: Request<String>) -> Result<Response<String>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connect = async {
        let stream = TcpStream::connect(url.trim_start_matches("https://")).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS by the double's own CA")
    };
    crate::http::exchange(connect, request).await
}

/// The status and the JSON; null where it is none.
async fn ask(azure: &Azure, service: Service, request: Request<String>) -> (u16, Value) {
    let answer = send(azure, service, request).await.unwrap();
    (answer.status().as_u16(), answer.body().parse().unwrap_or_default())
}

/// A request without a body; `token` is left out where it is empty.
fn request(method: Method, path: &str, token: &str) -> Request<String> {
    let request = Request::builder().method(method).uri(path).header("host", "azure");
    let request = if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
    request.body(String::new()).unwrap()
}

fn get(path: &str, token: &str) -> Request<String> {
    request(Method::GET, path, token)
}

/// A sound form.
fn form(path: &str, parameters: &[(&str, &str)]) -> Request<String> {
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let request =
        Request::post(path).header("host", "azure").header("content-type", "application/x-www-form-urlencoded");
    request.body(pairs.collect::<Vec<_>>().join("&")).unwrap()
}

/// A sound request for a token.
fn token_request(azure: &Azure, client_id: &str, secret: &str, scope: &str) -> Request<String> {
    let grant = ("grant_type", "client_credentials");
    let parameters = [grant, ("client_id", client_id), ("client_secret", secret), ("scope", scope)];
    form(&format!("/{}/oauth2/v2.0/token", azure.tenant()), &parameters)
}

/// An application that may do everything, in a double with two groups of one name, and its tokens for
/// Graph and the vault.
fn furnished() -> (Azure, App, String, String) {
    let azure = Azure::start();
    let app = azure.register("timbr");
    azure.edit_app(&app.client_id, |app| {
        app.grant(["GroupMember.Read.All", "Application.Read.All", "DelegatedPermissionGrant.Read.All"]);
    });
    let (graph, vault) = (azure.token(&app.client_id, GRAPH), azure.token(&app.client_id, VAULT));
    (azure, app, graph, vault)
}
