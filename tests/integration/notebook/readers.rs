//! The texts of languages that have no interpreter here, read by the rules of the language's own document.

use std::iter::Peekable;
use std::str::Chars;

use bindery::notebook::{ParameterValue, Parameters, Translator};

use super::interpreters::hostile_texts;
use super::{fixture, untagged};

/// What `read` makes of the literal of every text is the text, and nothing is left over.
fn check(translator: Translator, before: &str, after: &str, read: fn(&mut Peekable<Chars<'_>>) -> String) {
    let table = fixture("translators.json").into_iter().filter_map(|row| match untagged(&row["value"]) {
        ParameterValue::String(text) => Some(text),
        _ => None,
    });
    let texts: Vec<String> = table.chain(hostile_texts()).collect();
    assert!(texts.len() >= 400);
    for text in texts {
        let mut parameters = Parameters::new();
        parameters.insert("x", ParameterValue::String(text.clone())).unwrap();
        let cell = translator.codify(&parameters, "").unwrap();
        let line = cell.split_once('\n').unwrap().1;
        let literal = line.strip_prefix(before).unwrap().strip_suffix(after).unwrap();
        let mut characters = literal.chars().peekable();
        assert_eq!(read(&mut characters), text, "{translator:?} {literal}");
        assert_eq!(characters.collect::<String>(), "", "{translator:?}: code follows {literal}");
    }
}

/// As many characters as make a number of this base.
fn number(characters: &mut Peekable<Chars<'_>>, digits: usize, base: u32) -> u32 {
    let mut number = String::new();
    while number.len() < digits {
        match characters.next_if(|it| it.is_digit(base)) {
            Some(digit) => number.push(digit),
            None => break,
        }
    }
    u32::from_str_radix(&number, base).unwrap()
}

/// about_Special_Characters and about_Quoting_Rules: the backtick escapes, `$` interpolates, and the curly
/// double quotes are double quotes.
#[test]
fn powershell_reads_what_was_given() {
    check(Translator::PowerShell, "$x = ", "\n", |characters| {
        assert_eq!(characters.next(), Some('"'));
        let mut text = String::new();
        loop {
            match characters.next().unwrap() {
                '"' => return text,
                '`' => match characters.next().unwrap() {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'u' => {
                        assert_eq!(characters.next(), Some('{'));
                        text.push(char::from_u32(number(characters, 6, 16)).unwrap());
                        assert_eq!(characters.next(), Some('}'));
                    }
                    itself @ ('"' | '$' | '`') => text.push(itself),
                    other => panic!("the escape `{other} means another character"),
                },
                code @ ('$' | '\u{201c}'..='\u{201e}') => panic!("{code} is code"),
                character => text.push(character),
            }
        }
    });
}

/// "Characters and Strings" of MATLAB: a string between double quotes has no escapes but the doubled quote;
/// `+` joins; `char` makes characters of units of UTF-16.
#[test]
fn matlab_reads_what_was_given() {
    check(Translator::Matlab, "x = ", ";\n", |characters| {
        let in_parentheses = characters.next_if_eq(&'(').is_some();
        let mut units: Vec<u16> = Vec::new();
        loop {
            if characters.next_if_eq(&'"').is_some() {
                while let Some(character) = characters.next() {
                    if character == '"' && characters.next_if_eq(&'"').is_none() {
                        break;
                    }
                    assert!(matches!(character, ' '..='~'), "{character:?} ends the line or is lost");
                    units.push(character as u16);
                }
            } else {
                assert_eq!(characters.by_ref().take(5).collect::<String>(), "char(");
                let is_row = characters.next_if_eq(&'[').is_some();
                loop {
                    units.push(number(characters, 5, 10).try_into().unwrap());
                    if characters.next_if_eq(&' ').is_none() {
                        break;
                    }
                }
                assert!(!is_row || characters.next() == Some(']'));
                assert_eq!(characters.next(), Some(')'));
            }
            if in_parentheses && characters.next_if_eq(&')').is_none() {
                assert_eq!(characters.by_ref().take(3).collect::<String>(), " + ");
                continue;
            }
            return String::from_utf16(&units).unwrap();
        }
    });
}

/// The F# specification, 3.5 "Strings and Characters".
#[test]
fn fsharp_reads_what_was_given() {
    check(Translator::FSharp, "let x = ", "\n", |characters| {
        assert_eq!(characters.next(), Some('"'));
        let mut text = String::new();
        loop {
            match characters.next().unwrap() {
                '"' => return text,
                '\\' => match characters.next().unwrap() {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    itself @ ('\\' | '"') => text.push(itself),
                    kind => {
                        let digits =
                            [('x', 2), ('u', 4), ('U', 8)].into_iter().find(|(name, _)| *name == kind);
                        text.push(char::from_u32(number(characters, digits.unwrap().1, 16)).unwrap());
                    }
                },
                character => text.push(character),
            }
        }
    });
}
