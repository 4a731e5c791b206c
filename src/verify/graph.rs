//! Microsoft Graph: groups, and what an application's registration says.
//!
//! Source of the requests: <https://learn.microsoft.com/graph/api/overview>, "Get group", "List groups", "Get
//! application", "Get servicePrincipal", "List oauth2PermissionGrants". Groups need one of the permissions that group
//! synchronisation needs anyway; the rest needs Application.Read.All and DelegatedPermissionGrant.Read.All, which nobody
//! has to grant.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::{Method, StatusCode, Url, header::AUTHORIZATION};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    api::{CheckReason, Group, foreign},
    compose::{Application, Permission, Registration},
};

use super::{
    Answer, Http, NamedBy, Outcome, Token, bearer,
    refusal::{Error, Refusal},
};

/// The account type of an application of one tenant.
const SINGLE_TENANT: &str = "AzureADMyOrg";
/// How many of a secret's first characters Graph shows.
const HINT: usize = 3;

/// Asks Graph.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    /// Sends.
    pub http: &'a Http,
    /// Where Graph is, as the operator's flags say.
    pub url: &'a Url,
    /// In whose name.
    pub token: &'a Token,
}

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// An application's registration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct App {
    #[serde(default)]
    sign_in_audience: Option<String>,
    #[serde(default)]
    web: Redirects,
    #[serde(default)]
    spa: Redirects,
    #[serde(default)]
    public_client: Redirects,
    #[serde(default)]
    password_credentials: Vec<PasswordCredential>,
    #[serde(default)]
    required_resource_access: Vec<Resource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redirects {
    #[serde(default)]
    redirect_uris: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordCredential {
    #[serde(default)]
    hint: Option<String>,
    end_date_time: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource_app_id: String,
    resource_access: Vec<Access>,
}

#[derive(Clone, Debug, Deserialize)]
struct Access {
    id: String,
}

/// Delegated permissions that somebody has consented to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grant {
    consent_type: String,
    resource_id: String,
    #[serde(default)]
    scope: Option<String>,
}

