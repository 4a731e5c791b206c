//! What came of a check.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use reqwest::StatusCode;

use super::{Answer, Trouble};

/// Whether what was checked is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It is.
    Pass,
    /// It is not: nothing but a change by a person helps.
    Fail,
    /// Nobody knows.
    Unknown,
}

impl CheckResult {
    /// As status has it.
    pub const fn name(self) -> &'static str {
        match self {
            CheckResult::Pass => "Pass",
            CheckResult::Fail => "Fail",
            CheckResult::Unknown => "Unknown",
        }
    }
}

/// Declares [`CheckReason`] with what each means.
macro_rules! reasons {
    ($($name:ident = $finding:ident, $doc:literal;)+) => {
        /// Why a check ended as it did: a closed list, for programs to tell apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CheckReason {
            $(#[doc = $doc] $name,)+
        }

        impl CheckReason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As status has it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

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
    CredentialRefused = Fail, "Entra refuses the credential for a reason that it tells itself.";
    HostNotAllowed = Fail, "The URL leads where nothing is asked on a resource's account.";
    NotInInput = Unknown, "What it would take to try it is not in the input.";
    NotPermitted = Unknown, "The application may not read what would tell.";
    ForbiddenByFirewall = Unknown, "The key vault's firewall does not know the operator's address; that of Timbr's pods may differ.";
    ForbiddenByConnection = Unknown, "The key vault is reached by a private link only, and the operator is not on it; Timbr's pods may be.";
    SecretNotListed = Unknown, "The application's registration lists no secret that begins as the one that is used.";
    Unreachable = Unknown, "Nobody could be asked.";
    Untrusted = Unknown, "Whoever answers has no certificate that the operator trusts.";
    RateLimited = Unknown, "The service asks for fewer requests.";
    ServiceFailed = Unknown, "The service has a fault of its own.";
    Unreadable = Unknown, "The answer is none to what was asked.";
}

impl fmt::Display for CheckReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub reason: CheckReason,
    /// What was asked, what was expected and what came, and what to do about it.
    pub message: String,
    /// When the service wants to be asked again, at the earliest.
    pub retry_after: Option<Duration>,
    /// When what was checked ends, where that was told.
    pub expires: Option<Timestamp>,
}

impl Outcome {
    /// An outcome.
    pub fn new(reason: CheckReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None, expires: None }
    }

    /// Of what could not be asked: `what` is whom.
    pub fn of_trouble(what: &str, trouble: &Trouble) -> Self {
        let (reason, fix) = match trouble {
            Trouble::Refused(_) => {
                return Self::new(CheckReason::HostNotAllowed, format!("{what} is not asked: {trouble}"));
            }
            Trouble::Unresolved(_) => (CheckReason::Unreachable, "check the host's name, and the cluster's DNS"),
            Trouble::Unconnected(_) | Trouble::TimedOut(_) | Trouble::BrokeOff(_) => (
                CheckReason::Unreachable,
                "check that the operator's pod may reach it, by firewall, NetworkPolicy or HTTPS_PROXY",
            ),
            Trouble::Untrusted(_) => (CheckReason::Untrusted, "check who answers there"),
            Trouble::TooLong | Trouble::Redirected(_) | Trouble::Unreadable(_) => {
                (CheckReason::Unreadable, "check the URL, and that no proxy answers in its place")
            }
        };
        Self::new(reason, format!("{what}: {trouble}; {fix}"))
    }

    /// Of a service that has too much to do, or a fault of its own. `None` when the answer is one.
    pub fn of_busy(what: &str, answer: &Answer, now: Timestamp) -> Option<Self> {
        let (reason, cause) = match answer.status {
            StatusCode::TOO_MANY_REQUESTS => (CheckReason::RateLimited, "asks for fewer requests".to_owned()),
            status if status.is_server_error() => {
                (CheckReason::ServiceFailed, format!("answers with status {}", status.as_u16()))
            }
            _ => return None,
        };
        let message = format!("{what} {cause}; the operator asks again by itself");
        Some(Self { retry_after: answer.retry_after(now), ..Self::new(reason, message) })
    }

    /// What it has found.
    pub fn finding(&self) -> CheckResult {
        self.reason.finding()
    }
}
