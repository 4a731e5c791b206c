//! Wiring: a queue of installations, fed by the watches, worked off by reconciliations.
//!
//! kube's Controller is keyed by an object, and its debounce has no upper bound; our unit of work is
//! an installation, which may be no object at all. So the loop is our own: a pure [`queue`], and a
//! [`runner`] that gives it a clock.

mod backoff;
mod cleanup;
mod clock;
mod post;
mod queue;
mod reconcile;
mod rollouts;
mod runner;

pub use clock::Clock;
pub use post::Post;
pub use queue::Timing;
pub use reconcile::Reconciler;
pub use rollouts::Rollouts;
pub use runner::{Heartbeat, Runner};
