//! What a run says while it goes: warnings, and with `--log-output`, `--stdout-file` and `--stderr-file` what the
//! notebook puts out, with papermill's words (`papermill/clientwrap.py`, `papermill/engines.py`).

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::super::file_fault;
use super::super::print::tell;
use super::super::report::Report;
use crate::engine::execute::{Listener, Told};
use crate::error::Result;
use crate::notebook::join_lines;
use crate::notebook::record::Event;

/// A file for one of the notebook's streams; it is there from the start, so that one that cannot be written is
/// found out before anything runs.
pub(super) struct StreamFile(Box<dyn Write + Send + Sync>);

impl StreamFile {
    /// The file at `path`, or standard output for `-`.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self(Box::new(std::io::stdout())));
        }
        let file = File::create(path).map_err(|error| file_fault(path, "written", error))?;
        Ok(Self(Box::new(file)))
    }
}

/// Where what the notebook puts out goes besides the notebook.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) log_output: bool,
    /// Whether the report has it, too.
    pub(super) reported: bool,
    pub(super) stdout: Option<StreamFile>,
    pub(super) stderr: Option<StreamFile>,
}

/// To whom a run speaks: to the reader of its report where it has one, else to standard error.
#[derive(Debug, Clone, Default)]
pub(super) struct Voice(pub(super) Option<Report>);

/// A line at a level, as papermill logs it: nothing but the message.
macro_rules! log {
    ($voice:expr, $level:ident, $($text:tt)*) => {
        match &$voice.0 {
            Some(report) => report.log(level_name(tracing::Level::$level), &format!($($text)*)),
            None if tracing::enabled!(tracing::Level::$level) => tell!($($text)*),
            None => {}
        }
    };
}

/// The word that Python has for a level.
fn level_name(level: tracing::Level) -> &'static str {
    if level == tracing::Level::WARN { "warning" } else { "info" }
}

impl Voice {
    /// Says a warning, unless warnings are not wanted.
    pub(super) fn warn(&self, warning: &str) {
        match &self.0 {
            Some(report) => report.log("warning", warning),
            None => log!(self, WARN, "warning: {warning}"),
        }
    }

    /// Says that a request to stop was heard.
    pub(super) fn stopping(&self) {
        if self.0.is_none() {
            tell!("stopping the notebook and saving what it has produced; Ctrl-C again ends at once");
        }
    }

    /// Waits until the reader of the report has gone; for ever where there is none.
    pub(super) async fn abandoned(&self) {
        match &self.0 {
            Some(report) => report.abandoned().await,
            None => std::future::pending().await,
        }
    }

    /// Says where a run reads and writes, at level info.
    pub(super) fn begin(&self, input: &Path, output: &Path, cwd: Option<&Path>) {
        log!(self, INFO, "Input Notebook:  {}", super::pipes::shown(input));
        log!(self, INFO, "Output Notebook: {}", super::pipes::shown(output));
        if let Some(cwd) = cwd {
            log!(self, INFO, "Working directory: {}", cwd.display());
        }
    }
}

/// The listener of a run.
pub(super) fn listener(voice: Voice, mut streams: Streams) -> Listener {
    Box::new(move |told| match told {
        Told::Bound(warnings) => warnings.iter().for_each(|warning| voice.warn(warning)),
        Told::Kernel(name) => log!(voice, INFO, "Executing notebook with kernel: {name}"),
        Told::Event(Event::CellStarted { cell, .. }) if streams.log_output => {
            log!(voice, INFO, "Executing Cell {:-<40}", cell + 1);
        }
        Told::Event(Event::CellFinished { cell, .. }) if streams.log_output => {
            log!(voice, INFO, "Ending Cell {:-<43}", cell + 1);
        }
        Told::Event(Event::Output { output, .. }) => streams.put(&voice, output),
        Told::Event(_) => {}
    })
}

impl Streams {
    fn put(&mut self, voice: &Voice, output: &Value) {
        let text = |text: &Value| join_lines(text).into_owned();
        let (file, content) = match output["name"].as_str() {
            Some("stdout") => (&mut self.stdout, text(&output["text"])),
            Some("stderr") => (&mut self.stderr, text(&output["text"])),
            _ => {
                if self.log_output
                    && let Some(plain) = output["data"].get("text/plain")
                {
                    log!(voice, INFO, "{}", text(plain));
                }
                return;
            }
        };
        match output["name"].as_str() {
            Some("stdout") if self.log_output => log!(voice, INFO, "{content}"),
            Some(_) if self.log_output => log!(voice, WARN, "{content}"),
            _ => {}
        }
        if self.reported
            && let Some(report) = &voice.0
        {
            report.stream(output["name"].as_str().unwrap_or_default(), &content);
        }
        if let Some(StreamFile(writer)) = file
            && let Err(error) = writer.write_all(content.as_bytes()).and_then(|()| writer.flush())
        {
            // The notebook has it all the same.
            voice.warn(&format!("a stream cannot be written to its file any more: {}", error.kind()));
            *file = None;
        }
    }
}
