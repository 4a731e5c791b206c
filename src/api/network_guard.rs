//! Whether the network keeps out who is not on an access policy's list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Code, rules};

/// Whether the network keeps out who is not on the list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkGuard {
    /// Managed: a NetworkPolicy in front of the component lets in the pods of the applications on the list that say they
    /// use it, and ingressFrom. Disabled: there is none of this policy's.
    #[serde(default)]
    pub mode: NetworkMode,
    /// Who else may connect, as in a NetworkPolicy: the ingress controller, Timbr's other components, Prometheus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ingress_from: Vec<NetworkPeer>,
}

/// Who keeps the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkMode {
    /// Not this operator.
    #[default]
    Disabled,
    /// This operator.
    Managed,
}

/// Who may connect: pods and namespaces by their labels, or addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = exactly_one())]
pub struct NetworkPeer {
    /// Pods by their labels: in the namespaces of namespaceSelector, else in Timbr's. Empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces by their labels. Empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

/// A range of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct IpBlock {
    /// The range, such as 10.0.0.0/8.
    #[schemars(length(max = 43))]
    #[x_kube(validation = rules::CIDR.cel())]
    pub cidr: String,
    /// Ranges within it that may not connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 43)))]
    #[x_kube(validation = rules::CIDR.cel_each())]
    pub except: Vec<String>,
}

/// Sentence of [`Code::PeerInvalid`] about a peer as a whole.
pub const PEER_EXACTLY_ONE: &str =
    "set podSelector, namespaceSelector or both, or ipBlock alone; {} as podSelector stands for all pods";

fn exactly_one() -> Rule {
    Rule::new("has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))")
        .message(format!("{}: {PEER_EXACTLY_ONE}", Code::PeerInvalid).as_str())
}
