//! What was found about a token.

use serde::Serialize;

use crate::api::{Kind, Meta, message};

/// One point of what Timbr asks of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenFinding {
    /// `Kind name`, the kind alone where none is in the input, or `token`.
    pub object: String,
    /// The field that decides, or the claim.
    pub path: String,
    /// What was looked at.
    pub code: TokenCheck,
    /// What came of it.
    pub result: TokenResult,
    /// What, why, and what to do about it.
    pub message: String,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenCheck {
    /// Whether it has ended: `exp`.
    Expired,
    /// Whether it has begun: `nbf` and `iat`.
    NotYetValid,
    /// Whether there is anything to hold it against.
    NotAccepted,
    /// Whose tokens are taken: JWT_TYPE.
    JwtType,
    /// Whom it was issued for.
    Audience,
    /// Who issued it.
    Issuer,
    /// How it is signed.
    Algorithm,
    /// The claim that names the user.
    UserClaim,
    /// The user whom Timbr must know.
    UserName,
    /// Which tenant a request names.
    Tenant,
    /// Whether users are known by their tenants.
    TenantUsers,
    /// Whether a request must repeat a nonce.
    Nonce,
    /// Which provider vouches for it.
    Provider,
    /// Whether that provider is trusted.
    ProviderEnabled,
}

/// What came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenResult {
    /// It keeps the token out.
    Wrong,
    /// Nobody can tell from here.
    Unknown,
    /// It does not keep the token out.
    Ok,
}

impl TokenResult {
    /// The word as users read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }
}

/// The object of findings about the token itself.
pub const TOKEN: &str = "token";

/// `Kind name`.
pub fn title(meta: &Meta) -> String {
    format!("{} {}", meta.kind, meta.name)
}

impl TokenFinding {
    /// A finding.
    pub fn new(
        object: impl Into<String>,
        path: &str,
        code: TokenCheck,
        result: TokenResult,
        sentence: impl AsRef<str>,
    ) -> Self {
        Self { object: object.into(), path: path.to_owned(), code, result, message: message(sentence.as_ref()) }
    }

    /// About a resource of which none is in the input.
    pub fn none(kind: Kind, code: TokenCheck, sentence: &str) -> Self {
        Self::new(kind.name(), "spec", code, TokenResult::Unknown, sentence)
    }
}
