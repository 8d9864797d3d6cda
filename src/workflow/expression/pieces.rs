//! A text cut into what stands for itself and what stands in `${{ }}`.

use std::ops::Range;

/// The longest that one expression may be, in bytes.
pub(super) const LONGEST: usize = 2_000;
/// The most expressions in one text.
const MOST: usize = 100;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// What stands for itself.
    Text(&'a str),
    /// What stands between `${{` and `}}`, spaces included.
    Expression {
        /// The expression.
        source: &'a str,
        /// Where in the text it stands, in bytes.
        range: Range<usize>,
    },
}

/// What is wrong in a text, and where in it, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) offset: usize,
    /// What.
    pub(crate) message: String,
}

/// The parts of a text, in order.
pub(crate) fn split(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let (mut pieces, mut at, mut expressions) = (Vec::new(), 0, 0);
    while let Some(found) = text[at..].find("${{") {
        let (begin, start) = (at + found, at + found + 3);
        let fault = |message: String| Fault { offset: begin, message };
        let length = end_of_expression(&text[start..])
            .ok_or_else(|| fault("`${{` has no `}}` after it: close it, or write `${{ \"${{\" }}`".into()))?;
        if length > LONGEST {
            return Err(fault(format!("an expression may have {LONGEST} bytes, and this has {length}")));
        }
        expressions += 1;
        if expressions > MOST {
            return Err(fault(format!("a text may have {MOST} expressions, and this has more")));
        }
        if begin > at {
            pieces.push(Piece::Text(&text[at..begin]));
        }
        let range = start..start + length;
        pieces.push(Piece::Expression { source: &text[range.clone()], range });
        at = start + length + 2;
    }
    if at < text.len() {
        pieces.push(Piece::Text(&text[at..]));
    }
    Ok(pieces)
}

/// How long the expression is at whose first byte this begins: to the `}}` that is in no text of its own and closes no
/// object of its own.
fn end_of_expression(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, bool)]) {
        let pieces = split(text).unwrap();
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => (*text, false),
                Piece::Expression { source, range } => {
                    assert_eq!(&text[range.clone()], *source);
                    (*source, true)
                }
            })
            .collect();
        assert_eq!(pieces, expected, "{text}");
    }

    #[test]
    fn expressions_are_found_where_they_begin_and_end() {
        check("", &[]);
        check("a {{ b }} $c", &[("a {{ b }} $c", false)]);
        check("${{ a }}", &[(" a ", true)]);
        check("ä-${{a}}-${{b}}", &[("ä-", false), ("a", true), ("-", false), ("b", true)]);
        check(r#"${{ "}}" ~ '\'}}' }}x"#, &[(r#" "}}" ~ '\'}}' "#, true), ("x", false)]);
        check("${{ {'a': {'b': 1}} }}", &[(" {'a': {'b': 1}} ", true)]);
        check("${{{}}}", &[("{}", true)]);
    }

    #[test]
    fn what_does_not_end_is_a_fault() {
        let fault = |text: &str| split(text).unwrap_err();
        assert_eq!(fault("ab ${{ c }").offset, 3);
        assert!(fault("${{ '}} ").message.starts_with("`${{` has no `}}`"));
        assert!(fault(r"${{ 'a\").message.starts_with("`${{` has no `}}`"));
        assert!(
            fault(&format!("${{{{ {} }}}}", "a".repeat(LONGEST))).message.contains("may have 2000 bytes")
        );
        assert!(fault(&"${{a}}".repeat(MOST + 1)).message.contains("may have 100 expressions"));
    }
}
