//! What a value means, and what is wrong with the way it is written. Decided once: `validate` tells the
//! faults, `import` takes what is meant.

use std::fmt::Display;

use crate::{
    api::{Code, FieldRule, JwtAlgorithm, Severity, rules},
    compose::{DATABRICKS_SCOPE, is_short},
};

use super::{Form, Text, words};

/// The algorithms of a list, of those that Timbr knows.
pub fn read_list(algorithms: &str) -> Vec<JwtAlgorithm> {
    let known = |name| JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name);
    algorithms.split(',').filter_map(known).collect()
}

/// Whether a list of algorithms holds one whose key is a shared secret.
pub fn has_shared_key(algorithms: &str) -> bool {
    read_list(algorithms).into_iter().any(JwtAlgorithm::is_symmetric)
}

/// A public key may be read by everybody; what else a key is, is a secret.
pub fn is_public(key: &str) -> bool {
    key.contains("-----BEGIN") && !key.contains("PRIVATE KEY")
}

/// The documentation's misprint of RS256.
const MISPRINT: &str = "RS246";

/// A value as it is meant.
#[derive(Debug)]
pub struct Reading {
    /// The value as it should be written; `None` when nobody can tell.
    pub meant: Option<Text>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// Something wrong with a value: a sentence without subject, and never with the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: Code,
    /// Whether Timbr would do something else than what is meant.
    pub severity: Severity,
    /// What is wrong, and how to mend it.
    pub message: String,
}

impl Fault {
    fn error(code: Code, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into() }
    }

    fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    fn spelling(written: impl Display) -> Self {
        Self::warning(
            Code::SpellingWrong,
            format!("is spelt otherwise than Timbr's documentation spells it; write {written}"),
        )
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::error(Code::ValueInvalid, message)
    }
}

/// Reads the value of a variable.
pub fn read(form: Form, text: &str) -> Reading {
    let mut faults = Vec::new();
    let mut text = text;
    while let Some(inner) = within_quotes(text) {
        if faults.is_empty() {
            faults.push(Fault::error(
                Code::ValueQuoted,
                "has quotation marks within its value, and Timbr gets them too; remove the inner ones",
            ));
        }
        text = inner;
    }
    let is_pem = form == Form::Key && text.contains("-----BEGIN");
    if text.trim() != text && !is_pem {
        faults.push(Fault::warning(Code::SpellingWrong, "has white space around its value; remove it"));
        text = text.trim();
    }
    if text.is_empty() {
        faults.push(Fault::warning(Code::ValueEmpty, "is empty; give it a value, or remove it"));
        return Reading { meant: None, faults };
    }
    let meant = match placeholder(form, text) {
        Some(fault) => Err(fault),
        None => of_form(form, text, &mut faults),
    };
    match meant {
        Ok(meant) => Reading { meant: Some(Text::from(meant)), faults },
        Err(fault) => {
            faults.push(fault);
            Reading { meant: None, faults }
        }
    }
}

fn within_quotes(text: &str) -> Option<&str> {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}

/// `<AZURE_TENANT_ID>`, copied as it is. In a secret anything may stand.
fn placeholder(form: Form, text: &str) -> Option<Fault> {
    let is_open = !matches!(form, Form::Secret | Form::Key) && text.contains(['<', '>']);
    is_open.then(|| Fault::invalid("still holds a placeholder of the documentation (<…>); put the real value there"))
}

