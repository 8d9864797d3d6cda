//! The program that starts IPython kernels, shipped in the binary and run by the kernelspec's own interpreter.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::launch::LaunchCommand;
use crate::error::{Error, Result};

const SCRIPT: &str = include_str!("ipykernel_launcher.py");
/// As ipykernel's own, so that who looks for kernels among processes finds it.
const FILE_NAME: &str = "ipykernel_launcher.py";
const MODULE: &str = "ipykernel_launcher";

/// A command that starts an IPython kernel, taken apart.
pub(super) struct IpythonCommand<'a> {
    /// The interpreter's own arguments.
    pub(super) flags: &'a [OsString],
    /// ipykernel's.
    pub(super) arguments: &'a [OsString],
}

/// The parts of `PYTHON [flags] -m ipykernel_launcher [arguments]`; `None` for any other command.
pub(super) fn ipython_command(command: &LaunchCommand) -> Option<IpythonCommand<'_>> {
    let at = command.args.windows(2).position(|pair| pair[0] == "-m" && pair[1] == MODULE)?;
    let flags = &command.args[..at];
    let only_flags = flags.iter().all(|flag| flag.as_encoded_bytes().starts_with(b"-"));
    only_flags.then(|| IpythonCommand { flags, arguments: &command.args[at + 2..] })
}

/// Writes the program into `folder`, where it must stay as long as it runs.
pub(super) fn write(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(FILE_NAME);
    std::fs::write(&path, SCRIPT)
        .map_err(|error| Error::unavailable("the kernel's launcher cannot be written").with_source(error))?;
    Ok(path)
}

/// The same kernel started by our program, in the kernel's `folder`: it is ready sooner and ends sooner. Any other
/// command than ipykernel's own is left as it is.
///
/// # Errors
/// `Unavailable` when the program cannot be written.
pub fn through_launcher(mut command: LaunchCommand, folder: &Path) -> Result<LaunchCommand> {
    let Some(parts) = ipython_command(&command) else { return Ok(command) };
    let mut args = parts.flags.to_vec();
    args.push(write(folder)?.into());
    args.extend_from_slice(parts.arguments);
    command.args = args;
    Ok(command)
}
