//! A token as its holder sees it: nobody has checked its signature.

use std::fmt;

use base64::{Engine as _, alphabet::URL_SAFE, engine::GeneralPurpose, engine::general_purpose::NO_PAD};
use serde_json::{Map, Value};

use crate::policy::Claims;

/// What a token says. Neither its signature nor its text is kept.
#[derive(Clone)]
pub struct Token {
    /// How it says that it is signed.
    pub algorithm: Option<String>,
    /// All its claims.
    pub claims: Map<String, Value>,
    /// Those by which a caller is known.
    pub known: Claims,
}

/// Why a text is no token that can be looked into. The text is in no sentence.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It has not three parts.
    #[error("the token has {0} parts between dots, and a signed JSON Web Token has three; was it copied as a whole?")]
    Parts(usize),
    /// It is encrypted.
    #[error("the token is encrypted (it has five parts), so nobody but the holder of the key can see its claims")]
    Encrypted,
    /// A part is no JSON object in base64.
    #[error("the {0} of the token is no JSON object in base64url; was the token copied as a whole?")]
    Part(&'static str),
    /// A claim that counts has a form that it cannot have.
    #[error("the token cannot be read: {0}")]
    Claim(String),
}

impl Token {
    /// Reads a token's header and claims.
    ///
    /// # Errors
    /// What it is instead of a token.
    pub fn read(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        let text = scheme.map_or(text, |scheme| text[scheme.len()..].trim_start());
        let parts: Vec<&str> = text.split('.').collect();
        let (header, claims) = match parts.as_slice() {
            [header, claims, _] => (object(header, "header")?, object(claims, "body")?),
            parts if parts.len() == 5 => return Err(TokenError::Encrypted),
            parts => return Err(TokenError::Parts(parts.len())),
        };
        let algorithm = header.get("alg").and_then(Value::as_str).map(str::to_owned);
        let claims = Value::Object(claims);
        let known = Claims::read(&claims).map_err(TokenError::Claim)?;
        let Value::Object(claims) = claims else { return Err(TokenError::Part("body")) };
        Ok(Self { algorithm, claims, known })
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// For whom it was issued: one or several.
    pub fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            one => one.and_then(Value::as_str).into_iter().collect(),
        }
    }
}

/// Its claims are its holder's.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<token>")
    }
}

fn object(part: &str, name: &'static str) -> Result<Map<String, Value>, TokenError> {
    // A stray bit at the end is for whoever checks signatures.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));
    let bytes = LENIENT.decode(part.trim_end_matches('=')).map_err(|_| TokenError::Part(name))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Part(name))
}
