//! The cluster as it is: an index kept by watches, and snapshots made from it.
//!
//! This room reads. It knows which installation an event concerns, and fetches live what a decision
//! needs; it writes nothing and decides nothing.
//!
//! The index is our own and not kube's `Store`: it holds a few fields instead of whole objects
//! (unrelated Secrets and Deployments not at all), is kept by namespace, is fed by several watches,
//! and notices on a relist what has gone while nobody watched.

mod change;
mod consumers;
mod describe;
mod index;
mod lease;
mod namespace;
mod read;
mod underway;
mod users;
mod watch;

#[cfg(test)]
pub use change::Change;
pub use describe::describe;
pub use index::Index;
pub use lease::Record;
pub use read::{ReadError, Reader};
pub use watch::{Scope, Sync, api_resource, watch_all};
