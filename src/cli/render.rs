//! `timbr-identity render`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::{
    api::Code,
    offline::{Finding, compose_file, diff, env, judge, manifests, text},
};

use super::{input::InputArgs, output, settings::SettingsArgs};

/// Flags of render.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// What to print.
    #[arg(short, long, default_value = "manifests")]
    output: Output,
    /// Print a unified diff between the Deployments of the input and what they would become.
    #[arg(long, conflicts_with = "output")]
    diff: bool,
    /// Print sensitive values in clear; else they are <redacted>.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// What would be made or changed, as one YAML stream.
    Manifests,
    /// A line NAME=value for each variable.
    Env,
    /// A Docker Compose file with the variables.
    Compose,
}

/// Prints what the operator would write; what keeps anything from being delivered goes to standard
/// error.
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
    let rendered = match (args.diff, args.output) {
        (true, _) => diff(&judged, args.show_secrets),
        (_, Output::Manifests) => manifests(&judged, args.show_secrets),
        (_, Output::Env) => Ok(env(&judged, args.show_secrets)),
        (_, Output::Compose) => compose_file(&judged, args.show_secrets),
    };
    let rendered = match rendered {
        Ok(rendered) => rendered,
        Err(error) => return output::fail(&error),
    };
    // What is not in the input shows as a placeholder, or as a patch; but in a diff it does not show.
    let is_told = |finding: &&Finding| args.diff || finding.code != Code::NotInInput.as_str();
    let told: Vec<Finding> = judged.findings.iter().filter(is_told).cloned().collect();
    eprint!("{}", text(&told));
    let is_clean = !judged.findings.iter().any(Finding::is_error);
    output::print_with(&rendered, if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
