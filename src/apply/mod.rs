//! The only room that writes to the cluster: Secrets, then one apply per Deployment, then status and
//! Events. It decides nothing: what to write is in the plan, and what came of it goes back as an
//! [`Outcome`](crate::compose::Outcome).
//!
//! Every write has a time limit and is sent once; trying again is the queue's. Of several replicas only the
//! leader writes: each write asks [`Leadership`] just before it is sent.

mod deployment;
mod error;
mod guards;
mod leadership;
mod lease;
mod name_key;
mod network_policy;
mod secret;
mod status;
mod timbr;
mod webhook;

use std::time::Duration;

use kube::{Client, runtime::events::Reporter};

use crate::{api::FIELD_MANAGER, metrics::Metrics};

pub use error::WriteError;
pub use leadership::Leadership;
pub use lease::{LeaseError, LeaseStore};
pub use name_key::name_key;
pub use timbr::TimbrApi;

/// Longest time for one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    metrics: Metrics,
    reporter: Reporter,
    leadership: Leadership,
}

impl Writer {
    /// A writer; `instance` names this process in Events.
    pub fn new(client: Client, metrics: Metrics, instance: String, leadership: Leadership) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(instance) };
        Self { client, metrics, reporter, leadership }
    }
}
