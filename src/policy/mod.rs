//! Who may use a component of Timbr: one decision for every door.
//!
//! The admission webhook asks about workloads, `explain` about whatever a user types, the NetworkPolicy is made of
//! the same rules, and whoever checks tokens asks about their claims. All of them call [`decide`]: trust, policies and a
//! caller in, an explained [`Decision`] out. [`listing`] tells the same without a caller: who is on the list. No client, no clock, and nothing is remembered.
//!
//! What it rests on: trust is bound to an issuer. A client id or a group counts only in a token of the directory that
//! it belongs to, or whoever runs another identity provider mints a token with a victim's id. Names of applications count
//! only where Kubernetes itself vouches for them. What is wrong or gone never opens a door.

mod caller;
mod decide;
mod decision;
mod listing;
mod matching;
mod network;
mod policies;
mod trust;
mod wording;

pub use caller::{Caller, Claims, Groups, Workload};
pub use decide::decide;
pub use decision::{CallerKind, CallerName, Code, Decision, Granted, MatchedRule};
pub use listing::{Door, Entry, Inert, KnownBy, Who, listing};
pub use matching::rule_for;
pub use network::peers;
pub use policies::{Policy, State};
pub use trust::{Directory, Trust, Unlisted};
