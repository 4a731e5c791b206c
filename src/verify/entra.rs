//! Microsoft Entra: whether a tenant is there, and whether an application's credential is good.
//!
//! Source of the requests: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.
//! Source of the codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::{
    api::{CheckReason, Sensitive, foreign},
    compose::{Application, is_guid},
};

use super::{Answer, Http, NamedBy, Outcome, Trouble};

/// A token of an application, for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// As it is sent.
    pub text: Sensitive,
    /// The application permissions that it carries. Of a token that cannot be read: none.
    pub roles: Vec<String>,
}

/// Asks Entra.
#[derive(Clone, Copy, Debug)]
pub struct Entra<'a> {
    /// Sends.
    pub http: &'a Http,
    /// Where Entra is, as the operator's flags say.
    pub authority: &'a Url,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

/// Entra's own words for why not. Source: the first link above, "Error response".
#[derive(Deserialize)]
struct Refusal {
    /// Required by RFC 6749, section 5.2: what has none does not come from a token endpoint.
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl Entra<'_> {
    /// Whether a tenant is there.
    pub async fn tenant(&self, tenant: &str) -> Outcome {
        let path = ["v2.0", ".well-known", "openid-configuration"];
        let what = self.what();
        match self.http.ask(&what, self.request(Method::GET, tenant, &path)).await {
            Ok(answer) => judge_discovery(&what, self.authority, tenant, &answer),
            Err(outcome) => outcome,
        }
    }

    /// A token of the application for a service, as `https://graph.microsoft.com/.default`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, application: &Application, scope: &str) -> Result<Token, Outcome> {
        let path = ["oauth2", "v2.0", "token"];
        // Of a secret that is no text Entra has none either.
        let [client_id, secret] =
            [&application.client_id, &application.secret].map(|it| String::from_utf8_lossy(it.expose()));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &client_id),
            ("client_secret", &secret),
            ("scope", scope),
        ];
        let request = self.request(Method::POST, &application.tenant, &path).map(|request| request.form(&form));
        let what = self.what();
        judge_token(&what, application, scope, &self.http.ask(&what, request).await?)
    }

    fn request(&self, method: Method, tenant: &str, path: &[&str]) -> Result<RequestBuilder, Trouble> {
        let mut url = self.authority.clone();
        // The tenant is a name of the user's: it stays one segment of the path, whatever it says.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(tenant).extend(path);
        }
        self.http.request(method, url, NamedBy::Operator)
    }

    fn what(&self) -> String {
        format!("Entra ({})", self.authority.host_str().unwrap_or_default())
    }
}

/// What the discovery document of a tenant says.
fn judge_discovery(what: &str, authority: &Url, tenant: &str, answer: &Answer) -> Outcome {
    if answer.status != StatusCode::OK {
        return refused(what, tenant, None, answer);
    }
    let found = match answer.json::<Discovery>() {
        Ok(found) => found,
        Err(trouble) => return Outcome::of_trouble(what, &trouble),
    };
    let base = authority.as_str().trim_end_matches('/');
    let id = found.issuer.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/v2.0"));
    match id {
        // A domain stands for an id that only Entra knows.
        Some(id) if is_guid(id.as_bytes()) && (!is_guid(tenant.as_bytes()) || id.eq_ignore_ascii_case(tenant)) => {
            Outcome::new(CheckReason::Passed, format!("{what} knows tenant {tenant}"))
        }
        _ => Outcome::new(
            CheckReason::WrongIssuer,
            format!(
                "{what} names the issuer {} for tenant {tenant}, where {base}/<the tenant's id>/v2.0 was expected; check tenantId, and the operator's flags --cloud and --authority-url",
                foreign(&found.issuer)
            ),
        ),
    }
}

/// What came of a request for a token.
fn judge_token(what: &str, application: &Application, scope: &str, answer: &Answer) -> Result<Token, Outcome> {
    if answer.status != StatusCode::OK {
        return Err(refused(what, &application.tenant, Some((application, scope)), answer));
    }
    let granted: Granted = answer.json().map_err(|trouble| Outcome::of_trouble(what, &trouble))?;
    Ok(Token { roles: roles(&granted.access_token), text: granted.access_token.as_str().into() })
}

