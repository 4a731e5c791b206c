//! What is wrong with a resource, as data: a path, a code from a closed list, a sentence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::closed_list::closed_list;

/// Whether a problem keeps a resource from being accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// The resource is not accepted.
    Error,
    /// Worth knowing; the resource goes on.
    Warning,
}

/// One finding about one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The field, for example spec.publicUrl.
    pub path: String,
    /// A stable code; every code has an entry in the documentation.
    pub code: String,
    /// Error: not accepted. Warning: worth knowing.
    pub severity: Severity,
    /// What is wrong, and how to fix it.
    pub message: String,
}

impl Problem {
    /// An Error at `path`.
    pub fn error(path: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self { path: path.into(), code: code.to_string(), severity: Severity::Error, message: message.into() }
    }

    /// A Warning at `path`.
    pub fn warning(path: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, code, message) }
    }
}

closed_list! {
    /// The closed list of problem codes.
    Code {
        /// The object cannot be read as its kind at all.
        DecodeFailed,
        /// `validate`: a field that the kind does not have.
        FieldUnknown,
        /// `validate`: a required field is absent.
        FieldRequired,
        /// `validate`: a field of another type than the schema's.
        FieldType,
        /// `validate`: a value that is not in the field's list.
        FieldNotSupported,
        /// `validate`: a string, list or number outside the field's limits.
        FieldLimit,
        /// A value holds `$(`, which the kubelet would expand from other variables.
        VariableReference,
        /// A name that no Kubernetes object can have.
        NameInvalid,
        /// A name that no Secret can have.
        SecretNameInvalid,
        /// A key that no Secret can hold.
        SecretKeyInvalid,
        /// tenantId is neither a GUID nor a domain.
        TenantIdInvalid,
        /// clientId is no GUID.
        ClientIdInvalid,
        /// Not exactly one of clientId and clientIdRef.
        ClientIdExactlyOne,
        /// publicUrl does not begin with https://.
        PublicUrlNotHttps,
        /// publicUrl holds more than scheme, host and port.
        PublicUrlHostOnly,
        /// A role that Timbr cannot have.
        RoleInvalid,
        /// Every newcomer would become administrator.
        AdminRoleNotAllowed,
        /// Two components name the same container of the same Deployment.
        ComponentDuplicate,
        /// A second resource of a kind that an installation holds once.
        DuplicateInInstallation,
        /// What this resource wants is held by an older one.
        Collision,
        /// The installation that the resource belongs to does not exist, or is not the only one.
        InstallationNotFound,
        /// passwordLogin: Disabled is held back until the credentials are verified.
        PasswordLoginStillEnabled,
        /// A client secret that looks like the secret's ID.
        SecretValueLooksLikeId,
        /// `validate`: something referenced is not in the input.
        NotInInput,
        /// `validate`: a variable is set by hand and by a resource.
        AlreadySetByHand,
        /// By hand: quotation marks that are part of the value.
        ValueQuoted,
        /// By hand: a variable without a value.
        ValueEmpty,
        /// By hand: a value that Timbr's documentation does not know.
        ValueInvalid,
        /// By hand: the right value in another spelling than documented.
        SpellingWrong,
        /// By hand: a number that looks like one of another unit.
        UnitSuspicious,
        /// By hand: a value that Kubernetes makes from another variable.
        ExpandsVariable,
        /// By hand: an algorithm that Timbr does not know.
        AlgorithmInvalid,
        /// Tokens are accepted whomever they were issued for.
        AudienceNotValidated,
        /// Tokens are accepted whoever issued them.
        IssuerNotValidated,
        /// By hand: a secret as a plain value.
        SecretInPlainText,
        /// By hand: variables that belong together are not all there.
        VariableMissing,
        /// By hand: a variable on a component that does not read it.
        VariableMisplaced,
        /// By hand: a variable whose name is not in upper case.
        VariableCase,
        /// By hand: group sync with another app registration than single sign-on.
        TrioMismatch,
        /// OAUTH_DEFAULT_SCHEME makes redirect URIs without TLS.
        SchemeNotHttps,
        /// Two mechanisms give out roles.
        RoleMappingCompetes,
        /// By hand: variables that Azure's webhook sets too.
        WorkloadIdentity,
    }
}
