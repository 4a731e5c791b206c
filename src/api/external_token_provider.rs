//! `ExternalTokenProvider`: an identity provider whose tokens are trusted.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommonStatus, InstallationRef, rules, status};

/// An identity provider whose JSON Web Tokens are trusted.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "ExternalTokenProvider",
    plural = "externaltokenproviders",
    shortname = "etp",
    category = "timbr",
    namespaced,
    status = "ExternalTokenProviderStatus",
    derive = "PartialEq",
    doc = "An identity provider whose JSON Web Tokens are trusted. A given pair of issuer and audience belongs to one provider of an installation."
)]
#[serde(rename_all = "camelCase")]
pub struct ExternalTokenProviderSpec {
    /// What people call the provider, or the client application that uses it.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::DISPLAY_NAME.cel())]
    #[x_kube(validation = rules::NO_EXPANSION.cel())]
    pub display_name: String,
    /// Accepted audiences; a token must name one. For Entra ID the client id or the resource's URI.
    #[schemars(length(min = 1, max = 16), inner(length(max = 2048)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::AUDIENCE.cel_each())]
    #[x_kube(validation = rules::NO_EXPANSION.cel_each())]
    pub audiences: Vec<String>,
    /// The claim that names the user, such as upn or preferred_username.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::CLAIM.cel())]
    pub user_claim: String,
    /// The issuer as tokens name it: https, no query or fragment. Compared in its normal form: lower-case
    /// scheme and host, without default port and without one final slash.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::ISSUER.cel())]
    pub issuer_url: String,
    /// Where the provider publishes its keys. Absent: what {issuerUrl}/.well-known/openid-configuration
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::JWKS_URL.cel())]
    pub jwks_url: Option<String>,
    /// Accepted algorithms.
    #[serde(default = "rs256")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// false: known, but not trusted.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about an ExternalTokenProvider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct ExternalTokenProviderStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// The pairs of issuer and audience that this provider holds: it keeps them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<TrustedPair>,
    /// What the issuer published when it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
}

/// The keys of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// Where they are.
    pub jwks_uri: String,
    /// Their ids, sorted; of those that have one.
    pub key_ids: Vec<String>,
    /// Of all of them: another value means that the issuer has changed its keys.
    pub key_set_hash: String,
}

/// An issuer, in its normal form, and an audience.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TrustedPair {
    /// The issuer.
    pub issuer: String,
    /// The audience.
    pub audience: String,
}

/// An algorithm of signatures with a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum SignatureAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl SignatureAlgorithm {
    /// As JWA calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SignatureAlgorithm::RS256 => "RS256",
            SignatureAlgorithm::RS384 => "RS384",
            SignatureAlgorithm::RS512 => "RS512",
            SignatureAlgorithm::PS256 => "PS256",
            SignatureAlgorithm::PS384 => "PS384",
            SignatureAlgorithm::PS512 => "PS512",
            SignatureAlgorithm::ES256 => "ES256",
            SignatureAlgorithm::ES384 => "ES384",
            SignatureAlgorithm::ES512 => "ES512",
            SignatureAlgorithm::EdDSA => "EdDSA",
        }
    }
}

/// An issuer in its normal form, in which issuers are compared: lower-case scheme and host, without the
/// default port and without one final slash; the path keeps its case.
pub fn normal_issuer(issuer: &str) -> String {
    let without_slash = issuer.strip_suffix('/').unwrap_or(issuer);
    let Some((scheme, rest)) = without_slash.split_once("://") else { return without_slash.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let scheme = scheme.to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let host = if scheme == "https" { host.strip_suffix(":443").unwrap_or(&host) } else { &host };
    format!("{scheme}://{host}{path}")
}

fn rs256() -> Vec<SignatureAlgorithm> {
    vec![SignatureAlgorithm::RS256]
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::normal_issuer;

    #[test]
    fn issuers_have_a_normal_form() {
        for (issuer, normal) in [
            ("https://a.example", "https://a.example"),
            ("HTTPS://A.Example/", "https://a.example"),
            ("https://a.example:443/Realms/X/", "https://a.example/Realms/X"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("https://a.example//", "https://a.example/"),
        ] {
            assert_eq!(normal_issuer(issuer), normal);
        }
    }
}
