//! Timbr's variables as people set them by hand: in Kubernetes Deployments and in Docker Compose files.
//!
//! Documents become [`Service`]s ([`services`]), whichever form they have. What a value means, and what
//! is wrong with it, is decided once ([`read`]), for `validate` ([`findings`]) as for `import`.

mod component;
mod compose_file;
mod deployment;
mod group;
mod lint;
mod needs;
mod reading;
mod service;
mod stranger;
mod tokens;
mod variables;
mod words;

pub use lint::findings;
pub use reading::{Fault, read, tenant_in};
pub use service::{Elsewhere, Origin, Service, Source, Text, Value, Variable, beside_resources, services, strangers};
pub use stranger::Stranger;
pub use variables::{Documented, Form, Section, documented, in_other_case, tenant_of};
pub use words::all_of;
