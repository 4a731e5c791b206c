//! A key vault: whose it is, and what an application may do with its secrets.
//!
//! Source of the requests: <https://learn.microsoft.com/rest/api/keyvault/secrets>; of the refusals:
//! <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>.

use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde_json::{Map, Value, json};

use crate::{
    api::{CheckReason, foreign},
    compose::{VaultUse, is_guid},
};

use super::{
    Answer, Http, NamedBy, Outcome, Token, bearer,
    refusal::{Error, Refusal},
};

const VERSION: (&str, &str) = ("api-version", "7.4");
/// The secret that is asked for, and written where that is wanted. Nobody else should have one of this name.
const PROBE: &str = "timbr-identity-probe";

/// Asks a key vault.
#[derive(Clone, Copy, Debug)]
pub struct Vault<'a> {
    /// Sends.
    pub http: &'a Http,
    /// Where it is, as a resource says.
    pub url: &'a Url,
}

impl Vault<'_> {
    /// Whether it belongs to a tenant: it says so to whoever comes without a token.
    pub async fn tenant(&self, tenant: &str) -> Outcome {
        let what = self.what();
        let answer = match self.ask(Method::GET, &["secrets"], None, None).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let challenge = answer.headers.get(WWW_AUTHENTICATE).and_then(|challenge| challenge.to_str().ok());
        let found = challenge.filter(|_| answer.status == StatusCode::UNAUTHORIZED).and_then(tenant_of);
        match found {
            None => Outcome::new(
                CheckReason::Unreadable,
                format!(
                    "{what} does not say whose it is, as key vaults do; check vaultUrl, and that no proxy answers in its place"
                ),
            ),
            // A domain stands for an id that only Entra knows: then the token decides.
            Some(found) if is_guid(tenant.as_bytes()) && !found.eq_ignore_ascii_case(tenant) => Outcome::new(
                CheckReason::VaultOfAnotherTenant,
                format!(
                    "{what} belongs to tenant {}, and not to {tenant}; check vaultUrl and tenantId, which stand on the overview pages of the key vault (Directory ID) and of the app registration",
                    foreign(found)
                ),
            ),
            Some(_) => Outcome::new(CheckReason::Passed, format!("{what} is a key vault of tenant {tenant}")),
        }
    }

    /// Whether somebody may use it.
    pub async fn allows(&self, token: &Token, what_for: VaultUse) -> Outcome {
        match self.tried(token, what_for).await {
            Ok(()) => {
                let operation = operation(what_for);
                Outcome::new(CheckReason::Passed, format!("{} allows {operation}", self.what()))
            }
            Err(outcome) => outcome,
        }
    }

    async fn tried(&self, token: &Token, what_for: VaultUse) -> Result<(), Outcome> {
        let one = ["secrets", PROBE];
        match what_for {
            VaultUse::Tenant => Ok(()),
            VaultUse::List => {
                let answer = self.ask(Method::GET, &["secrets"], Some(token), None).await?;
                self.judge(&answer, "List", &[])
            }
            // That it is not there is told to those only who may read it.
            VaultUse::Get => {
                let answer = self.ask(Method::GET, &one, Some(token), None).await?;
                self.judge(&answer, "Get", &[StatusCode::NOT_FOUND])
            }
            // A deleted one keeps its name for a while: that too is told to those only who may write it.
            VaultUse::Write => {
                let value =
                    json!({"value": "written by timbr-identity to try out whether it may, and deleted at once"});
                let answer = self.ask(Method::PUT, &one, Some(token), Some(value)).await?;
                self.judge(&answer, "Set", &[StatusCode::CONFLICT])?;
                let answer = self.ask(Method::DELETE, &one, Some(token), None).await?;
                self.judge(&answer, "Delete", &[StatusCode::NOT_FOUND])
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        token: Option<&Token>,
        body: Option<Value>,
    ) -> Result<Answer, Outcome> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().append_pair(VERSION.0, VERSION.1);
        if path.len() == 1 {
            url.query_pairs_mut().append_pair("maxresults", "1");
        }
        let request = self.http.request(method, url, NamedBy::Resource).map(|mut request| {
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, bearer(token));
            }
            match body {
                Some(body) => request.header("content-type", "application/json").body(body.to_string()),
                None => request,
            }
        });
        self.http.ask(&self.what(), request).await
    }

    /// Whether an answer says that an operation is allowed; so do these statuses beside the usual ones.
    fn judge(&self, answer: &Answer, operation: &str, also: &[StatusCode]) -> Result<(), Outcome> {
        let what = self.what();
        let of_trouble = |trouble| Outcome::of_trouble(&what, &trouble);
        // Whoever else answers, a proxy with its page perhaps, allows nothing.
        if answer.status.is_success() {
            return answer.json::<Map<String, Value>>().map(drop).map_err(of_trouble);
        }
        let Error { code, message, innererror } = answer.json::<Refusal>().map_err(of_trouble)?.error;
        if also.contains(&answer.status) {
            return Ok(());
        }
        let inner = innererror.map(|inner| inner.code).unwrap_or_default();
        let (reason, sentence) = match inner.as_str() {
            // It may be read, and that is what was asked.
            "SecretDisabled" => return Ok(()),
            "AccessDenied" => (CheckReason::AccessDenied, BY_POLICY),
            "ForbiddenByPolicy" => (CheckReason::ForbiddenByPolicy, BY_POLICY),
            "ForbiddenByRbac" => (CheckReason::ForbiddenByRbac, BY_ROLE),
            "ForbiddenByFirewall" => (CheckReason::ForbiddenByFirewall, BY_FIREWALL),
            "ForbiddenByConnection" => (CheckReason::ForbiddenByConnection, BY_CONNECTION),
            _ => {
                let text = foreign(&format!("{code} {inner}: {message}"));
                let status = answer.status.as_u16();
                return Err(Outcome::new(
                    CheckReason::CredentialRefused,
                    format!("{what} refuses {operation} with status {status}: {text}"),
                ));
            }
        };
        Err(Outcome::new(reason, format!("{what} does not allow {operation}: {sentence}")))
    }

    fn what(&self) -> String {
        format!("Key vault {}", self.url.host_str().unwrap_or_default())
    }
}

