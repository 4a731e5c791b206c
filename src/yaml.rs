//! The only place that reads or writes YAML.
//!
//! **Reading.** A manifest means what `kubectl` makes of it: kubectl, Helm and Argo CD all read with
//! `sigs.k8s.io/yaml`, so what this module reads is what a cluster would be given. That reader
//! speaks YAML 1.1: `no`, `on` and `y` are booleans, `0777` is octal, `1_000` and `0b1` are numbers,
//! `<<` merges, a number is an integer whenever it can be one (`1.0`, `1e3`). The parser underneath,
//! [`serde_saphyr::granit_parser`], knows the syntax and leaves the meaning of a plain scalar to its
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

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, Span, StrInput, Tag, options as parser_options,
};
use std::collections::{HashMap, HashSet};
use std::fmt;

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

/// Why a text is not the YAML of a manifest.
#[derive(Debug, thiserror::Error)]
#[error("line {line}{}: {problem}", self.place())]
pub struct Error {
    /// The line at which reading stopped, from 1.
    pub line: usize,
    /// The document in which reading stopped, from 1; none if the text is a single one.
    pub document: Option<usize>,
    problem: Problem,
}

impl Error {
    fn place(&self) -> String {
        self.document.map(|number| format!(" (document {number})")).unwrap_or_default()
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
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
    fn at(self, line: usize) -> Error {
        Error { line, document: None, problem: self }
    }
}

/// How deep a document may nest: as deep as `serde_json` reads, through which every object goes on its
/// way to a cluster. Schemas of custom resources reach some forty levels.
const MAX_DEPTH: usize = 127;

/// How many bytes the anchors and aliases of one document may copy. An alias takes a few bytes and
/// copies any number of them, so a small document can fill any memory. kubectl draws its line at about
/// 400,000 nodes, which is this; etcd takes objects of 1.5 MiB.
const COPY_BUDGET: usize = 16 << 20;

/// What a node counts for in [`COPY_BUDGET`] besides its text.
const NODE_COST: usize = 40;

/// The namespace of the tags that are written as `!!name`.
const CORE_TAGS: &str = "tag:yaml.org,2002:";

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
    if let Some(documents) = read_json(text)? {
        return Ok(documents);
    }
    let parts = split(text)?;
    let several = parts.len() > 1;
    let mut documents = Vec::new();
    for (part, number) in parts.iter().zip(1..) {
        let read = Reader::read(part).map_err(|error| Error { document: several.then_some(number), ..error })?;
        documents.extend(read.map(|(line, value)| Document { number, line, value }));
    }
    Ok(documents)
}

/// Reads JSON objects, one after the other, or gives none if the text is not JSON but perhaps YAML.
///
/// As kubectl does: a text that opens with a brace may be either; it is JSON once two objects have
/// been read. JSON is not quite a part of YAML 1.1 (`\/` and surrogate pairs are not).
fn read_json(text: &str) -> Result<Option<Vec<Document>>, Error> {
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

/// JSON as it is written: with the order of its keys, and all of them.
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// The value, with kubectl's numbers.
    fn into_value(self) -> Result<Value, Problem> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Number(number) => number
                .as_i64()
                .map(Value::from)
                .or_else(|| number.as_f64().and_then(float))
                .ok_or_else(|| Problem::NotFinite(number.to_string()))?,
            Self::Text(text) => text.into(),
            Self::List(items) => items.into_iter().map(Self::into_value).collect::<Result<Vec<_>, _>>()?.into(),
            Self::Map(entries) => {
                let mut map = Map::new();
                for (key, tree) in entries {
                    if map.contains_key(&key) {
                        return Err(Problem::DuplicateKey(key));
                    }
                    map.insert(key, tree.into_value()?);
                }
                map.into()
            }
        })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut trees = Vec::new();
        while let Some(tree) = items.next_element()? {
            trees.push(tree);
        }
        Ok(Tree::List(trees))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

