//! The command line: one file a subcommand.

mod crds;
#[cfg(feature = "operator")]
mod operator;
mod output;
mod settings;

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
    Operator(operator::Args),
    /// Print the CustomResourceDefinitions, for `kubectl apply -f -`.
    Crds,
}

impl Cli {
    /// Runs the subcommand; exit codes: 0 success, 1 an Error was found, 2 unreadable input or usage.
    pub fn run(self) -> ExitCode {
        match self.command {
            #[cfg(feature = "operator")]
            Command::Operator(args) => operator::run(args),
            Command::Crds => crds::run(),
        }
    }
}
