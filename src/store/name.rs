//! Names of templates and categories, parsed once at the door.
//!
//! A name that parses can be joined to a folder or used as an object key without further care: it has no
//! way up, no hidden part, no character that looks like another one, and fits every store.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::is_nfkc;

use crate::error::{Error, Result};

/// The longest name in bytes of UTF-8, category included. File systems stop at 255 for one part, and a
/// sidecar file adds a suffix of its own.
pub const MAX_NAME_BYTES: usize = 200;
/// The most parts that a category may have (`a/b/c/d`).
pub const MAX_CATEGORY_DEPTH: usize = 4;

const EXTENSION: &str = ".ipynb";
const PUNCTUATION: &str = " ._-()+@,=";
const ALLOWED: &str = "allowed are letters and digits of any script, spaces and . _ - ( ) + @ , =";

/// Where templates are grouped: one to four parts joined by `/`, such as `ml` or `team-a/forecasts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(String);

/// The name of a template: `category/name.ipynb`. Ordered by its bytes, as object stores order keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateName {
    full: String,
    category: Category,
}

impl Category {
    /// Parses a category.
    ///
    /// # Errors
    /// `BadInput` which says what is wrong, where, and what is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        check_text("category", text)?;
        check_parts("category", text, text.split('/'))?;
        let depth = text.split('/').count();
        if depth > MAX_CATEGORY_DEPTH {
            let what = format!("it has {depth} parts; allowed are at most {MAX_CATEGORY_DEPTH}, joined by /");
            return Err(refuse("category", text, &what));
        }
        // An object store could hold both `a.ipynb` and `a.ipynb/b.ipynb`, a folder cannot.
        if let Some(part) = text.split('/').find(|part| part.ends_with(EXTENSION)) {
            let what = format!("the part {part:?} ends in {EXTENSION}, which only a notebook's name may");
            return Err(refuse("category", text, &what));
        }
        Ok(Self(text.to_owned()))
    }

    /// The category as text, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the names of all templates in this category, and in those below it, begin with: `ml/`.
    pub fn prefix(&self) -> String {
        format!("{}/", self.0)
    }
}

impl TemplateName {
    /// Parses a whole name, `category/name.ipynb`.
    ///
    /// # Errors
    /// `BadInput` which says what is wrong, where, and what is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        check_text("template name", text)?;
        let Some((category, file_name)) = text.rsplit_once('/') else {
            let what = "it has no category; write category/name.ipynb";
            return Err(refuse("template name", text, what));
        };
        check_parts("template name", text, text.split('/'))?;
        match file_name.strip_suffix(EXTENSION) {
            None => {
                let what = format!("{file_name:?} does not end in {EXTENSION} (in small letters)");
                return Err(refuse("template name", text, &what));
            }
            // A name of only the extension begins with a dot, so `check_parts` has refused it already.
            Some(stem) if stem.ends_with(' ') || stem.ends_with('.') => {
                let what = format!("there is a space or a dot before {EXTENSION}");
                return Err(refuse("template name", text, &what));
            }
            Some(_) => {}
        }
        Ok(Self { category: Category::parse(category)?, full: text.to_owned() })
    }

    /// The name of a file in a category; `file_name` is checked like any other part.
    ///
    /// # Errors
    /// As [`TemplateName::parse`]; a `/` in `file_name` is refused.
    pub fn in_category(category: &Category, file_name: &str) -> Result<Self> {
        if file_name.contains('/') {
            return Err(refuse("file name", file_name, "it contains /; the category is given apart"));
        }
        Self::parse(&format!("{category}/{file_name}"))
    }

    /// The whole name, `category/name.ipynb`.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The category.
    pub fn category(&self) -> &Category {
        &self.category
    }

    /// The part after the category, with its extension.
    pub fn file_name(&self) -> &str {
        &self.full[self.category.0.len() + 1..]
    }

    /// The part after the category, without its extension.
    pub fn stem(&self) -> &str {
        self.file_name().strip_suffix(EXTENSION).unwrap_or(self.file_name())
    }
}

/// Rules for the text as a whole.
fn check_text(noun: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::bad_input(format!("the {noun} is empty; {ALLOWED}")));
    }
    if text.len() > MAX_NAME_BYTES {
        let what = format!("it has {} bytes; allowed are at most {MAX_NAME_BYTES}", text.len());
        return Err(refuse(noun, text, &what));
    }
    for (index, character) in text.chars().enumerate() {
        if character != '/' && !is_allowed(character) {
            let code = u32::from(character);
            let what = format!("character {} (U+{code:04X}) is not allowed; {ALLOWED}", index + 1);
            return Err(refuse(noun, text, &what));
        }
    }
    // Two names that look the same must be the same: `ﬁt` (one ligature) and `fit`, or a decomposed `é`.
    if !is_nfkc(text) {
        let what = "it uses a compatibility form or a decomposed character; write it in Unicode NFKC form";
        return Err(refuse(noun, text, what));
    }
    Ok(())
}

/// Rules for each part between slashes.
fn check_parts<'a>(noun: &str, text: &str, parts: impl Iterator<Item = &'a str>) -> Result<()> {
    for part in parts {
        let what = if part.is_empty() {
            "there is an empty part; no / at either end and no // inside".to_owned()
        } else if part.starts_with('.') {
            format!("the part {part:?} begins with a dot")
        } else if part.contains("..") {
            format!("the part {part:?} contains two dots in a row")
        } else if part.starts_with(' ') || part.ends_with(' ') {
            format!("the part {part:?} begins or ends with a space")
        } else if part.chars().next().is_some_and(is_combining_mark) {
            format!("the part {part:?} begins with a combining mark")
        } else {
            continue;
        };
        return Err(refuse(noun, text, &what));
    }
    Ok(())
}

fn is_allowed(character: char) -> bool {
    PUNCTUATION.contains(character)
        || ((character.is_alphanumeric() || is_combining_mark(character)) && !is_invisible(character))
}

/// Letters and marks which draw nothing (Unicode's `Default_Ignorable_Code_Point` among them): with one of
/// these, two different names look the same.
fn is_invisible(character: char) -> bool {
    matches!(u32::from(character),
        0x034F | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x3164 | 0xFFA0
        | 0xFE00..=0xFE0F | 0xE0100..=0xE01EF)
}

/// The one shape of refusal. The name is escaped and cut, since it may be anything.
fn refuse(noun: &str, text: &str, what: &str) -> Error {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    Error::bad_input(format!("{noun} \"{shown}\" cannot be used: {what}"))
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.full)
    }
}

impl FromStr for Category {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl FromStr for TemplateName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
