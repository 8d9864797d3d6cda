//! The raw HTML that markdown may contain, reduced to what cannot harm.
//!
//! Nothing of the input is copied through: a tag that is on the list is written anew, from its name and those
//! of its attributes that are on the list, with quotes of our own. A tag that is not on the list vanishes,
//! its text stays, except for elements whose content is no text (scripts, styles).

use std::collections::HashMap;

use super::escape_into;
use super::tag::{Parsed, Tag};

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];
const VOID: &[&str] = &["br", "col", "hr", "img", "wbr"];
/// Their content is code, or hidden; it goes with them.
const OPAQUE: &[&str] = &[
    "script", "style", "iframe", "noscript", "object", "template", "textarea", "title", "svg", "math", "xmp",
];
const ATTRIBUTES: &[&str] = &[
    "align",
    "alt",
    "border",
    "cellpadding",
    "cellspacing",
    "color",
    "colspan",
    "height",
    "open",
    "rowspan",
    "size",
    "span",
    "start",
    "title",
    "valign",
    "width",
];

/// Where a link may go: to the web, by mail, or inside the page. Never `javascript:` and its disguises.
pub(super) fn link(url: &str) -> Option<&str> {
    let url = url.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    match scheme(url)?.as_str() {
        "" | "http" | "https" | "mailto" => Some(url),
        _ => None,
    }
}

/// Where an image may come from: as [`link`], and raster images or SVG written into the URL.
pub(super) fn image(url: &str) -> Option<&str> {
    let url = url.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    match scheme(url)?.as_str() {
        "" | "http" | "https" => Some(url),
        // An image of any kind runs no script inside <img>.
        "data" if url.get(5..11).is_some_and(|kind| kind.eq_ignore_ascii_case("image/")) => Some(url),
        _ => None,
    }
}

/// The scheme in lower case, empty for a relative URL; None when browsers might see another one than we do,
/// because they skip tabs and newlines inside.
fn scheme(url: &str) -> Option<String> {
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    match url[..end].split_once(':') {
        None => Some(String::new()),
        Some((scheme, _)) => {
            let clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            scheme.chars().all(clean).then(|| scheme.to_ascii_lowercase())
        }
    }
}

/// Cleans the pieces of raw HTML of one markdown cell, and keeps its open tags so that none outlives it.
#[derive(Default)]
pub(super) struct Sanitizer {
    open: Vec<&'static str>,
    /// How many of each are among them, so that a stray end tag costs no search.
    counts: HashMap<&'static str, usize>,
}

impl Sanitizer {
    /// Writes what remains of `html`.
    pub(super) fn write(&mut self, html: &str, page: &mut String) {
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            text(&rest[..at], page);
            rest = &rest[at..];
            rest = if let Some(comment) = rest.strip_prefix("<!--") {
                comment.find("-->").map_or("", |end| &comment[end + 3..])
            } else if rest.starts_with("<!") || rest.starts_with("<?") {
                rest.find('>').map_or("", |end| &rest[end + 1..])
            } else {
                match Tag::parse(rest) {
                    Parsed::Tag(tag, behind) => self.tag(&tag, behind, page),
                    Parsed::NoTag => {
                        page.push_str("&lt;");
                        &rest[1..]
                    }
                    // Looking into it again from every further `<` would take time with the square.
                    Parsed::Endless => break,
                }
            };
        }
        text(rest, page);
    }

    /// Closes what is open.
    pub(super) fn finish(&mut self, page: &mut String) {
        while self.close(page).is_some() {}
    }

    fn close(&mut self, page: &mut String) -> Option<&'static str> {
        let name = self.open.pop()?;
        *self.counts.entry(name).or_default() -= 1;
        page.push_str("</");
        page.push_str(name);
        page.push('>');
        Some(name)
    }

    /// Writes `tag` if it may be, and gives what is to be read next.
    fn tag<'a>(&mut self, tag: &Tag<'_>, behind: &'a str, page: &mut String) -> &'a str {
        let name = tag.name.to_ascii_lowercase();
        if OPAQUE.contains(&name.as_str()) {
            return if tag.closing { behind } else { behind_end_of(&name, behind) };
        }
        let Some(name) = TAGS.iter().copied().find(|allowed| *allowed == name) else { return behind };
        if tag.closing {
            if self.counts.get(name).is_some_and(|count| *count > 0) {
                while self.close(page).is_some_and(|closed| closed != name) {}
            }
            return behind;
        }
        page.push('<');
        page.push_str(name);
        for (attribute, value) in &tag.attributes {
            let attribute = attribute.to_ascii_lowercase();
            let value = match (name, attribute.as_str()) {
                ("a", "href") => link(value),
                ("img", "src") => image(value),
                (_, other) if ATTRIBUTES.contains(&other) => Some(value.as_str()),
                _ => None,
            };
            if let Some(value) = value {
                page.push(' ');
                page.push_str(&attribute);
                page.push_str("=\"");
                escape_into(value, page);
                page.push('"');
            }
        }
        if name == "a" {
            page.push_str(" rel=\"noopener noreferrer\"");
        }
        page.push('>');
        if !VOID.contains(&name) {
            self.open.push(name);
            *self.counts.entry(name).or_default() += 1;
        }
        behind
    }
}

/// Text between tags: character references stay, everything else is escaped.
fn text(text: &str, page: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        escape_into(&rest[..at], page);
        rest = &rest[at..];
        let end = reference(rest);
        match end {
            Some(end) => page.push_str(&rest[..end]),
            None => page.push_str("&amp;"),
        }
        rest = &rest[end.unwrap_or(1)..];
    }
    escape_into(rest, page);
}

/// The length of the character reference that `text` begins with: `&amp;`, `&#233;`, `&#xe9;`.
fn reference(text: &str) -> Option<usize> {
    let end = text.bytes().take(34).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let name = name.strip_prefix('#').unwrap_or(name);
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(end + 1)
}

/// What follows `</name …>`, nothing when it never comes: an unclosed script swallows the rest, as it does
/// in a browser.
fn behind_end_of<'a>(name: &str, text: &'a str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}
