//! `timbr-identity crds`.

use std::process::ExitCode;

use crate::{api::crds, yaml};

use super::output;

/// Prints the CustomResourceDefinitions as one YAML stream.
pub fn run() -> ExitCode {
    match yaml::write_stream(&crds()) {
        Ok(text) => output::print(&text),
        Err(error) => output::fail(&error),
    }
}
