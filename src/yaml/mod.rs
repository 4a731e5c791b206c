//! The only place that reads or writes YAML.
//!
//! **Reading.** A manifest means what `kubectl` makes of it: kubectl, Helm and Argo CD all read with
//! `sigs.k8s.io/yaml`, so what this module reads is what a cluster would be given. That reader
//! speaks YAML 1.1: `no`, `on` and `y` are booleans, `0777` is octal, `1_000` and `0b1` are numbers,
//! `<<` merges, a number is an integer whenever it can be one (`1.0`, `1e3`). The parser underneath,
//! `serde_saphyr::granit_parser`, knows the syntax and leaves the meaning of a plain scalar to its
//! caller. `serde_saphyr`'s own reading comes close with its options for YAML 1.1, but to it the key
//! `on:` is `on` and not `true`, `1.0` is no integer, `!app 5` is no string, and what stands above
//! `<<` wins. So the meaning is decided here, in `Scalar`, rule by rule as in kubectl's reader.
//!
//! Where the two still differ, this reader mostly refuses what kubectl reads: a key that is written
//! twice (kubectl keeps the last), content after a `...` line (kubectl drops it), U+0085, U+2028 and
//! U+2029 outside of escapes (line breaks in YAML 1.1, text in YAML 1.2), a byte order mark inside of
//! a document (kubectl keeps it, invisible), `!!binary`, and nesting or aliases beyond any manifest.
//! And it reads some syntax that kubectl refuses, such as tabs in indentation. What both read means
//! the same but for corners that no manifest has: `?x` and `x:,` inside of brackets, anchors with
//! punctuation in their names, and a block scalar that is a whole document.
//!
//! **Writing.** Every reader, of YAML 1.1 or 1.2, gives back the same strings: whatever one of them
//! would take for something else is quoted, also `1__0` or `0b-1`, which only kubectl takes for
//! numbers. That is why `serde_yaml` doesn't write here: its `no`, `0777` and `1_000` are strings to
//! YAML 1.2 and something else to kubectl. `serde_saphyr` writes the scalars; the lines around them
//! are laid out here, because it leaves plain a key that starts with `---`, at which kubectl ends the
//! document, and starts a block with a tab, which kubectl refuses.

mod error;
mod reader;
mod scalar;
mod stream;
mod tree;
mod write;

use serde_json::Value;

pub use error::Error;
pub use write::{WriteError, write, write_stream};

use reader::Reader;

/// One document of a YAML stream that holds something.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its place in the stream, from 1. Empty documents are counted too.
    pub number: usize,
    /// The line on which its content starts, from 1.
    pub line: usize,
    /// What it says.
    pub value: Value,
}

/// Reads a stream of YAML documents, separated by `---` lines, or of JSON objects, one after the
/// other.
///
/// Documents that are empty, hold only comments or are `null` are left out, but they count: the
/// document after one has the number that a reader who counts `---` lines gives it. What stands
/// before the first `---` counts only if it is more than comments and blank lines.
///
/// # Errors
///
/// The first problem, with its line. No document is given then, also not those before it.
pub fn read(text: &str) -> Result<Vec<Document>, Error> {
    if let Some(documents) = stream::read_json(text)? {
        return Ok(documents);
    }
    let parts = stream::split(text)?;
    let several = parts.len() > 1;
    let mut documents = Vec::new();
    for (part, number) in parts.iter().zip(1..) {
        let read = Reader::read(part).map_err(|error| Error { document: several.then_some(number), ..error })?;
        documents.extend(read.map(|(line, value)| Document { number, line, value }));
    }
    Ok(documents)
}
