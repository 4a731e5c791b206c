//! `timbr-identity access`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args as ClapArgs, ValueEnum};

use crate::offline::{Change, Matrix, judge, matrix, read};

use super::{
    input::{InputArgs, STDIN, TargetArg, tell},
    output::{self, Printed},
};

/// Flags of access.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// The component, of the Timbr in the namespace --namespace.
    #[arg(long, value_name = "COMPONENT", ignore_case = true)]
    to: TargetArg,
    /// What will be, where --filename is what is now: says what opens and what closes. A file, a folder or
    /// - as there; may be repeated.
    #[arg(long, value_name = "FILE")]
    diff: Vec<PathBuf>,
    /// How to print it.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A table.
    Text,
    /// A JSON object.
    Json,
}

/// Lists who may use a component of Timbr, or what a change opens and closes.
pub fn run(args: &Args) -> ExitCode {
    let (namespace, target) = (args.input.namespace(), args.to.into());
    let then = match args.then() {
        Ok(then) => then,
        Err(error) => return output::fail(&error),
    };
    args.input.answered(|judged| {
        let now = matrix(judged, namespace, target);
        let (text, code) = match then {
            None => (print(args.output, || now.text(), || now.json())?, 0),
            Some(then) => {
                let change = Change::new(&now, &then);
                (print(args.output, || change.text(), || change.json())?, u8::from(change.opens))
            }
        };
        Ok::<_, serde_json::Error>(Printed { text, code })
    })
}

impl Args {
    /// What will be.
    fn then(&self) -> Result<Option<Matrix>, String> {
        if self.diff.is_empty() {
            return Ok(None);
        }
        if self.input.is_stdin() && self.diff.iter().any(|file| file.as_os_str() == STDIN) {
            return Err("--diff and --filename: only one of them can be standard input".to_owned());
        }
        let settings = self.input.settings().map_err(|error| error.to_string())?;
        let documents = read(&self.diff).map_err(|error| error.to_string())?;
        let judged = judge(&documents, self.input.namespace(), &settings);
        tell(&judged, self.input.namespace());
        Ok(Some(matrix(&judged, self.input.namespace(), self.to.into())))
    }
}

fn print(
    output: Output,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> Result<String, serde_json::Error>,
) -> Result<String, serde_json::Error> {
    match output {
        Output::Text => Ok(text()),
        Output::Json => json(),
    }
}