fn of_form(form: Form, text: &str, faults: &mut Vec<Fault>) -> Result<String, Fault> {
    match form {
        Form::Words { known, otherwise } => word(known, otherwise, text, faults),
        Form::Seconds => {
            let seconds = number(text, "seconds")?;
            faults.extend((seconds < 60).then(|| {
                Fault::warning(Code::UnitSuspicious, "counts seconds and is below 60; were minutes or hours meant?")
            }));
            faults.extend((seconds >= 60 && is_short(seconds)).then(|| {
                let message = "counts seconds: Timbr asks Entra for every group each time, and Entra may slow it down; 300 or more is usual";
                Fault::warning(Code::IntervalShort, message)
            }));
            Ok(seconds.to_string())
        }
        Form::Minutes => {
            let minutes = number(text, "minutes")?;
            faults.extend((minutes > 1440).then(|| {
                Fault::warning(Code::UnitSuspicious, "counts minutes and is more than a day; were seconds meant?")
            }));
            Ok(minutes.to_string())
        }
        Form::ClientId => by_rule(&rules::CLIENT_ID, text),
        Form::Tenant => by_rule(&rules::TENANT_ID, text),
        Form::BaseUrl => base_url(text, faults),
        Form::Vault => vault(text, faults),
        Form::Issuer => issuer(text),
        Form::Algorithms => algorithms(text, faults),
        Form::Claim => match rules::CLAIM.holds(text) {
            true => Ok(text.to_owned()),
            false => Err(Fault::invalid("must be the name of one claim, such as upn or email")),
        },
        Form::Role => by_rule(&rules::ROLE, text),
        Form::Scopes => {
            faults.extend((text != DATABRICKS_SCOPE).then(|| {
                let message = format!("is not the scope that Timbr documents for Databricks; write {DATABRICKS_SCOPE}");
                Fault::warning(Code::ValueInvalid, message)
            }));
            Ok(text.to_owned())
        }
        Form::Free | Form::Secret | Form::Key => Ok(text.to_owned()),
    }
}

fn word(known: &[&str], otherwise: Severity, text: &str, faults: &mut Vec<Fault>) -> Result<String, Fault> {
    match known.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => {
            faults.extend((*word != text).then(|| Fault::spelling(word)));
            Ok((*word).to_owned())
        }
        None => {
            let message = format!("must be {}; Timbr's documentation knows no other value", words::any_of(known));
            Err(Fault { code: Code::ValueInvalid, severity: otherwise, message })
        }
    }
}

fn number(text: &str, unit: &str) -> Result<u64, Fault> {
    // No sign, no leading zero: one number has one spelling.
    let number = text.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == text);
    number.ok_or_else(|| Fault::invalid(format!("must be a whole number of {unit}, in digits alone")))
}

fn by_rule(rule: &FieldRule, text: &str) -> Result<String, Fault> {
    if rule.holds(text) { Ok(text.to_owned()) } else { Err(Fault::invalid(rule.message)) }
}

/// `https://<authority>/<tenant>/oauth2`.
fn base_url(text: &str, faults: &mut Vec<Fault>) -> Result<String, Fault> {
    const SHAPE: &str = "must be https://login.microsoftonline.com/<tenant>/oauth2";
    let url = text.trim_end_matches('/');
    let Some((_, tenant)) = tenant_in(url) else {
        return Err(Fault::invalid(match url.contains("/v2.0") {
            true => format!("{SHAPE}, without /v2.0: Timbr adds the rest itself"),
            false => SHAPE.to_owned(),
        }));
    };
    if !rules::TENANT_ID.holds(tenant) {
        return Err(Fault::invalid(format!(
            "{SHAPE}, where the tenant is a GUID or a domain; common, organizations and consumers name no single tenant"
        )));
    }
    faults.extend((url != text).then(|| Fault::spelling("it without a slash at the end")));
    Ok(url.to_owned())
}

/// Authority and tenant of an OAUTH_BASE_URL.
pub fn tenant_in(url: &str) -> Option<(&str, &str)> {
    let (authority, tenant) = url.strip_suffix("/oauth2")?.rsplit_once('/')?;
    let host = authority.strip_prefix("https://")?;
    (is_plain(host) && !host.starts_with('/')).then_some((authority, tenant))
}

/// Whether a part of a URL holds neither user, query, fragment nor white space.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.contains(['@', '?', '#', '\\']) && !part.contains(char::is_whitespace)
}

