//! The checks: what a resource says is tried out where it is said to be so.
//!
//! Each check ends in an [`Outcome`]: it holds, it does not, or nobody knows; with what was expected, what came,
//! and what to do. What an answer means is decided by pure functions; [`Http`] alone sends anything.

mod entra;
mod guard;
mod http;
mod outcome;

pub use self::http::{Answer, Http, Limits, NamedBy, Trouble};
pub use entra::{Credentials, Entra, Token};
pub use guard::{Class, Guard, Refused};
pub use outcome::{CheckReason, CheckResult, Outcome};