impl Graph<'_> {
    /// Whether a group is there, once.
    pub async fn group(&self, group: &Group) -> Outcome {
        let what = self.what();
        let (title, url) = match (&group.id, &group.name, &group.email) {
            (Some(id), ..) => (format!("with the id {id}"), self.get(&["groups", id], &[("$select", "id")])),
            (None, Some(name), _) => (format!("called {name}"), self.groups("displayName", name)),
            (None, None, Some(email)) => (format!("with the address {email}"), self.groups("mail", email)),
            (None, None, None) => return Outcome::new(CheckReason::GroupNotFound, "no group is named"),
        };
        let answer = match self.ask(url).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let is_missing = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) && group.id.is_some();
        let count = match (is_missing, &group.id) {
            (true, _) => Ok(0),
            (false, Some(_)) => self.read::<Named>(&answer, GROUPS).map(|_| 1),
            (false, None) => self.read::<List<Named>>(&answer, GROUPS).map(|list| list.value.len()),
        };
        match count {
            Err(outcome) => outcome,
            Ok(0) => Outcome::new(
                CheckReason::GroupNotFound,
                format!("{what} knows no group {title} in this tenant; check it on the group's overview page"),
            ),
            Ok(1) => Outcome::new(CheckReason::Passed, format!("{what} knows the group {title}")),
            Ok(_) => Outcome::new(
                CheckReason::GroupAmbiguous,
                format!(
                    "{what} knows several groups {title}, and nobody can tell which is meant; name it by its Object ID (group.id)"
                ),
            ),
        }
    }

    /// An application's registration.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) async fn app(&self, application: &Application) -> Result<App, Outcome> {
        const SELECT: &str = "web,spa,publicClient,passwordCredentials,requiredResourceAccess,signInAudience";
        let answer = self.ask(self.of_app("applications", application, SELECT)).await?;
        self.read(&answer, "Application.Read.All")
    }

    /// Which of these delegated permissions an administrator has not consented to for everybody.
    ///
    /// # Errors
    /// Why that is not known.
    async fn not_consented(
        &self,
        application: &Application,
        permissions: &'static [Permission],
    ) -> Result<Vec<&'static str>, Outcome> {
        let principal: Named =
            self.read(&self.ask(self.of_app("servicePrincipals", application, "id")).await?, "Application.Read.All")?;
        let filter = format!("clientId eq {}", quoted(&principal.id));
        let grants = self.ask(self.get(&["oauth2PermissionGrants"], &[("$filter", &filter)])).await?;
        let grants: List<Grant> = self.read(&grants, "DelegatedPermissionGrant.Read.All")?;
        let mut missing = Vec::new();
        let apis: BTreeSet<&str> = permissions.iter().map(|permission| permission.api_id).collect();
        for api in apis {
            let key = format!("servicePrincipals(appId={})", quoted(api));
            let answer = self.ask(self.get(&[&key], &[("$select", "id")])).await?;
            // Of an API that is not in the tenant nobody has consented to anything.
            let resource = match answer.status {
                StatusCode::NOT_FOUND => None,
                _ => Some(self.read::<Named>(&answer, "Application.Read.All")?.id),
            };
            let of_api =
                |grant: &&Grant| grant.consent_type == "AllPrincipals" && Some(&grant.resource_id) == resource.as_ref();
            let granted = grants.value.iter().filter(of_api).filter_map(|grant| grant.scope.as_deref());
            let granted: BTreeSet<&str> = granted.flat_map(str::split_whitespace).collect();
            let wanted = permissions.iter().filter(|permission| permission.api_id == api).map(Permission::name);
            missing.extend(wanted.filter(|name| !granted.contains(name)));
        }
        Ok(missing)
    }

    /// Whether an application's registration is as it has to be.
    pub(super) async fn registration(
        &self,
        application: &Application,
        app: &App,
        aspect: &Registration,
        now: Timestamp,
    ) -> Outcome {
        let (what, title) = (self.what(), application.title());
        match aspect {
            Registration::RedirectUri(uri) => judge_redirect(&what, &title, app, uri),
            Registration::SingleTenant => judge_account_type(&what, &title, app),
            Registration::SecretExpiry => judge_expiry(&what, &title, app, application, now),
            Registration::Delegated(permissions) => {
                let missing = not_asked_for(app, permissions);
                if !missing.is_empty() {
                    return Outcome::new(
                        CheckReason::PermissionMissing,
                        format!(
                            "{what} says that {title} does not ask for {}; add {} as delegated permissions under API permissions, and grant admin consent",
                            missing.join(", "),
                            if missing.len() == 1 { "it" } else { "them" }
                        ),
                    );
                }
                match self.not_consented(application, permissions).await {
                    Err(outcome) => outcome,
                    Ok(missing) if missing.is_empty() => Outcome::new(
                        CheckReason::Passed,
                        format!("{what} says that an administrator has consented to what {title} asks for"),
                    ),
                    Ok(missing) => Outcome::new(
                        CheckReason::ConsentMissing,
                        format!(
                            "{what} says that no administrator has consented for everybody to {} of {title}, so people are asked at sign-in, or refused; open the link Admin consent of status.portal",
                            missing.join(", ")
                        ),
                    ),
                }
            }
        }
    }

    fn groups(&self, property: &str, value: &str) -> Url {
        let filter = format!("{property} eq {}", quoted(value));
        // Two are enough to know that it is not one.
        self.get(&["groups"], &[("$filter", &filter), ("$select", "id"), ("$top", "2")])
    }

    fn of_app(&self, collection: &str, application: &Application, select: &str) -> Url {
        let id = String::from_utf8_lossy(application.client_id.expose());
        self.get(&[&format!("{collection}(appId={})", quoted(&id))], &[("$select", select)])
    }

    fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1.0").extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    async fn ask(&self, url: Url) -> Result<Answer, Outcome> {
        let request = self.http.request(Method::GET, url, NamedBy::Operator);
        let request = request.map(|request| request.header(AUTHORIZATION, bearer(self.token)));
        self.http.ask(&self.what(), request).await
    }

    /// What an answer says; `permission` is what lets an application ask that.
    fn read<T: DeserializeOwned>(&self, answer: &Answer, permission: &str) -> Result<T, Outcome> {
        let what = self.what();
        match answer.status {
            StatusCode::OK => answer.json().map_err(|trouble| Outcome::of_trouble(&what, &trouble)),
            StatusCode::FORBIDDEN => Err(Outcome::new(
                CheckReason::NotPermitted,
                format!(
                    "{what} lets the application not read that; grant it the application permission {permission}, or look for yourself"
                ),
            )),
            status => {
                let refusal = answer.json::<Refusal>().map_err(|trouble| Outcome::of_trouble(&what, &trouble))?;
                let Error { code, message, .. } = refusal.error;
                Err(Outcome::new(
                    CheckReason::CredentialRefused,
                    format!(
                        "{what} answers with status {}: {}",
                        status.as_u16(),
                        foreign(&format!("{code}: {message}"))
                    ),
                ))
            }
        }
    }

    fn what(&self) -> String {
        format!("Microsoft Graph ({})", self.url.host_str().unwrap_or_default())
    }
}

