//! A request that was read, and the answers to it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Names and values, each name once.
pub(super) type Pairs = Vec<(String, String)>;

/// A request whose address could be read.
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// The path as it arrived.
    pub(super) raw_path: &'a str,
    /// The path's segments, decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Pairs,
    pub(super) body: &'a [u8],
}

impl<'a> Ask<'a> {
    pub(super) fn read(head: &'a Parts, body: &'a [u8]) -> Result<Self, String> {
        if head.version != Version::HTTP_11 {
            return Err(format!("{:?} is not HTTP/1.1", head.version));
        }
        let raw_path = head.uri.path();
        // Behind the first slash.
        let path = raw_path.split('/').skip(1).map(decode).collect::<Result<_, _>>()?;
        let query = pairs(head.uri.query().unwrap_or_default())?;
        Ok(Self { method: &head.method, headers: &head.headers, raw_path, path, query, body })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }

    /// The first parameter that is none of these.
    pub(super) fn unknown_parameter(&self, known: &[&str]) -> Option<&str> {
        self.query.iter().map(|(name, _)| &**name).find(|name| !known.contains(name))
    }

    /// The values of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The token of `Authorization: Bearer`; none without such a header.
    pub(super) fn bearer(&self) -> Result<Option<&str>, String> {
        match self.authorization()? {
            None => Ok(None),
            Some(("Bearer", token)) if !token.is_empty() && !token.contains(' ') => Ok(Some(token)),
            Some((scheme, _)) => Err(format!("Authorization {scheme}, which is no Bearer and a token")),
        }
    }

    fn authorization(&self) -> Result<Option<(&str, &str)>, String> {
        let mut values = self.headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err("Authorization twice".to_owned());
        }
        let value = value.to_str().map_err(|_| "Authorization is not ASCII".to_owned())?;
        value.split_once(' ').map(Some).ok_or_else(|| "Authorization without a scheme".to_owned())
    }

    /// The form of a token request, with the client's id and secret in it also where they came by Basic.
    pub(super) fn form(&self, known: &[&str]) -> Result<Pairs, String> {
        let kind = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(format!("Content-Type {kind:?}, not application/x-www-form-urlencoded"));
        }
        if !self.query.is_empty() {
            return Err("a query of a token request".to_owned());
        }
        let body = std::str::from_utf8(self.body).map_err(|_| "a form that is not UTF-8".to_owned())?;
        let mut form = pairs(body)?;
        if let Some((name, _)) = form.iter().find(|(name, _)| !known.contains(&&**name)) {
            return Err(format!("the parameter {name:?}"));
        }
        if let Some((scheme, encoded)) = self.authorization()? {
            let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|decoded| String::from_utf8(decoded).ok());
            let both = decoded.as_deref().and_then(|both| both.split_once(':')).filter(|_| scheme == "Basic");
            let (id, secret) = both.ok_or_else(|| "Authorization that is no Basic".to_owned())?;
            for (name, value) in [("client_id", id), ("client_secret", secret)] {
                if self::value(&form, name).is_some_and(|other| name != "client_id" || other != value) {
                    return Err(format!("{name} in the form and by Basic"));
                }
                form.retain(|(other, _)| other != name);
                form.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(form)
    }
}

pub(super) fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
}

/// Reads a query or a form. Errors show names only: a value may be a secret.
fn pairs(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    for pair in text.split('&').filter(|_| !text.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter without a value")?;
        let name = decode(&name.replace('+', " "))?;
        let value = decode(&value.replace('+', " ")).map_err(|error| format!("{name}: {error}"))?;
        if self::value(&pairs, &name).is_some() {
            return Err(format!("{name} twice"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Undoes percent-encoding; a `%` that encodes nothing is an error.
fn decode(text: &str) -> Result<String, String> {
    let encodes = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.is_ascii() || !text.split('%').skip(1).all(encodes) {
        return Err("not percent-encoded".to_owned());
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| "percent-encoded bytes that are not UTF-8".to_owned())
}

/// What is answered, unless a fault hides it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// What was wrong with the request, if no client should send it.
    pub(super) violation: Option<String>,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let mut answer = Self::text(status, &body.to_string());
        answer.content = "application/json; charset=utf-8";
        answer
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        let content = "text/html; charset=utf-8";
        Self { status, content, headers: Vec::new(), body: body.to_owned(), violation: None }
    }

    pub(super) fn with(mut self, header: &'static str, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    pub(super) fn violating(mut self, violation: impl Into<String>) -> Self {
        self.violation = Some(violation.into());
        self
    }
}