/// A document as it stands between two `---` lines.
struct Part<'t> {
    /// The line on which it starts, from 1.
    line: usize,
    text: &'t str,
}

/// Cuts a stream into documents as kubectl does: by line, before any YAML is parsed. So a malformed
/// document ends at the next `---` all the same, and `---` with content beside it is an error.
fn split(text: &str) -> Result<Vec<Part<'_>>, Error> {
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
fn stands_for_itself(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'..
    ) && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}

/// Turns the parser's events into a value.
struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// How many lines of the text come before this document.
    lines_before: usize,
    /// What the anchors so far stand for, by the parser's number for each.
    anchors: HashMap<usize, Node>,
    /// What remains of [`COPY_BUDGET`].
    budget: usize,
}

/// A value, and what it takes to repeat it.
#[derive(Clone)]
struct Node {
    value: Value,
    cost: usize,
    /// The levels that it nests; 0 for a scalar.
    depth: usize,
}

impl Node {
    fn new(value: Value) -> Self {
        let text = value.as_str().map_or(0, str::len);
        Self { value, cost: NODE_COST + text, depth: 0 }
    }
}

impl<'t> Reader<'t> {
    /// The value of one document and the line on which it starts, or none for an empty one.
    fn read(part: &Part<'t>) -> Result<Option<(usize, Value)>, Error> {
        // A byte order mark may open a document.
        let text = part.text.strip_prefix('\u{FEFF}').unwrap_or(part.text);
        if let Some((offset, found)) = text.char_indices().find(|(_, c)| !stands_for_itself(*c)) {
            let line = part.line + text[..offset].matches('\n').count();
            return Err(Problem::Character(found).at(line));
        }
        let mut reader = Self {
            parser: Parser::new_from_str_with_options(
                text,
                parser_options! {
                    emit_comments: false,
                    flow_nesting_limit: MAX_DEPTH,
                    block_nesting_limit: MAX_DEPTH,
                },
            ),
            lines_before: part.line - 1,
            anchors: HashMap::new(),
            budget: COPY_BUDGET,
        };
        let mut document = None;
        loop {
            match reader.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(..), line) if document.is_some() => {
                    return Err(Problem::Trailing.at(line));
                }
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, line) => document = Some((line, reader.node(event, line, 0)?.value)),
            }
        }
        Ok(document.filter(|(_, value)| !value.is_null()))
    }

    /// The next event and its line.
    fn next(&mut self) -> Result<(Event<'t>, usize), Error> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.line(&span))),
            Some(Err(error)) => {
                let problem = match error.kind() {
                    ErrorKind::RecursionLimitExceeded => Problem::Depth,
                    _ => Problem::Syntax(error.info()),
                };
                Err(problem.at(self.lines_before + error.marker().line().max(1)))
            }
            None => Ok((Event::StreamEnd, self.lines_before + 1)),
        }
    }

    fn line(&self, span: &Span) -> usize {
        self.lines_before + span.start.line()
    }

    /// The node that an event starts, `depth` levels below the document.
    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, Error> {
        let anchor = event.anchor_id();
        let node = match event {
            Event::Alias(id) => self.alias(id, line, depth)?,
            Event::Scalar(text, style, _, tag) => {
                let scalar = Scalar::new(&text, style, tag.as_deref());
                Node::new(scalar.and_then(|scalar| scalar.into_value(&text)).map_err(|problem| problem.at(line))?)
            }
            Event::SequenceStart(..) => self.sequence(line, depth + 1)?,
            Event::MappingStart(..) => self.mapping(line, depth + 1)?,
            other => {
                return Err(Problem::Syntax(format!("{other:?} is out of place")).at(line));
            }
        };
        if let Some(id) = anchor {
            pay(&mut self.budget, &node, line)?;
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, line: usize, depth: usize) -> Result<Node, Error> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(Problem::Recursion.at(line));
        };
        if depth + node.depth > MAX_DEPTH {
            return Err(Problem::Depth.at(line));
        }
        pay(&mut self.budget, node, line)?;
        Ok(node.clone())
    }

    fn sequence(&mut self, line: usize, depth: usize) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(Problem::Depth.at(line));
        }
        let (mut values, mut cost, mut below) = (Vec::new(), NODE_COST, 0);
        loop {
            let (event, line) = self.next()?;
            if event == Event::SequenceEnd {
                break;
            }
            let node = self.node(event, line, depth)?;
            cost += node.cost;
            below = below.max(node.depth);
            values.push(node.value);
        }
        Ok(Node { value: values.into(), cost, depth: below + 1 })
    }

    fn mapping(&mut self, line: usize, depth: usize) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(Problem::Depth.at(line));
        }
        let (mut map, mut cost, mut below) = (Map::new(), NODE_COST, 0);
        let mut written = HashSet::new();
        loop {
            let (key, key_line) = self.next()?;
            if key == Event::MappingEnd {
                break;
            }
            let merges = is_merge(&key);
            let key = if merges { String::new() } else { self.key(key, key_line)? };
            let (event, line) = self.next()?;
            let listed = matches!(event, Event::SequenceStart(..));
            let node = self.node(event, line, depth)?;
            cost += node.cost + NODE_COST + key.len();
            below = below.max(node.depth);
            if !merges {
                if !written.insert(key.clone()) {
                    return Err(Problem::DuplicateKey(key).at(key_line));
                }
                map.insert(key, node.value);
                continue;
            }
            // In kubectl's reader what is merged replaces what was written above it, and what is
            // written below it replaces what was merged. In a list the first mapping wins.
            match node.value {
                Value::Object(entries) => map.extend(entries),
                Value::Array(list) if listed => {
                    for item in list.into_iter().rev() {
                        let Value::Object(entries) = item else {
                            return Err(Problem::Merge.at(line));
                        };
                        map.extend(entries);
                    }
                }
                _ => return Err(Problem::Merge.at(line)),
            }
        }
        Ok(Node { value: map.into(), cost, depth: below + 1 })
    }

    fn key(&mut self, event: Event<'t>, line: usize) -> Result<String, Error> {
        let anchor = event.anchor_id();
        let key = match event {
            Event::Scalar(text, style, _, tag) => Scalar::new(&text, style, tag.as_deref()).and_then(Scalar::into_key),
            Event::Alias(id) => match self.alias(id, line, 0)?.value {
                Value::String(text) => Ok(text),
                _ => Err(Problem::Key("an alias of anything but a string")),
            },
            _ => Err(Problem::Key("a list or a mapping")),
        }
        .map_err(|problem| problem.at(line))?;
        if let Some(id) = anchor {
            self.anchors.insert(id, Node::new(key.clone().into()));
        }
        Ok(key)
    }
}

