//! Prints the operator's RBAC manifest: cluster-wide, or for the namespaces that are named. With `webhook` before them it
//! prints the configuration of its webhook instead, and with `chart` the template of the Helm chart that is named; without
//! a name, their names. `make rbac` and `make chart` write with it what is in `deploy` and `charts`.

use std::process::ExitCode;

use timbr_identity::{
    admission, chart,
    rights::{Install, manifest},
};

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    match named.as_slice() {
        ["webhook", watched @ ..] => print!("{}", admission::manifest(watched)),
        ["chart"] => println!("{}", chart::TEMPLATES.join("\n")),
        ["chart", name] => match chart::template(name) {
            Some(text) => print!("{text}"),
            None => {
                eprintln!("error: {name} is none of {}", chart::TEMPLATES.join(", "));
                return ExitCode::from(2);
            }
        },
        [] => print!("{}", manifest(Install::ClusterWide)),
        named => print!("{}", manifest(Install::Namespaced(named))),
    }
    ExitCode::SUCCESS
}
