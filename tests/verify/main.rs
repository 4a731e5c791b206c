//! The checks against the doubles, over TLS.

mod command;
mod entra;
mod graph;
mod issuer;
mod keycloak;
mod matrix;
mod proxied;
mod site;
mod timbr_api;
mod toxiproxy;
mod trouble;
mod vault;

use std::time::Duration;

use jiff::Timestamp;
use testkit::{
    Azure,
    azure::{App, Service},
};
use timbr_identity::{
    compose::{Application, Probe},
    verify::{Guard, Http, Limits, Outcome, Services, Session},
};
use url::Url;

/// Requests that trust a double and give up soon.
fn http(azure: &Azure, allowed: &[&str]) -> Http {
    let allowed = allowed.iter().map(|net| net.parse().expect("a network")).collect();
    let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(5) };
    Http::new(Guard { allowed, ..Guard::default() }, azure.ca_pem().as_bytes(), limits).expect("there is TLS")
}

fn url(azure: &Azure, service: Service) -> Url {
    azure.url(service).parse().expect("a URL")
}

/// What comes of a probe, of which nothing is remembered.
async fn tried(azure: &Azure, probe: &Probe) -> Outcome {
    let http = http(azure, &["127.0.0.0/8"]);
    Session::new(&http, &services(azure), Timestamp::now()).run(probe).await
}

/// The double's services.
fn services(azure: &Azure) -> Services {
    let of_double = Services::new(url(azure, Service::Entra), url(azure, Service::Graph), ".vault.azure.net");
    Services { graph_scope: "https://graph.microsoft.com/.default".to_owned(), ..of_double }
}

/// An application as a resource names it.
fn application(app: &App) -> Application {
    Application {
        tenant: app.tenant.clone(),
        client_id: app.client_id.as_str().into(),
        shown: Some(app.client_id.clone()),
        secret: app.secrets[0].value.as_str().into(),
    }
}

/// A row of a table: why, and the sentence.
fn is(outcome: &Outcome, reason: &str, sentence: &str) {
    assert_eq!(said(outcome), (reason, sentence));
}

/// The reason and the sentence.
fn said(outcome: &Outcome) -> (&'static str, &str) {
    (outcome.reason.as_str(), outcome.message.as_str())
}