/// Takes a copy of a node, before it is made, out of the budget.
fn pay(budget: &mut usize, node: &Node, line: usize) -> Result<(), Error> {
    *budget = budget.checked_sub(node.cost).ok_or_else(|| Problem::Copies.at(line))?;
    Ok(())
}

fn is_merge(key: &Event<'_>) -> bool {
    match key {
        Event::Scalar(text, style, _, tag) if text == "<<" => match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => tag.original() == "!" || tag.suffix_in_namespace(CORE_TAGS).as_deref() == Some("merge"),
        },
        _ => false,
    }
}

/// What a scalar means to kubectl's reader.
#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer beyond those of the sort above.
    Unsigned(u64),
    Float(f64),
    Text(String),
}

impl Scalar {
    /// What a scalar of this style and tag means.
    fn new(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Self, Problem> {
        let Some(tag) = tag else {
            return Ok(match style {
                ScalarStyle::Plain => Self::plain(text),
                _ => Self::Text(text.to_owned()),
            });
        };
        let name = tag.suffix_in_namespace(CORE_TAGS);
        match (name.as_deref(), Self::plain(text)) {
            (Some("binary"), _) => Err(Problem::Binary),
            (Some("null"), Self::Null) => Ok(Self::Null),
            (Some("bool"), scalar @ Self::Bool(_))
            | (Some("int"), scalar @ (Self::Integer(_) | Self::Unsigned(_)))
            | (Some("float"), scalar @ Self::Float(_)) => Ok(scalar),
            #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
            (Some("float"), Self::Integer(integer)) => Ok(Self::Float(integer as f64)),
            (Some(name @ ("null" | "bool" | "int" | "float")), _) => Err(Problem::Tag(name.to_owned())),
            // A tag of an application, or the tag of a string, or of a date, which is one in JSON.
            _ => Ok(Self::Text(text.to_owned())),
        }
    }

    /// What a scalar without quotes and tag means.
    fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Self::Bool(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                return Self::Bool(false);
            }
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Self::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            _ => {}
        }
        let number = match text.as_bytes()[0] {
            b'+' | b'-' | b'0'..=b'9' => number(&text.replace('_', "")),
            b'.' if underscores_are_between_digits(text) => number(&text.replace('_', "")),
            _ => None,
        };
        number.unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    fn into_value(self, text: &str) -> Result<Value, Problem> {
        let number = match self {
            Self::Null => Some(Value::Null),
            Self::Bool(value) => Some(value.into()),
            Self::Integer(value) => Some(value.into()),
            // Kubernetes' integers end at 64 bits with a sign; it takes larger ones for floats.
            #[expect(clippy::cast_precision_loss, reason = "Kubernetes loses it")]
            Self::Unsigned(value) => float(value as f64),
            Self::Float(value) => float(value),
            Self::Text(value) => Some(value.into()),
        };
        number.ok_or_else(|| Problem::NotFinite(text.to_owned()))
    }

