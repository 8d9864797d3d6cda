//! `--report`: what happens, as lines of JSON, for programs that run Bindery; the Python module is one.
//!
//! Each line is an object whose `event` says what it is. `log` has `level` (`info` or `warning`) and `message`;
//! `stream` has `name` and `text` of what the notebook prints; `end` comes last and once, see [`End`]. A program that
//! goes away, so that nobody reads the report any more, ends the run as SIGTERM does.

use std::fs::File;
use std::io::{BufWriter, Stdout, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{Exit, file_fault};
use crate::error::{Error, ErrorKind, Result};
use crate::notebook::{Notebook, Parameter};

/// A report that is being written. Clones write the same one.
#[derive(Debug, Clone)]
pub(super) struct Report(Arc<Mutex<Target>>);

#[derive(Debug)]
enum Target {
    Stdout(Stdout),
    File(File),
    /// Nobody reads it any more.
    Closed,
}

/// The last line of a report.
#[derive(Debug, Default, Serialize)]
pub(super) struct End<'a> {
    /// The exit code.
    pub(super) exit_code: u8,
    /// Why nothing could be run, or the result not be saved.
    pub(super) error: Option<Fault>,
    /// Why the run failed.
    pub(super) cell_error: Option<CellFault<'a>>,
    /// The notebook as it was saved, also after a failure.
    pub(super) notebook: Option<&'a Notebook>,
    /// The parameters that were asked for.
    pub(super) parameters: Option<&'a [Parameter]>,
}

/// An [`Error`] for a program.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    kind: &'static str,
    /// The field at fault, if it is one.
    field: Option<String>,
    message: String,
}

/// Why a run failed, with papermill's names.
#[derive(Debug, Serialize)]
pub(super) struct CellFault<'a> {
    /// Before papermill's error marks are put in.
    pub(super) cell_index: Option<usize>,
    pub(super) exec_count: Option<u64>,
    pub(super) source: Option<&'a str>,
    pub(super) ename: &'a str,
    pub(super) evalue: &'a str,
    pub(super) traceback: &'a [String],
    /// Whether it was raised by the cell, and is not an error of Bindery's about it.
    pub(super) raised: bool,
}

impl Report {
    /// A report in the file at `path`, or on standard output for `-`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let target = match path == Path::new("-") {
            true => Target::Stdout(std::io::stdout()),
            false => Target::File(File::create(path).map_err(|error| file_fault(path, "written", error))?),
        };
        Ok(Self(Arc::new(Mutex::new(target))))
    }

    /// A line for a log.
    pub(super) fn log(&self, level: &str, message: &str) {
        self.write(&serde_json::json!({"event": "log", "level": level, "message": message}));
    }

    /// What a notebook prints.
    pub(super) fn stream(&self, name: &str, text: &str) {
        self.write(&serde_json::json!({"event": "stream", "name": name, "text": text}));
    }

    /// The last line.
    pub(super) fn end(&self, end: &End<'_>) {
        #[derive(Serialize)]
        struct Line<'a> {
            event: &'a str,
            #[serde(flatten)]
            end: &'a End<'a>,
        }
        self.write(&Line { event: "end", end });
    }

    /// The last line when there is no result; gives the exit code.
    pub(super) fn failed(&self, error: &Error) -> Exit {
        let exit = Exit::from(error.kind());
        self.end(&End { exit_code: exit.code(), error: Some(Fault::new(error)), ..End::default() });
        exit
    }

    fn write(&self, line: &impl Serialize) {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *target {
            Target::Stdout(stdout) => write_line(stdout.lock(), line),
            Target::File(file) => write_line(file, line),
            Target::Closed => Ok(()),
        };
        if written.is_err() {
            *target = Target::Closed;
        }
    }

    /// Waits until nobody can read the report any more; for ever when it is no pipe.
    pub(super) async fn abandoned(&self) {
        let (tell, told) = oneshot::channel();
        let report = self.clone();
        // A thread of its own, and no task that blocks: the runtime would wait for that one when all is done.
        let watching = std::thread::Builder::new().name("report".into()).spawn(move || {
            if report.is_abandoned() {
                let _ = tell.send(());
            }
        });
        if watching.is_err() || told.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Blocks until the other end of the pipe is closed; `false` at once when it is no pipe.
    fn is_abandoned(&self) -> bool {
        // A descriptor of its own: the lock must be free while this waits.
        let own = match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Target::Stdout(stdout) => stdout.as_fd().try_clone_to_owned(),
            Target::File(file) => file.as_fd().try_clone_to_owned(),
            Target::Closed => return true,
        };
        own.is_ok_and(|descriptor| is_pipe(descriptor.as_fd()) && waits_for_hangup(descriptor.as_fd()))
    }
}

fn is_pipe(descriptor: BorrowedFd<'_>) -> bool {
    let stat = rustix::fs::fstat(descriptor);
    stat.is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

fn waits_for_hangup(descriptor: BorrowedFd<'_>) -> bool {
    loop {
        // No events are asked for: an error or a hang-up is told all the same.
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::empty())], None) {
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn write_line(stream: impl Write, line: &impl Serialize) -> std::io::Result<()> {
    let mut stream = BufWriter::new(stream);
    serde_json::to_writer(&mut stream, line)?;
    stream.write_all(b"\n")?;
    stream.flush()
}

impl Fault {
    fn new(error: &Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::BadInput => "bad_input",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::NotANotebook => "not_a_notebook",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Kernel => "kernel",
            ErrorKind::Internal => "internal",
        };
        let field = error.fields().first().map(|field| field.field.clone());
        Self {
            kind,
            field,
            message: super::exit::text(error).trim_start_matches("error: ").trim_end().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_report_is_lines_of_json_and_its_reader_may_go() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let report =
            Report(Arc::new(Mutex::new(Target::File(File::from(std::os::fd::OwnedFd::from(writer))))));
        report.log("info", "one\ntwo");
        let exit = report.failed(&Error::invalid("no").with_field("kernel_name", "no"));
        assert_eq!(exit, Exit::UserFault);
        let mut text = [0; 4096];
        let length = reader.read(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..length]);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], serde_json::json!({"event": "log", "level": "info", "message": "one\ntwo"}));
        assert_eq!(
            (&lines[1]["event"], &lines[1]["exit_code"], &lines[1]["error"]),
            (
                &"end".into(),
                &1.into(),
                &serde_json::json!({"kind": "invalid", "field": "kernel_name", "message": "no"})
            )
        );
        let watching = std::thread::spawn({
            let report = report.clone();
            move || report.is_abandoned()
        });
        drop(reader);
        assert!(watching.join().unwrap());
        report.log("info", "to nobody");
    }

    #[test]
    fn a_file_is_never_abandoned() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!Report::open(file.path()).unwrap().is_abandoned());
    }
}
