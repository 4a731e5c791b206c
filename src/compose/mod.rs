//! The engine: a snapshot of one installation in, a plan out.
//!
//! This room decides everything and does nothing: no client, no runtime, no clock (time is an
//! argument). The operator, `render` and `validate` call the same [`compose`], so the same object
//! gets the same verdict everywhere. The same snapshot in any order gives the same plan.
//!
//! How a run goes: [`needs`] says what to read, [`compose`] judges every resource and plans every
//! Deployment, the caller writes, and [`statuses`] says what came of it.

mod attribution;
mod azure_sso;
mod delivered;
mod demand;
mod deployment;
mod events;
mod hindrance;
mod installation;
mod judge;
mod live;
mod needs;
mod ownership;
mod patch;
mod plan;
mod references;
mod rollout;
mod secret;
mod secret_name;
mod site;
mod snapshot;
mod status;
mod summary;

pub use attribution::Attribution;
pub use demand::{Demand, EnvName, PlainValue, Value};
pub use deployment::{DeploymentPlan, EnvEntry, EnvSource, PlannedContainer};
pub use events::{Event, EventType, events};
pub use hindrance::SetElsewhere;
pub use installation::{InstallationKey, claimants, key_of, keys};
pub use live::{LiveContainer, LiveDeployment, LiveEnv, LiveValue, live_deployment};
pub use needs::{Needs, needs, secret_refs};
pub use ownership::{Owner, Ownership};
pub use plan::{InstallationJudgement, Judgement, Plan, Verdict, compose};
pub use references::{LiveSecret, Unresolved, live_secret};
pub use rollout::Rollout;
pub use secret::SecretPlan;
pub use secret_name::NameKey;
pub use snapshot::{Cloud, Lookup, Settings, Snapshot};
pub use status::{Failure, Memory, Outcome, ResourceStatus, statuses};
