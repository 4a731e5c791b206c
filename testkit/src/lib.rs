//! What the tests of the operator stand on: a real control plane that starts in seconds, users and
//! service accounts, the audit log as the counter of writes, a proxy that makes faults, and doubles
//! of Timbr's REST API and of what is asked in Azure.
//!
//! [`ControlPlane::shared`] gives a test binary its control plane; each test takes a namespace of
//! its own with [`ControlPlane::namespace`]. Run the tests with `cargo test`, which runs a binary's
//! tests in one process: a runner with a process per test would start a control plane for each.
//!
//! This is test code: where a test could do nothing about a failure, it panics with a sentence.

pub mod assets;
pub mod audit;
pub mod azure;
mod balancer;
pub mod certificates;
mod control_plane;
mod empty_webhook;
pub mod fault;
mod http_server;
mod keycloak;
pub mod kwok;
pub mod large_cluster;
mod pipe;
pub mod ports;
pub mod proxy;
mod replica;
mod servers;
pub mod supervisor;
pub mod timbr_api;
pub mod tls;
mod users;
pub mod wait;

pub use audit::{AuditLog, Writes};
pub use azure::Azure;
pub use balancer::Balancer;
pub use control_plane::{ControlPlane, Options, Output};
pub use empty_webhook::EmptyWebhook;
pub use keycloak::{AsEntra, Keycloak};
pub use proxy::{Action, Call, Hook, Proxy};
pub use replica::Replica;
pub use supervisor::{Process, Scratch, Signal};
pub use timbr_api::TimbrApi;
pub use users::ServiceAccount;
pub use wait::{eventually, rolled_out, wait_for, wait_gone};
