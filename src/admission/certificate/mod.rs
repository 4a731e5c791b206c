//! The certificate of the webhook: made, renewed, and trusted before it is used.
//!
//! An authority of the operator's own signs it. Whoever calls the webhook trusts the authorities in `caBundle`; so a new
//! authority is first added there, and signs only once it has been trusted for a while. [`step`] decides what is next,
//! [`Bundle`] makes it; where it is kept is for [`super::Keeper`].

mod bundle;
mod step;

pub use bundle::{Bundle, BundleError};
pub use step::{Life, Step, step};
