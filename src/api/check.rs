//! Checks: the closed lists of what depends on one, what it finds, and why.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::closed_list::closed_list;

closed_list! {
    /// Whether a check decides about delivery.
    #[derive(Serialize, Deserialize, JsonSchema)]
    CheckLevel {
        /// Nothing new is to be delivered while it fails.
        Required,
        /// It is told, and decides nothing.
        Advisory,
    }
}

closed_list! {
    /// Whether what was checked is so.
    #[derive(Serialize, Deserialize, JsonSchema)]
    CheckResult {
        /// It is.
        Pass,
        /// It is not: nothing but a change by a person helps.
        Fail,
        /// Nobody knows.
        Unknown,
    }
}

/// Declares [`CheckReason`] with what each means.
macro_rules! reasons {
    ($($name:ident = $finding:ident, $doc:literal;)+) => {
        closed_list! {
            /// Why a check ended as it did, for programs to tell apart.
            CheckReason { $(#[doc = $doc] $name,)+ }
        }

        impl CheckReason {
            /// What a check with this reason has found.
            pub const fn finding(self) -> CheckResult {
                match self { $(Self::$name => CheckResult::$finding,)+ }
            }
        }
    };
}

reasons! {
    Passed = Pass, "What was checked is so.";
    TenantNotFound = Fail, "Entra knows no such tenant.";
    WrongIssuer = Fail, "The discovery document names another issuer than the one that is trusted.";
    ApplicationNotFound = Fail, "The tenant has no application with this client id.";
    ApplicationDisabled = Fail, "Somebody has disabled the application.";
    ClientSecretInvalid = Fail, "It is no secret of the application.";
    ClientSecretExpired = Fail, "The application's secret has expired.";
    ResourceNotFound = Fail, "The tenant does not know the service that a token is asked for.";
    RoleMissing = Fail, "An administrator has not granted the application what it needs.";
    GroupNotFound = Fail, "The tenant has no such group.";
    GroupAmbiguous = Fail, "The tenant has several groups of this name or address.";
    RedirectUriMissing = Fail, "The application's registration does not send people back to this Timbr.";
    RedirectUriOfOtherType = Fail, "The redirect URI is registered for another sort of application.";
    AccountTypeWrong = Fail, "People of other tenants may sign in to the application.";
    PermissionMissing = Fail, "The application's registration does not ask for a permission that is needed.";
    ConsentMissing = Fail, "No administrator has consented to a permission for everybody.";
    VaultOfAnotherTenant = Fail, "The key vault belongs to another tenant than the application.";
    AccessDenied = Fail, "The key vault's access policy does not allow it.";
    ForbiddenByRbac = Fail, "No role on the key vault allows it.";
    ForbiddenByPolicy = Fail, "The key vault's access policy does not allow it.";
    KeyNotUsable = Fail, "The issuer publishes no key that can be used with the algorithms.";
    ApiKeyRefused = Fail, "Timbr's REST API does not take the key.";
    CredentialRefused = Fail, "Entra refuses the credential for a reason that it tells itself.";
    HostNotAllowed = Unknown, "The URL leads where nothing is asked on a resource's account.";
    NotInInput = Unknown, "What it would take to try it is not in the input.";
    NoToken = Unknown, "Entra gives the application no token, and it takes one.";
    NotPermitted = Unknown, "The application may not read what would tell.";
    ForbiddenByFirewall = Unknown, "The key vault's firewall does not know the operator's address; that of Timbr's pods may differ.";
    ForbiddenByConnection = Unknown, "The key vault is reached by a private link only, and the operator is not on it; Timbr's pods may be.";
    SecretNotListed = Unknown, "The application's registration lists no secret that begins as the one that is used.";
    Unreachable = Unknown, "Nobody could be asked.";
    Untrusted = Unknown, "Whoever answers has no certificate that the operator trusts.";
    RateLimited = Unknown, "The service asks for fewer requests.";
    ServiceFailed = Unknown, "The service has a fault of its own.";
    Unreadable = Unknown, "The answer is none to what was asked.";
    SignInMisdirected = Fail, "Timbr sends people to Entra for another application, or has them sent back to another address.";
    SignInNotSeen = Unknown, "Timbr sends nobody to Entra from the page on which its sign-in begins.";
    InProgress = Unknown, "It is being tried for the first time.";
    Stale = Unknown, "It passed, and for two intervals nobody could be asked again.";
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckStatus {
    /// What was checked.
    pub name: String,
    /// Required: new content is not delivered unless it passes. Advisory: it decides nothing.
    pub level: CheckLevel,
    /// Pass, Fail or Unknown.
    pub result: CheckResult,
    /// Why, in a word; every word has an entry in the documentation.
    pub reason: String,
    /// What was expected, what came, and what to do.
    pub message: String,
    /// When the result last changed.
    #[schemars(with = "k8s_openapi::apimachinery::pkg::apis::meta::v1::Time")]
    pub since: Timestamp,
    /// Of what was tried, values included: a Fail counts until the same passes, or something else is to be tried.
    pub key: String,
}
