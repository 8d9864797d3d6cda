//! Translators: parameters → source of one language, and a `parameters` cell → what it declares.
//!
//! Parameters become literals of the language, never code: a translator escapes every text.

mod python;

use super::inspect::Parameter;
use super::{Notebook, Parameters};
use crate::error::{Error, Result};

/// A language into which parameters can be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translator {
    /// Python 3.
    Python,
}

/// Who translates for which kernel name or language: the names under which papermill registers them
/// (`papermill/translators.py`).
const REGISTRY: &[(&str, Translator)] =
    &[("python", Translator::Python), ("pysparkkernel", Translator::Python)];

impl Translator {
    /// The translator for a kernel name, else for a language.
    ///
    /// # Errors
    /// `Invalid`, naming the known languages, when neither is known.
    pub fn find(kernel_name: Option<&str>, language: Option<&str>) -> Result<Self> {
        let of = |wanted: &str| REGISTRY.iter().find(|(name, _)| *name == wanted).map(|(_, it)| *it);
        if let Some(translator) = kernel_name.and_then(of).or_else(|| language.and_then(of)) {
            return Ok(translator);
        }
        let known: Vec<_> = REGISTRY.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        Err(match (kernel_name, language) {
            (None, None) => Error::invalid(format!(
                "the notebook names neither a kernel nor a language, so parameters cannot be written into it: \
                 name one (known: {known})"
            )),
            (kernel_name, language) => Error::invalid(format!(
                "no way is known to write parameters for kernel {} or language {}: choose one of {known}",
                quoted(kernel_name),
                quoted(language)
            )),
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

    /// The source of a cell that binds `parameters`, under `comment`.
    pub fn codify(self, parameters: &Parameters, comment: &str) -> String {
        match self {
            Self::Python => python::codify(parameters, comment),
        }
    }

    /// The parameters that a `parameters` cell with this source declares.
    pub fn inspect(self, source: &str) -> Vec<Parameter> {
        match self {
            Self::Python => python::inspect(source),
        }
    }
}

fn quoted(name: Option<&str>) -> String {
    name.map_or_else(|| "(none)".to_owned(), |name| format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_name_goes_before_the_language() {
        assert_eq!(Translator::find(Some("python"), Some("R")).unwrap(), Translator::Python);
        assert_eq!(Translator::find(Some("pysparkkernel"), None).unwrap(), Translator::Python);
        assert_eq!(Translator::find(Some("python3"), Some("python")).unwrap(), Translator::Python);
    }

    #[test]
    fn an_unknown_language_names_the_known_ones() {
        let error = Translator::find(Some("ir"), Some("R")).unwrap_err();
        assert_eq!(
            error.message(),
            "no way is known to write parameters for kernel `ir` or language `R`: choose one of python, pysparkkernel"
        );
    }
}
