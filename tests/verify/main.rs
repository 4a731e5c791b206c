//! The checks against the doubles, over TLS.

mod entra;
mod trouble;

use std::time::Duration;

use testkit::{Azure, azure::Service};
use timbr_identity::verify::{Guard, Http, Limits, Outcome};
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

/// The reason and the sentence.
fn said(outcome: &Outcome) -> (&'static str, &str) {
    (outcome.reason.name(), outcome.message.as_str())
}
