//! Timbr's REST API: whether it takes the key.
//!
//! Source of the request: Timbr's own client, pytimbr-api. It changes nothing; what it answers beside a yes or a no is
//! not documented, and not looked at.

use jiff::Timestamp;
use reqwest::{Method, StatusCode, Url, header::HeaderValue};
use serde_json::Value;

use crate::{
    api::{CheckReason, foreign},
    compose::SqlTarget,
};

use super::{Answer, Http, NamedBy, Outcome};

/// What Timbr says when a service behind it has rejected the credential, whatever the status.
const REJECTED: &str = "HTTP Response code: 401";

/// Asks Timbr's REST API.
#[derive(Clone, Copy, Debug)]
pub struct TimbrApi<'a> {
    /// Sends.
    pub http: &'a Http,
    /// Where it is, as compose has allowed, and the key.
    pub target: &'a SqlTarget,
}

impl TimbrApi<'_> {
    /// Whether it takes the key.
    pub async fn takes_key(&self) -> Outcome {
        let what = self.what();
        let url = Url::parse(&self.target.url).and_then(|url| url.join("/timbr/api/get_ontologies/"));
        let (Ok(url), Ok(mut key)) = (url, HeaderValue::from_bytes(self.target.token.expose())) else {
            return Outcome::new(
                CheckReason::CredentialRefused,
                format!(
                    "{what}: the API key holds characters that no HTTP header can carry; put it into the Secret again"
                ),
            );
        };
        key.set_sensitive(true);
        // A Service of the namespace, or a host that whoever runs the operator has named.
        let request = self.http.request(Method::GET, url, NamedBy::Operator);
        let answer = match request {
            Ok(request) => self.http.send(request.header("x-api-key", key)).await,
            Err(trouble) => Err(trouble),
        };
        match answer {
            Ok(answer) => self.judge(&answer),
            Err(trouble) => Outcome::of_trouble(&what, &trouble),
        }
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let what = self.what();
        let text = String::from_utf8_lossy(&answer.body);
        let is_rejected = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if is_rejected || (!answer.status.is_success() && text.contains(REJECTED)) {
            return Outcome::new(
                CheckReason::ApiKeyRefused,
                format!(
                    "{what} does not take the API key; make one in Timbr for a user who has GRANT EDIT ON ALL ROLE and GRANT QUERY ON ALL ROLE, and put it into the Secret of spec.sql.tokenSecretRef of the TimbrInstallation"
                ),
            );
        }
        if let Some(busy) = Outcome::of_busy(&what, answer, Timestamp::now()) {
            return busy;
        }
        match (answer.status, answer.json::<Value>()) {
            (StatusCode::OK, Ok(_)) => Outcome::new(CheckReason::Passed, format!("{what} takes the API key")),
            (StatusCode::OK, Err(trouble)) => Outcome::of_trouble(&what, &trouble),
            (status, _) => Outcome::new(
                CheckReason::Unreadable,
                format!(
                    "{what} answers with status {}: {}; check spec.sql.url of the TimbrInstallation",
                    status.as_u16(),
                    foreign(&text.replace(&*String::from_utf8_lossy(self.target.token.expose()), "<redacted>"))
                ),
            ),
        }
    }

    fn what(&self) -> String {
        format!("Timbr's REST API ({})", self.target.url)
    }
}
