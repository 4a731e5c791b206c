//! `KeyVaultBinding`: Timbr keeps the passwords of datasources in an Azure Key Vault.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommonStatus, Credentials, InstallationRef, PortalEntry, credentials, rules, status};

/// Timbr keeps the passwords of all datasources in an Azure Key Vault.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "KeyVaultBinding",
    plural = "keyvaultbindings",
    shortname = "kvb",
    category = "timbr",
    namespaced,
    status = "KeyVaultBindingStatus",
    derive = "PartialEq",
    doc = "Timbr keeps the passwords of all datasources in an Azure Key Vault. Becomes KV_* and AZURE_* variables on the server's Deployment; one per installation."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = credentials::exactly_one_way())]
pub struct KeyVaultBindingSpec {
    /// The Vault URI from the key vault's overview page, which is https:// and the vault's host
    /// (KV_VAULT, written with one slash at its end). The host must be of the cloud that the operator
    /// is set to.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::VAULT_URL.cel())]
    pub vault_url: String,
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub credentials: Credentials,
    /// true: it is also tried out whether secrets may be written and deleted, with one called
    /// timbr-identity-probe.
    #[serde(default)]
    pub verify_write: bool,
    /// What happens to the variables when this resource is deleted. Retain: they stay, so that a file
    /// pruned by mistake cuts no datasource off its password. Remove: they go. To drop what was
    /// retained, apply a KeyVaultBinding with Remove and delete that.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about a KeyVaultBinding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct KeyVaultBindingStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// What to set in Azure's portal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal: Vec<PortalEntry>,
}

/// What happens to what was delivered when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It goes.
    Remove,
}
