//! `render`, `validate`, `import` and others: the engine on files, without a cluster.
//!
//! Files become documents ([`read`]), documents become objects and snapshots, and the same
//! [`compose`](crate::compose::compose) as in the operator judges them ([`judge`]). Nothing is decided
//! here. What is not in the input is unknown, not missing.

mod access;
mod by_hand;
mod explain;
mod finding;
mod findings;
mod import;
mod input;
mod judge;
mod objects;
mod portal;
mod render;
mod schema;
mod validate;

pub use access::{Change, Matrix, elsewhere, matrix};
pub use explain::{
    Explained, Question, Token, TokenCheck, TokenError, TokenFinding, TokenResult, decision, decision_json,
    decision_text, explain,
};
pub use finding::Finding;
pub use import::{Import, Line, Options as ImportOptions, SecretManifest, What, import};
pub use input::{Document, ReadError, read};
pub use judge::{Installation, Judged, judge};
pub use portal::{Portal, Portals, portal_json, portal_script, portals};
pub use render::{compose_file, diff, env, manifests};
pub use schema::{Checked, Checker, checker};
pub use validate::{json, summary, text};
