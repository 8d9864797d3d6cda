//! Kernels started when they are asked for.

use std::path::Path;
use std::time::Duration;

use super::super::client::{KernelStart, LocalKernel};
use super::super::launch::{LaunchCommand, launch_command};
use super::super::search_path::SearchPath;
use super::super::spec::KernelSpec;
use super::launcher;
use crate::error::Result;

/// How long a kernel that is made ready may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How a kernel is started that knows nothing of an execution yet.
pub(super) fn kernel_start<'a>(spec: &'a KernelSpec, cwd: &'a Path) -> KernelStart<'a> {
    KernelStart {
        name: &spec.name,
        interrupt_mode: spec.interrupt_mode,
        transport: spec.transport(),
        cwd,
        env: &[],
        start_timeout: START_PATIENCE,
    }
}

/// Starts a kernel, one of ipykernel through our launcher; none of `hidden`, of the variables of this process, reaches
/// it.
pub(super) async fn start_cold(
    data_dir: &Path,
    spec: &KernelSpec,
    start: KernelStart<'_>,
    hidden: &[&'static str],
) -> Result<LocalKernel> {
    let mut fault = None;
    let kernel = LocalKernel::start(start, |connection_file| {
        let mut command = command(spec, connection_file, data_dir);
        command.env_remove.extend(hidden);
        let folder = connection_file.parent().unwrap_or(connection_file);
        launcher::through_launcher(command.clone(), folder).unwrap_or_else(|error| {
            fault = Some(error);
            command
        })
    });
    let kernel = kernel.await;
    if let Some(fault) = fault {
        tracing::debug!(error = %fault, cause = fault.cause(), "a kernel was started by ipykernel's own launcher");
    }
    kernel
}

/// What starts a kernel.
pub(super) fn command(spec: &KernelSpec, connection_file: &Path, data_dir: &Path) -> LaunchCommand {
    let search_path = SearchPath::from_process(data_dir);
    launch_command(spec, connection_file, &search_path, &|name| std::env::var_os(name))
}
