//! `JwtAuthentication`: clients of timbr-api authenticate by JSON Web Tokens.

use std::fmt;

use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Code, CommonStatus, InstallationRef, SecretKeyRef, rules, status};

/// Clients of timbr-api authenticate by JSON Web Tokens.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "JwtAuthentication",
    plural = "jwtauthentications",
    shortname = "jwta",
    category = "timbr",
    namespaced,
    status = "JwtAuthenticationStatus",
    derive = "PartialEq",
    doc = "Clients of timbr-api authenticate by JSON Web Tokens. Becomes ENABLE_TOKEN and JWT_* variables on the api's Deployment; one per installation."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = custom_needs_key())]
#[x_kube(validation = azure_has_no_key())]
#[x_kube(validation = azure_has_public_keys())]
#[x_kube(validation = custom_claims())]
pub struct JwtAuthenticationSpec {
    /// Azure: tokens of Entra ID, whose keys Timbr fetches. Custom: tokens of anybody else, checked
    /// with the key of keyRef (JWT_TYPE).
    #[serde(rename = "type")]
    pub type_: JwtType,
    /// Accepted algorithms (JWT_DEFAULT_ALGORITHM): RS256 and RSA-OAEP with a public key, HS256 and AES
    /// with a secret.
    #[serde(default = "rs256")]
    #[schemars(with = "Vec<String>", length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::ALGORITHM.cel_each())]
    pub algorithms: Vec<JwtAlgorithm>,
    /// What the tokens' audience must be (JWT_DEFAULT_AUDIENCE); often the Application (client) ID.
    /// Absent: Timbr checks none, and accepts tokens that were issued for other applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::AUDIENCE.cel())]
    #[x_kube(validation = rules::NO_EXPANSION.cel())]
    pub audience: Option<String>,
    /// What the tokens' issuer must be (JWT_ISSUER), exactly. Absent: Timbr checks none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::ISSUER.cel())]
    pub issuer: Option<String>,
    /// The claim that names the user (JWT_USE_EMAIL_OR_USER). Azure: any claim, upn if absent. Custom:
    /// email or username, email if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::CLAIM.cel())]
    pub user_claim: Option<String>,
    /// Whether a user is known as tenant/claim, the tenant being the request's x-jwt-tenant-id
    /// (JWT_USE_TENANT_USER).
    #[serde(default)]
    pub tenant_users: bool,
    /// type Custom: a Secret of this namespace that holds the public key (PEM) or the secret
    /// (JWT_DEFAULT_KEY).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<SecretKeyRef>,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about a JwtAuthentication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct JwtAuthenticationStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
}

/// Whose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JwtType {
    /// Of Entra ID.
    Azure,
    /// Of anybody else.
    Custom,
}

/// How tokens are signed or encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum JwtAlgorithm {
    /// RSA signature.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA encryption.
    #[serde(rename = "RSA-OAEP")]
    RsaOaep,
    /// HMAC.
    #[serde(rename = "HS256")]
    Hs256,
    /// Symmetric encryption.
    #[serde(rename = "AES")]
    Aes,
}

impl JwtAlgorithm {
    /// Every algorithm, in the order of Timbr's documentation.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::RsaOaep, Self::Rs256, Self::Aes];

    /// As Timbr spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            JwtAlgorithm::Rs256 => "RS256",
            JwtAlgorithm::RsaOaep => "RSA-OAEP",
            JwtAlgorithm::Hs256 => "HS256",
            JwtAlgorithm::Aes => "AES",
        }
    }

    /// Whether its key is a secret that both sides hold.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, JwtAlgorithm::Hs256 | JwtAlgorithm::Aes)
    }
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn rs256() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::Rs256]
}

/// The claims that Timbr takes the user from for type Custom.
pub const CUSTOM_CLAIMS: [&str; 2] = ["email", "username"];

/// Sentence of [`Code::KeyRequired`].
pub const KEY_REQUIRED: &str =
    "type Custom needs keyRef, the Secret with the public key or the secret that tokens are checked with";
/// Sentence of [`Code::KeyNeedsCustomType`].
pub const KEY_NEEDS_CUSTOM_TYPE: &str =
    "type Azure takes its keys from Entra ID and has no variable for one; drop keyRef, or set type: Custom";
/// Sentence of [`Code::AlgorithmNeedsKey`].
pub const ALGORITHM_NEEDS_KEY: &str =
    "HS256 and AES need a secret, and type Azure has none; use RS256 or RSA-OAEP, or set type: Custom";
/// Sentence of [`Code::UserClaimNotSupported`].
pub const USER_CLAIM_NOT_SUPPORTED: &str = "type Custom takes the user from email or username only";

fn rule(text: &str, code: Code, sentence: &str) -> Rule {
    Rule::new(text).message(format!("{code}: {sentence}").as_str())
}

fn custom_needs_key() -> Rule {
    rule("self.type != 'Custom' || has(self.keyRef)", Code::KeyRequired, KEY_REQUIRED)
}

fn azure_has_no_key() -> Rule {
    rule("self.type != 'Azure' || !has(self.keyRef)", Code::KeyNeedsCustomType, KEY_NEEDS_CUSTOM_TYPE)
}

fn azure_has_public_keys() -> Rule {
    let text = "self.type != 'Azure' || !('HS256' in self.algorithms || 'AES' in self.algorithms)";
    rule(text, Code::AlgorithmNeedsKey, ALGORITHM_NEEDS_KEY)
}

fn custom_claims() -> Rule {
    // What is no claim at all breaks the field's own rule.
    let claim = rules::CLAIM.pattern.text;
    let claims = CUSTOM_CLAIMS.map(|claim| format!("'{claim}'")).join(", ");
    let text = format!(
        "self.type != 'Custom' || !has(self.userClaim) || self.userClaim in [{claims}] || !self.userClaim.matches(r'{claim}')"
    );
    rule(&text, Code::UserClaimNotSupported, USER_CLAIM_NOT_SUPPORTED)
}
