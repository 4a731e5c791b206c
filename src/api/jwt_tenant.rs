//! `JwtTenant`: what tokens of one tenant of timbr-api must be like.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{CommonStatus, InstallationRef, JwtAlgorithm, SecretKeyRef, rules, status};

/// What tokens of one tenant of timbr-api must be like.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "JwtTenant",
    plural = "jwttenants",
    shortname = "jwtt",
    category = "timbr",
    namespaced,
    status = "JwtTenantStatus",
    derive = "PartialEq",
    doc = "What tokens of one tenant of timbr-api must be like. Becomes JWT_TENANT_* variables on the api's Deployment; needs a JwtAuthentication."
)]
#[serde(rename_all = "camelCase")]
pub struct JwtTenantSpec {
    /// The tenant as requests name it in x-jwt-tenant-id. Takes, in upper case, the place of TENANT in
    /// the variables' names; so no two tenants may differ only in case.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::TENANT.cel())]
    #[x_kube(validation = rules::TENANT_RESERVED.cel())]
    pub tenant: String,
    /// Accepted algorithms (JWT_TENANT_ALGORITHM). Absent: those of the JwtAuthentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::ALGORITHM.cel_each())]
    pub algorithms: Option<Vec<JwtAlgorithm>>,
    /// What the tokens' audience must be (JWT_TENANT_AUDIENCE). Absent: not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::AUDIENCE.cel())]
    #[x_kube(validation = rules::NO_EXPANSION.cel())]
    pub audience: Option<String>,
    /// A Secret of this namespace that holds the tenant's public key (PEM) or secret
    /// (JWT_TENANT_KEY); only with a JwtAuthentication of type Custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<SecretKeyRef>,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about a JwtTenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct JwtTenantStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
}
