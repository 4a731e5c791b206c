//! Prints the operator's RBAC manifest: cluster-wide, or for the namespaces that are named. With `webhook` before them it
//! prints the configuration of its webhook instead. `make rbac` writes with it what is in `deploy`.

use timbr_identity::{
    admission,
    rights::{Install, manifest},
};

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let mut named: Vec<&str> = named.iter().map(String::as_str).collect();
    if named.first() == Some(&"webhook") {
        print!("{}", admission::manifest(&named.split_off(1)));
        return;
    }
    print!("{}", manifest(if named.is_empty() { Install::ClusterWide } else { Install::Namespaced(&named) }));
}
