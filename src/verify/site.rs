//! Whether somebody answers at an address, and who.

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::{
    api::{CheckReason, foreign},
    compose::SignIn,
};

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

    /// Whether people are sent to Entra from the page on which signing in begins, for the right application and with the
    /// right way back. That pods run says nothing of it: behind an ingress, Timbr has to be told that it is https.
    /// Source of the page: Flask-AppBuilder, with which timbr-platform is made.
    pub async fn signs_in(&self, authority: &Url, wanted: &SignIn) -> Outcome {
        const PAGE: &str = "login/azure";
        let what = format!("{}/{PAGE}", self.what());
        let answer = match self.request(PAGE) {
            Ok(request) => self.http.fetch(request).await,
            Err(trouble) => Err(trouble),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => return Outcome::of_trouble(&what, &trouble),
        };
        if let Some(busy) = Outcome::of_busy(&what, &answer, Timestamp::now()) {
            return busy;
        }
        match answer.to.filter(|to| answer.status.is_redirection() && to.origin() == authority.origin()) {
            Some(to) => judge_way(&what, &to, wanted),
            None => Outcome::new(
                CheckReason::SignInNotSeen,
                format!(
                    "{what} does not send people to Entra (it answers with status {}); open it in a browser, and look whether they can sign in",
                    answer.status.as_u16()
                ),
            ),
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

/// Whether the way to Entra is the right one.
fn judge_way(what: &str, to: &Url, SignIn { application, redirect_uri, .. }: &SignIn) -> Outcome {
    let parameter = |name: &str| to.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned());
    let misdirected = |sentence: String| Outcome::new(CheckReason::SignInMisdirected, sentence);
    let client_id = parameter("client_id").unwrap_or_default();
    if !client_id.as_bytes().eq_ignore_ascii_case(application.client_id.expose()) {
        return misdirected(format!(
            "{what} sends people to Entra for another application than {}; check that it is the Timbr whose Deployment this resource is delivered to",
            application.title()
        ));
    }
    match parameter("redirect_uri") {
        Some(uri) if uri == *redirect_uri => {
            Outcome::new(CheckReason::Passed, format!("{what} sends people to Entra, and back to {redirect_uri}"))
        }
        uri => {
            let uri = uri.unwrap_or_default();
            let fix = match uri.strip_prefix("http://") == redirect_uri.strip_prefix("https://") {
                true => "add to the env of timbr-platform: {name: OAUTH_DEFAULT_SCHEME, value: https}",
                false => "check publicUrl, and that the ingress hands on the host that people ask for",
            };
            misdirected(format!(
                "{what} has Entra send people back to {}, where {redirect_uri} was expected, and Entra refuses (AADSTS50011); {fix}",
                foreign(&uri)
            ))
        }
    }
}
