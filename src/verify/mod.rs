//! The checks: what a resource says is tried out where it is said to be so.
//!
//! Each check ends in an [`Outcome`]: it holds, it does not, or nobody knows; with what was expected, what came,
//! and what to do. What an answer means is decided by pure functions; [`Http`] alone sends anything. [`Session`] tries
//! out what compose says that there is to try.

mod entra;
mod graph;
mod guard;
mod http;
mod issuer;
mod outcome;
mod pace;
mod refusal;
mod report;
mod session;
mod site;
mod timbr_api;
mod vault;

pub use self::http::{Answer, Http, Limits, NamedBy, Trouble};
pub use entra::{Entra, Token};
pub use graph::Graph;
pub use guard::{Class, Guard, Refused};
pub use issuer::Issuer;
pub use outcome::Outcome;
pub use report::{Checked, json, summary, table};
pub use session::{Services, Session};
pub use site::Site;
pub use timbr_api::TimbrApi;
pub use vault::Vault;

use reqwest::header::HeaderValue;

/// The header that carries a token, marked so that no log shows it.
fn bearer(token: &Token) -> HeaderValue {
    let text = [b"Bearer ", token.text.expose()].concat();
    // A token with other characters is none: the service says so.
    let mut value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("Bearer none"));
    value.set_sensitive(true);
    value
}
