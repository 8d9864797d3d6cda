//! What goes wrong in a cell, as Jupyter tells it.

/// An error of a cell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CellFault {
    /// The compiler's code such as `E0308` where it gave one.
    pub(super) ename: String,
    pub(super) evalue: String,
    /// Lines, with the compiler's colours where it gave them.
    pub(super) traceback: Vec<String>,
}

impl CellFault {
    pub(super) fn new(error: &evcxr::Error) -> Self {
        match error {
            evcxr::Error::CompilationErrors(faults) => {
                let first = faults.first();
                let text: Vec<String> = faults
                    .iter()
                    .map(|fault| match fault.rendered() {
                        rendered if rendered.trim().is_empty() => fault.message(),
                        rendered => rendered,
                    })
                    .collect();
                Self {
                    ename: first.and_then(|fault| fault.code()).unwrap_or("CompilationError").to_owned(),
                    evalue: first.map(|fault| fault.message()).unwrap_or_default(),
                    traceback: text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect(),
                }
            }
            evcxr::Error::SubprocessTerminated(text) => Self::plain("SubprocessTerminated", text.trim()),
            // evcxr says no more of a panic than this; its message went to standard error.
            other => {
                let text = other.to_string();
                let is_panic = text.to_lowercase().contains("panic");
                Self::plain(if is_panic { "Panic" } else { "Error" }, text.trim())
            }
        }
    }

    /// For a cell that was interrupted.
    pub(super) fn interrupted() -> Self {
        Self::plain("KeyboardInterrupt", "the cell was interrupted; its variables are lost")
    }

    fn plain(ename: &str, evalue: &str) -> Self {
        Self {
            ename: ename.to_owned(),
            evalue: evalue.to_owned(),
            traceback: vec![format!("{ename}: {evalue}")],
        }
    }
}