/// `https://<name>.vault.azure.net/`, with its slash.
fn vault(text: &str, faults: &mut Vec<Fault>) -> Result<String, Fault> {
    let host = text.trim_end_matches('/');
    if !rules::PUBLIC_URL_HTTPS.holds(host) || !rules::PUBLIC_URL_HOST_ONLY.holds(host) {
        return Err(Fault::invalid(
            "must be the vault's address, https:// and a host and nothing more, such as https://contoso.vault.azure.net/",
        ));
    }
    let meant = format!("{host}/");
    faults.extend((meant != text).then(|| Fault::spelling("it with one slash at the end")));
    Ok(meant)
}

fn issuer(text: &str) -> Result<String, Fault> {
    let rest = text.strip_prefix("https://").filter(|rest| is_plain(rest) && !rest.starts_with('/'));
    rest.map(|_| text.to_owned()).ok_or_else(|| {
        Fault::invalid(
            "must be an https:// URL with neither user, query nor fragment, in the very letters of the tokens' iss",
        )
    })
}

/// A list with commas between.
fn algorithms(text: &str, faults: &mut Vec<Fault>) -> Result<String, Fault> {
    let suite = JwtAlgorithm::ALL.map(JwtAlgorithm::as_str);
    let mut meant: Vec<&str> = Vec::new();
    let mut is_misprint = false;
    for item in text.split(',') {
        let item = item.trim();
        let found = match item.eq_ignore_ascii_case(MISPRINT) {
            true => {
                is_misprint = true;
                "RS256"
            }
            false => *suite.iter().find(|known| known.eq_ignore_ascii_case(item)).ok_or_else(|| {
                let message =
                    format!("holds an algorithm that Timbr does not know; it knows {}", words::all_of(&suite));
                Fault::error(Code::AlgorithmInvalid, message)
            })?,
        };
        if !meant.contains(&found) {
            meant.push(found);
        }
    }
    let meant = meant.join(",");
    if is_misprint {
        faults.push(Fault::error(
            Code::AlgorithmInvalid,
            "holds RS246, which is no algorithm but a misprint of Timbr's documentation; write RS256",
        ));
    } else if meant != text {
        faults.push(Fault::spelling(&meant));
    }
    Ok(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys() {
        assert!(is_public("-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n"));
        assert!(!is_public("-----BEGIN RSA PRIVATE KEY-----\nAA\n"));
        assert!(!is_public("shared"));
    }

    #[test]
    fn what_is_meant() {
        let table = [
            (Form::Algorithms, "RS246,RSA-OAEP", Some("RS256,RSA-OAEP")),
            (Form::Algorithms, "rs256, RS246", Some("RS256")),
            (Form::Algorithms, "RS256,", None),
            (Form::Seconds, "086400", None),
            (Form::Minutes, "'10'", Some("10")),
            (Form::Key, "\"-----BEGIN PUBLIC KEY-----\n\"", Some("-----BEGIN PUBLIC KEY-----\n")),
            (Form::Vault, "https://a.vault.azure.net//", Some("https://a.vault.azure.net/")),
            (Form::Secret, "<AZURE_SECRET>", Some("<AZURE_SECRET>")),
            (Form::Free, "<AUDIENCE>", None),
            (Form::Free, "''", None),
        ];
        for (form, text, expected) in table {
            let reading = read(form, text);
            assert_eq!(reading.meant.as_ref().map(Text::as_str), expected, "{text}");
            assert!(expected == Some(text) || !reading.faults.is_empty(), "{text}");
        }
    }

    #[test]
    fn tenants_of_addresses() {
        assert_eq!(tenant_in("https://a/b/c/oauth2"), Some(("https://a/b", "c")));
        for url in
            ["https:///c/oauth2", "http://a/c/oauth2", "https://a/c/oauth2/v2.0", "https://a@b/c/oauth2", "/oauth2"]
        {
            assert_eq!(tenant_in(url), None, "{url}");
        }
    }
}
