//! `RoleGroupSync`: groups of Entra ID give roles of Timbr to their members.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Code, CommonStatus, Credentials, InstallationRef, PortalEntry, credentials, duration, rules, status};

/// Groups of Entra ID give roles of Timbr to their members.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "RoleGroupSync",
    plural = "rolegroupsyncs",
    shortname = "rgs",
    category = "timbr",
    namespaced,
    status = "RoleGroupSyncStatus",
    derive = "PartialEq",
    doc = "Groups of Entra ID give roles of Timbr to their members. Becomes AZURE_* and SYNC_GROUPS_* variables on the server's Deployment, and statements that Timbr runs; one per installation."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = credentials::exactly_one_way())]
pub struct RoleGroupSyncSpec {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub credentials: Credentials,
    /// How often Timbr looks at the groups, from 60s to 720h (SYNC_GROUPS_INTERVAL).
    #[serde(default = "a_day")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = rules::DURATION.cel())]
    #[x_kube(validation = duration::SYNC_INTERVAL.cel())]
    pub interval: String,
    /// Whether Timbr makes users for members whom it does not know (SYNC_GROUPS_AUTO_CREATE_USER).
    #[serde(default)]
    pub auto_create_users: bool,
    /// Which group gives which role. Becomes one statement each (ALTER ROLE … SYNC …), run through
    /// Timbr's REST API when the TimbrInstallation has spec.sql, else shown in status.statements.
    /// The roles must exist in Timbr.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["role".into()]))]
    pub mappings: Vec<RoleMapping>,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about a RoleGroupSync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct RoleGroupSyncStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// What became of each mapping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<MappingStatus>,
    /// Statements to run by hand, in Timbr's SQL Lab.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// Mappings that were removed or replaced here and may still be in Timbr, which has no statement to
    /// remove one. One that is replaced is listed until the mapping that replaces it is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphaned_mappings: Vec<OrphanedMapping>,
    /// The last synchronisation that was asked for by annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// What to set in Azure's portal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal: Vec<PortalEntry>,
}

/// One role and the group whose members get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleMapping {
    /// A role that exists in Timbr.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::ROLE.cel())]
    #[x_kube(validation = rules::ROLE_SAFE.cel())]
    pub role: String,
    /// The group in Entra ID.
    pub group: Group,
}

/// A group of Entra ID, by exactly one of its name, id and email. Names are not unique in Entra: the
/// id is the safest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = exactly_one_group())]
pub struct Group {
    /// Its display name, such as Timbr Editors. What could end a string in SQL is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::GROUP_NAME.cel())]
    #[x_kube(validation = rules::NO_EXPANSION.cel())]
    pub name: Option<String>,
    /// Its Object ID, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::GROUP_ID.cel())]
    pub id: Option<String>,
    /// Its e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::GROUP_EMAIL.cel())]
    pub email: Option<String>,
}

/// What became of one mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MappingStatus {
    /// The role.
    pub role: String,
    /// The group.
    pub group: Group,
    /// Applied, Pending, Failed, Unknown or Manual.
    pub state: MappingState,
    /// Of the statement: one that changes is sent anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_hash: Option<String>,
    /// How often the statement was sent; at most four times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends: Option<u32>,
    /// true: Timbr may have taken the statement, although no answer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_have_arrived: Option<bool>,
    /// Why, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when the state is so.
    #[schemars(with = "k8s_openapi::apimachinery::pkg::apis::meta::v1::Time")]
    pub since: Timestamp,
}

/// The state of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MappingState {
    /// Timbr took it.
    Applied,
    /// It is to be sent, or on its way.
    Pending,
    /// Timbr refused it.
    Failed,
    /// It was sent, and no answer came.
    Unknown,
    /// It is for a person to run.
    Manual,
}

/// A mapping that is gone from the spec and perhaps not from Timbr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanedMapping {
    /// The role.
    pub role: String,
    /// The group.
    pub group: Group,
    /// Since when it is gone here.
    #[schemars(with = "k8s_openapi::apimachinery::pkg::apis::meta::v1::Time")]
    pub since: Timestamp,
}

/// A synchronisation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// The annotation's value.
    pub requested_at: String,
    /// What became of each role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<SyncResult>,
}

/// What became of one SYNC ROLE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncResult {
    /// The role.
    pub role: String,
    /// Applied, Pending, Failed, Unknown or Manual.
    pub state: MappingState,
    /// Why, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

fn a_day() -> String {
    "24h".to_owned()
}

/// Sentence of [`Code::GroupExactlyOne`].
pub const GROUP_EXACTLY_ONE: &str = "set exactly one of name, id and email";

fn exactly_one_group() -> Rule {
    Rule::new("[has(self.name), has(self.id), has(self.email)].filter(given, given).size() == 1")
        .message(format!("{}: {GROUP_EXACTLY_ONE}", Code::GroupExactlyOne).as_str())
}
