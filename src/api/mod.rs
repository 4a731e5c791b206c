//! The resources of `identity.timbr.ai/v1alpha1`: types, rules, problems and conditions.
//!
//! This room owns what a user writes and reads: one file a kind, the rules each field obeys (one
//! table, from which both the CRD's CEL and the Rust checks are made), and the closed lists of
//! problem codes, condition types and reasons. It knows no client, no runtime and no clock.

mod azure_sso;
mod closed_list;
mod condition;
mod crd;
mod names;
mod object;
mod problem;
mod reference;
mod resource;
mod rule;
mod sensitive;
mod status;
mod timbr_installation;

pub use azure_sso::{
    ADMIN_ROLE_NOT_ALLOWED, AzureSso, AzureSsoSpec, AzureSsoStatus, CLIENT_ID_EXACTLY_ONE, PasswordLogin,
    SelfRegistration, UserIdentity,
};
pub use condition::{ConditionStatus, ConditionType, Reason, foreign, message};
pub use crd::{crd, crds, final_schema};
pub use names::*;
pub use object::{Object, without_values};
pub use problem::{Code, Problem, Severity};
pub use reference::{InstallationRef, SecretKeyRef};
pub use resource::{Kind, Meta, Resource, Spec, Status, Unreadable};
pub use rule::{FieldRule, rules};
pub use sensitive::Sensitive;
pub use status::{CommonStatus, Delivered};
pub use timbr_installation::{
    COMPONENT_DUPLICATE, Component, ComponentState, ComponentStatus, ComponentTarget, Components, Resources,
    TimbrInstallation, TimbrInstallationSpec, TimbrInstallationStatus,
};
