//! Where a notebook is read from and written to: papermill's rules for paths, URLs, pipes and `-` (`papermill/cli.py`).

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, Zoned};
use rustix::fs::FileType;

use crate::cli::file_fault;
use crate::config::mask_url;
use crate::engine::execute::{Input, Output};
use crate::engine::remote::Remote;
use crate::error::{Error, Result};
use crate::notebook::Parameters;
use crate::notebook::path_template::{Builtins, fill};

/// The name of standard input and output.
const PIPE: &str = "-";

/// Input and output as papermill understands what was typed, fields not yet filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
}

/// How the process is connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connected {
    /// Whether standard input is a pipe.
    input_piped: bool,
    /// Whether standard output is anything but a terminal.
    output_piped: bool,
}

impl Connected {
    pub(super) fn of_process() -> Self {
        let stdin = rustix::fs::fstat(std::io::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        Self { input_piped: stdin == Ok(FileType::Fifo), output_piped: !std::io::stdout().is_terminal() }
    }
}

impl Paths {
    /// With a pipe before it, `execute OUT` reads the pipe; with a pipe on either side, OUT may be missing and is
    /// standard output.
    pub(super) fn new(first: Option<&Path>, second: Option<&Path>, connected: Connected) -> Result<Self> {
        let pipe = || PathBuf::from(PIPE);
        // An empty path is papermill's way to name none.
        let named =
            |path: Option<&Path>| path.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
        match (named(first), named(second)) {
            (None, _) if !connected.input_piped => {
                Err(Error::bad_input("no notebook to execute is named: name IN, or pipe one in"))
            }
            (_, None) if !connected.input_piped && !connected.output_piped => {
                Err(Error::bad_input("no notebook to write is named: name OUT, or `-` for standard output"))
            }
            (Some(output), None) if connected.input_piped => Ok(Self { input: pipe(), output }),
            (input, output) => {
                Ok(Self { input: input.unwrap_or_else(pipe), output: output.unwrap_or_else(pipe) })
            }
        }
    }

    pub(super) fn writes_to_pipe(&self) -> bool {
        self.output == Path::new(PIPE)
    }

    /// The paths with parameters filled in.
    pub(super) fn filled(&self, parameters: &Parameters) -> Result<Self> {
        let builtins = builtins();
        let filled = |path: &Path| fill_path(path, parameters, &builtins);
        Ok(Self { input: filled(&self.input)?, output: filled(&self.output)? })
    }

    /// Where the notebook goes. Papermill makes no folders either; better said now than after an hour.
    pub(super) fn checked_output(&self, s3_endpoint: Option<String>) -> Result<Output> {
        let output = &self.output;
        if self.writes_to_pipe() {
            return Ok(Output::Bytes);
        }
        if let Some(remote) = remote(output, || Ok(s3_endpoint))? {
            return Ok(Output::Remote(remote));
        }
        if output.is_dir() {
            return Err(Error::bad_input(format!(
                "the output {} is a folder: name a file",
                output.display()
            )));
        }
        match output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if !folder.is_dir() => Err(Error::not_found(format!(
                "the output's folder {} does not exist: make it first",
                folder.display()
            ))),
            _ => Ok(Output::File(output.clone())),
        }
    }
}

/// One path with parameters filled in.
pub(crate) fn filled(path: &Path, parameters: &Parameters) -> Result<PathBuf> {
    fill_path(path, parameters, &builtins())
}

fn fill_path(path: &Path, parameters: &Parameters, builtins: &Builtins) -> Result<PathBuf> {
    match path.to_str() {
        Some(text) => fill(text, parameters, builtins).map(PathBuf::from).map_err(|error| {
            // It repeats the path.
            Error::new(error.kind(), error.message().replace(text, &mask_url(text)))
                .with_fields(error.fields().to_vec())
        }),
        None => Ok(path.to_owned()),
    }
}

fn builtins() -> Builtins {
    Builtins {
        run_uuid: uuid::Uuid::new_v4().to_string(),
        current_datetime_local: Zoned::now().datetime(),
        current_datetime_utc: Timestamp::now(),
        scheduled_time: None,
    }
}

/// The input: a file, a URL, or what standard input holds. `s3_endpoint` is asked for when it matters.
pub(crate) fn input(path: &Path, s3_endpoint: impl FnOnce() -> Result<Option<String>>) -> Result<Input> {
    if path != Path::new(PIPE) {
        return Ok(match remote(path, s3_endpoint)? {
            Some(remote) => Input::Remote(remote),
            None => Input::File(path.to_owned()),
        });
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| file_fault(Path::new("standard input"), "read", error))?;
    Ok(Input::Bytes(bytes))
}

fn remote(path: &Path, s3_endpoint: impl FnOnce() -> Result<Option<String>>) -> Result<Option<Remote>> {
    path.to_str().map_or(Ok(None), |text| Remote::open(text, s3_endpoint))
}

/// A path or URL for people to read, without secrets.
pub(super) fn shown(path: &Path) -> String {
    mask_url(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_stand_in_for_what_is_not_named() {
        let check = |named: [&str; 2], pipes: [bool; 2], expected: Option<[&str; 2]>| {
            let [first, second] = named.map(|path| (!path.is_empty()).then_some(Path::new(path)));
            let connected = Connected { input_piped: pipes[0], output_piped: pipes[1] };
            let paths = Paths::new(first, second, connected).ok();
            let expected =
                expected.map(|[input, output]| Paths { input: input.into(), output: output.into() });
            assert_eq!(paths, expected, "{named:?} {pipes:?}");
        };
        for pipes in [[false, false], [false, true], [true, false], [true, true]] {
            check(["a", "b"], pipes, Some(["a", "b"]));
            check(["-", "-"], pipes, Some(["-", "-"]));
        }
        check(["a", ""], [false, false], None);
        check(["a", ""], [false, true], Some(["a", "-"]));
        check(["a", ""], [true, false], Some(["-", "a"]));
        check(["a", ""], [true, true], Some(["-", "a"]));
        check(["", ""], [false, true], None);
        check(["", ""], [true, false], Some(["-", "-"]));
        check(["", ""], [true, true], Some(["-", "-"]));
    }
}