    /// The key that this stands for: keys are strings in JSON.
    fn into_key(self) -> Result<String, Problem> {
        match self {
            Self::Null => Err(Problem::Key("null")),
            Self::Unsigned(_) => Err(Problem::Key("an integer of this size")),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Integer(value) => Ok(value.to_string()),
            Self::Float(value) => Ok(float_key(value)),
            Self::Text(value) => Ok(value),
        }
    }
}

/// The stricter rule for numbers that start with a dot.
fn underscores_are_between_digits(text: &str) -> bool {
    text.split('_').zip(text.split('_').skip(1)).all(|(left, right)| {
        left.ends_with(|c: char| c.is_ascii_digit()) && right.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The number that a text without underscores is to kubectl's reader.
fn number(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => ("", &text[1..]),
        b'-' => ("-", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust's parsers would take a second sign.
    if digits.starts_with(|c: char| c.is_digit(radix)) {
        if let Ok(integer) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
            return Some(Scalar::Integer(integer));
        }
        if text.as_bytes()[0].is_ascii_digit()
            && let Ok(integer) = u64::from_str_radix(digits, radix)
        {
            return Some(Scalar::Unsigned(integer));
        }
    }
    // Rust's `inf` and `nan` are text here, and so is what is too large for a float.
    if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return text.parse().ok().filter(|float: &f64| float.is_finite()).map(Scalar::Float);
    }
    // An oddity of kubectl's reader: a sign may also stand behind `0b`.
    i64::from_str_radix(text.strip_prefix("0b")?, 2).ok().map(Scalar::Integer)
}

/// A float on its way through JSON, where `1.0` and `1e3` are written `1` and `1000` and so are
/// integers to the next reader. None if JSON doesn't have it.
fn float(value: f64) -> Option<Value> {
    match value.to_string().parse::<i64>() {
        Ok(integer) => Some(integer.into()),
        Err(_) => Number::from_f64(value).map(Value::Number),
    }
}

/// A float as a key, in kubectl's spelling: of single precision, and with an exponent that has two
/// digits from 1e+06 on and below 1e-04.
#[expect(clippy::cast_possible_truncation, reason = "kubectl's spelling")]
fn float_key(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{mantissa}e{sign}{:02}", exponent.abs())
            }
            _ => value.to_string(),
        },
        None => value.to_string(),
    }
}

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
