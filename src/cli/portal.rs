//! `timbr-identity portal`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::offline::{portal_json, portal_script, portals};

use super::input::{InputArgs, tell_errors};

/// Flags of portal.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How to print it.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A shell script: what to set as comments, and the same as `az` commands.
    Text,
    /// A JSON array.
    Json,
}

/// Prints what to set in Azure's portal; Errors in the input go to standard error.
pub fn run(args: &Args) -> ExitCode {
    args.input.judged(|judged| {
        tell_errors(judged);
        let portals = portals(judged);
        match args.output {
            Output::Text => Ok(portal_script(&portals)),
            Output::Json => portal_json(&portals),
        }
    })
}
