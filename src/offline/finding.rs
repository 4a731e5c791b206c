//! One line of `validate`.

use std::fmt;

use serde::Serialize;

use crate::api::{Problem, Severity, message};

use super::Document;

/// Something that is wrong with a document, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The document's place in the whole input: findings are told in this order.
    #[serde(skip)]
    pub at: usize,
    /// The file as it was given or found; `-` is standard input.
    pub file: String,
    /// The document in the file, from 1.
    pub document: usize,
    /// The line on which the document starts, from 1.
    pub line: usize,
    /// `Kind namespace/name`.
    pub object: String,
    /// The field.
    pub path: String,
    /// A problem's code, or a condition's reason.
    pub code: String,
    /// Whether the operator would go on.
    pub severity: Severity,
    /// Object, cause, fix; never a value.
    pub message: String,
}

impl Finding {
    /// The finding that `problem` is in the document at `at`.
    pub fn new(at: usize, document: &Document, object: String, problem: &Problem) -> Self {
        Self {
            at,
            file: document.file.clone(),
            document: document.number,
            line: document.line,
            // Names and paths are the user's words; a line of output stays one.
            object: message(&object),
            path: message(&problem.path),
            code: problem.code.clone(),
            severity: problem.severity,
            message: message(&problem.message),
        }
    }

    /// Whether it keeps the object from being delivered.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, path, message, code, .. } = self;
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{file}:{document}: {severity}: {path}: {message} [{code}]")
    }
}
