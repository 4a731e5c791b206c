//! `timbr-identity verify`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::{
    api::CheckResult,
    offline::Judged,
    verify::{Checked, Session, json, summary, table},
};

use super::{
    input::{InputArgs, tell_errors},
    output::{Printed, UNREADABLE, fail},
    services::ServicesArgs,
};

/// How many checks run at once.
const AT_ONCE: usize = 5;

/// Flags of verify.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    services: ServicesArgs,
    /// How to print what came of it.
    #[arg(short, long, default_value = "text")]
    output: Output,
    /// Exit with 2 when something is not known.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A table, and what to do about what did not pass.
    Text,
    /// A JSON array.
    Json,
}

/// Tries out what resources in files say; Errors in the input go to standard error.
pub fn run(args: &Args) -> ExitCode {
    let settings = match args.input.settings() {
        Ok(settings) => settings,
        Err(error) => return fail(&error),
    };
    let (services, http) = match args.services.services(&settings, args.input.graph()) {
        Ok(services) => services,
        Err(error) => return fail(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    args.input.judged_with(|judged| {
        tell_errors(judged);
        let session = Session::new(&http, &services, Timestamp::now());
        let checked = runtime.block_on(try_out(judged, &session));
        eprintln!("{}", summary(&checked));
        let has = |result| checked.iter().any(|checked| checked.outcome.finding() == result);
        let code = match (has(CheckResult::Fail), has(CheckResult::Unknown) && args.strict) {
            (true, _) => 1,
            (false, true) => UNREADABLE,
            (false, false) => 0,
        };
        let text = match args.output {
            Output::Text => Ok(table(&checked)),
            Output::Json => json(&checked),
        };
        text.map(|text| Printed { text, code })
    })
}

/// What came of every check, in the order of installations, resources and checks.
async fn try_out(judged: &Judged<'_>, session: &Session<'_>) -> Vec<Checked> {
    let resources = judged.installations.iter().flat_map(|installation| &installation.plan.resources);
    let checks = resources.flat_map(|resource| resource.checks.iter().map(move |check| (&resource.meta, check)));
    let tried = checks.map(async |(meta, check)| Checked::new(meta, check, session.run(&check.probe).await));
    stream::iter(tried).buffered(AT_ONCE).collect().await
}
