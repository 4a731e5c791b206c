//! Writes YAML that every reader gives back the same.

use serde::Serialize;

use super::{scalar::Scalar, stream::stands_for_itself, tree::Tree};

/// Why a value has no YAML.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It has no JSON either, as a map whose keys are not strings, or it nests too deep.
    #[error("the value cannot be written: {0}")]
    Value(#[from] serde_json::Error),
    /// A scalar could not be written.
    #[error("a scalar cannot be written: {0}")]
    Scalar(#[from] serde_saphyr::SerializeError),
}

/// Writes one document, without `---`: in blocks, indented by two spaces, lists as far as their key,
/// maps in the order that serde gives them, lines never folded.
///
/// # Errors
///
/// The value has no JSON. A [`serde_json::Value`] that nests less than 128 levels always has.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, WriteError> {
    // Through JSON: that is how serde's data model becomes what Kubernetes knows.
    let tree: Tree = serde_json::from_str(&serde_json::to_string(value)?)?;
    let mut out = String::new();
    match &tree {
        Tree::Map(entries) if !entries.is_empty() => write_map(&mut out, entries, 0)?,
        Tree::List(items) if !items.is_empty() => write_list(&mut out, items, 0)?,
        scalar => write_scalar(&mut out, scalar, 0)?,
    }
    Ok(out)
}

/// Writes a stream of documents with `---` between them.
///
/// # Errors
///
/// As [`write()`].
pub fn write_stream<T: Serialize>(values: &[T]) -> Result<String, WriteError> {
    let documents = values.iter().map(write).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}

/// Writes the entries of a map, of which the first starts where `out` ends.
fn write_map(out: &mut String, entries: &[(String, Tree)], indent: usize) -> Result<(), WriteError> {
    for (index, (key, tree)) in entries.iter().enumerate() {
        if index > 0 {
            indent_by(out, indent);
        }
        let key = inline(key)?;
        if key.len() > LONGEST_SIMPLE_KEY {
            out.push_str("? ");
            out.push_str(&key);
            out.push('\n');
            indent_by(out, indent);
        } else {
            out.push_str(&key);
        }
        out.push(':');
        match tree {
            Tree::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                indent_by(out, indent + 2);
                write_map(out, entries, indent + 2)?;
            }
            Tree::List(items) if !items.is_empty() => {
                out.push('\n');
                indent_by(out, indent);
                write_list(out, items, indent)?;
            }
            scalar => {
                out.push(' ');
                write_scalar(out, scalar, indent)?;
            }
        }
    }
    Ok(())
}

/// Writes the items of a list, of which the first starts where `out` ends.
fn write_list(out: &mut String, items: &[Tree], indent: usize) -> Result<(), WriteError> {
    for (index, tree) in items.iter().enumerate() {
        if index > 0 {
            indent_by(out, indent);
        }
        out.push_str("- ");
        match tree {
            Tree::Map(entries) if !entries.is_empty() => write_map(out, entries, indent + 2)?,
            Tree::List(items) if !items.is_empty() => write_list(out, items, indent + 2)?,
            scalar => write_scalar(out, scalar, indent)?,
        }
    }
    Ok(())
}

/// Writes a scalar, or an empty collection, to the end of its line.
fn write_scalar(out: &mut String, scalar: &Tree, indent: usize) -> Result<(), WriteError> {
    match scalar {
        Tree::Null => out.push_str("null"),
        Tree::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // The library's spelling of a float, `1.0e+20`, is one to every reader.
        Tree::Number(number) => out.push_str(serde_saphyr::to_string(number)?.trim_end()),
        Tree::Text(text) if reads_well_as_block(text) => {
            let content = text.trim_end_matches('\n');
            out.push_str(match text.len() - content.len() {
                0 => "|-",
                1 => "|",
                _ => "|+",
            });
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                out.push('\n');
                if !line.is_empty() {
                    indent_by(out, indent + 2);
                    out.push_str(line);
                }
            }
        }
        Tree::Text(text) => out.push_str(&inline(text)?),
        Tree::List(_) => out.push_str("[]"),
        Tree::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
    Ok(())
}

/// How long a key may be before `:` where YAML 1.1 wants no `?` before it: 1024, quotes included.
const LONGEST_SIMPLE_KEY: usize = 1000;

fn indent_by(out: &mut String, spaces: usize) {
    out.extend(std::iter::repeat_n(' ', spaces));
}

/// Whether a text stands in a literal block as it is, for readers, for editors that strip spaces from
/// the ends of lines, and for people, who see neither those nor tabs.
fn reads_well_as_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with(['\n', ' '])
        && !text.split('\n').any(|line| line.ends_with(' '))
        && text.chars().all(|c| stands_for_itself(c) && !matches!(c, '\t' | '\r'))
}

/// A string on one line: plain where every reader takes that for this string, else in quotes.
fn inline(text: &str) -> Result<String, WriteError> {
    let means_itself = matches!(Scalar::plain(text), Scalar::Text(_)) && !text.starts_with("---");
    let mut written = if means_itself && !text.contains('\n') {
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(&text, options)?
    } else {
        serde_saphyr::to_string(&serde_saphyr::DoubleQuoted(text))?
    };
    // The library ends the line.
    written.pop();
    Ok(written)
}
