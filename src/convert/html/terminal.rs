//! Text as a terminal would show it in the end: colours become spans, and what was written over is gone.
//!
//! Understood are SGR colours and attributes (16, 256 and true colours), carriage return, backspace, erase
//! in line, and cursor up and down as progress bars use them. Every other sequence is dropped.

use std::collections::HashMap;

use super::color::Style;
use super::escape_into;

#[derive(Clone, Copy)]
struct Place {
    character: char,
    style: u32,
}

/// `text` as escaped HTML.
pub(super) fn to_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    if text.bytes().any(|byte| matches!(byte, b'\r' | 0x08 | 0x1b)) {
        let mut screen = Screen::new();
        screen.print(text);
        screen.write(&mut html);
    } else {
        escape_into(text, &mut html);
    }
    html
}

struct Screen {
    lines: Vec<Vec<Place>>,
    row: usize,
    column: usize,
    style: Style,
    /// Every style that was used; a place refers to one by number. Number 0 is the plain one.
    styles: Vec<Style>,
    numbers: HashMap<Style, u32>,
    number: u32,
}

impl Screen {
    fn new() -> Self {
        Self {
            lines: vec![Vec::new()],
            row: 0,
            column: 0,
            style: Style::default(),
            styles: vec![Style::default()],
            numbers: HashMap::from([(Style::default(), 0)]),
            number: 0,
        }
    }

    fn print(&mut self, text: &str) {
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\n' => {
                    self.row += 1;
                    self.column = 0;
                    if self.row == self.lines.len() {
                        self.lines.push(Vec::new());
                    }
                }
                '\r' => self.column = 0,
                '\x08' => self.column = self.column.saturating_sub(1),
                '\x1b' => rest = self.escape(rest),
                '\t' => self.put(character),
                character if character.is_control() => {}
                character => self.put(character),
            }
        }
    }

    fn put(&mut self, character: char) {
        let place = Place { character, style: self.number };
        let line = &mut self.lines[self.row];
        // Cursor up may leave the column beyond a shorter line.
        if line.len() < self.column {
            line.resize(self.column, Place { character: ' ', style: 0 });
        }
        match line.get_mut(self.column) {
            Some(old) => *old = place,
            None => line.push(place),
        }
        self.column += 1;
    }

    /// Takes one escape sequence off `rest`, which begins behind the ESC, and gives what follows it.
    fn escape<'a>(&mut self, rest: &'a str) -> &'a str {
        let bytes = rest.as_bytes();
        match bytes.first() {
            // CSI: parameters, intermediates, one final byte.
            Some(b'[') => {
                let parameters = bytes[1..].iter().take_while(|byte| (0x20..=0x3f).contains(*byte)).count();
                let end = 1 + parameters;
                match bytes.get(end) {
                    Some(last @ 0x40..=0x7e) => {
                        self.control(&rest[1..end], *last);
                        &rest[end + 1..]
                    }
                    // Broken: what was taken is ASCII, what follows is text.
                    _ => &rest[end..],
                }
            }
            // OSC (titles, hyperlinks): up to BEL or ESC \. Without an end in the same line it is text.
            Some(b']') => {
                let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
                match line.find(['\x07', '\x1b']) {
                    Some(end) if line[end..].starts_with("\x1b\\") => &rest[end + 2..],
                    Some(end) if line[end..].starts_with('\x07') => &rest[end + 1..],
                    Some(end) => &rest[end..],
                    None => &rest[1..],
                }
            }
            Some(0x20..=0x7e) => &rest[1..],
            _ => rest,
        }
    }

    fn control(&mut self, parameters: &str, last: u8) {
        let count = || parameters.parse::<usize>().unwrap_or(1).max(1);
        match last {
            b'm' => {
                self.style.select(parameters);
                let next = self.styles.len() as u32;
                self.number = *self.numbers.entry(self.style).or_insert(next);
                if self.number == next {
                    self.styles.push(self.style);
                }
            }
            b'A' => self.row = self.row.saturating_sub(count()),
            b'B' => self.row = (self.row.saturating_add(count())).min(self.lines.len() - 1),
            b'K' => {
                let line = &mut self.lines[self.row];
                match parameters {
                    "" | "0" => line.truncate(self.column),
                    "2" => line.clear(),
                    _ => {
                        let end = self.column.saturating_add(1).min(line.len());
                        line[..end].fill(Place { character: ' ', style: 0 });
                    }
                }
            }
            _ => {}
        }
    }

    fn write(&self, html: &mut String) {
        let mut text = String::new();
        let mut current = 0;
        let mut flush = |text: &mut String, style: u32| {
            if style == 0 {
                escape_into(text, html);
            } else if !text.is_empty() {
                self.styles[style as usize].open(html);
                escape_into(text, html);
                html.push_str("</span>");
            }
            text.clear();
        };
        for (index, line) in self.lines.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            for place in line {
                if place.style != current {
                    flush(&mut text, current);
                    current = place.style;
                }
                text.push(place.character);
            }
        }
        flush(&mut text, current);
    }
}

