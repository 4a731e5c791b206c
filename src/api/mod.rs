//! The resources of `identity.timbr.ai/v1alpha1`: types, rules, problems and conditions.
//!
//! This room owns what a user writes and reads: one file a kind, the rules each field obeys (one
//! table, from which both the CRD's CEL and the Rust checks are made), and the closed lists of
//! problem codes, condition types and reasons. It knows no client, no runtime and no clock.

mod azure_sso;
mod check;
mod closed_list;
mod condition;
mod crd;
mod credentials;
mod databricks_passthrough;
mod duration;
mod external_token_provider;
mod inbound_access_policy;
mod jwt_authentication;
mod jwt_tenant;
mod key_vault_binding;
mod names;
mod network_guard;
mod object;
mod portal;
mod problem;
mod reference;
mod resource;
mod role_group_sync;
mod rule;
mod sensitive;
mod status;
mod timbr_installation;

pub use azure_sso::{
    ADMIN_ROLE_NOT_ALLOWED, AzureSso, AzureSsoSpec, AzureSsoStatus, CLIENT_ID_EXACTLY_ONE, PasswordLogin,
    SelfRegistration, UserIdentity,
};
pub use check::{CheckLevel, CheckReason, CheckResult, CheckStatus};
pub use condition::{ConditionStatus, ConditionType, Reason, foreign, is_printable, message};
pub use crd::{crd, crds, final_schema};
pub use credentials::{CREDENTIALS_EXACTLY_ONE, Credentials, CredentialsFrom};
pub use databricks_passthrough::{
    DatabricksPassthrough, DatabricksPassthroughSpec, DatabricksPassthroughStatus, Datasource,
};
pub use duration::{DurationRule, MINUTES, SYNC_INTERVAL, seconds};
pub use external_token_provider::{
    Discovery, ExternalTokenProvider, ExternalTokenProviderSpec, ExternalTokenProviderStatus, SignatureAlgorithm,
    TrustedPair, normal_issuer,
};
pub use inbound_access_policy::{
    Consumers, Enforcement, Inbound, InboundAccessPolicy, InboundAccessPolicySpec, InboundAccessPolicyStatus,
    InboundRule, Permissions, PolicyClaims, PolicyGroup, PolicyTarget, RuleConsumers, Violation,
};
pub use jwt_authentication::{
    ALGORITHM_NEEDS_KEY, CUSTOM_CLAIMS, JwtAlgorithm, JwtAuthentication, JwtAuthenticationSpec,
    JwtAuthenticationStatus, JwtType, KEY_NEEDS_CUSTOM_TYPE, KEY_REQUIRED, USER_CLAIM_NOT_SUPPORTED,
};
pub use jwt_tenant::{JwtTenant, JwtTenantSpec, JwtTenantStatus};
pub use key_vault_binding::{DeletionPolicy, KeyVaultBinding, KeyVaultBindingSpec, KeyVaultBindingStatus};
pub use names::*;
pub use network_guard::{IpBlock, NetworkGuard, NetworkMode, NetworkPeer, PEER_EXACTLY_ONE};
pub use object::{Object, without_values};
pub use portal::PortalEntry;
pub use problem::{Code, Problem, Severity};
pub use reference::{InstallationRef, SecretKeyRef};
pub use resource::{Kind, Meta, Resource, Spec, Status, Unreadable};
pub use role_group_sync::{
    GROUP_EXACTLY_ONE, Group, MappingState, MappingStatus, OrphanedMapping, RoleGroupSync, RoleGroupSyncSpec,
    RoleGroupSyncStatus, RoleMapping, SyncResult, SyncStatus,
};
pub use rule::{FieldRule, rules};
pub use sensitive::Sensitive;
pub use status::{CommonStatus, Delivered};
pub use timbr_installation::{
    AccessPolicy, COMPONENT_DUPLICATE, Component, ComponentState, ComponentStatus, ComponentTarget, Components,
    Delivery, OnConflict, Resources, RolloutPolicy, Sql, TimbrInstallation, TimbrInstallationSpec,
    TimbrInstallationStatus,
};
