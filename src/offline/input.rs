//! Files, folders and standard input, as documents.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::yaml;

/// One object, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file as it was given or found; `-` is standard input.
    pub file: String,
    /// The document in the file, from 1. What comes from a List has the number of the List.
    pub number: usize,
    /// The line on which the document starts, from 1.
    pub line: usize,
    /// The object.
    pub value: Value,
}

/// Why the input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder that cannot be read.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// No YAML, or none that a manifest can be.
    #[error("{file}: {source}")]
    Yaml {
        /// The file.
        file: String,
        /// Why not.
        source: yaml::Error,
    },
    /// A folder without manifests: hardly what was meant.
    #[error("{0}: the folder holds no .yaml, .yml or .json file")]
    Empty(String),
}

/// What names standard input.
const STDIN: &str = "-";

/// Reads files, folders (with all below them) and `-`, in the order in which they are given. A file
/// that is given twice is read once.
///
/// # Errors
/// At the first file that cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Document>, ReadError> {
    let mut documents = Vec::new();
    let mut seen = HashSet::new();
    for path in paths {
        if path == Path::new(STDIN) {
            if seen.insert(path.clone()) {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
                parse(path, &text, &mut documents)?;
            }
            continue;
        }
        for file in files(path)? {
            if seen.insert(fs::canonicalize(&file).unwrap_or_else(|_| file.clone())) {
                let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, error))?;
                parse(&file, &text, &mut documents)?;
            }
        }
    }
    Ok(documents)
}

fn unreadable(path: &Path, source: io::Error) -> ReadError {
    ReadError::File { file: path.display().to_string(), source }
}

/// The file itself, or the manifests below a folder, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let is_folder = fs::metadata(path).map_err(|error| unreadable(path, error))?.is_dir();
    if !is_folder {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    walk(path, &mut found)?;
    if found.is_empty() {
        return Err(ReadError::Empty(path.display().to_string()));
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(|error| unreadable(folder, error))?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        let type_ = entry.file_type().map_err(|error| unreadable(&path, error))?;
        // As kubectl does: links to files are read, links to folders are not followed (they may lead
        // in a circle).
        if type_.is_dir() {
            walk(&path, found)?;
        } else if is_manifest(&path) && !(type_.is_symlink() && path.is_dir()) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn parse(path: &Path, text: &str, documents: &mut Vec<Document>) -> Result<(), ReadError> {
    let file = path.display().to_string();
    let read = yaml::read(text).map_err(|source| ReadError::Yaml { file: file.clone(), source })?;
    for yaml::Document { number, line, value } in read {
        open(Document { file: file.clone(), number, line, value }, documents);
    }
    Ok(())
}

/// Opens Lists, as kubectl does: what has `items` and is of a kind that ends in List. The items of a
/// typed list, such as a DeploymentList, need not say what they are.
fn open(mut document: Document, documents: &mut Vec<Document>) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let item_kind = text(&document.value, "kind").and_then(|kind| kind.strip_suffix("List").map(str::to_owned));
    let (Some(kind), Some(Value::Array(_))) = (item_kind, document.value.get("items")) else {
        documents.push(document);
        return;
    };
    let version = text(&document.value, "apiVersion");
    let Some(Value::Array(items)) = document.value.get_mut("items").map(Value::take) else { return };
    for mut value in items {
        if let Value::Object(item) = &mut value
            && !kind.is_empty()
            && let Some(version) = &version
        {
            item.entry("kind").or_insert_with(|| kind.clone().into());
            item.entry("apiVersion").or_insert_with(|| version.clone().into());
        }
        open(Document { value, ..document.clone() }, documents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_opened_and_keep_their_number() {
        let text = "a: 1\n---\napiVersion: v1\nkind: List\nitems:\n- kind: A\n- apiVersion: apps/v1\n  kind: DeploymentList\n  items:\n  - metadata: {name: x}\n---\nkind: List\n";
        let mut documents = Vec::new();
        parse(Path::new("f"), text, &mut documents).unwrap();
        let seen: Vec<_> =
            documents.iter().map(|document| (document.number, document.line, document.value.clone())).collect();
        assert_eq!(
            seen,
            [
                (1, 1, json!({"a": 1})),
                (2, 3, json!({"kind": "A"})),
                (2, 3, json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}})),
                (3, 12, json!({"kind": "List"})),
            ]
        );
    }
}
