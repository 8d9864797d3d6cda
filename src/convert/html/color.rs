//! Colours and attributes of a terminal (SGR, ECMA-48 §8.3.117 and xterm's extensions).

use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Color {
    #[default]
    Default,
    /// 0–7 and their bright forms 8–15: named, so that the page's theme chooses.
    Named(u8),
    Rgb(u8, u8, u8),
}

/// How a character looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Style {
    foreground: Color,
    background: Color,
    /// Bits in the order of [`ATTRIBUTES`].
    attributes: u8,
}

const ATTRIBUTES: [&str; 6] = ["bold", "dim", "italic", "underline", "inverse", "strike"];

impl Style {
    /// Select Graphic Rendition: `1;38;5;208`, or with colons inside a colour as ISO 8613-6 has it.
    pub(super) fn select(&mut self, parameters: &str) {
        let mut codes = parameters
            .split([';', ':'])
            .map(|code| if code.is_empty() { Some(0) } else { code.parse::<u16>().ok() });
        while let Some(code) = codes.next() {
            let Some(code) = code else { continue };
            match code {
                0 => *self = Self::default(),
                1 => self.attributes |= 1,
                2 => self.attributes |= 1 << 1,
                3 => self.attributes |= 1 << 2,
                4 => self.attributes |= 1 << 3,
                7 => self.attributes |= 1 << 4,
                9 => self.attributes |= 1 << 5,
                22 => self.attributes &= !0b11,
                23 => self.attributes &= !(1 << 2),
                24 => self.attributes &= !(1 << 3),
                27 => self.attributes &= !(1 << 4),
                29 => self.attributes &= !(1 << 5),
                30..=37 => self.foreground = Color::Named((code - 30) as u8),
                39 => self.foreground = Color::Default,
                40..=47 => self.background = Color::Named((code - 40) as u8),
                49 => self.background = Color::Default,
                90..=97 => self.foreground = Color::Named((code - 90 + 8) as u8),
                100..=107 => self.background = Color::Named((code - 100 + 8) as u8),
                38 | 48 => {
                    let color = match codes.next().flatten() {
                        Some(5) => codes.next().flatten().and_then(indexed),
                        Some(2) => {
                            // `38:2::r:g:b` has an empty colour space; with semicolons there is none.
                            let mut rest: Vec<_> = codes.by_ref().take(3).collect();
                            if parameters.contains("2::") {
                                rest.remove(0);
                                rest.push(codes.next().flatten());
                            }
                            rgb(&rest)
                        }
                        _ => None,
                    };
                    let color = color.unwrap_or_default();
                    if code == 38 { self.foreground = color } else { self.background = color }
                }
                _ => {}
            }
        }
    }

    /// The start tag of a span that looks so.
    pub(super) fn open(&self, html: &mut String) {
        let mut classes = Vec::new();
        let mut style = String::new();
        for (bit, name) in ATTRIBUTES.iter().enumerate() {
            if self.attributes & (1 << bit) != 0 {
                classes.push(format!("ansi-{name}"));
            }
        }
        for (color, what, property) in
            [(self.foreground, "fg", "color"), (self.background, "bg", "background-color")]
        {
            match color {
                Color::Default => {}
                Color::Named(number) => classes.push(format!("ansi-{what}-{number}")),
                Color::Rgb(red, green, blue) => {
                    let _ = write!(style, "{property}:#{red:02x}{green:02x}{blue:02x};");
                }
            }
        }
        html.push_str("<span");
        if !classes.is_empty() {
            let _ = write!(html, " class=\"{}\"", classes.join(" "));
        }
        if !style.is_empty() {
            let _ = write!(html, " style=\"{style}\"");
        }
        html.push('>');
    }
}

/// xterm's 256 colours: 16 names, a cube of 6×6×6, 24 greys.
fn indexed(number: u16) -> Option<Color> {
    let level = |step: u16| if step == 0 { 0 } else { (55 + 40 * step) as u8 };
    match number {
        0..=15 => Some(Color::Named(number as u8)),
        16..=231 => {
            let cube = number - 16;
            Some(Color::Rgb(level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
        }
        232..=255 => {
            let grey = (8 + 10 * (number - 232)) as u8;
            Some(Color::Rgb(grey, grey, grey))
        }
        _ => None,
    }
}

fn rgb(parts: &[Option<u16>]) -> Option<Color> {
    let part = |index: usize| parts.get(index).copied().flatten().and_then(|value| u8::try_from(value).ok());
    Some(Color::Rgb(part(0)?, part(1)?, part(2)?))
}
