//! Translators: parameters → source of one language, and a `parameters` cell → what it declares.
//!
//! Parameters become literals of the language, never code: a translator escapes every text, and judges every
//! name by the language's own rule. The source is papermill's (`papermill/translators.py`) character by
//! character wherever papermill's means the value; where it means another or nothing, what is right in the
//! language stands instead, and `docs/adr/0004-literals-mean-their-value.md` says so. A value that the language
//! cannot hold is refused.

mod bash;
mod csharp;
mod fsharp;
mod go;
mod javascript;
mod julia;
mod matlab;
mod names;
mod powershell;
mod python;
mod r;
mod registry;
mod rust;
mod scala;
mod sql;
mod writing;

use std::collections::HashSet;

use super::inspect::Parameter;
use super::parameters::fault_of_name;
use super::python_rules::strip;
use super::validate::MAX_FAULTS;
use super::value::ParameterValue;
use super::{Notebook, Parameters};
use crate::error::{Error, Result};
use writing::Written;

/// A language into which parameters can be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Translator {
    /// Python 3.
    Python,
    /// R.
    R,
    /// Scala 2.11 and later.
    Scala,
    /// Julia 1.
    Julia,
    /// MATLAB, R2017a and later.
    Matlab,
    /// C#, of .NET Interactive.
    CSharp,
    /// F#, of .NET Interactive.
    FSharp,
    /// PowerShell 6 and later, of .NET Interactive.
    PowerShell,
    /// Bash.
    Bash,
    /// Rust, of evcxr.
    Rust,
    /// JavaScript.
    JavaScript,
    /// TypeScript, of Deno and tslab.
    TypeScript,
    /// Go, of GoNB and gophernotes.
    Go,
    /// SQL of a dialect that is not known.
    Sql,
    /// SQL of SQLite, PostgreSQL and DuckDB, where a backslash in a text is itself.
    StandardSql,
}

/// What one language's file says.
trait Language {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// A line of comment; `text` has no line break.
    fn comment(&self, text: &str) -> String;

    /// Why `name` cannot be assigned to: `is …: …`.
    fn name_fault(&self, name: &str) -> Option<&'static str>;

    /// The name as the language stores it: two names with the same one are one variable.
    fn stored_name(&self, name: &str) -> String {
        names::nfc(name)
    }

    /// The lines that bind `name`, each with its line break.
    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written;

    /// What must stand between the comment and the assignments.
    fn prologue(&self, parameters: &Parameters) -> String {
        let _ = parameters;
        String::new()
    }

    /// What must stand after the assignments.
    fn epilogue(&self) -> &'static str {
        ""
    }
}

impl Translator {
    /// The translator for a kernel name, else for a language, by the names of papermill's registry
    /// (`papermill/translators.py`); then by further names that kernels go by, case aside.
    ///
    /// # Errors
    /// `Invalid`, naming the known languages, when neither is known.
    pub fn find(kernel_name: Option<&str>, language: Option<&str>) -> Result<Self> {
        if let Some(translator) = registry::find(kernel_name, language) {
            return Ok(translator);
        }
        let known = registry::LANGUAGES.join(", ");
        Err(match (kernel_name, language) {
            (None, None) => Error::invalid(format!(
                "the notebook names neither a kernel nor a language, so parameters cannot be written into it: \
                 name one (known: {known})"
            ))
            .with_field("language", format!("name one (known: {known})")),
            (kernel_name, language) => Error::invalid(format!(
                "no way is known to write parameters for kernel {} or language {}: choose one of {known}",
                quoted(kernel_name),
                quoted(language)
            ))
            .with_field("language", format!("choose one of {known}")),
        })
    }

    /// The translator for a notebook; `kernel_name` and `language` go before what the notebook says.
    ///
    /// # Errors
    /// As [`Translator::find`].
    pub fn for_notebook(
        notebook: &Notebook,
        kernel_name: Option<&str>,
        language: Option<&str>,
    ) -> Result<Self> {
        let given = |name: &&str| !name.is_empty();
        let kernel_name = kernel_name.filter(given).or_else(|| notebook.kernel_name()).filter(given);
        let language = language.filter(given).or_else(|| notebook.language()).filter(given);
        Self::find(kernel_name, language)
    }

    /// The language's name as a reader knows it: `C#`.
    pub fn language(self) -> &'static str {
        self.rules().name()
    }

    /// The source of a cell that binds `parameters`, under `comment`.
    ///
    /// # Errors
    /// `Invalid`, with the field `parameters.<name>`, for every name to which the language cannot assign, every
    /// name that is another's to it, and every value that it cannot hold.
    pub fn codify(self, parameters: &Parameters, comment: &str) -> Result<String> {
        let rules = self.rules();
        let mut source = strip(&rules.comment(&on_one_line(comment))).to_owned();
        source.push('\n');
        if parameters.is_empty() {
            return Ok(source);
        }
        source.push_str(&rules.prologue(parameters));
        let mut stored = HashSet::new();
        let mut faults = Vec::new();
        for (name, value) in parameters.iter() {
            let fault = match rules.name_fault(name) {
                Some(fault) => Some(fault.replace("the language", rules.name())),
                None if !stored.insert(rules.stored_name(name)) => Some(format!(
                    "is the same name to {} as another parameter: give one of them",
                    rules.name()
                )),
                None => rules.push_assignment(&mut source, name, value).err(),
            };
            if let Some(fault) = fault {
                faults.push(fault_of_name(name, &fault));
            }
            if faults.len() == MAX_FAULTS {
                break;
            }
        }
        match faults.first() {
            None => Ok(source + rules.epilogue()),
            Some(first) => Err(Error::invalid(first.message())
                .with_fields(faults.iter().flat_map(|error| error.fields().iter().cloned()))),
        }
    }

    /// Whether [`Translator::inspect`] can find anything: in Python only, as in papermill.
    pub fn inspects(self) -> bool {
        self == Self::Python
    }

    /// The parameters that a `parameters` cell with this source declares; none where the language is not
    /// inspected.
    pub fn inspect(self, source: &str) -> Vec<Parameter> {
        if self.inspects() { python::inspect(source) } else { Vec::new() }
    }

    /// The name as the language stores it.
    pub(super) fn stored_name(self, name: &str) -> String {
        self.rules().stored_name(name)
    }

    fn rules(self) -> &'static dyn Language {
        match self {
            Self::Python => &python::Python,
            Self::R => &r::R,
            Self::Scala => &scala::Scala,
            Self::Julia => &julia::Julia,
            Self::Matlab => &matlab::Matlab,
            Self::CSharp => &csharp::CSharp,
            Self::FSharp => &fsharp::FSharp,
            Self::PowerShell => &powershell::PowerShell,
            Self::Bash => &bash::Bash,
            Self::Rust => &rust::Rust,
            Self::JavaScript => &javascript::JavaScript,
            Self::TypeScript => &javascript::TypeScript,
            Self::Go => &go::Go,
            Self::Sql => &sql::Sql { backslash_is_itself: false },
            Self::StandardSql => &sql::Sql { backslash_is_itself: true },
        }
    }
}

/// A line break would end the comment, and what follows would be code; U+2028 and U+2029 break lines in some
/// languages.
fn on_one_line(comment: &str) -> String {
    comment.replace(|it: char| it.is_control() || matches!(it, '\u{2028}' | '\u{2029}'), " ")
}

fn quoted(name: Option<&str>) -> String {
    name.map_or_else(|| "(none)".to_owned(), |name| format!("`{name}`"))
}

#[cfg(test)]
mod tests;
