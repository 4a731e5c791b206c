//! `timbr-identity validate`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::offline::{json, summary, text};

use super::input::InputArgs;

/// Flags of validate.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How to print findings.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A line for each finding.
    Text,
    /// A JSON array.
    Json,
}

/// Prints what is wrong with the input.
pub fn run(args: &Args) -> ExitCode {
    args.input.judged(|judged| {
        judged.add_set_by_hand();
        let printed = match args.output {
            Output::Text => Ok(text(&judged.findings)),
            Output::Json => json(&judged.findings),
        };
        eprintln!("{}", summary(judged));
        printed
    })
}