/// The application permissions in a token. Whoever it is sent to checks the signature; here it is only read.
fn roles(token: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
    }
    let claims = token.split('.').nth(1).and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Claims>(&claims).ok());
    claims.map(|claims| claims.roles).unwrap_or_default()
}

/// What a refusal of Entra's means, and what to do about it.
fn refused(what: &str, tenant: &str, asked: Option<(&Application, &str)>, answer: &Answer) -> Outcome {
    let Ok(refusal) = answer.json::<Refusal>() else {
        return Outcome::of_trouble(what, &Trouble::Unreadable(answer.status.as_u16()));
    };
    let code = refusal.error_codes.first().copied().unwrap_or_default();
    let client = asked.map(|(application, _)| application.title()).unwrap_or_default();
    let (reason, sentence) = match code {
        90_002 | 900_023 => (
            CheckReason::TenantNotFound,
            format!(
                "knows no tenant {tenant}; put the Directory (tenant) ID of the app registration's overview into tenantId"
            ),
        ),
        700_016 => (
            CheckReason::ApplicationNotFound,
            format!(
                "has no {client} in tenant {tenant}; put the Application (client) ID of the app registration's overview into clientId, and check that it is in this tenant"
            ),
        ),
        7_000_112 => (
            CheckReason::ApplicationDisabled,
            format!("has disabled {client}; enable it under Enterprise applications, Properties"),
        ),
        7_000_215 => (CheckReason::ClientSecretInvalid, invalid_secret(&client, asked)),
        7_000_222 => (
            CheckReason::ClientSecretExpired,
            format!(
                "says that the secret of {client} has expired; make a new one under Certificates & secrets, and put its Value into the Secret"
            ),
        ),
        500_011 => (
            CheckReason::ResourceNotFound,
            format!(
                "does not know in tenant {tenant} what {} is; sign in to the tenant's portal once and open that service, or check the operator's flag --cloud",
                asked.map(|(_, scope)| scope).unwrap_or_default()
            ),
        ),
        _ => (
            CheckReason::CredentialRefused,
            format!(
                "refuses {client} of tenant {tenant}: {}; check tenantId, clientId and the value in the Secret",
                foreign(&told(&refusal, asked))
            ),
        ),
    };
    let code = if code == 0 { String::new() } else { format!(" (AADSTS{code})") };
    Outcome::new(reason, format!("{what} {sentence}{code}"))
}

/// Entra's words, without a client id that is not to be shown.
fn told(refusal: &Refusal, asked: Option<(&Application, &str)>) -> String {
    let hidden = asked.filter(|(application, _)| application.shown.is_none());
    let id = hidden.map(|(application, _)| String::from_utf8_lossy(application.client_id.expose()));
    let Refusal { error, error_description: description, error_codes } = refusal;
    // Another provider in Entra's place has no codes, and perhaps no more than OAuth's word.
    let told = match (error_codes.is_empty(), description.is_empty()) {
        (_, true) => error.clone(),
        (true, false) => format!("{error}: {description}"),
        (false, false) => description.clone(),
    };
    match id {
        Some(id) if !id.is_empty() => told.replace(&*id, "<client id>"),
        _ => told,
    }
}

fn invalid_secret(client: &str, asked: Option<(&Application, &str)>) -> String {
    // Entra makes no secrets of this form, and the portal shows one beside each of them.
    if asked.is_some_and(|(application, _)| is_guid(application.secret.expose())) {
        format!(
            "refuses the secret of {client}: the Secret holds the secret's ID; put its Value there, which the portal shows once, when it is made"
        )
    } else {
        format!(
            "refuses the secret of {client}: it is none of its secrets; make a new one under Certificates & secrets, and put its Value into the Secret"
        )
    }
}
