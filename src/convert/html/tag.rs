//! One tag of raw HTML, read the way a browser reads it.

/// A tag, its attributes' values decoded.
pub(super) struct Tag<'a> {
    pub(super) closing: bool,
    pub(super) name: &'a str,
    pub(super) attributes: Vec<(&'a str, String)>,
}

/// What begins with a `<`.
pub(super) enum Parsed<'a> {
    /// A tag, and the text that follows it.
    Tag(Tag<'a>, &'a str),
    /// Text.
    NoTag,
    /// The beginning of a tag that has no end.
    Endless,
}

impl<'a> Tag<'a> {
    /// Reads what `text`, which begins with `<`, begins with.
    pub(super) fn parse(text: &'a str) -> Parsed<'a> {
        let rest = &text[1..];
        if rest.strip_prefix('/').unwrap_or(rest).starts_with(|c: char| c.is_ascii_alphabetic()) {
            Self::complete(rest).map_or(Parsed::Endless, |(tag, behind)| Parsed::Tag(tag, behind))
        } else {
            Parsed::NoTag
        }
    }

    fn complete(rest: &'a str) -> Option<(Self, &'a str)> {
        let (closing, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
        let (name, mut rest) = rest.split_at(rest.find(ends_name).unwrap_or(rest.len()));
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if let Some(behind) = rest.strip_prefix('>') {
                return Some((Self { closing, name, attributes }, behind));
            }
            let first = rest.chars().next()?.len_utf8();
            let end =
                rest[first..].find(|c: char| ends_name(c) || c == '=').map_or(rest.len(), |at| first + at);
            let attribute;
            (attribute, rest) = rest.split_at(end);
            let mut value = String::new();
            if let Some(behind) = rest.trim_ascii_start().strip_prefix('=') {
                let behind = behind.trim_ascii_start();
                let raw;
                (raw, rest) = match behind.chars().next()? {
                    quote @ ('"' | '\'') => behind[1..].split_once(quote)?,
                    _ => {
                        let stop = |c: char| c.is_ascii_whitespace() || c == '>';
                        behind.split_at(behind.find(stop)?)
                    }
                };
                value = decoded(raw);
            }
            attributes.push((attribute, value));
        }
    }
}

fn ends_name(character: char) -> bool {
    character.is_ascii_whitespace() || matches!(character, '/' | '>')
}

/// An attribute's value with the references resolved that disguise a scheme: the numeric ones and `&amp;`,
/// `&colon;`, `&tab;`, `&newline;`, quotes and brackets. Others stay as they are, escaped.
fn decoded(raw: &str) -> String {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        value.push_str(&rest[..at]);
        rest = &rest[at..];
        // Browsers take numeric references without their semicolon too.
        let digits = rest.strip_prefix("&#").map(|rest| match rest.strip_prefix(['x', 'X']) {
            Some(hex) => (16, 3, hex.bytes().take_while(u8::is_ascii_hexdigit).count()),
            None => (10, 2, rest.bytes().take_while(u8::is_ascii_digit).count()),
        });
        let (character, length) = match digits {
            Some((radix, start, count)) if count > 0 => {
                let code = u32::from_str_radix(&rest[start..start + count], radix).ok();
                (code.and_then(char::from_u32).unwrap_or('\u{fffd}'), start + count)
            }
            _ => {
                const NAMED: [(&str, char); 8] = [
                    ("&amp", '&'),
                    ("&colon", ':'),
                    ("&tab", '\t'),
                    ("&newline", '\n'),
                    ("&lt", '<'),
                    ("&gt", '>'),
                    ("&quot", '"'),
                    ("&apos", '\''),
                ];
                let named = NAMED.iter().find(|(name, _)| {
                    rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                });
                named.map_or(('&', 1), |(name, character)| (*character, name.len()))
            }
        };
        value.push(character);
        rest = &rest[length..];
        if length > 1 {
            rest = rest.strip_prefix(';').unwrap_or(rest);
        }
    }
    value.push_str(rest);
    value
}
