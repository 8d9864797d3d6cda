//! YAML as papermill reads parameters from it: PyYAML's `SafeLoader` (YAML 1.1: `yes` is true, `010` is 8, `1e3`
//! is a text), with dates left as texts (`papermill/iorw.py`, `NoDatesSafeLoader`).
//!
//! The parser below gives events and places; what a scalar means is decided here. Refused, other than by PyYAML:
//! what papermill cannot write into a notebook either (`!!set`, `!!binary`, `!!timestamp`, a value within itself).

mod scalar;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::json::python_float;
use super::parameters::Parameters;
use super::value::ParameterValue;
use crate::error::{Error, Result};

/// How deep values may nest: as JSON's.
const MAX_DEPTH: usize = 128;
/// How many values a document may come to, aliases followed: a few lines of aliases to aliases are otherwise
/// enough to fill the memory.
const MAX_VALUES: usize = 1_000_000;

/// Reads the parameters of a YAML document; none when it is empty. `source` says where it comes from: a file's
/// name, or a flag.
///
/// # Errors
/// `BadInput` with `source`, line and column for what is no YAML, no mapping, or has a tag that no parameter can
/// have; `Invalid` for a name that is no identifier. No value is in the text: it may be a secret.
pub fn parse_parameters(source: &str, text: &str) -> Result<Parameters> {
    let fault = |Fault { line, column, message }| {
        Error::bad_input(format!("{source}: line {line}, column {column}: {message}"))
    };
    let value = parse(text).or_else(|fault| match join_surrogates(text) {
        Some(joined) => parse(&joined),
        None => Err(fault),
    });
    let value = value.map_err(fault)?;
    let entries = match value {
        ParameterValue::Dict(entries) => entries,
        // What Python takes for false is no parameters (`yaml.load(…) or {}`).
        ParameterValue::Null | ParameterValue::Bool(false) | ParameterValue::Integer(0) => Vec::new(),
        ParameterValue::Float(0.0) => Vec::new(),
        ParameterValue::String(text) if text.is_empty() => Vec::new(),
        ParameterValue::List(values) if values.is_empty() => Vec::new(),
        _ => {
            return Err(Error::bad_input(format!(
                "{source}: parameters must be names with values, one `name: value` a line"
            )));
        }
    };
    let mut parameters = Parameters::new();
    for (name, value) in entries {
        parameters.insert(name, value).map_err(|error| {
            Error::invalid(format!("{source}: {}", error.message())).with_fields(error.fields().to_vec())
        })?;
    }
    Ok(parameters)
}

/// JSON in whose texts pairs of surrogates, as which Python's `json` writes what is beyond U+FFFF, are one escape each,
/// as YAML has it. `None` for what is no JSON, where such a text may stand for itself, or has no such pair.
fn join_surrogates(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let unit = |at: &str| u32::from_str_radix(at.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let (mut joined, mut rest, mut any) = (String::with_capacity(text.len()), text, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        joined.push_str(before);
        let pair = unit(escape).zip(escape.get(6..).and_then(unit));
        let taken = match pair {
            Some((high @ 0xd800..0xdc00, low @ 0xdc00..0xe000)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                joined.push_str(&format!("\\U{code:08x}"));
                any = true;
                12
            }
            // The backslash and what it escapes, which may be one itself.
            _ => {
                joined.push_str(&escape[..2]);
                2
            }
        };
        rest = &escape[taken..];
    }
    joined.push_str(rest);
    any.then_some(joined)
}

/// What is wrong, and where: both counted from 1.
#[derive(Debug)]
struct Fault {
    line: usize,
    column: usize,
    message: String,
}

impl Fault {
    fn at(span: Span, message: impl Into<String>) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1, message: message.into() }
    }
}

impl From<ScanError> for Fault {
    fn from(error: ScanError) -> Self {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        Self { line, column, message: format!("this is not YAML: {}", error.info()) }
    }
}

/// The one document of a text; null when there is none.
fn parse(text: &str) -> Result<ParameterValue, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_characters(text)?;
    let parser = Parser::new_from_str(text);
    // Where a block scalar ends that the end of the text cuts off before its line break.
    let cut_end = (!text.ends_with(['\n', '\r'])).then(|| text.chars().count());
    let mut composer = Composer { parser, cut_end, anchors: HashMap::new(), values: 0 };
    let mut document = None;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamEnd => return Ok(document.unwrap_or(ParameterValue::Null)),
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
    Err(Fault { line, column, message: "this is not YAML: a control character stands here".to_owned() })
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    cut_end: Option<usize>,
    anchors: HashMap<usize, ParameterValue>,
    values: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<ParameterValue, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::at(span, format!("values nest deeper than {MAX_DEPTH} levels")));
        }
        let (anchor, value) = match event {
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
                (anchor, scalar_value(text, style, tag.as_deref(), span)?)
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

    fn sequence(&mut self, depth: usize) -> Result<ParameterValue, Fault> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(ParameterValue::List(values)),
                (event, span) => values.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    /// The entries that `<<` merges come first, and what stands in the mapping itself wins over them; so does an
    /// earlier mapping of a merged list over a later one (`flatten_mapping`).
    fn mapping(&mut self, depth: usize) -> Result<ParameterValue, Fault> {
        let (mut merged, mut own) = (Vec::new(), Vec::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merges = is_plain(&event, "<<");
            let key = match merges || is_plain(&event, "=") {
                true => String::from("="),
                false => key_text(self.value(event, span, depth + 1)?)
                    .ok_or_else(|| Fault::at(span, "a list or a mapping cannot be a name"))?,
            };
            let (event, span) = self.next()?;
            let value = self.value(event, span, depth + 1)?;
            if merges { merged.extend(entries_to_merge(value, span)?) } else { own.push((key, value)) }
        }
        let mut entries: Vec<(String, ParameterValue)> = Vec::new();
        let mut places = HashMap::new();
        for (key, value) in merged.into_iter().chain(own) {
            let place = *places.entry(key.clone()).or_insert(entries.len());
            if place == entries.len() { entries.push((key, value)) } else { entries[place].1 = value }
        }
        Ok(ParameterValue::Dict(entries))
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

/// A key as papermill writes it: what is no text as Python's `str` spells it.
fn key_text(key: ParameterValue) -> Option<String> {
    Some(match key {
        ParameterValue::String(text) | ParameterValue::BigInteger(text) => text,
        ParameterValue::Null => "None".to_owned(),
        ParameterValue::Bool(true) => "True".to_owned(),
        ParameterValue::Bool(false) => "False".to_owned(),
        ParameterValue::Integer(value) => value.to_string(),
        ParameterValue::Float(value) => python_float(value),
        ParameterValue::List(_) | ParameterValue::Dict(_) => return None,
    })
}

fn entries_to_merge(value: ParameterValue, span: Span) -> Result<Vec<(String, ParameterValue)>, Fault> {
    let no_mapping = || Fault::at(span, "`<<` merges a mapping, or a list of mappings");
    match value {
        ParameterValue::Dict(entries) => Ok(entries),
        ParameterValue::List(values) => {
            let mut merged = Vec::new();
            for value in values.into_iter().rev() {
                let ParameterValue::Dict(entries) = value else { return Err(no_mapping()) };
                merged.extend(entries);
            }
            Ok(merged)
        }
        _ => Err(no_mapping()),
    }
}

fn count_values(value: &ParameterValue) -> usize {
    match value {
        ParameterValue::List(values) => 1 + values.iter().map(count_values).sum::<usize>(),
        ParameterValue::Dict(entries) => {
            1 + entries.iter().map(|(_, value)| count_values(value)).sum::<usize>()
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
