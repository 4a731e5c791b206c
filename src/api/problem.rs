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
        /// A component's Deployment may not be read.
        DeploymentForbidden,
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
        /// A client secret ends soon, or has ended.
        ClientSecretExpires,
        /// The annotation on a Secret that tells its end is no time.
        ExpiresAtInvalid,
        /// Not exactly one way to name the service principal.
        CredentialsExactlyOne,
        /// OAUTH_DEFAULT_SCHEME is not https, so Entra refuses the redirect URI.
        SchemeNotHttps,
        /// workspaceHost is no host.
        WorkspaceHostInvalid,
        /// A datasource name that Timbr cannot have.
        DatasourceNameInvalid,
        /// No duration.
        DurationInvalid,
        /// A duration outside the field's limits.
        DurationOutOfRange,
        /// Tokens are validated more rarely than they expire.
        ValidationAboveExpiration,
        /// Not exactly one of a group's name, id and email.
        GroupExactlyOne,
        /// A group id that is no GUID.
        GroupIdInvalid,
        /// A group's e-mail address that cannot be one.
        GroupEmailInvalid,
        /// A name that could end a string or begin a comment in SQL.
        NameNotSafe,
        /// An entry of a list whose key another entry has.
        FieldDuplicate,
        /// Groups are synchronised very often.
        IntervalShort,
        /// Groups are synchronised, but nobody signs in by single sign-on.
        SingleSignOnMissing,
        /// Another mechanism maps roles, too.
        RoleMappingCompetes,
        /// A mapping is not run, but printed: its role may not be mapped by the operator.
        RoleNotAllowed,
        /// Timbr refused a mapping.
        MappingFailed,
        /// Whether a mapping arrived is not known.
        MappingUnknown,
        /// A mapping that was removed is still in Timbr.
        MappingOrphaned,
        /// vaultUrl is no address of a key vault.
        VaultUrlInvalid,
        /// vaultUrl is outside the cloud that the operator is set to.
        VaultNotInCloud,
        /// Turning the key vault on leaves existing passwords where they are.
        KeyVaultTurnedOn,
        /// Variables of a deleted KeyVaultBinding stay.
        KeyVaultRetained,
        /// A rule names a cluster, and nobody has told what this one is called.
        ClusterNameUnknown,
        /// No algorithm that Timbr knows.
        AlgorithmInvalid,
        /// The algorithm needs a key, and type Azure has none.
        AlgorithmNeedsKey,
        /// Algorithms of public keys and of secrets side by side.
        AlgorithmsMixed,
        /// An audience that cannot be one.
        AudienceInvalid,
        /// Timbr accepts tokens for any audience.
        AudienceNotValidated,
        /// An issuer that cannot be one.
        IssuerInvalid,
        /// Timbr accepts tokens of any issuer.
        IssuerNotValidated,
        /// One issuer for tenants of several directories.
        SingleIssuer,
        /// A claim that cannot be one.
        UserClaimInvalid,
        /// A claim that Timbr does not look up for type Custom.
        UserClaimNotSupported,
        /// upn is not in tokens of this issuer, as a rule.
        UpnInV2Token,
        /// type Custom needs a key.
        KeyRequired,
        /// A key with type Azure.
        KeyNeedsCustomType,
        /// A tenant that cannot be part of a variable's name.
        TenantInvalid,
        /// A tenant whose variables would be Timbr's own.
        TenantReserved,
        /// A tenant with a dash: some shells drop such variables.
        TenantHyphen,
        /// No address of a key set.
        JwksUrlInvalid,
        /// A name that people cannot read.
        DisplayNameInvalid,
        /// An application, namespace or cluster that cannot be one.
        CallerInvalid,
        /// A role or scope that cannot be one.
        PermissionInvalid,
        /// A peer that no NetworkPolicy can have.
        PeerInvalid,
        /// The network would keep out what a component cannot do without.
        IngressFromMissing,
        /// A component stays shut on account of an access policy that is gone.
        PolicyRemoved,
        /// A NetworkPolicy outlives the access policies that it was made for.
        NetworkPolicyStays,
        /// Nothing enforces the access policy yet.
        PolicyNotEnforced,
        /// Event: a variable was another's, and was taken over.
        Adopted,
        /// Event: a variable that another hand changed is ours again.
        TakenBack,
        /// No address of Timbr's REST API.
        SqlUrlInvalid,
        /// The API key would go to a host that nobody allowed.
        SqlHostNotAllowed,
        /// An ontology that cannot be one.
        OntologyInvalid,
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
        /// By hand: variables that Azure's webhook sets too.
        WorkloadIdentity,
    }
}
