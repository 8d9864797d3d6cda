//! The rules of Python's text that parameters obey: identifiers, `int(text)`, `float(text)`, white space.

use unicode_normalization::UnicodeNormalization as _;

/// The words that Python keeps for itself (`keyword.kwlist`), and `__debug__`, which cannot be assigned to.
const KEYWORDS: [&str; 36] = [
    "False",
    "None",
    "True",
    "__debug__",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
];

/// Characters that Unicode 15.1 added to identifiers; to a Python with an older table they are a syntax error.
const NEW_IN_UNICODE_15_1: [char; 4] = ['\u{200c}', '\u{200d}', '\u{30fb}', '\u{ff65}'];

/// The first digit of each run of ten decimal digits in Unicode (general category Nd); ASCII's is first.
const DECIMAL_ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
    0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
    0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Why `name` cannot stand on the left of a Python assignment, or `None` when it can.
pub(crate) fn identifier_fault(name: &str) -> Option<&'static str> {
    let normalized = normalized_name(name);
    if KEYWORDS.contains(&name) || KEYWORDS.contains(&normalized.as_str()) {
        return Some("is a keyword of Python: choose another name");
    }
    let is_identifier = |text: &str| {
        let mut characters = text.chars();
        characters.next().is_some_and(|first| first == '_' || unicode_ident::is_xid_start(first))
            && characters
                .all(|next| unicode_ident::is_xid_continue(next) && !NEW_IN_UNICODE_15_1.contains(&next))
    };
    (!is_identifier(name) || !is_identifier(&normalized)).then_some(
        "is not a name that Python accepts: use letters, digits and `_`, and no digit at the start",
    )
}

/// The name that Python stores for an identifier: its NFKC form.
pub(crate) fn normalized_name(name: &str) -> String {
    name.nfkc().collect()
}

/// Whether `str.isspace` holds: Unicode's white space and the four ASCII separators.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// `str.strip`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `int(text)` as canonical decimal digits, or `None` where Python raises ValueError.
pub(crate) fn parse_int(text: &str) -> Option<String> {
    /// Python's limit on the digits of an integer made from text (`sys.int_info.default_max_str_digits`).
    const MAX_DIGITS: usize = 4300;

    let text = numeric_text(text);
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text.as_str()),
    };
    let digits = without_underscores(digits)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    Some(if digits.is_empty() { "0".into() } else { format!("{sign}{digits}") })
}

/// `float(text)`, or `None` where Python raises ValueError.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    // Rust's grammar is Python's: a sign, `inf`, `infinity` and `nan` in any case, digits on one side of the
    // point at least, an exponent. What is too large becomes infinite in both.
    without_underscores(&numeric_text(text))?.parse().ok()
}

/// The text as Python prepares it for `int` and `float`: stripped, with every decimal digit as ASCII.
fn numeric_text(text: &str) -> String {
    // Not `strip`: of the ASCII characters, the C library's white space counts here, without \x1c–\x1f.
    text.trim().chars().map(ascii_digit).collect()
}

fn ascii_digit(character: char) -> char {
    let code = u32::from(character);
    DECIMAL_ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&code))
        .and_then(|zero| char::from_digit(code - zero, 10))
        .unwrap_or(character)
}

/// The text without the underscores that Python allows between two digits; `None` when one stands elsewhere.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let placed_well = bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'_' || (is_digit(at.checked_sub(1)) && is_digit(Some(at + 1))));
    placed_well.then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_python_judges_them() {
        let check = |name: &str, good: bool| assert_eq!(identifier_fault(name).is_none(), good, "{name:?}");
        for good in [
            "a",
            "_",
            "_1",
            "alpha_2",
            "größe",
            "变量",
            "ﬁ",
            "x²y".trim_end_matches("²y"),
            "match",
            "type",
            "print",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            "1a",
            "a b",
            "a-b",
            "a.b",
            "a;b",
            "a=1",
            "a\n",
            " a",
            "class",
            "None",
            "ｃlass",
            "x²",
            "🙂",
            "a\0",
            "__debug__",
            "x)\nimport os\n(",
            "\u{301}a",
        ] {
            check(bad, false);
        }
    }
}