const BY_POLICY: &str =
    "give the application the secret permissions Get, List, Set and Delete under Access policies of the key vault";
const BY_ROLE: &str = "give the application the role Key Vault Secrets Officer under Access control (IAM) of the key vault, and wait some minutes";
const BY_FIREWALL: &str = "the key vault's firewall does not know the operator's address; Timbr's pods may come from another; add both under Networking of the key vault";
const BY_CONNECTION: &str = "the key vault is reached by a private link only, and the operator does not come by it; Timbr's pods may; check the DNS of its private endpoint";

fn operation(of: VaultUse) -> &'static str {
    match of {
        VaultUse::Tenant => "nothing",
        VaultUse::List => "List",
        VaultUse::Get => "Get",
        VaultUse::Write => "Set and Delete",
    }
}

/// The tenant in a challenge: the last part of where to get a token.
fn tenant_of(challenge: &str) -> Option<&str> {
    let (_, rest) = challenge.split_once("authorization=\"")?;
    let (url, _) = rest.split_once('"')?;
    url.rsplit('/').next().filter(|tenant| !tenant.is_empty())
}

#[cfg(test)]
mod tests {
    use super::tenant_of;

    #[test]
    fn a_challenge_names_the_tenant() {
        let rows = [
            (
                r#"Bearer authorization="https://login.windows.net/72f9", resource="https://vault.azure.net""#,
                Some("72f9"),
            ),
            (r#"Bearer resource="x", authorization="https://a.example/b/c""#, Some("c")),
            (r#"Bearer authorization="https://a.example/""#, None),
            (r#"Bearer authorization="https://a.example"#, None),
            ("Basic", None),
        ];
        for (challenge, expected) in rows {
            assert_eq!(tenant_of(challenge), expected, "{challenge}");
        }
    }
}
