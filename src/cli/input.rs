//! What the offline commands have in common: where their input is, and how it is judged.

use std::{fmt::Display, path::PathBuf, process::ExitCode};

use clap::Args;

#[cfg(feature = "operator")]
use crate::compose::Cloud;
use crate::{
    compose::Settings,
    offline::{Finding, Judged, judge, read},
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

impl InputArgs {
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
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => return output::fail(&error),
        };
        let documents = match read(&self.files) {
            Ok(documents) => documents,
            Err(error) => return output::fail(&error),
        };
        let mut judged = judge(&documents, &self.namespace, &settings);
        let printed = print(&mut judged);
        let is_clean = !judged.findings.iter().any(Finding::is_error);
        match printed {
            Ok(Printed { text, code }) => {
                output::print_with(&text, if is_clean { ExitCode::from(code) } else { ExitCode::FAILURE })
            }
            Err(error) => output::fail(&error),
        }
    }
}
