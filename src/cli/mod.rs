//! The command line: one file a subcommand.

mod access;
mod crds;
mod explain;
mod import;
mod input;
#[cfg(feature = "operator")]
mod operator;
mod output;
mod portal;
mod render;
#[cfg(feature = "operator")]
mod services;
mod settings;
mod validate;
#[cfg(feature = "operator")]
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Timbr's identity integrations on Kubernetes, declared.
#[derive(Debug, Parser)]
#[command(name = "timbr-identity", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    #[cfg(feature = "operator")]
    Operator(Box<operator::Args>),
    /// Print the CustomResourceDefinitions, for `kubectl apply -f -`.
    Crds,
    /// Make resources from Deployments and Docker Compose files that set Timbr's variables by hand.
    Import(import::Args),
    /// Print what the operator would write for resources in files, without a cluster.
    Render(render::Args),
    /// Print what to set in Azure's portal for resources in files, also as `az` commands.
    Portal(portal::Args),
    /// Say whether a caller may use a component of Timbr by resources in files, and why; also what is wrong with a token.
    Explain(explain::Args),
    /// List who may use a component of Timbr by resources in files, or what a change opens and closes.
    Access(access::Args),
    /// Say what is wrong with resources in files, without a cluster.
    Validate(validate::Args),
    /// Try out what resources in files say, without a cluster: tenants, secrets, permissions, groups, key vaults.
    #[cfg(feature = "operator")]
    Verify(verify::Args),
}

impl Cli {
    /// Runs the subcommand; exit codes: 0 success, 1 an Error was found, a check failed, a caller is refused or a change
    /// opens something, 2 unreadable input or usage, or with --strict something that nobody knows, 3 something could not
    /// be imported.
    pub fn run(self) -> ExitCode {
        match self.command {
            #[cfg(feature = "operator")]
            Command::Operator(args) => operator::run(*args),
            Command::Crds => crds::run(),
            Command::Import(args) => import::run(&args),
            Command::Render(args) => render::run(&args),
            Command::Portal(args) => portal::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Access(args) => access::run(&args),
            Command::Validate(args) => validate::run(&args),
            #[cfg(feature = "operator")]
            Command::Verify(args) => verify::run(&args),
        }
    }
}
