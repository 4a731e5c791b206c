//! Why a text is not the YAML of a manifest.

use super::reader::{COPY_BUDGET, MAX_DEPTH};

/// Why a text is not the YAML of a manifest.
#[derive(Debug, thiserror::Error)]
#[error("line {line}{}: {problem}", self.place())]
pub struct Error {
    /// The line at which reading stopped, from 1.
    pub line: usize,
    /// The document in which reading stopped, from 1; none if the text is a single one.
    pub document: Option<usize>,
    pub(super) problem: Problem,
}

impl Error {
    fn place(&self) -> String {
        self.document.map(|number| format!(" (document {number})")).unwrap_or_default()
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Syntax(String),
    #[error(
        "U+{:04X} cannot stand in YAML as it is; write it as an escape in double quotes",
        u32::from(*.0)
    )]
    Character(char),
    #[error("only a comment may follow `---` on its line")]
    Separator,
    #[error("the document has ended; the next one starts with a `---` line")]
    Trailing,
    #[error("the key `{0}` is written twice")]
    DuplicateKey(String),
    #[error("{0} cannot be a key")]
    Key(&'static str),
    #[error("`<<` takes a mapping or a list of mappings")]
    Merge,
    // Without the text: errors are printed, and it may be a secret.
    #[error("the value is not of the type that its tag !!{0} says")]
    Tag(String),
    #[error("!!binary is not supported; Kubernetes takes base64 as plain text")]
    Binary,
    #[error("`{0}` is a number that JSON, and so Kubernetes, doesn't have")]
    NotFinite(String),
    #[error("the alias stands inside of the node that it repeats")]
    Recursion,
    #[error("anchors and aliases copy more than {} MiB", COPY_BUDGET >> 20)]
    Copies,
    #[error("more than {MAX_DEPTH} levels are nested")]
    Depth,
}

impl Problem {
    /// The problem with its line, in the text as a whole.
    pub(super) fn at(self, line: usize) -> Error {
        Error { line, document: None, problem: self }
    }
}
