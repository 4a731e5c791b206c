//! The keys that sign tokens, and their publication.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

pub(super) struct Keys {
    current: Key,
    former: Vec<Key>,
    /// Whether no usable key is published.
    pub(super) hidden: bool,
    /// Published before the own ones.
    pub(super) others: Vec<Value>,
}

struct Key {
    id: String,
    pair: KeyPair,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { current: Key::new(), former: Vec::new(), hidden: false, others: Vec::new() }
    }

    pub(super) fn id(&self) -> &str {
        &self.current.id
    }

    pub(super) fn rotate(&mut self) {
        self.former.push(std::mem::replace(&mut self.current, Key::new()));
    }

    pub(super) fn withdraw(&mut self) {
        self.former.clear();
    }

    /// As a compact JWS.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.current.id});
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let mut signature = vec![0; self.current.pair.public_modulus_len()];
        let signed = self.current.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
        signed.expect("a signature");
        format!("{text}.{}", BASE64.encode(signature))
    }

    /// The claims of a token that one of the keys has signed.
    pub(super) fn verify(&self, token: &str) -> Result<Value, Unverified> {
        let read = |part: &str| BASE64.decode(part).ok();
        let json = |part: &str| serde_json::from_slice::<Value>(&read(part)?).ok();
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            return Err(Unverified::Malformed);
        };
        let text = &token[..token.len() - signature.len() - 1];
        let (Some(header), Some(claims), Some(signature)) = (json(header), json(claims), read(signature)) else {
            return Err(Unverified::Malformed);
        };
        if header["alg"] != "RS256" {
            return Err(Unverified::Malformed);
        }
        let mut keys = self.former.iter().chain([&self.current]);
        let key = keys.find(|key| header["kid"] == *key.id).ok_or(Unverified::Key)?;
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.pair.public_key());
        public.verify(text.as_bytes(), &signature).map_err(|_| Unverified::Signature)?;
        Ok(claims)
    }

    /// The published set. Entra's names no algorithm.
    pub(super) fn published(&self, issuer: &str) -> Value {
        let own = self.former.iter().chain([&self.current]).map(|key| {
            let (modulus, exponent) = key.public();
            let purpose = if self.hidden { "enc" } else { "sig" };
            json!({
                "kty": "RSA", "use": purpose, "kid": key.id, "x5t": key.id, "issuer": issuer,
                "n": BASE64.encode(modulus), "e": BASE64.encode(exponent),
            })
        });
        json!({"keys": self.others.iter().cloned().chain(own).collect::<Vec<_>>()})
    }
}

/// Why a token has no claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It is no RS256 JWT at all.
    Malformed,
    /// None of the present keys has its id.
    Key,
    /// Its signature is wrong.
    Signature,
}

impl Key {
    fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let id = BASE64.encode(&digest(&SHA256, pair.public_key().as_ref()).as_ref()[..20]);
        Self { id, pair }
    }

    /// The modulus and the exponent, from the DER of both: a sequence of two integers.
    fn public(&self) -> (&[u8], &[u8]) {
        let (both, _) = element(self.pair.public_key().as_ref());
        let (modulus, rest) = element(both);
        let (exponent, _) = element(rest);
        // An integer whose first bit is set has a zero before it, for the sign.
        (modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent)
    }
}

/// The content of a DER element, and what is behind it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = match der[1] {
        short @ ..0x80 => (usize::from(short), &der[2..]),
        long => {
            let (length, rest) = der[2..].split_at(usize::from(long & 0x7f));
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at(length)
}
