//! An issuer of tokens: what its discovery document says, and the keys that it publishes.
//!
//! Sources: OpenID Connect Discovery 1.0, section 4; RFC 7517 (keys), RFC 7518 section 6 (their parameters), RFC 8037
//! (EdDSA).

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::api::{CheckReason, Discovery, foreign, message, normal_issuer};

use super::{Http, NamedBy, Outcome, Trouble};

/// Ids of keys that are told; no issuer has as many.
const MOST_IDS: usize = 32;

/// Asks an issuer.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// Sends.
    pub http: &'a Http,
    /// As tokens name it.
    pub issuer: &'a str,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// Keys are read one by one: a broken one stops no other.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// A published key. Source: RFC 7517, section 4.
#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl Issuer<'_> {
    /// Whether it publishes keys for these algorithms; `jwks_url` is where, unless its discovery document is to say so.
    pub async fn keys(&self, jwks_url: Option<&str>, algorithms: &[&str]) -> Outcome {
        match self.tried(jwks_url, algorithms).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn tried(&self, jwks_url: Option<&str>, algorithms: &[&str]) -> Result<Outcome, Outcome> {
        let keys_at = match jwks_url {
            Some(url) => url.to_owned(),
            None => self.discovered().await?,
        };
        let what = format!("The keys of {} ({})", self.issuer, foreign(&keys_at));
        let set: KeySet = self.get(&what, &keys_at).await?;
        let missing: Vec<&str> =
            algorithms.iter().copied().filter(|algorithm| !set.keys.iter().any(|key| is_for(key, algorithm))).collect();
        if missing.len() == algorithms.len() {
            return Err(Outcome::new(
                CheckReason::KeyNotUsable,
                format!(
                    "{what}: {} of them, none of which can be used to check a signature by {}; check jwksUrl, issuer and algorithms",
                    set.keys.len(),
                    missing.join(", ")
                ),
            ));
        }
        let keys = Some(Box::new(published(&keys_at, &set.keys)));
        Ok(Outcome { keys, ..Outcome::new(CheckReason::Passed, format!("{what} can be used")) })
    }

    /// Where its keys are, from its discovery document, which must name the same issuer.
    async fn discovered(&self) -> Result<String, Outcome> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let what = format!("Issuer {}", self.issuer);
        let found: Document = self.get(&what, &url).await?;
        if normal_issuer(&found.issuer) != normal_issuer(self.issuer) {
            return Err(Outcome::new(
                CheckReason::WrongIssuer,
                format!(
                    "{what} calls itself {} in its discovery document; put that there, as it stands in the iss claim of its tokens",
                    foreign(&found.issuer)
                ),
            ));
        }
        Ok(found.jwks_uri)
    }

    async fn get<T: DeserializeOwned>(&self, what: &str, url: &str) -> Result<T, Outcome> {
        let of_trouble = |trouble| Outcome::of_trouble(what, &trouble);
        let Ok(url) = Url::parse(url) else {
            return Err(Outcome::new(CheckReason::HostNotAllowed, format!("{what}: {} is no URL", foreign(url))));
        };
        let answer = self.http.ask(what, self.http.request(Method::GET, url, NamedBy::Resource)).await?;
        match answer.status {
            StatusCode::OK => answer.json().map_err(of_trouble),
            status => Err(of_trouble(Trouble::Unreadable(status.as_u16()))),
        }
    }
}

/// What status tells of keys.
fn published(jwks_uri: &str, keys: &[Value]) -> Discovery {
    const LONGEST: usize = 64;
    let ids = keys.iter().filter_map(|key| key["kid"].as_str());
    let mut key_ids: Vec<String> = ids.map(|id| message(&id.chars().take(LONGEST).collect::<String>())).collect();
    key_ids.sort();
    key_ids.truncate(MOST_IDS);
    let mut texts: Vec<String> = keys.iter().map(Value::to_string).collect();
    texts.sort();
    let hash = digest(&SHA256, texts.concat().as_bytes());
    let key_set_hash = hash.as_ref().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    Discovery { jwks_uri: message(jwks_uri), key_ids, key_set_hash }
}

/// Whether a published key checks signatures by an algorithm.
fn is_for(key: &Value, algorithm: &str) -> bool {
    let Ok(key) = Key::deserialize(key) else { return false };
    let is_to_verify = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && key.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|it| it == "verify"))
        && key.alg.as_deref().is_none_or(|of| of == algorithm);
    let length = |part: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(part.as_deref()?).ok().map(|bytes| bytes.len());
    let is_curve = |curve: &str, size: usize, has_y: bool| {
        key.crv.as_deref() == Some(curve) && length(&key.x) == Some(size) && (!has_y || length(&key.y) == Some(size))
    };
    let fits = match algorithm {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
            // Shorter ones are refused by whoever checks: RFC 7518, section 3.3.
            key.kty == "RSA" && length(&key.n).is_some_and(|bytes| bytes >= 256) && length(&key.e).is_some()
        }
        "ES256" => key.kty == "EC" && is_curve("P-256", 32, true),
        "ES384" => key.kty == "EC" && is_curve("P-384", 48, true),
        "ES512" => key.kty == "EC" && is_curve("P-521", 66, true),
        "EdDSA" => key.kty == "OKP" && is_curve("Ed25519", 32, false),
        _ => false,
    };
    is_to_verify && fits
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_for_its_algorithms() {
        let bytes = |count: usize| BASE64_URL_SAFE_NO_PAD.encode(vec![0xa5; count]);
        let with = |mut key: Value, more: Value| {
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let rsa = json!({"kty": "RSA", "n": bytes(256), "e": "AQAB"});
        let ec = json!({"kty": "EC", "crv": "P-256", "x": bytes(32), "y": bytes(32)});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": bytes(32)});
        let rows = [
            (rsa.clone(), "RS256", true),
            (rsa.clone(), "PS512", true),
            (rsa.clone(), "ES256", false),
            (rsa.clone(), "RSA-OAEP", false),
            (with(rsa.clone(), json!({"use": "sig", "alg": "RS256", "key_ops": ["verify"]})), "RS256", true),
            (with(rsa.clone(), json!({"use": "enc"})), "RS256", false),
            (with(rsa.clone(), json!({"alg": "RSA-OAEP"})), "RS256", false),
            (with(rsa.clone(), json!({"alg": "RS512"})), "RS256", false),
            (with(rsa.clone(), json!({"key_ops": ["encrypt"]})), "RS256", false),
            (with(rsa.clone(), json!({"n": bytes(128)})), "RS256", false),
            (with(rsa.clone(), json!({"n": "not base64!"})), "RS256", false),
            (json!({"kty": "RSA", "n": bytes(256)}), "RS256", false),
            (ec.clone(), "ES256", true),
            (ec.clone(), "ES384", false),
            (with(ec.clone(), json!({"y": bytes(31)})), "ES256", false),
            (json!({"kty": "EC", "crv": "P-384", "x": bytes(48), "y": bytes(48)}), "ES384", true),
            (json!({"kty": "EC", "crv": "P-521", "x": bytes(66), "y": bytes(66)}), "ES512", true),
            (ed.clone(), "EdDSA", true),
            (with(ed, json!({"crv": "X25519"})), "EdDSA", false),
            (json!({"kty": "oct", "k": bytes(32)}), "RS256", false),
            (json!("a key"), "RS256", false),
        ];
        for (key, algorithm, expected) in rows {
            assert_eq!(is_for(&key, algorithm), expected, "{algorithm} {key}");
        }
    }
}
