//! The names to which each language can assign.
//!
//! Letters and digits are Unicode's identifier classes where the language takes them. A name that reads as
//! several names, as code, or as a value of the language is never taken.

use unicode_normalization::UnicodeNormalization as _;

/// The form in which most languages compare names.
pub(super) fn nfc(name: &str) -> String {
    name.nfc().collect()
}

/// Whether the name is made of letters, digits and the characters of `also`, the first one no digit.
pub(super) fn is_unicode_name(name: &str, also: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|it| unicode_ident::is_xid_start(it) || also.contains(it))
        && characters.all(|it| !is_joiner(it) && (unicode_ident::is_xid_continue(it) || also.contains(it)))
}

/// Whether the name is made of ASCII letters, digits and `_`, the first one no digit.
pub(super) fn is_ascii_name(name: &str) -> bool {
    name.is_ascii() && is_unicode_name(name, "_")
}

/// Whether `words`, which are separated by spaces, have the name.
pub(super) fn is_word(words: &str, name: &str) -> bool {
    words.split_ascii_whitespace().any(|word| word == name)
}

/// The fault of a name that is one of the language's `words`, or that is none of its names.
pub(super) fn fault(
    name: &str,
    words: &str,
    is_name: bool,
    not_a_name: &'static str,
) -> Option<&'static str> {
    if is_word(words, name) {
        return Some("is a word that the language keeps for itself: choose another name");
    }
    (!is_name).then_some(not_a_name)
}

/// What the languages with Unicode identifiers say.
pub(super) const UNICODE: &str =
    "is not a name that the language accepts: use letters, digits and `_`, and no digit at the start";
/// What the languages with ASCII identifiers say.
pub(super) const ASCII: &str =
    "is not a name that the language accepts: use ASCII letters, digits and `_`, and no digit at the start";

/// What joins letters without being seen: in one language part of the name, in another not there.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}' | '\u{30fb}' | '\u{ff65}')
}
