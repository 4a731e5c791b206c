//! A text as documents: cut at `---` lines before any YAML is parsed, or JSON objects one after the
//! other.

use super::{Document, Error, error::Problem, tree::Tree};

/// Reads JSON objects, one after the other, or gives none if the text is not JSON but perhaps YAML.
///
/// As kubectl does: a text that opens with a brace may be either; it is JSON once two objects have
/// been read. JSON is not quite a part of YAML 1.1 (`\/` and surrogate pairs are not).
pub(super) fn read_json(text: &str) -> Result<Option<Vec<Document>>, Error> {
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Tree>();
    let mut documents = Vec::new();
    let (mut offset, mut line) = (0, 1);
    loop {
        let rest = &text[stream.byte_offset()..];
        let start = text.len() - rest.trim_start().len();
        line += text[offset..start].matches('\n').count();
        offset = start;
        match stream.next() {
            None => return Ok(Some(documents)),
            Some(Ok(tree)) => {
                let number = documents.len() + 1;
                let value =
                    tree.into_value().map_err(|problem| Error { document: Some(number), ..problem.at(line) })?;
                documents.push(Document { number, line, value });
            }
            Some(Err(_)) if documents.len() < 2 => return Ok(None),
            Some(Err(error)) => {
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                return Err(Error {
                    line: error.line(),
                    document: Some(documents.len() + 1),
                    problem: Problem::Syntax(message.to_owned()),
                });
            }
        }
    }
}

/// A document as it stands between two `---` lines.
pub(super) struct Part<'t> {
    /// The line on which it starts, from 1.
    pub line: usize,
    pub text: &'t str,
}

/// Cuts a stream into documents as kubectl does: by line, before any YAML is parsed. So a malformed
/// document ends at the next `---` all the same, and `---` with content beside it is an error.
pub(super) fn split(text: &str) -> Result<Vec<Part<'_>>, Error> {
    let mut parts = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut offset = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(Problem::Separator.at(number));
            }
            let part = &text[start..offset];
            let blank = |line: &str| matches!(line.trim().chars().next(), None | Some('#'));
            if start > 0 || !part.lines().all(blank) {
                parts.push(Part { line: start_line, text: part });
            }
            start = offset + line.len();
            start_line = number + 1;
        }
        offset += line.len();
    }
    parts.push(Part { line: start_line, text: &text[start..] });
    Ok(parts)
}

/// Whether a character may stand in YAML, and means the same to all readers: U+0085, U+2028 and U+2029
/// are line breaks in YAML 1.1 and text in YAML 1.2, and U+FEFF is text only in some places.
pub(super) fn stands_for_itself(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'..
    ) && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}
