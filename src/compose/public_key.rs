//! Public keys in PEM form (RFC 7468): whether RS256 and RSA-OAEP can use what is between BEGIN and END.

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::PublicEncryptingKey,
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Why the text is no public key for RSA. A certificate is taken as it is, if it is whole: its key is for whoever
/// reads it.
pub fn misread(pem: &str) -> Option<&'static str> {
    let (kind, rest) = pem.trim().strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let body = rest.split("-----END ").next().unwrap_or_default();
    let body: String = body.split_whitespace().collect();
    match BASE64_STANDARD.decode(body) {
        Ok(der) if !der.is_empty() => {
            let is_key = kind == "CERTIFICATE" || is_rsa(&der);
            (!is_key).then_some(
                "is no RSA public key of 2048 to 8192 bits, which RS256 and RSA-OAEP need; make one with openssl rsa -pubout",
            )
        }
        _ => Some(
            "is a public key in part only: what stands between its BEGIN and END lines cannot be read; copy it again, whole, with all its lines",
        ),
    }
}

/// In either form: RFC 8017 (PKCS #1) or RFC 5280 (SubjectPublicKeyInfo). The one who reads both knows no shortest
/// length, and the one who knows it reads the second only.
fn is_rsa(der: &[u8]) -> bool {
    let read = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).ok();
    let info = read.and_then(|key| key.as_der().ok());
    info.is_some_and(|info| PublicEncryptingKey::from_der(info.as_ref()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::misread;

    #[test]
    fn a_key_is_read_or_the_reason_is_told() {
        let whole = include_str!("../../tests/keys/rsa-2048.pem");
        let lines: Vec<&str> = whole.lines().collect();
        let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().join("\n");
        let (part, other) = (Some("is a pub"), Some("is no RS"));
        let rows = [
            ("SPKI", whole.to_owned(), None),
            ("PKCS #1", include_str!("../../tests/keys/rsa-2048.pkcs1.pem").to_owned(), None),
            ("a certificate", include_str!("../../tests/keys/certificate.pem").to_owned(), None),
            ("other line ends", whole.replace('\n', "\r\n"), None),
            ("one line", whole.replace('\n', " "), None),
            ("too short", include_str!("../../tests/keys/rsa-1024.pem").to_owned(), other),
            ("of another sort", include_str!("../../tests/keys/p-256.pem").to_owned(), other),
            ("a line is missing", without(3), other),
            ("broken", whole.replace('M', "*"), part),
            ("empty", [lines[0], lines[lines.len() - 1]].join("\n"), part),
        ];
        for (name, pem, expected) in rows {
            assert_eq!(misread(&pem).map(|why| &why[..8]), expected, "{name}");
        }
    }
}
