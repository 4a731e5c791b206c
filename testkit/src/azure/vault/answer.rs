//! What a Key Vault answers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value, json};

use super::{Operation, RECOVERABLE, Vault, VaultSecret};
use crate::azure::Service;
use crate::azure::ask::{Answer, Ask};
use crate::azure::keys::Unverified;
use crate::azure::token::{self, Invalid, seconds};
use crate::azure::world::World;

/// How many secrets a page has at most, and where nothing is said.
const PAGE: usize = 25;
/// How long a secret's value may be.
const LONGEST: usize = 25_000;

/// What a request is about.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    All,
    One { name: &'a str, version: Option<&'a str> },
    Deleted(&'a str),
}

pub(in crate::azure) fn answer(world: &mut World, ask: &Ask<'_>) -> Result<Answer, Answer> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    // The vendor's clients write a slash where they name no version.
    let place = match path[..] {
        ["secrets"] => Place::All,
        ["secrets", name] | ["secrets", name, ""] => Place::One { name, version: None },
        ["secrets", name, version] => Place::One { name, version: Some(version) },
        ["deletedsecrets", name] => Place::Deleted(name),
        _ => {
            let text = format!("no such path: {}", ask.raw_path);
            return Err(refuse(404, "NotFound", &text, None).violating(text));
        }
    };
    let operation = match (place, ask.method) {
        (Place::All, &Method::GET) => Operation::List,
        (Place::One { .. } | Place::Deleted(_), &Method::GET) => Operation::Get,
        (Place::One { version: None, .. }, &Method::PUT) => Operation::Set,
        (Place::One { version: None, .. }, &Method::DELETE) => Operation::Delete,
        (Place::Deleted(_), &Method::DELETE) => Operation::Purge,
        (_, method) => {
            let text = format!("{method} of {}", ask.raw_path);
            return Err(refuse(405, "MethodNotAllowed", &text, None).violating(text));
        }
    };
    let claims = authenticate(world, ask)?;
    parameters(ask, operation)?;
    if let Place::One { name, .. } | Place::Deleted(name) = place {
        let valid = (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !valid {
            return Err(refuse(
                400,
                "BadParameter",
                &format!("The request URI contains an invalid name: {name}"),
                None,
            ));
        }
    }
    if let Some(denial) = world.vault.denials.get(&operation) {
        let text = |claim: &str| claims[claim].as_str().unwrap_or_default();
        let caller = format!("appid={};oid={};iss={}", text("appid"), text("oid"), text("iss"));
        return Err(refuse(403, "Forbidden", &denial.message(&caller, operation), Some(&format!("{denial:?}"))));
    }
    let url = world.urls[&Service::Vault].clone();
    let vault = &mut world.vault;
    match (place, operation) {
        (Place::All, _) => list(vault, ask, &url),
        (Place::One { name, version }, Operation::Get) => get(vault, &url, name, version),
        (Place::One { name, .. }, Operation::Set) => set(vault, ask, &url, name),
        (Place::One { name, .. }, _) => {
            let (name, _) = find(&vault.secrets, name)?;
            let secret = vault.secrets.remove(&name).ok_or_else(|| missing(&name))?;
            let shown = deleted(&url, &name, &secret);
            vault.deleted.insert(name, secret);
            Ok(Answer::json(200, &shown))
        }
        (Place::Deleted(name), Operation::Get) => {
            let (name, secret) = find(&vault.deleted, name)?;
            Ok(Answer::json(200, &deleted(&url, &name, secret)))
        }
        (Place::Deleted(name), _) => {
            let (name, _) = find(&vault.deleted, name)?;
            vault.deleted.remove(&name);
            Ok(Answer::text(204, ""))
        }
    }
}

/// The claims of the token. Without one, the answer says where to get one, which clients rely on.
fn authenticate(world: &World, ask: &Ask<'_>) -> Result<Value, Answer> {
    let unauthorized = |text: &str| {
        let challenge = format!(
            "Bearer authorization=\"{}/{}\", resource=\"{}\"",
            world.urls[&Service::Entra],
            world.vault.tenant,
            world.resources[&Service::Vault]
        );
        refuse(401, "Unauthorized", text, None).with("www-authenticate", challenge)
    };
    let absent = "AKV10000: Request is missing a Bearer or PoP token.";
    let token = match ask.bearer() {
        Ok(Some(token)) => token,
        Ok(None) => return Err(unauthorized(absent)),
        Err(error) => return Err(unauthorized(absent).violating(error)),
    };
    token::demand(world, token, Service::Vault, Some(&world.vault.tenant)).map_err(|invalid| {
        let mut refusal = unauthorized(&match &invalid {
            Invalid::Audience(audience) => {
                format!("AKV10022: Invalid audience. Expected {}, found: {audience}.", world.resources[&Service::Vault])
            }
            Invalid::Issuer(issuer) => format!(
                "AKV10032: Invalid issuer. Expected one of {}, found {issuer}.",
                token::issuer_v1(&world.vault.tenant)
            ),
            Invalid::Unverified(Unverified::Key) => {
                "AKV10046: Unable to resolve the key used for signature validation.".to_owned()
            }
            Invalid::Unverified(_) => "Error validating token: the signature is invalid.".to_owned(),
            Invalid::Expired => "Error validating token: the token is expired.".to_owned(),
            Invalid::Early => "Error validating token: the token is not yet valid.".to_owned(),
        });
        refusal.violation = invalid.violation();
        refusal
    })
}

/// Any version of the API will do, but it has to be named.
fn parameters(ask: &Ask<'_>, operation: Operation) -> Result<(), Answer> {
    let bad = |text: String| refuse(400, "BadParameter", &text, None).violating(text);
    if ask.parameter("api-version").is_none_or(str::is_empty) {
        return Err(bad("api-version must be specified".to_owned()));
    }
    let known: &[&str] = match operation {
        Operation::List => &["api-version", "maxresults", "$skiptoken"],
        _ => &["api-version"],
    };
    ask.unknown_parameter(known).map_or(Ok(()), |unknown| Err(bad(format!("the parameter {unknown:?}"))))
}

fn list(vault: &Vault, ask: &Ask<'_>, url: &str) -> Result<Answer, Answer> {
    let bad = |text: String| refuse(400, "BadParameter", &text, None).violating(text);
    let most = ask.parameter("maxresults").map_or(Ok(PAGE), |most| {
        most.parse()
            .ok()
            .filter(|most| (1..=PAGE).contains(most))
            .ok_or_else(|| bad(format!("Invalid maxresults {most:?}: it is a number from 1 to {PAGE}")))
    })?;
    let begin = ask.parameter("$skiptoken").map_or(Ok(0), |page| {
        let begin = page.strip_prefix("page-").and_then(|begin| begin.parse().ok());
        begin.ok_or_else(|| bad(format!("no such $skiptoken: {page:?}")))
    })?;
    let page = vault.secrets.iter().skip(begin).take(most);
    let shown: Vec<_> = page.map(|(name, secret)| secret.shown(format!("{url}/secrets/{name}"))).collect();
    let next = (vault.secrets.len() > begin + most).then(|| {
        let version = ask.parameter("api-version").unwrap_or_default();
        format!("{url}/secrets?api-version={version}&$skiptoken=page-{}&maxresults={most}", begin + most)
    });
    Ok(Answer::json(200, &json!({"value": shown, "nextLink": next})))
}

fn get(vault: &Vault, url: &str, name: &str, version: Option<&str>) -> Result<Answer, Answer> {
    let (name, secret) = find(&vault.secrets, name)?;
    if version.is_some_and(|version| version != secret.version) {
        return Err(missing(&format!("{name}/{}", version.unwrap_or_default())));
    }
    if !secret.enabled {
        let text = "Operation get is not allowed on a disabled secret.";
        return Err(refuse(403, "Forbidden", text, Some("SecretDisabled")));
    }
    Ok(Answer::json(200, &whole(url, &name, secret)))
}

fn set(vault: &mut Vault, ask: &Ask<'_>, url: &str, name: &str) -> Result<Answer, Answer> {
    let bad = |text: &str| refuse(400, "BadParameter", text, None).violating(text);
    let body: Value = serde_json::from_slice(ask.body).map_err(|_| bad("a body that is no JSON"))?;
    let object = body.as_object().ok_or_else(|| bad("a body that is no object"))?;
    if object.keys().any(|key| !["value", "attributes", "contentType", "tags"].contains(&&**key)) {
        return Err(bad("a property that a secret does not have"));
    }
    let mut secret = VaultSecret::new(body["value"].as_str().ok_or_else(|| bad("no value"))?);
    if secret.value.len() > LONGEST {
        return Err(refuse(400, "BadParameter", "The value of the secret is too long.", None));
    }
    let time = |name: &str| {
        body["attributes"][name].as_u64().map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    };
    secret.enabled = body["attributes"]["enabled"].as_bool().unwrap_or(true);
    (secret.not_before, secret.expires) = (time("nbf"), time("exp"));
    secret.content_type = body["contentType"].as_str().map(str::to_owned);
    let tags = body["tags"].as_object().into_iter().flatten();
    secret.tags = tags.filter_map(|(name, tag)| Some((name.clone(), tag.as_str()?.to_owned()))).collect();
    if find(&vault.deleted, name).is_ok() {
        let text = format!(
            "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
             state, the secret can only be recovered or purged."
        );
        return Err(refuse(409, "Conflict", &text, Some("ObjectIsDeletedButRecoverable")));
    }
    let name = find(&vault.secrets, name).map_or_else(|_| name.to_owned(), |(name, _)| name);
    let shown = whole(url, &name, &secret);
    vault.secrets.insert(name, secret);
    Ok(Answer::json(200, &shown))
}

/// Names are the same in any case.
fn find<'a>(secrets: &'a BTreeMap<String, VaultSecret>, name: &str) -> Result<(String, &'a VaultSecret), Answer> {
    let mut secrets = secrets.iter();
    let found = secrets.find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(name, secret)| (name.clone(), secret)).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Answer {
    let text = format!(
        "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may \
         be able to recover it using the correct recovery command. For help resolving this issue, please see \
         https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    refuse(404, "SecretNotFound", &text, None)
}

fn whole(url: &str, name: &str, secret: &VaultSecret) -> Value {
    let mut shown = secret.shown(format!("{url}/secrets/{name}/{}", secret.version));
    shown["value"] = secret.value.clone().into();
    shown
}

fn deleted(url: &str, name: &str, secret: &VaultSecret) -> Value {
    let mut shown = secret.shown(format!("{url}/secrets/{name}/{}", secret.version));
    let now = SystemTime::now();
    shown["recoveryId"] = format!("{url}/deletedsecrets/{name}").into();
    shown["deletedDate"] = seconds(now).into();
    shown["scheduledPurgeDate"] = seconds(now + RECOVERABLE).into();
    shown
}

/// Key Vault's errors.
fn refuse(status: u16, code: &str, text: &str, inner: Option<&str>) -> Answer {
    let mut body = json!({"error": {"code": code, "message": text}});
    if let Some(inner) = inner {
        body["error"]["innererror"] = json!({"code": inner});
    }
    Answer::json(status, &body)
}