#[cfg(test)]
mod tests {
    use super::to_html;

    fn check(text: &str, expected: &str) {
        assert_eq!(to_html(text), expected, "{text:?}");
    }

    #[test]
    fn colours_become_spans() {
        check("plain <b> & \"quotes\"", "plain &lt;b&gt; &amp; &quot;quotes&quot;");
        check("\x1b[31mred\x1b[0m.", "<span class=\"ansi-fg-1\">red</span>.");
        check(
            "\x1b[1;32ma\x1b[22mb\x1b[mc",
            "<span class=\"ansi-bold ansi-fg-2\">a</span><span class=\"ansi-fg-2\">b</span>c",
        );
        check("\x1b[97;104mx", "<span class=\"ansi-fg-15 ansi-bg-12\">x</span>");
        check("\x1b[38;5;208mx", "<span style=\"color:#ff8700;\">x</span>");
        check("\x1b[48;5;240mx", "<span style=\"background-color:#585858;\">x</span>");
        check("\x1b[38;5;9mx", "<span class=\"ansi-fg-9\">x</span>");
        check("\x1b[38;2;1;2;255mx", "<span style=\"color:#0102ff;\">x</span>");
        check("\x1b[38:2::1:2:3mx", "<span style=\"color:#010203;\">x</span>");
        check("\x1b[38:2:1:2:3mx", "<span style=\"color:#010203;\">x</span>");
        check(
            "\x1b[7;3;4;9;2mx",
            "<span class=\"ansi-dim ansi-italic ansi-underline ansi-inverse ansi-strike\">x</span>",
        );
        check("\x1b[31ma\nb\x1b[39m", "<span class=\"ansi-fg-1\">a\nb</span>");
        check("\x1b[31m<script>\x1b[0m", "<span class=\"ansi-fg-1\">&lt;script&gt;</span>");
        check("\x1b[38;5;999;1mx", "<span class=\"ansi-bold\">x</span>");
    }

    #[test]
    fn what_was_written_over_is_gone() {
        check("  0%\r 50%\r100%\n", "100%\n");
        check("long line\rshort", "shortline");
        check("long line\r\x1b[Kshort", "short");
        check("a\r\nb\r\n", "a\nb\n");
        check("abc\x08\x08X", "aXc");
        check("\x08\x08a", "a");
        check("one\n\x1b[A\x1b[2Ktwo\nthree", "two\nthree");
        check("ab\ncd\x1b[1A!\x1b[99B?", "ab!\ncd ?");
        check("ab\x1b[1Kc", "  c");
        check("täglich\rT", "Täglich");
    }

    #[test]
    fn other_sequences_and_broken_ones_are_dropped() {
        check("a\x1b]8;;https://x.example\x1b\\link\x1b]8;;\x1b\\b", "alinkb");
        check("a\x1b]0;title\x07b", "ab");
        check("a\x1b]0;no end\nb", "a0;no end\nb");
        check("a\x1b[2J\x1b[H\x1b[?25lb", "ab");
        check("a\x1b", "a");
        check("a\x1b[", "a");
        check("a\x1b[31", "a");
        check("a\x1b[3ä", "aä");
        check("a\x1bcb", "ab");
        check("a\x1bä", "aä");
        check("a\r\x00\x07b", "b");
        check("a\x00b", "a\u{fffd}b");
        check("\x1b[99999999999999999999Ax\x1b[99999999999999999999B", "x");
    }
}
