//! The parser's events made values, each with its place.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::scalar;
use crate::notebook::json::python_float;
use crate::notebook::value::ParameterValue;

/// How deep values may nest: as JSON's.
const MAX_DEPTH: usize = 128;
/// How many values a document may come to, aliases followed: a few lines of aliases to aliases are otherwise
/// enough to fill the memory.
const MAX_VALUES: usize = 1_000_000;

/// A place in a text: line and column, in characters, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    fn of(span: Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub message: String,
}

impl Fault {
    fn at(span: Span, message: impl Into<String>) -> Self {
        Self { place: Place::of(span), message: message.into() }
    }
}

/// A value with its place. What stands behind an alias has the place at which it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it begins.
    pub place: Place,
    /// From which character of the text to which it goes, quotes included; of a scalar only.
    pub characters: Range<usize>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// One that holds no others.
    Scalar(ParameterValue),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping: what `<<` merges first, then its own. A key of its own that is there twice is in it twice.
    Dict(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key; what is no text as Python's `str` spells it.
    pub key: String,
    /// Whether the key is written as a text, not as a number, a truth value or nothing.
    pub key_is_text: bool,
    /// Where the key is.
    pub place: Place,
    /// Whether the mapping itself has the key twice, and this is not the first. Its value is the one that counts.
    pub is_duplicate: bool,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value without its places.
    pub fn into_value(self) -> ParameterValue {
        match self.content {
            Content::Scalar(value) => value,
            Content::List(nodes) => ParameterValue::List(nodes.into_iter().map(Self::into_value).collect()),
            Content::Dict(entries) => {
                let mut values: Vec<(String, ParameterValue)> = Vec::with_capacity(entries.len());
                for Entry { key, value, is_duplicate, .. } in entries {
                    let first = values.iter().position(|(other, _)| is_duplicate && *other == key);
                    match first {
                        Some(first) => values[first].1 = value.into_value(),
                        None => values.push((key, value.into_value())),
                    }
                }
                ParameterValue::Dict(values)
            }
        }
    }
}

impl From<ScanError> for Fault {
    fn from(error: ScanError) -> Self {
        let place = Place { line: error.marker().line(), column: error.marker().col() + 1 };
        Self { place, message: format!("this is not YAML: {}", error.info()) }
    }
}

/// The one document of a text; null when there is none. In JSON scalars are what JSON takes them for: `1e5` is a number.
pub(super) fn parse(text: &str, is_json: bool) -> Result<Node, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_characters(text)?;
    let parser = Parser::new_from_str(text);
    // Where a block scalar ends that the end of the text cuts off before its line break.
    let cut_end = (!text.ends_with(['\n', '\r'])).then(|| text.chars().count());
    let mut composer = Composer { parser, is_json, cut_end, anchors: HashMap::new(), values: 0 };
    let mut document = None;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamEnd => {
                let nothing = || Node {
                    content: Content::Scalar(ParameterValue::Null),
                    place: Place { line: 1, column: 1 },
                    characters: 0..0,
                };
                return Ok(document.unwrap_or_else(nothing));
            }
            Event::DocumentStart(_) if document.is_some() => {
                return Err(Fault::at(span, "a second document begins here: give one"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = composer.next()?;
                document = Some(composer.value(event, span, 0)?);
            }
            _ => {}
        }
    }
}

