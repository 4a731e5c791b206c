//! `InboundAccessPolicy`: who may use a component of Timbr.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CONSUMES, CommonStatus, Component, InstallationRef, NetworkGuard, rules, status};

/// Who may use a component of Timbr: applications and users that are on the list.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "InboundAccessPolicy",
    plural = "inboundaccesspolicies",
    shortname = "iap",
    category = "timbr",
    namespaced,
    status = "InboundAccessPolicyStatus",
    derive = "PartialEq",
    doc = "Who may use a component of Timbr: applications and users that are on the list. No rules: nobody."
)]
#[serde(rename_all = "camelCase")]
pub struct InboundAccessPolicySpec {
    /// The component that is guarded.
    pub target: PolicyTarget,
    /// What becomes of those that are not on the list. Of several policies of a component, the strictest counts.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Which applications may come in.
    #[serde(default)]
    pub inbound: Inbound,
    /// Whether every user of the directory may come in. Else only direct members of the groups below.
    #[serde(default)]
    pub allow_all_users: bool,
    /// Which users may come in, by what their tokens say.
    #[serde(default)]
    pub claims: PolicyClaims,
    /// Whether the network, too, lets in only pods of the applications above.
    #[serde(default)]
    pub network_policy: NetworkGuard,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What the operator says about an InboundAccessPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct InboundAccessPolicyStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// Who runs that uses the component, and is let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Consumers>,
    /// Workloads that run and use the component, and would not be let in any more: nothing stops them. The first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// How many these are in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub violations_total: u32,
}

/// Who runs that uses a component, and is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consumers {
    /// How many workloads are let in, by this policy or another of the component.
    pub admitted: u32,
    /// Whom each rule of this policy lets in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleConsumers>,
}

/// Whom a rule lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleConsumers {
    /// The rule's place in spec.inbound.rules, from 0.
    pub index: u32,
    /// How many applications.
    pub total: u32,
    /// The applications, as namespace/name. The first 50.
    pub consumers: Vec<String>,
}

/// A workload that would not be let in any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A component of Timbr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PolicyTarget {
    /// timbr-api, the REST API.
    Api,
    /// timbr-platform, the web application.
    Platform,
    /// timbr-server, the engine.
    Server,
}

impl PolicyTarget {
    /// Every component.
    pub const ALL: [Self; 3] = [Self::Api, Self::Platform, Self::Server];

    /// The word in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "Api",
            Self::Platform => "Platform",
            Self::Server => "Server",
        }
    }

    /// The component itself.
    pub const fn component(self) -> Component {
        match self {
            Self::Api => Component::Api,
            Self::Platform => Component::Platform,
            Self::Server => Component::Server,
        }
    }

    /// The label by which pods say that they use it; its value is Timbr's namespace, or empty: their own.
    pub fn label(self) -> String {
        format!("{CONSUMES}{}", self.as_str().to_lowercase())
    }
}

/// What becomes of those that are not on the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// They are refused.
    #[default]
    Enforce,
    /// They come in, and it is said that they would be refused.
    Audit,
}

/// Which applications may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// One application each; one that matches any may come in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<InboundRule>,
}

/// An application that may come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboundRule {
    /// Its name, as in its label app.kubernetes.io/name; * for all of the namespace.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::CALLER_APPLICATION.cel())]
    pub application: String,
    /// Its namespace; * for all. Absent: the policy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::CALLER_NAMESPACE.cel())]
    pub namespace: Option<String>,
    /// Its cluster. Absent: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::CALLER_CLUSTER.cel())]
    pub cluster: Option<String>,
    /// The Application (client) ID of its tokens, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::CLIENT_ID.cel())]
    pub client_id: Option<String>,
    /// The Directory (tenant) ID that issues its tokens, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::TENANT_GUID.cel())]
    pub tenant_id: Option<String>,
    /// What it gets besides: granted, not required.
    #[serde(default)]
    pub permissions: Permissions,
}

/// What an application is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::PERMISSION.cel_each())]
    #[x_kube(validation = rules::NO_EXPANSION.cel_each())]
    pub roles: Vec<String>,
    /// Scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::PERMISSION.cel_each())]
    #[x_kube(validation = rules::NO_EXPANSION.cel_each())]
    pub scopes: Vec<String>,
}

/// Which users may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyClaims {
    /// Groups whose direct members may come in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub groups: Vec<PolicyGroup>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyGroup {
    /// Its Object ID, a GUID.
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::GROUP_ID.cel())]
    pub id: String,
}
