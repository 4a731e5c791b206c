//! The parser's events as a value: nesting, anchors, merges.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, StrInput, options as parser_options};

use super::{
    Error,
    error::Problem,
    scalar::Scalar,
    stream::{Part, stands_for_itself},
};

/// How deep a document may nest: as deep as `serde_json` reads, through which every object goes on its
/// way to a cluster. Schemas of custom resources reach some forty levels.
pub(super) const MAX_DEPTH: usize = 127;

/// How many bytes the anchors and aliases of one document may copy. An alias takes a few bytes and
/// copies any number of them, so a small document can fill any memory. kubectl draws its line at about
/// 400,000 nodes, which is this; etcd takes objects of 1.5 MiB.
pub(super) const COPY_BUDGET: usize = 16 << 20;

/// What a node counts for in [`COPY_BUDGET`] besides its text.
const NODE_COST: usize = 40;

/// The namespace of the tags that are written as `!!name`.
pub(super) const CORE_TAGS: &str = "tag:yaml.org,2002:";

/// Turns the parser's events into a value.
pub(super) struct Reader<'t> {
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
    pub(super) fn read(part: &Part<'t>) -> Result<Option<(usize, Value)>, Error> {
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
