//! What the offline commands have in common: where their input is, and how it is judged.

use std::{fmt::Display, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};

#[cfg(feature = "operator")]
use crate::compose::Cloud;
use crate::{
    api::PolicyTarget,
    compose::Settings,
    offline::{Finding, Judged, elsewhere, judge, read, text},
};

use super::{
    output::{self, Printed},
    settings::{SettingsArgs, SettingsError},
};

/// Where the input is.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// A file, a folder (with all below it: .yaml, .yml, .json), or - for standard input; may be
    /// repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Namespace of documents that name none.
    #[arg(short = 'n', long, default_value = "default")]
    namespace: String,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What names standard input.
pub const STDIN: &str = "-";

/// A component of Timbr on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TargetArg {
    /// timbr-api, the REST API.
    Api,
    /// timbr-platform, the web application.
    Platform,
    /// timbr-server, the engine.
    Server,
}

impl From<TargetArg> for PolicyTarget {
    fn from(target: TargetArg) -> Self {
        match target {
            TargetArg::Api => Self::Api,
            TargetArg::Platform => Self::Platform,
            TargetArg::Server => Self::Server,
        }
    }
}

/// Tells Errors in an input on standard error.
pub fn tell_errors(judged: &Judged<'_>) {
    let errors: Vec<Finding> = judged.findings.iter().filter(|finding| finding.is_error()).cloned().collect();
    eprint!("{}", text(&errors));
}

/// Tells on standard error what may make an answer about a namespace another than was meant.
pub fn tell(judged: &Judged<'_>, namespace: &str) {
    tell_errors(judged);
    if let Some(sentence) = elsewhere(judged, namespace) {
        eprintln!("note: {sentence}");
    }
}

impl InputArgs {
    /// Namespace of documents that name none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether standard input is read.
    pub fn is_stdin(&self) -> bool {
        self.files.iter().any(|file| file.as_os_str() == STDIN)
    }

    /// What decisions depend on.
    ///
    /// # Errors
    /// A sentence on which flag is wrong.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        self.settings.settings()
    }

    /// Where Microsoft Graph is in the cloud that is set.
    #[cfg(feature = "operator")]
    pub fn graph(&self) -> Option<&'static str> {
        self.settings.cloud().map(Cloud::graph)
    }

    /// Judges the input and lets `print` say what came of it: printed text, or why there is none. The
    /// exit code tells whether an Error was found.
    pub fn judged<E: Display>(&self, print: impl FnOnce(&mut Judged<'_>) -> Result<String, E>) -> ExitCode {
        self.judged_with(|judged| print(judged).map(|text| Printed { text, code: 0 }))
    }

    /// The same of a command whose result has an exit code of its own.
    pub fn judged_with<E: Display>(&self, print: impl FnOnce(&mut Judged<'_>) -> Result<Printed, E>) -> ExitCode {
        self.read(|judged| {
            let printed = print(judged)?;
            let is_clean = !judged.findings.iter().any(Finding::is_error);
            // What is wrong with the input is 1, whatever came of the rest.
            Ok::<_, E>(if is_clean { printed } else { Printed { code: 1, ..printed } })
        })
    }

    /// The same of a question about the Timbr of the namespace: the exit code is the answer's. Errors in the input are
    /// told on standard error, and the answer is given as a cluster would with what it takes of it.
    pub fn answered<E: Display>(&self, answer: impl FnOnce(&Judged<'_>) -> Result<Printed, E>) -> ExitCode {
        self.read(|judged| {
            tell(judged, &self.namespace);
            answer(judged)
        })
    }

    fn read<E: Display>(&self, print: impl FnOnce(&mut Judged<'_>) -> Result<Printed, E>) -> ExitCode {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => return output::fail(&error),
        };
        let documents = match read(&self.files) {
            Ok(documents) => documents,
            Err(error) => return output::fail(&error),
        };
        match print(&mut judge(&documents, &self.namespace, &settings)) {
            Ok(Printed { text, code }) => output::print_with(&text, ExitCode::from(code)),
            Err(error) => output::fail(&error),
        }
    }
}
