//! The part of status that all kinds have, and its default.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CheckStatus, Problem};

/// What the operator says about any resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonStatus {
    /// The generation that this status speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// Accepted, ReferencesResolved, Verified, Delivered, RolledOut, Ready; Reconciling and Stalled
    /// for tools (kstatus).
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What is wrong with the resource itself; Errors make Accepted False.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// How many of the problems are Warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<u32>,
    /// What was tried out, and what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<CheckStatus>,
    /// What of this resource is on which Deployment: names, never values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Delivered>,
}

/// What of a resource is on one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivered {
    /// The Deployment.
    pub deployment: String,
    /// The container.
    pub container: String,
    /// The variables, sorted.
    pub variables: Vec<String>,
    /// The Secret that holds the sensitive ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Generation of the Deployment in which our last change of its template came.
    pub generation: i64,
}

/// Gives `status` a default in the schema, so that a resource is "in progress" for every tool from
/// the moment it is stored, before any operator has seen it (kstatus calls a resource without
/// status ready). The time is fixed: a schema has no clock.
pub(super) fn first_sight(schema: &mut Schema) {
    let condition = |type_: &str, status: &str| {
        json!({
            "type": type_,
            "status": status,
            "reason": "Pending",
            "message": "waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        })
    };
    schema.insert(
        "default".to_owned(),
        json!({
            "observedGeneration": 0,
            "conditions": [condition("Ready", "Unknown"), condition("Reconciling", "True")],
        }),
    );
}
