//! Prints the operator's RBAC manifest: cluster-wide, or for the namespaces that are named. `make rbac` writes
//! with it what is in `deploy`.

use timbr_identity::rights::{Install, manifest};

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    print!("{}", manifest(if named.is_empty() { Install::ClusterWide } else { Install::Namespaced(&named) }));
}
