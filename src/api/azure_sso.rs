//! `AzureSso`: people sign in to timbr-platform with Entra ID (Azure AD).

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Code, CommonStatus, InstallationRef, PortalEntry, SecretKeyRef, rules, status};

/// Single sign-on with Microsoft Entra ID (Azure AD) for timbr-platform.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "AzureSso",
    plural = "azuressos",
    shortname = "asso",
    category = "timbr",
    namespaced,
    status = "AzureSsoStatus",
    derive = "PartialEq",
    doc = "Single sign-on with Microsoft Entra ID (Azure AD) for timbr-platform. Becomes OAUTH_* and AUTH_* variables on the platform's Deployment; one per installation."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = exactly_one_client_id())]
pub struct AzureSsoSpec {
    /// The Entra directory whose users sign in: the Directory (tenant) ID from the app
    /// registration's overview page, or a domain of that directory such as
    /// contoso.onmicrosoft.com. Becomes part of OAUTH_BASE_URL.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::TENANT_ID.cel())]
    pub tenant_id: String,
    /// The Application (client) ID from the app registration's overview page, a GUID. Delivered as
    /// OAUTH_CLIENT_ID through a Secret. Set exactly one of clientId and clientIdRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::CLIENT_ID.cel())]
    pub client_id: Option<String>,
    /// A Secret of this namespace that holds the Application (client) ID instead of clientId. The
    /// value must be a GUID; it is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_ref: Option<SecretKeyRef>,
    /// A Secret of this namespace that holds the client secret's Value (not its Secret ID) from the
    /// app registration's page "Certificates & secrets". Delivered as OAUTH_SECRET. The Secret
    /// must be of type Opaque; the operator copies the value into a Secret of its own beside the
    /// Deployment, so changing it here rolls timbr-platform out once. Create it with: kubectl
    /// create secret generic entra --from-literal=client-secret=VALUE
    pub client_secret_ref: SecretKeyRef,
    /// The address under which people open Timbr: https://, host, optional port, nothing more. The
    /// redirect URI to register (platform type Web) is this address followed by
    /// /oauth-authorized/azure; status.redirectUri shows it whole.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::PUBLIC_URL_HTTPS.cel())]
    #[x_kube(validation = rules::PUBLIC_URL_HOST_ONLY.cel())]
    pub public_url: String,
    /// What Timbr knows a person by: Email, or UserPrincipalName (OAUTH_AZURE_WITH_UPN_FIRST).
    #[serde(default)]
    pub user_identity: UserIdentity,
    /// Lets people who sign in for the first time register themselves (AUTH_USER_REGISTRATION).
    /// Absent: the variables are not written, and Timbr's default (off) applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_registration: Option<SelfRegistration>,
    /// Whether people may also sign in with user name and password (AUTH_WITH_USERPASS). Absent:
    /// not written, Timbr's default (allowed) applies. Disabled is held back until the credentials
    /// are verified, so that a mistake locks nobody out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PasswordLogin")]
    pub password_login: Option<PasswordLogin>,
    /// The TimbrInstallation this belongs to. Not needed while the namespace holds at most one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_ref: Option<InstallationRef>,
    /// true: nothing is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What Timbr knows a person by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UserIdentity {
    /// The e-mail address.
    #[default]
    Email,
    /// The user principal name (UPN).
    UserPrincipalName,
}

/// Self-registration at the first sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = admin_needs_consent())]
pub struct SelfRegistration {
    /// The role that a newcomer gets (AUTH_USER_REGISTRATION_ROLE).
    #[serde(default = "viewer")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::ROLE.cel())]
    pub role: String,
    /// Must be true before role may be admin: else everybody in the directory becomes
    /// administrator of Timbr by signing in.
    #[serde(default)]
    pub allow_admin: bool,
}

/// Sign-in with user name and password beside single sign-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PasswordLogin {
    /// Allowed.
    Enabled,
    /// Refused, once the credentials are verified.
    Disabled,
}

/// What the operator says about an AzureSso.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct AzureSsoStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// The redirect URI to register in the app registration, platform type Web, exactly as here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// When the client secret ends: by Microsoft Graph, else by the annotation identity.timbr.ai/expires-at of its
    /// Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>")]
    pub client_secret_expires: Option<Timestamp>,
    /// What to set in Azure's portal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portal: Vec<PortalEntry>,
}

fn viewer() -> String {
    "viewer".to_owned()
}

/// Sentence of [`Code::ClientIdExactlyOne`].
pub const CLIENT_ID_EXACTLY_ONE: &str = "set exactly one of clientId and clientIdRef";
/// Sentence of [`Code::AdminRoleNotAllowed`].
pub const ADMIN_ROLE_NOT_ALLOWED: &str = "role admin makes everybody who signs in an administrator; set allowAdmin: true if that is meant, or choose another role";

fn exactly_one_client_id() -> Rule {
    Rule::new("has(self.clientId) != has(self.clientIdRef)")
        .message(format!("{}: {CLIENT_ID_EXACTLY_ONE}", Code::ClientIdExactlyOne).as_str())
}

fn admin_needs_consent() -> Rule {
    Rule::new("self.role.lowerAscii() != 'admin' || self.allowAdmin")
        .message(format!("{}: {ADMIN_ROLE_NOT_ALLOWED}", Code::AdminRoleNotAllowed).as_str())
}
