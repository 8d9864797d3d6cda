//! Exit codes and error texts: the one place where a kind of error becomes a number.

use std::process::ExitCode;

use super::print::tell;
use crate::error::{Error, ErrorKind};
use crate::execution::{CellError, Execution, ExecutionStatus};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Success,
    /// 1: bad input, or a cell that failed.
    UserFault,
    /// 2: a system around us (storage, kernel, network).
    SystemFault,
    /// 3: a fault of ours.
    OurFault,
    /// 128 + the signal, as shells say it: 130 after Ctrl-C, 143 after SIGTERM.
    Signal(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UserFault => 1,
            Self::SystemFault => 2,
            Self::OurFault => 3,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// What a failed run comes to: a kernel that cannot be had or died is a system's fault.
    pub(super) fn of_cell_error(error: &CellError) -> Self {
        Self::of_error_name(&error.ename)
    }

    /// As [`Self::of_cell_error`], from the error's name alone.
    pub(super) fn of_error_name(ename: &str) -> Self {
        match ename {
            "KernelStartError" | "DeadKernelError" | "ExecutionError" | "NotebookNotSaved" | "WorkerLost"
            | "WorkerStopped" | "KernelGatewayError" | "ReplyLost" => Self::SystemFault,
            _ => Self::UserFault,
        }
    }

    /// What an execution that has ended comes to.
    pub(super) fn of_execution(execution: &Execution) -> Self {
        match (execution.status, &execution.error) {
            (ExecutionStatus::Success, _) => Self::Success,
            (_, Some(error)) => Self::of_cell_error(error),
            (_, None) => Self::UserFault,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::BadInput
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::TooLarge
            | ErrorKind::NotANotebook
            | ErrorKind::Invalid
            | ErrorKind::Forbidden => Self::UserFault,
            ErrorKind::Unavailable | ErrorKind::Kernel => Self::SystemFault,
            ErrorKind::Internal => Self::OurFault,
        }
    }
}

/// Prints an error to standard error, with its causes: whoever uses a shell is on the machine.
pub fn report(error: &Error) -> Exit {
    tell!("{}", text(error).trim_end());
    error.kind().into()
}

/// What is wrong, in lines.
pub(super) fn text(error: &Error) -> String {
    let mut text = format!("error: {}\n", error.message());
    for field in error.fields() {
        // Often the message is the only field's fault in a sentence.
        if !error.message().contains(&field.message) {
            text.push_str(&format!("  {}: {}\n", field.field, field.message));
        }
    }
    if let Some(cause) = error.cause().filter(|cause| !error.message().contains(cause.as_str())) {
        // A cause of our own may begin with the very same sentence.
        let rest = cause.strip_prefix(error.message()).and_then(|rest| rest.strip_prefix(": "));
        let mut lines = rest.unwrap_or(&cause).lines();
        text.push_str(&format!("caused by: {}\n", lines.next().unwrap_or_default()));
        lines.for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_fields_and_causes_but_nothing_twice() {
        let check = |error: Error, expected: &str| assert_eq!(text(&error), expected);
        check(Error::bad_input("no"), "error: no\n");
        check(
            Error::invalid("2 faults")
                .with_field("cells[1]", "is no cell")
                .with_field("cells[2]", "nor this"),
            "error: 2 faults\n  cells[1]: is no cell\n  cells[2]: nor this\n",
        );
        check(Error::invalid("a is wrong").with_field("a", "is wrong"), "error: a is wrong\n");
        let cause = std::io::Error::other("first\nsecond");
        check(Error::unavailable("gone").with_source(cause), "error: gone\ncaused by: first\n  second\n");
        check(
            Error::kernel("it said: boom").with_source(std::io::Error::other("boom")),
            "error: it said: boom\n",
        );
        let inner = Error::not_found("no kernel").with_source(std::io::Error::other("searched: /a"));
        check(Error::invalid("no kernel").with_source(inner), "error: no kernel\ncaused by: searched: /a\n");
    }

    #[test]
    fn a_dead_kernel_is_not_the_users_fault_but_a_failed_cell_is() {
        let check = |ename: &str, code| {
            assert_eq!(Exit::of_cell_error(&CellError::new(None, ename, "")).code(), code, "{ename}");
        };
        check("ZeroDivisionError", 1);
        check("CellTimeoutError", 1);
        check("DeadKernelError", 2);
        check("KernelStartError", 2);
    }
}
