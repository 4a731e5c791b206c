//! Who issued a token.

use crate::{
    api::{JwtType, foreign, normal_issuer},
    compose::Cloud,
    policy::Directory,
};

use super::{
    Token,
    finding::{TokenCheck, TokenFinding, TokenResult},
};

/// A directory of Entra as an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The directory, in lower case.
    pub id: String,
    /// The version of its tokens.
    pub version: u8,
}

/// The directory that an issuer is, if it is one of this cloud.
pub fn tenant(issuer: &str, entra: &Directory) -> Option<Tenant> {
    let issuer = normal_issuer(issuer);
    let below = |base: &str| {
        let rest = issuer.strip_prefix(&normal_issuer(base))?.strip_prefix('/')?;
        Some(rest.to_ascii_lowercase())
    };
    let is_one = |id: &str| !id.is_empty() && !id.contains('/');
    let v2 = below(&entra.v2).and_then(|rest| rest.strip_suffix("/v2.0").map(str::to_owned));
    let v2 = v2.filter(|id| is_one(id)).map(|id| Tenant { id, version: 2 });
    v2.or_else(|| Some(Tenant { id: below(&entra.v1).filter(|id| is_one(id))?, version: 1 }))
}

/// Whether an issuer is a directory of any of Microsoft's clouds.
fn is_elsewhere(issuer: &str) -> bool {
    Cloud::ALL.iter().any(|cloud| {
        tenant(issuer, &Directory { v1: cloud.sts().to_owned(), v2: cloud.authority().to_owned() }).is_some()
    })
}

/// Whether tokens of this issuer are taken by the type of a JwtAuthentication.
pub fn of_type(object: &str, type_: JwtType, token: &Token, entra: &Directory) -> TokenFinding {
    let issuer = &token.known.issuer;
    let is_entra = tenant(issuer, entra).is_some();
    let shown = foreign(issuer);
    let (result, sentence) = match type_ {
        _ if issuer.is_empty() => {
            (TokenResult::Unknown, "the token has no iss, so nobody can tell whose it is".to_owned())
        }
        JwtType::Azure if is_entra => (TokenResult::Ok, "is Azure (JWT_TYPE=azure), and the token is Entra's".to_owned()),
        JwtType::Custom if !is_entra && !is_elsewhere(issuer) => {
            (TokenResult::Ok, "is Custom (JWT_TYPE=custom), and the token is not Entra's".to_owned())
        }
        _ if is_elsewhere(issuer) && !is_entra => (
            TokenResult::Wrong,
            format!("the token is of another of Microsoft's clouds than the one that is set (iss {shown}); see --cloud"),
        ),
        JwtType::Azure => (
            TokenResult::Wrong,
            format!(
                "is Azure (JWT_TYPE=azure), which takes tokens of Entra, and the token is of {shown}; set type: Custom, with the issuer's public key in keyRef"
            ),
        ),
        JwtType::Custom => (
            TokenResult::Wrong,
            "is Custom (JWT_TYPE=custom), and the token is Entra's, which changes its keys by itself; set type: Azure, and drop keyRef".to_owned(),
        ),
    };
    TokenFinding::new(object, "spec.type", TokenCheck::JwtType, result, sentence)
}

/// Whether a token is of the issuer that is set. Timbr compares exactly.
pub fn finding(object: &str, wanted: Option<&str>, token: &Token, entra: &Directory) -> TokenFinding {
    let (result, sentence) = judge(wanted, &token.known.issuer, entra);
    TokenFinding::new(object, "spec.issuer", TokenCheck::Issuer, result, sentence)
}

fn judge(wanted: Option<&str>, issuer: &str, entra: &Directory) -> (TokenResult, String) {
    let shown = foreign(issuer);
    let Some(wanted) = wanted else {
        let fix = if issuer.is_empty() { "set it".to_owned() } else { format!("set it to {shown}, if that is yours") };
        return (
            TokenResult::Unknown,
            format!(
                "is absent, so Timbr does not check who issued a token, unless requests name it in the header x-jwt-issuer; {fix}"
            ),
        );
    };
    let wrong = |rest: String| (TokenResult::Wrong, format!("is {wanted}, and {rest}"));
    if issuer.is_empty() {
        return wrong("the token has no iss; get one from that issuer".to_owned());
    }
    if issuer == wanted {
        return (TokenResult::Ok, format!("is {wanted}, as the token's iss"));
    }
    if issuer.trim_end_matches('/') == wanted.trim_end_matches('/') {
        return wrong(format!(
            "the token's iss is {shown}: they differ in the final slash, and Timbr compares exactly; set spec.issuer to {shown}"
        ));
    }
    if normal_issuer(issuer).eq_ignore_ascii_case(&normal_issuer(wanted)) {
        return wrong(format!(
            "the token's iss is {shown}: the same address in another spelling, and Timbr compares exactly; set spec.issuer to {shown}"
        ));
    }
    match (tenant(wanted, entra), tenant(issuer, entra)) {
        (Some(there), Some(here)) if there.id == here.id => wrong(format!(
            "the token is of version {} of the same directory (iss {shown}), not of version {}; set spec.issuer to {shown}, or, in the manifest of the app registration, accessTokenAcceptedVersion to {}",
            here.version, there.version, there.version
        )),
        (Some(there), Some(_)) if matches!(there.id.as_str(), "common" | "organizations" | "consumers") => {
            wrong(format!(
                "no token names {} as its issuer, but its directory; set spec.issuer to {shown}, if that is yours",
                there.id
            ))
        }
        (Some(there), Some(here)) => wrong(format!(
            "the token is of another directory, {} (iss {shown}); sign in to {} (az login --tenant {}), set spec.issuer, or name the issuer in the header x-jwt-issuer",
            foreign(&here.id),
            there.id,
            there.id
        )),
        _ => wrong(format!(
            "the token's iss is {shown}; get a token of that issuer, set spec.issuer, or name the issuer in the header x-jwt-issuer"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_known_by_both_their_issuers() {
        let of = |issuer: &str| tenant(issuer, &Directory::default()).map(|it| (it.id, it.version));
        let id = |version| Some(("a-b".to_owned(), version));
        for (issuer, expected) in [
            ("https://sts.windows.net/a-b/", id(1)),
            ("https://STS.windows.net/A-B", id(1)),
            ("https://login.microsoftonline.com/a-b/v2.0", id(2)),
            ("https://login.microsoftonline.com/a-b", None),
            ("https://login.microsoftonline.com.evil.example/a-b/v2.0", None),
            ("https://sts.windows.net/", None),
            ("https://sts.windows.net/a/b", None),
            ("", None),
        ] {
            assert_eq!(of(issuer), expected, "{issuer}");
        }
    }
}