/// Characters that YAML 1.1 has no place for.
fn check_characters(text: &str) -> Result<(), Fault> {
    let is_good = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    let Some(at) = text.find(|character| !is_good(character)) else { return Ok(()) };
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Err(Fault {
        place: Place { line, column },
        message: "this is not YAML: a control character stands here".to_owned(),
    })
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    is_json: bool,
    cut_end: Option<usize>,
    anchors: HashMap<usize, Node>,
    values: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::at(span, format!("values nest deeper than {MAX_DEPTH} levels")));
        }
        let (anchor, content) = match event {
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value = value.ok_or_else(|| Fault::at(span, "this alias stands within what it names"))?;
                self.count(count_values(&value), span)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                // What is not there is told as `~`.
                let mut text = if span.is_empty() { "" } else { &*text };
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if is_block && self.cut_end.is_some_and(|end| span.end.index() >= end) {
                    // The parser completes the last line; PyYAML does not.
                    text = text.strip_suffix('\n').unwrap_or(text);
                }
                let value = match self.is_json && style == ScalarStyle::Plain {
                    true => json_scalar(text),
                    false => scalar_value(text, style, tag.as_deref(), span)?,
                };
                (anchor, Content::Scalar(value))
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", span)?;
                (anchor, self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", span)?;
                (anchor, self.mapping(depth)?)
            }
            _ => return Err(Fault::at(span, "a value is missing")),
        };
        self.count(1, span)?;
        let characters = match content {
            Content::Scalar(_) => span.start.index()..span.end.index(),
            _ => 0..0,
        };
        let value = Node { content, place: Place::of(span), characters };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Fault> {
        self.values += more;
        match self.values {
            ..=MAX_VALUES => Ok(()),
            _ => Err(Fault::at(span, format!("the document comes to more than {MAX_VALUES} values"))),
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(values)),
                (event, span) => values.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    /// The entries that `<<` merges come first, and what stands in the mapping itself wins over them; so does an
    /// earlier mapping of a merged list over a later one (`flatten_mapping`).
    fn mapping(&mut self, depth: usize) -> Result<Content, Fault> {
        let (mut merged, mut own) = (Vec::new(), Vec::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let (place, merges) = (Place::of(span), is_plain(&event, "<<"));
            let (key, key_is_text) = match merges || is_plain(&event, "=") {
                true => (String::from("="), true),
                false => key_text(self.value(event, span, depth + 1)?)
                    .ok_or_else(|| Fault::at(span, "a list or a mapping cannot be a name"))?,
            };
            let (event, span) = self.next()?;
            let value = self.value(event, span, depth + 1)?;
            match merges {
                true => merged.extend(entries_to_merge(value, span)?),
                false => own.push(Entry { key, key_is_text, place, is_duplicate: false, value }),
            }
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = HashMap::new();
        for entry in merged {
            let place = *places.entry(entry.key.clone()).or_insert(entries.len());
            if place == entries.len() { entries.push(entry) } else { entries[place] = entry }
        }
        let mut seen = HashSet::new();
        for mut entry in own {
            entry.is_duplicate = !seen.insert(entry.key.clone());
            match places.get(&entry.key) {
                Some(place) if !entry.is_duplicate => entries[*place] = entry,
                _ => entries.push(entry),
            }
        }
        Ok(Content::Dict(entries))
    }
}

fn is_plain(event: &Event<'_>, expected: &str) -> bool {
    matches!(event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == expected)
}

fn scalar_value(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<ParameterValue, Fault> {
    let value = match tag.map(TagName::of) {
        Some(TagName::Core(name)) => {
            scalar::resolve_tagged(name, text).ok_or_else(|| unknown_tag(tag, span))?
        }
        Some(TagName::Unknown) => return Err(unknown_tag(tag, span)),
        // `!` makes PyYAML look at what is quoted, too.
        Some(TagName::NonSpecific) => scalar::resolve_plain(text),
        None if style == ScalarStyle::Plain => scalar::resolve_plain(text),
        None => Ok(ParameterValue::String(text.to_owned())),
    };
    value.map_err(|message| Fault::at(span, message))
}

/// A scalar without quotes in what is known to be JSON.
fn json_scalar(text: &str) -> ParameterValue {
    match text {
        "true" => ParameterValue::Bool(true),
        "false" => ParameterValue::Bool(false),
        "null" => ParameterValue::Null,
        number if number.contains(['.', 'e', 'E']) => {
            ParameterValue::Float(number.parse().unwrap_or(f64::INFINITY))
        }
        digits => ParameterValue::integer(digits.to_owned()),
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str, span: Span) -> Result<(), Fault> {
    match tag.map(TagName::of) {
        None | Some(TagName::NonSpecific) => Ok(()),
        Some(TagName::Core(name)) if name == expected => Ok(()),
        Some(_) => Err(unknown_tag(tag, span)),
    }
}

enum TagName<'a> {
    /// One of YAML's own, such as `int` for `!!int`.
    Core(&'a str),
    /// A bare `!`.
    NonSpecific,
    Unknown,
}

impl<'a> TagName<'a> {
    fn of(tag: &'a Tag) -> Self {
        const CORE: &str = "tag:yaml.org,2002:";
        match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("!", "") | ("", "!") => Self::NonSpecific,
            (CORE, name) => Self::Core(name),
            // Spelled out: `!<tag:yaml.org,2002:int>`.
            (_, suffix) => suffix.strip_prefix(CORE).map_or(Self::Unknown, Self::Core),
        }
    }
}

fn unknown_tag(tag: Option<&Tag>, span: Span) -> Fault {
    let name = match tag.map(|tag| (TagName::of(tag), tag)) {
        Some((TagName::Core(name), _)) => format!("!!{name}"),
        Some((_, tag)) => tag.to_string(),
        None => String::new(),
    };
    Fault::at(span, format!("a parameter cannot have the tag {name}: leave it away"))
}

/// A key as papermill writes it: what is no text as Python's `str` spells it; and whether it is a text.
fn key_text(key: Node) -> Option<(String, bool)> {
    let Content::Scalar(key) = key.content else { return None };
    let is_text = matches!(key, ParameterValue::String(_));
    let text = match key {
        ParameterValue::String(text) | ParameterValue::BigInteger(text) => text,
        ParameterValue::Null => "None".to_owned(),
        ParameterValue::Bool(true) => "True".to_owned(),
        ParameterValue::Bool(false) => "False".to_owned(),
        ParameterValue::Integer(value) => value.to_string(),
        ParameterValue::Float(value) => python_float(value),
        ParameterValue::List(_) | ParameterValue::Dict(_) => return None,
    };
    Some((text, is_text))
}

fn entries_to_merge(value: Node, span: Span) -> Result<Vec<Entry>, Fault> {
    let no_mapping = || Fault::at(span, "`<<` merges a mapping, or a list of mappings");
    match value.content {
        Content::Dict(entries) => Ok(entries),
        Content::List(values) => {
            let mut merged = Vec::new();
            for value in values.into_iter().rev() {
                let Content::Dict(entries) = value.content else { return Err(no_mapping()) };
                merged.extend(entries);
            }
            Ok(merged)
        }
        Content::Scalar(_) => Err(no_mapping()),
    }
}

fn count_values(value: &Node) -> usize {
    match &value.content {
        Content::List(values) => 1 + values.iter().map(count_values).sum::<usize>(),
        Content::Dict(entries) => 1 + entries.iter().map(|entry| count_values(&entry.value)).sum::<usize>(),
        Content::Scalar(_) => 1,
    }
}
