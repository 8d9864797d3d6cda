//! Requests to stop: Ctrl-C and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Exit;
use crate::error::{Error, Result};

/// Listens for requests to stop. From its making on they no longer end the process by themselves.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Who asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopSignal {
    /// SIGINT: a person at the terminal.
    Interrupt,
    /// SIGTERM: a supervisor.
    Terminate,
}

impl Signals {
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Error::unavailable("signals cannot be listened for").with_source(error))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next request. Cancel safe.
    pub(super) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

impl StopSignal {
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Signal(2),
            Self::Terminate => Exit::Signal(15),
        }
    }

    /// Ends the process where it stands; the system takes its kernels with it.
    pub(super) fn exit_at_once(self) -> ! {
        std::process::exit(self.exit().code().into())
    }
}
