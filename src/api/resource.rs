//! One resource as the engine sees it, whatever its kind and wherever it came from.

use std::{cmp::Ordering, fmt, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::{CommonStatus, InstallationRef, object::read_spec};

/// The table of kinds: from it come [`Kind`], [`Spec`] and [`Status`], and what goes through all of them.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $plural:literal, $spec:ident, $status:ident;)+) => {
        /// The kinds of this API group.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
            /// Where a Timbr runs.
            TimbrInstallation,
        }

        impl Kind {
            /// Every kind, by name.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)+ Kind::TimbrInstallation];

            /// The kind as manifests spell it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => stringify!($kind),)+
                    Kind::TimbrInstallation => "TimbrInstallation",
                }
            }

            /// The resource name in API paths.
            pub const fn plural(self) -> &'static str {
                match self {
                    $(Kind::$kind => $plural,)+
                    Kind::TimbrInstallation => "timbrinstallations",
                }
            }

            /// The CustomResourceDefinition as the derive gives it.
            pub(super) fn derived_crd(self) -> CustomResourceDefinition {
                match self {
                    $(Kind::$kind => super::$kind::crd(),)+
                    Kind::TimbrInstallation => super::TimbrInstallation::crd(),
                }
            }
        }

        /// The spec of a resource that feeds an installation.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Spec {
            $($(#[doc = $doc])+ $kind(super::$spec),)+
        }

        impl Spec {
            /// Reads the spec of `kind`; `None` for TimbrInstallation, which has a type of its own.
            pub(super) fn read(kind: Kind, fields: &Value) -> Option<Result<Self, Unreadable>> {
                match kind {
                    $(Kind::$kind => Some(read_spec(fields).map(Spec::$kind)),)+
                    Kind::TimbrInstallation => None,
                }
            }

            /// The TimbrInstallation that it names.
            pub fn installation_ref(&self) -> Option<&InstallationRef> {
                match self { $(Spec::$kind(spec) => spec.installation_ref.as_ref(),)+ }
            }

            /// Whether it is suspended.
            pub fn suspend(&self) -> bool {
                match self { $(Spec::$kind(spec) => spec.suspend,)+ }
            }

            /// Suspends it.
            pub fn set_suspend(&mut self) {
                match self { $(Spec::$kind(spec) => spec.suspend = true,)+ }
            }
        }

        /// The status of a resource, by kind.
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum Status {
            $($(#[doc = $doc])+ $kind(super::$status),)+
            /// Where a Timbr runs.
            TimbrInstallation(super::TimbrInstallationStatus),
        }

        impl Status {
            /// An empty status of `kind`.
            pub fn empty(kind: Kind) -> Self {
                match kind {
                    $(Kind::$kind => Status::$kind(Default::default()),)+
                    Kind::TimbrInstallation => Status::TimbrInstallation(Default::default()),
                }
            }

            /// Reads the status of `kind`; one that cannot be read says nothing.
            pub(super) fn read(kind: Kind, status: &Value) -> Option<Self> {
                match kind {
                    $(Kind::$kind => Deserialize::deserialize(status).ok().map(Status::$kind),)+
                    Kind::TimbrInstallation => Deserialize::deserialize(status).ok().map(Status::TimbrInstallation),
                }
            }

            /// What all kinds say.
            pub fn common(&self) -> &CommonStatus {
                match self {
                    $(Status::$kind(status) => &status.common,)+
                    Status::TimbrInstallation(status) => &status.common,
                }
            }

            /// What all kinds say, to be set.
            pub fn common_mut(&mut self) -> &mut CommonStatus {
                match self {
                    $(Status::$kind(status) => &mut status.common,)+
                    Status::TimbrInstallation(status) => &mut status.common,
                }
            }
        }
    };
}

kinds! {
    /// Single sign-on.
    AzureSso = "azuressos", AzureSsoSpec, AzureSsoStatus;
    /// Databricks with each user's own sign-in.
    DatabricksPassthrough = "databrickspassthroughs", DatabricksPassthroughSpec, DatabricksPassthroughStatus;
    /// An identity provider whose tokens are trusted.
    ExternalTokenProvider = "externaltokenproviders", ExternalTokenProviderSpec, ExternalTokenProviderStatus;
    /// Who may use a component.
    InboundAccessPolicy = "inboundaccesspolicies", InboundAccessPolicySpec, InboundAccessPolicyStatus;
    /// JSON Web Tokens for the REST API.
    JwtAuthentication = "jwtauthentications", JwtAuthenticationSpec, JwtAuthenticationStatus;
    /// The tokens of one tenant.
    JwtTenant = "jwttenants", JwtTenantSpec, JwtTenantStatus;
    /// The passwords of datasources in a key vault.
    KeyVaultBinding = "keyvaultbindings", KeyVaultBindingSpec, KeyVaultBindingStatus;
    /// Groups that give roles.
    RoleGroupSync = "rolegroupsyncs", RoleGroupSyncSpec, RoleGroupSyncStatus;
}

impl Kind {
    /// Whether it becomes variables on Deployments. The others are told to whoever asks.
    pub const fn is_delivered(self) -> bool {
        !matches!(self, Kind::ExternalTokenProvider | Kind::InboundAccessPolicy | Kind::TimbrInstallation)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The kind.
    pub kind: Kind,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid; empty offline.
    pub uid: String,
    /// The generation; 0 offline.
    pub generation: i64,
    /// When it was created; `None` offline.
    pub created: Option<Timestamp>,
    /// The annotation by which a person asks for another look.
    pub requested_at: Option<String>,
    /// The annotation by which a person asks Timbr to synchronise groups now.
    pub sync_requested_at: Option<String>,
}

impl Meta {
    /// Age order: where two resources want one thing, the lesser (older) has it. Offline there is
    /// no age, and kind, name and namespace decide.
    pub fn age_order(&self, other: &Self) -> Ordering {
        // None is the youngest.
        let created = |meta: &Self| meta.created.unwrap_or(Timestamp::MAX);
        created(self)
            .cmp(&created(other))
            .then_with(|| self.uid.cmp(&other.uid))
            .then_with(|| self.kind.cmp(&other.kind))
            .then_with(|| self.name.cmp(&other.name))
            .then_with(|| self.namespace.cmp(&other.namespace))
    }

    /// `Kind/name`: how attribution and messages name a resource.
    pub fn holder(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// A spec that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where and why; never a value.
    pub error: String,
    /// What `installationRef` names all the same; `Err` when that cannot be read either. A resource
    /// keeps its place, and is never guessed into another.
    pub installation_ref: Result<Option<String>, ()>,
}

impl From<&str> for Unreadable {
    fn from(error: &str) -> Self {
        Self { error: error.to_owned(), installation_ref: Ok(None) }
    }
}

/// A resource: who it is, what it asks for, what was last said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource<S = Spec> {
    /// Who it is.
    pub meta: Meta,
    /// What it asks for, or why that cannot be read.
    pub spec: Result<S, Unreadable>,
    /// What the operator last said. Shared, as every look at an installation takes it along.
    pub status: Option<Arc<Status>>,
}
