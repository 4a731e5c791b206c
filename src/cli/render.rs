//! `timbr-identity render`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::{
    api::Code,
    offline::{Finding, compose_file, diff, env, manifests, text},
    yaml,
};

use super::input::InputArgs;

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
    args.input.judged(|judged| {
        let rendered = match (args.diff, args.output) {
            (true, _) => diff(judged, args.show_secrets),
            (_, Output::Manifests) => manifests(judged, args.show_secrets),
            (_, Output::Env) => Ok(env(judged, args.show_secrets)),
            (_, Output::Compose) => compose_file(judged, args.show_secrets),
        }?;
        // What is not in the input shows as a placeholder, or as a patch; but in a diff it does not show.
        let is_told = |finding: &&Finding| args.diff || finding.code != Code::NotInInput.as_str();
        let told: Vec<Finding> = judged.findings.iter().filter(is_told).cloned().collect();
        eprint!("{}", text(&told));
        Ok::<_, yaml::WriteError>(rendered)
    })
}
