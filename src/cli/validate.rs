//! `timbr-identity validate`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::offline::{Finding, json, judge, summary, text};

use super::{input::InputArgs, output, settings::SettingsArgs};

/// Flags of validate.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How to print findings.
    #[arg(short, long, default_value = "text")]
    output: Output,
    #[command(flatten)]
    settings: SettingsArgs,
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
    let settings = match args.settings.settings() {
        Ok(settings) => settings,
        Err(error) => return output::fail(&error),
    };
    let documents = match args.input.documents() {
        Ok(documents) => documents,
        Err(error) => return output::fail(&error),
    };
    let judged = judge(&documents, &args.input.namespace, &settings);
    let printed = match args.output {
        Output::Text => text(&judged.findings),
        Output::Json => match json(&judged.findings) {
            Ok(text) => text,
            Err(error) => return output::fail(&error),
        },
    };
    eprintln!("{}", summary(&judged));
    let is_clean = !judged.findings.iter().any(Finding::is_error);
    output::print_with(&printed, if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
