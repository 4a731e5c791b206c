//! The engine: a snapshot of one installation in, a plan out.
//!
//! This room decides everything and does nothing: no client, no runtime, no clock (time is an
//! argument). The operator, `render` and `validate` call the same [`compose`], so the same object
//! gets the same verdict everywhere. The same snapshot in any order gives the same plan.
//!
//! How a run goes: [`needs`] says what to read, [`compose`] judges every resource and plans every
//! Deployment, the caller writes, and [`statuses`] says what came of it.

mod access;
mod attribution;
mod azure_sso;
mod case;
mod checks;
mod cleanup;
mod consumer;
mod credentials;
mod databricks_passthrough;
mod delivered;
mod demand;
mod deployment;
mod displaced;
mod events;
mod expiry;
mod external_token_provider;
mod gate;
mod guards;
mod hands;
mod hindrance;
mod inbound_access_policy;
mod installation;
mod judge;
mod jwt;
mod jwt_authentication;
mod jwt_tenant;
mod keep;
mod key_vault_binding;
mod kinds;
mod live;
mod managed_fields;
mod mapping;
mod moving;
mod needs;
mod network_peer;
mod network_policy;
mod ownership;
mod patch;
mod plan;
mod portal;
mod public_key;
mod references;
mod role_group_sync;
mod rollout;
mod secret;
mod secret_name;
mod site;
mod snapshot;
mod sql;
mod stable;
mod status;
mod step;
mod summary;
mod trial;

pub use access::{Access, is_sound};
pub use attribution::Attribution;
pub use azure_sso::is_administrator;
pub use case::Case;
pub use checks::{Application, Audience, Check, Probe, Registration, SignIn, VaultUse};
pub use cleanup::{AGAIN, Census, Charge, Circumstances, Clearance, OurSecret, Spare, User, Users};
pub use consumer::{Consumer, application, used};
pub use databricks_passthrough::{DATABRICKS_SCOPE, is_looked_at_late};
pub use demand::{Demand, EnvName, PlainValue, Value};
pub use deployment::{DeploymentPlan, EnvEntry, EnvSource, PlannedContainer};
pub use displaced::Displaced;
pub use events::{Event, EventType, events};
pub use expiry::ClientSecret;
pub use external_token_provider::{Foreign, contenders, wanted};
pub use gate::FRESH;
pub use guards::{Guards, GuardsStep, LiveGuards, guards_title, live_guards};
pub use hands::Hands;
pub use hindrance::{Seizure, SetElsewhere};
pub use installation::{InstallationKey, claimants, key_of, keys, named};
pub use jwt::{misfit, mixture};
pub use jwt_authentication::lacks_upn;
pub use jwt_tenant::is_dropped_by_shells;
pub use key_vault_binding::is_in_cloud;
pub use live::{LiveContainer, LiveDeployment, LiveEnv, LiveEnvFrom, LivePort, LiveValue, live_deployment};
pub use mapping::{Answer, MOST_SENDS, Mail, Statement, mapping_statement};
pub use needs::{Needs, needs, secret_refs, token_ref};
pub use network_policy::{LiveNetwork, NetworkPlan, NetworkStep, live_network, network_name, network_title};
pub use ownership::{Owner, Ownership};
pub use plan::{InstallationJudgement, Judgement, Plan, Verdict, compose};
pub use portal::{GROUP_SYNC, PASSTHROUGH, Permission, SIGN_ON, VAULT_PERMISSIONS, VAULT_ROLE};
pub use references::{LiveSecret, Unresolved, is_guid, live_secret};
pub use role_group_sync::is_short;
pub use rollout::Rollout;
pub use secret::SecretPlan;
pub use secret_name::NameKey;
pub use snapshot::{Cloud, Lookup, Settings, Snapshot};
pub use sql::{Sql, SqlAccess, SqlTarget};
pub use stable::Leftover;
pub use status::{Failure, Memory, Outcome, ResourceStatus, Said, statuses};
pub use step::{Change, Step};
pub use trial::{Trial, Trials, Tried};
