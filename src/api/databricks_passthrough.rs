//! `DatabricksPassthrough`: people query Databricks with their own sign-in.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommonStatus, InstallationRef, PortalEntry, duration, rules, status};

/// People query Databricks with their own sign-in.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "DatabricksPassthrough",
    plural = "databrickspassthroughs",
    shortname = "dbx",
    category = "timbr",
    namespaced,
    status = "DatabricksPassthroughStatus",
    derive = "PartialEq",
    doc = "People query Databricks with their own sign-in. Becomes OAUTH_* variables on the platform's and the server's Deployments, on both or on neither; needs an AzureSso; one per installation."
)]
#[serde(rename_all = "camelCase")]
pub struct DatabricksPassthroughSpec {
    /// Host of the Databricks workspace, such as adb-123456789.azuredatabricks.net. Not a variable:
    /// status.datasource shows the datasource to create in Timbr with it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::WORKSPACE_HOST.cel())]
    pub workspace_host: String,
    /// Name of the datasource in Timbr.
    #[serde(default = "databricks")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::DATASOURCE_NAME.cel())]
    pub datasource_name: String,
    /// How long a user's Databricks token counts as fresh, in whole minutes
    /// (OAUTH_REFRESH_TOKEN_EXPIRATION).
    #[serde(default = "ten_minutes")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = rules::DURATION.cel())]
    #[x_kube(validation = duration::MINUTES.cel())]
    pub refresh_token_expiration: String,
    /// How often that is looked at, in whole minutes (OAUTH_REFRESH_TOKEN_VALIDATION).
    #[serde(default = "one_minute")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = rules::DURATION.cel())]
    #[x_kube(validation = duration::MINUTES.cel())]
    pub refresh_token_validation: String,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about a DatabricksPassthrough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct DatabricksPassthroughStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// The datasource to create in Timbr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasource: Option<Datasource>,
    /// What to set in Azure's portal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal: Vec<PortalEntry>,
}

/// The form "Add New Datasource" of Timbr, filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Datasource {
    /// Datasource Type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Datasource Name.
    pub name: String,
    /// Hostname/IP.
    pub hostname: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password: what to do about it.
    pub password: String,
    /// Additional Parameters.
    pub additional_parameters: String,
}

fn databricks() -> String {
    "databricks".to_owned()
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

fn one_minute() -> String {
    "1m".to_owned()
}
