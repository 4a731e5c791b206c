//! The flags by which the offline commands get their input.

use std::path::PathBuf;

use clap::Args;

use crate::offline::{Document, ReadError, read};

/// Where the input is.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// A file, a folder (with all below it: .yaml, .yml, .json), or - for standard input; may be
    /// repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Namespace of documents that name none.
    #[arg(short = 'n', long, default_value = "default")]
    pub namespace: String,
}

impl InputArgs {
    /// The documents of the input.
    ///
    /// # Errors
    /// At the first file that cannot be read.
    pub fn documents(&self) -> Result<Vec<Document>, ReadError> {
        read(&self.files)
    }
}
