//! The binary: reads the command line, runs it, ends with its exit code.

use std::process::ExitCode;
use std::time::Duration;

use bindery::Error;
use bindery::cli::{self, Exit};

/// How long work that cannot be cancelled (a file being written) may hold up the end of the process.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    #[cfg(feature = "evcxr")]
    {
        // Does not come back in a process that evcxr has started to run a notebook's code.
        evcxr::runtime_hook();
        if let Some(connection_file) = bindery::rust_kernel::asked_for(std::env::args_os()) {
            return rust_kernel(&connection_file);
        }
    }
    let command_line = match cli::parse(std::env::args_os()) {
        Ok(command_line) => command_line,
        Err(exit) => return exit.into(),
    };
    cli::start_logging(&command_line);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::unavailable("no threads can be started").with_source(error);
            return cli::report(&error).into();
        }
    };
    // A task, so that a panic ends here and not in the runtime.
    let ended = runtime.block_on(async { tokio::spawn(cli::run(command_line)).await });
    runtime.shutdown_timeout(LAST_WORK);
    match ended {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => cli::report(&error),
        Err(_panic) => Exit::OurFault,
    }
    .into()
}

#[cfg(feature = "evcxr")]
fn rust_kernel(connection_file: &std::path::Path) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return cli::report(&Error::unavailable("no threads can be started").with_source(error)).into();
        }
    };
    let ended = runtime.block_on(bindery::rust_kernel::run(connection_file));
    // evcxr's own thread may be in the middle of a cell that nobody waits for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error).into(),
    }
}
