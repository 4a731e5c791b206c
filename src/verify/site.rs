//! Whether somebody answers at an address, and who.

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::api::CheckReason;

use super::{Http, NamedBy, Outcome, Trouble};

/// Asks a host.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Sends.
    pub http: &'a Http,
    /// The address, as a resource says.
    pub url: &'a str,
}

impl Site<'_> {
    /// Whether anything answers there, over TLS and with a certificate that is trusted: a page, a refusal, or a way on.
    pub async fn answers(&self) -> Outcome {
        let what = self.what();
        let answer = match self.request("") {
            Ok(request) => self.http.send(request).await,
            Err(trouble) => Err(trouble),
        };
        match answer {
            Ok(_) | Err(Trouble::Redirected(_)) => {
                Outcome::new(CheckReason::Passed, format!("{what} answers, and its certificate is trusted"))
            }
            Err(trouble) => Outcome::of_trouble(&what, &trouble),
        }
    }

    /// Whether it is a Databricks workspace: where to sign in is told to everybody.
    /// Source: Databricks' own SDKs, which begin with this request.
    pub async fn is_workspace(&self) -> Outcome {
        #[derive(Deserialize)]
        struct Config {
            oidc_endpoint: String,
        }
        let what = format!("Databricks workspace {}", self.what());
        let answer = match self.http.ask(&what, self.request(".well-known/databricks-config")).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let config = answer.json::<Config>();
        match (answer.status, config) {
            (StatusCode::OK, Ok(config)) if !config.oidc_endpoint.is_empty() => {
                Outcome::new(CheckReason::Passed, format!("{what} answers"))
            }
            (status, _) => Outcome::of_trouble(&what, &Trouble::Unreadable(status.as_u16())),
        }
    }

    fn request(&self, path: &str) -> Result<RequestBuilder, Trouble> {
        let url = Url::parse(self.url).and_then(|url| url.join(path));
        let url = url.map_err(|_| Trouble::Unresolved(self.url.to_owned()))?;
        self.http.request(Method::GET, url, NamedBy::Resource)
    }

    fn what(&self) -> String {
        self.url.trim_start_matches("https://").trim_end_matches('/').to_owned()
    }
}