/// What lets an application read groups; each of them is enough.
const GROUPS: &str = "GroupMember.Read.All";

/// A string as OData has it: one quote in it is written twice.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Which of these permissions the registration does not ask for.
fn not_asked_for(app: &App, permissions: &[Permission]) -> Vec<&'static str> {
    let asks = |permission: &&Permission| {
        let resources = app.required_resource_access.iter();
        resources
            .filter(|resource| resource.resource_app_id == permission.api_id)
            .any(|resource| resource.resource_access.iter().any(|access| access.id == permission.id))
    };
    permissions.iter().filter(|permission| !asks(permission)).map(Permission::name).collect()
}

fn judge_redirect(what: &str, title: &str, app: &App, uri: &str) -> Outcome {
    let has = |redirects: &Redirects| redirects.redirect_uris.iter().any(|there| there == uri);
    if has(&app.web) {
        return Outcome::new(CheckReason::Passed, format!("{what} says that {title} sends people back to {uri}"));
    }
    let other = [("Single-page application", &app.spa), ("Mobile and desktop applications", &app.public_client)];
    if let Some((platform, _)) = other.into_iter().find(|(_, redirects)| has(redirects)) {
        return Outcome::new(
            CheckReason::RedirectUriOfOtherType,
            format!(
                "{what} says that {title} has {uri} under {platform}; remove it there, and add it under Authentication, Add a platform, Web"
            ),
        );
    }
    // The commonest near misses: a slash at the end, another case.
    let bare = |uri: &str| uri.trim_end_matches('/').to_ascii_lowercase();
    let near = app.web.redirect_uris.iter().find(|there| bare(there) == bare(uri));
    let there = near.map(|there| format!(" (it has {}, which is another one)", foreign(there))).unwrap_or_default();
    Outcome::new(
        CheckReason::RedirectUriMissing,
        format!(
            "{what} says that {title} does not send people back to {uri}{there}; add it, exactly so, under Authentication, platform Web"
        ),
    )
}

fn judge_account_type(what: &str, title: &str, app: &App) -> Outcome {
    match app.sign_in_audience.as_deref() {
        Some(SINGLE_TENANT) => {
            Outcome::new(CheckReason::Passed, format!("{what} says that {title} is for this tenant only"))
        }
        other => Outcome::new(
            CheckReason::AccountTypeWrong,
            format!(
                "{what} says that the account type of {title} is {}, where {SINGLE_TENANT} was expected; change it under Authentication, Supported account types, to accounts in this organizational directory only",
                foreign(other.unwrap_or_default())
            ),
        ),
    }
}

/// Several secrets may begin alike: the earliest end counts.
fn judge_expiry(what: &str, title: &str, app: &App, application: &Application, now: Timestamp) -> Outcome {
    let secret = String::from_utf8_lossy(application.secret.expose());
    let begins = |credential: &&PasswordCredential| {
        let hint = credential.hint.as_deref().unwrap_or_default();
        hint.chars().count() == HINT && secret.starts_with(hint)
    };
    match app.password_credentials.iter().filter(begins).map(|credential| credential.end_date_time).min() {
        None => Outcome::new(
            CheckReason::SecretNotListed,
            format!(
                "{what} lists no secret of {title} that begins as the one in use, so that its end is not known; say it in the annotation identity.timbr.ai/expires-at of the Secret"
            ),
        ),
        Some(end) if end <= now => Outcome {
            expires: Some(end),
            ..Outcome::new(
                CheckReason::ClientSecretExpired,
                format!(
                    "{what} says that the secret of {title} has expired at {end}; make a new one under Certificates & secrets, and put its Value into the Secret"
                ),
            )
        },
        Some(end) => Outcome {
            expires: Some(end),
            ..Outcome::new(CheckReason::Passed, format!("{what} says that the secret of {title} is valid until {end}"))
        },
    }
}

/// Whether a token carries the application permissions.
pub(super) fn judge_roles(token: &Token, wanted: &[Permission], title: &str) -> Outcome {
    let missing: Vec<&str> =
        wanted.iter().map(Permission::name).filter(|name| !token.roles.iter().any(|role| role == name)).collect();
    if missing.is_empty() {
        let names: Vec<&str> = wanted.iter().map(Permission::name).collect();
        return Outcome::new(CheckReason::Passed, format!("the token of {title} carries {}", names.join(", ")));
    }
    Outcome::new(
        CheckReason::RoleMissing,
        format!(
            "the token of {title} does not carry {}; add {} of Microsoft Graph as application permissions (not delegated ones) under API permissions, and grant admin consent",
            missing.join(", "),
            if missing.len() == 1 { "it" } else { "them" }
        ),
    )
}
