//! The webhook: what the API server asks before it stores an object.
//!
//! Two questions: whether a resource of ours is as it should be (`resources.rs`), and whether a workload may use the Timbr
//! that it says it uses (`consumer.rs`). This room reads what is asked and words the answer; what is right is decided by
//! [`crate::offline`] and [`crate::policy`]. It never reads the value of a Secret: whoever may write a resource could ask
//! it for one.
//!
//! It runs on a thread of its own, so that no installation that is being looked at keeps a deployment waiting.

mod certificate;
mod configuration;
mod consumer;
mod denial;
mod keeper;
mod resources;
mod review;
mod router;
mod server;
mod thread;

pub use certificate::Life;
pub use configuration::{SERVICE, configuration, manifest};
pub use keeper::{Keeper, Maker};
pub use router::Desk;
pub use server::Shown;
pub use thread::start;
