//! What JwtAuthentication and JwtTenant have in common: algorithms, and keys that fit them.

use crate::api::{Code, Component, JwtAlgorithm, Problem, Reason, SecretKeyRef, rules};

use super::{
    Case, Demand, EnvName, PlainValue, Unresolved, Value, plan::Asked, public_key::misread, references::resolve,
};

/// A variable of the REST API.
pub fn demand(name: impl Into<EnvName>, value: Value) -> Demand {
    Demand { component: Component::Api, name: name.into(), value }
}

/// Algorithms as Timbr reads them.
pub fn joined(algorithms: &[JwtAlgorithm]) -> Value {
    Value::constant(&algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(","))
}

/// What is wrong with an audience by itself.
pub fn check_audience(audience: Option<&String>) -> impl Iterator<Item = Problem> {
    let rules = [&rules::AUDIENCE, &rules::NO_EXPANSION];
    rules.into_iter().filter_map(move |rule| rule.check("spec.audience", audience?))
}

/// The audience as a value.
pub fn audience(audience: Option<&String>, asked: &mut Asked) -> Option<Value> {
    asked.plain(PlainValue::new("spec.audience", audience?.as_str()))
}

/// The key that a reference names, if it fits the algorithms.
pub fn key(
    path: &'static str,
    reference: &SecretKeyRef,
    algorithms: &[JwtAlgorithm],
    case: &Case<'_>,
    asked: &mut Asked,
) -> Option<Value> {
    let value = asked.resolved(path, resolve(case.snapshot, path, reference))?;
    check_fit(path, &value, reference, algorithms, asked).then_some(value)
}

/// Whether the value of a reference fits the algorithms that are used with it; notes at `path` why not.
pub fn check_fit(
    path: &'static str,
    value: &Value,
    SecretKeyRef { name, key }: &SecretKeyRef,
    algorithms: &[JwtAlgorithm],
    asked: &mut Asked,
) -> bool {
    if let Some(why) = mixture(algorithms) {
        asked.problems.push(Problem::warning("spec.algorithms", Code::AlgorithmsMixed, why));
    }
    let Value::Sensitive(bytes) = value else { return true };
    let cause = misfit(bytes.expose(), algorithms);
    asked.unresolved.extend(cause.map(|cause| Unresolved {
        reason: Reason::SecretValueInvalid,
        path: path.to_owned(),
        message: format!("Secret {name}, key {key}: the value {cause}"),
    }));
    cause.is_none()
}

/// What is wrong with algorithms of both sorts beside each other.
pub fn mixture(algorithms: &[JwtAlgorithm]) -> Option<&'static str> {
    let symmetric = algorithms.iter().filter(|algorithm| algorithm.is_symmetric()).count();
    (symmetric > 0 && symmetric < algorithms.len()).then_some(
        "algorithms of public keys (RS256, RSA-OAEP) and of secrets (HS256, AES) share one key, which fits only one sort: a public key that also counts as a secret lets anybody sign; keep one sort",
    )
}

/// Why a key does not fit the algorithms that it is used with. Of a list of both sorts either key will
/// do, and of algorithms that are not known nothing can be said.
pub fn misfit(key: &[u8], algorithms: &[JwtAlgorithm]) -> Option<&'static str> {
    let all =
        |symmetric| !algorithms.is_empty() && algorithms.iter().all(|algorithm| algorithm.is_symmetric() == symmetric);
    let (all_public, all_secret) = (all(false), all(true));
    let text = std::str::from_utf8(key).unwrap_or_default().trim();
    let is_pem = text.starts_with("-----BEGIN ");
    let is_public = ["PUBLIC KEY-----", "RSA PUBLIC KEY-----", "CERTIFICATE-----"]
        .iter()
        .any(|kind| text.strip_prefix("-----BEGIN ").is_some_and(|rest| rest.starts_with(kind)))
        && text.contains("-----END ");
    if is_pem && text.contains("PRIVATE KEY-----") {
        Some(
            "is a private key, which only the issuer of tokens may hold; put the public key there, and consider the private one compromised",
        )
    } else if all_public && !is_public {
        Some(
            "is no public key: RS256 and RSA-OAEP need one in PEM form, from -----BEGIN PUBLIC KEY----- to its END line, as --from-file keeps it",
        )
    } else if all_secret && is_pem {
        Some(
            "is a public key, but HS256 and AES take a secret: everybody who has the public key could sign; use RS256, or put a secret there",
        )
    } else if is_public {
        misread(text)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::api::JwtAlgorithm::{self, Aes, Hs256, Rs256, RsaOaep};

    use super::misfit;

    #[test]
    fn a_key_fits_its_algorithms() {
        const PUBLIC: &[u8] = include_bytes!("../../tests/keys/rsa-2048.pem");
        const PART: &[u8] = b"-----BEGIN PUBLIC KEY-----\nMIIBI\n-----END PUBLIC KEY-----\n";
        const PRIVATE: &[u8] = b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let word = |key, algorithms: &[_]| misfit(key, algorithms).map(|cause| &cause[..8]);
        let [public, secret, both] =
            [&[Rs256, RsaOaep][..], &[Hs256, Aes], &[Rs256, Hs256]].map(<[JwtAlgorithm]>::to_vec);
        for (key, algorithms, wanted) in [
            (PUBLIC, &public, None),
            (b"s3cr3t".as_slice(), &secret, None),
            (PUBLIC, &both, None),
            (b"s3cr3t", &both, None),
            (PUBLIC, &vec![], None),
            (b"s3cr3t", &vec![], None),
            (b"s3cr3t", &public, Some("is no pu")),
            (b"-----BEGIN PUBLIC KEY-----", &public, Some("is no pu")),
            (PUBLIC, &secret, Some("is a pub")),
            (PART, &public, Some("is a pub")),
            (PART, &both, Some("is a pub")),
            (PRIVATE, &public, Some("is a pri")),
            (PRIVATE, &secret, Some("is a pri")),
            (PRIVATE, &vec![], Some("is a pri")),
        ] {
            assert_eq!(word(key, algorithms), wanted, "{}", String::from_utf8_lossy(key));
        }
    }
}
