//! References: always to an object of the same namespace, so there is no `namespace` field.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Names one key of a Secret in the namespace of the resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretKeyRef {
    /// Name of a Secret in the same namespace, of type Opaque.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_NAME.cel())]
    pub name: String,
    /// Key within the Secret's data, for example client-secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_KEY.cel())]
    pub key: String,
}

/// Names the TimbrInstallation that a resource belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct InstallationRef {
    /// Name of a TimbrInstallation in the same namespace.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME.cel())]
    pub name: String,
}
