//! Wiring: a queue of installations, fed by the watches, worked off by reconciliations.
//!
//! kube's Controller is keyed by an object, and its debounce has no upper bound; our unit of work is
//! an installation, which may be no object at all. So the loop is our own: a pure [`queue`], and a
//! [`runner`] that gives it a clock. It runs only while this process leads, which is decided in
//! [`election`] and brought about by [`campaign`], and only where no other operator is, which is [`claims`].

mod backoff;
mod bidder;
mod campaign;
mod checker;
mod claimant;
mod claims;
mod cleanup;
mod clock;
mod delivery;
mod election;
mod post;
mod queue;
mod reconcile;
mod rollouts;
mod rounds;
mod runner;

pub use bidder::Bidder;
pub use campaign::Campaign;
pub use checker::{Checker, Checking};
pub use claimant::Claiming;
pub use claims::Claims;
pub use clock::Clock;
pub use election::{Election, LeaseTiming};
pub use post::Post;
pub use queue::Timing;
pub use reconcile::Reconciler;
pub use rollouts::Rollouts;
pub use runner::{Heartbeat, Runner};
