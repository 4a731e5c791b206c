//! Who asks to come in.

use serde::Deserialize;

use crate::api::normal_issuer;

use super::Trust;

/// Who asks to come in.
#[derive(Clone, Debug, PartialEq)]
pub enum Caller {
    /// A workload, as the API server knows it.
    Workload(Workload),
    /// Whoever has a token, whose signature has been checked.
    Token(Box<Claims>),
}

/// A workload of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its application's name, if its labels tell one.
    pub application: Option<String>,
    /// Its namespace.
    pub namespace: String,
    /// Its cluster; `None`: this one.
    pub cluster: Option<String>,
}

impl Workload {
    /// A cluster that is called as this one is this one.
    pub(super) fn seen_from(self, trust: &Trust) -> Self {
        Self { cluster: self.cluster.filter(|cluster| trust.cluster.as_ref() != Some(cluster)), ..self }
    }
}

/// What of a token's claims counts here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Who has issued it.
    pub issuer: String,
    /// Whom it is about, as the issuer calls them.
    pub subject: String,
    /// Which application it was issued to: `azp`, or `appid` in tokens of version 1.
    pub client: Option<String>,
    /// What that application is called. Not unique, and whoever registers one chooses it: to be shown, never to be
    /// trusted.
    pub client_name: Option<String>,
    /// Whether it speaks for the application itself and not for somebody who uses it.
    pub app_only: bool,
    /// What people call whom it is about.
    pub name: Option<String>,
    /// The groups that they are in.
    pub groups: Groups,
}

/// The groups in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These.
    Listed(Vec<String>),
    /// More than a token can hold: Entra names a place to ask instead.
    TooMany,
}

impl Default for Groups {
    fn default() -> Self {
        Groups::Listed(vec![])
    }
}

/// The claims by their names. Source: Microsoft, "Access token claims reference", and "Configure group claims" for what
/// stands for too many groups.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    azp: Option<String>,
    appid: Option<String>,
    azp_name: Option<String>,
    app_displayname: Option<String>,
    idtyp: Option<String>,
    scp: Option<String>,
    preferred_username: Option<String>,
    upn: Option<String>,
    name: Option<String>,
    groups: Option<Vec<String>>,
    hasgroups: Option<serde_json::Value>,
    #[serde(rename = "_claim_names")]
    elsewhere: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Claims {
    /// Reads a token's claims.
    ///
    /// # Errors
    /// A sentence on which claim has a form that it cannot have.
    pub fn read(claims: &serde_json::Value) -> Result<Self, String> {
        let raw: Raw = serde_path_to_error::deserialize(claims)
            .map_err(|error| format!("the claim {} has a form that it cannot have", error.path()))?;
        let too_many = raw.hasgroups.is_some() || raw.elsewhere.is_some_and(|names| names.contains_key("groups"));
        let client = raw.azp.or(raw.appid);
        Ok(Self {
            // Where no claim says so, a token that an application has without a scope is its own.
            app_only: match raw.idtyp.as_deref() {
                Some(kind) => kind == "app",
                None => client.is_some() && raw.scp.is_none(),
            },
            groups: match raw.groups {
                Some(groups) => Groups::Listed(groups),
                None if too_many => Groups::TooMany,
                None => Groups::default(),
            },
            issuer: raw.iss,
            subject: raw.sub,
            client,
            client_name: raw.azp_name.or(raw.app_displayname),
            name: raw.preferred_username.or(raw.upn).or(raw.name),
        })
    }
}

/// What a caller is known by, once it is clear who vouches for what.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Identity<'a> {
    /// An application: by names that Kubernetes vouches for, by the token that was issued to it, or by both.
    Application(Option<Workload>, Option<&'a Claims>),
    /// Somebody who uses an application.
    User(&'a Claims),
}

impl Caller {
    /// Who it is.
    pub(super) fn identity(&self, trust: &Trust) -> Identity<'_> {
        match self {
            Caller::Workload(workload) => Identity::Application(Some(workload.clone().seen_from(trust)), None),
            Caller::Token(claims) => match service_account(claims, trust) {
                Some(workload) => Identity::Application(Some(workload.seen_from(trust)), None),
                None if claims.app_only => {
                    let workload = registered(claims, trust).map(|workload| workload.seen_from(trust));
                    Identity::Application(workload, Some(claims))
                }
                None => Identity::User(claims),
            },
        }
    }
}

/// The service account of a known cluster that a token was made for.
/// Source: Kubernetes, "Configure Service Accounts for Pods", the claim `sub`.
fn service_account(claims: &Claims, trust: &Trust) -> Option<Workload> {
    let cluster = trust.clusters.get(&normal_issuer(&claims.issuer))?;
    let (namespace, name) = claims.subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Workload { application: Some(name.to_owned()), namespace: namespace.to_owned(), cluster: cluster.clone() })
}

/// The registered application that a token of the directory was issued to.
fn registered(claims: &Claims, trust: &Trust) -> Option<Workload> {
    let directory = trust.directory.as_ref().filter(|directory| trust.entra.is(directory, &claims.issuer));
    trust.registered.get(&claims.client.as_ref()?.to_ascii_lowercase()).filter(|_| directory.is_some()).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_speaks_for_an_application_or_for_somebody() {
        let rows = [
            (json!({"idtyp": "app", "azp": "a", "scp": "x"}), true),
            (json!({"idtyp": "user", "azp": "a"}), false),
            (json!({"azp": "a"}), true),
            (json!({"appid": "a"}), true),
            (json!({"appid": "a", "scp": "User.Read"}), false),
            // An ID token was issued to its audience, which it does not repeat.
            (json!({"sub": "x"}), false),
        ];
        for (claims, app_only) in rows {
            assert_eq!(Claims::read(&claims).expect("claims").app_only, app_only, "{claims}");
        }
    }

    #[test]
    fn too_many_groups_are_no_groups() {
        let listed = |groups: &[&str]| Groups::Listed(groups.iter().map(|group| (*group).to_owned()).collect());
        let rows = [
            (json!({}), listed(&[])),
            (json!({"groups": ["g"]}), listed(&["g"])),
            (json!({"hasgroups": true}), Groups::TooMany),
            (json!({"_claim_names": {"groups": "src1"}}), Groups::TooMany),
            (json!({"_claim_names": {"other": "src1"}}), listed(&[])),
        ];
        for (claims, groups) in rows {
            assert_eq!(Claims::read(&claims).expect("claims").groups, groups, "{claims}");
        }
        let error = Claims::read(&json!({"groups": "g"})).expect_err("no list");
        assert_eq!(error, "the claim groups has a form that it cannot have");
    }
}
