//! The service principal by which timbr-server asks Azure: an AzureSso's, or one of its own.

use kube::{KubeSchema, core::Rule};
use serde::{Deserialize, Serialize};

use super::{Code, SecretKeyRef, rules};

/// The service principal of RoleGroupSync and KeyVaultBinding. Timbr has one for both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Take tenant, client id and client secret from an AzureSso of this namespace, instead of the
    /// four fields below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_from: Option<CredentialsFrom>,
    /// The Directory (tenant) ID, a GUID, or a domain of that directory (AZURE_TENANT_ID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::TENANT_ID.cel())]
    pub tenant_id: Option<String>,
    /// The Application (client) ID, a GUID (AZURE_CLIENT_ID). Set exactly one of clientId and
    /// clientIdRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::CLIENT_ID.cel())]
    pub client_id: Option<String>,
    /// A Secret of this namespace that holds the Application (client) ID instead of clientId. The
    /// value must be a GUID; it is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_ref: Option<SecretKeyRef>,
    /// A Secret of this namespace that holds the client secret's Value (not its Secret ID). Delivered
    /// as AZURE_CLIENT_SECRET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
}

/// Whose credentials to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsFrom {
    /// Name of an AzureSso in the same namespace and installation.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME.cel())]
    pub azure_sso: String,
}

/// Sentence of [`Code::CredentialsExactlyOne`].
pub const CREDENTIALS_EXACTLY_ONE: &str = "set either credentialsFrom, or tenantId, clientSecretRef and exactly one of clientId and clientIdRef, and not both ways";

/// The rule of a spec that holds [`Credentials`].
pub(super) fn exactly_one_way() -> Rule {
    Rule::new(
        "has(self.credentialsFrom) ? !has(self.tenantId) && !has(self.clientId) && !has(self.clientIdRef) && !has(self.clientSecretRef) : has(self.tenantId) && has(self.clientSecretRef) && has(self.clientId) != has(self.clientIdRef)",
    )
    .message(format!("{}: {CREDENTIALS_EXACTLY_ONE}", Code::CredentialsExactlyOne).as_str())
}

impl Credentials {
    /// Whether they are given in exactly one way.
    pub fn is_exactly_one_way(&self) -> bool {
        let (tenant, secret) = (self.tenant_id.is_some(), self.client_secret_ref.is_some());
        let (id, id_ref) = (self.client_id.is_some(), self.client_id_ref.is_some());
        match self.credentials_from {
            Some(_) => !tenant && !secret && !id && !id_ref,
            None => tenant && secret && id != id_ref,
        }
    }
}
