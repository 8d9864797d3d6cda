//! How a cell that runs is made to stop: it is interrupted, then its kernel is asked to end (SIGTERM), then killed
//! (SIGKILL); each step has its time.

use std::time::Duration;

use tokio::time::Instant;

use super::cells::{Ending, sleep_until};
use crate::kernel::Kernel;

/// How long a cell whose time is up may take to stop when interrupted: handlers of its own may have much to do.
pub(super) const PATIENT: Duration = Duration::from_secs(5);
/// The same when somebody waits for the end: with the steps below and a heartbeat (`work.rs`) before them, the final
/// status is written within 5 s of the request.
pub(super) const PROMPT: Duration = Duration::from_secs(2);
/// The same when it floods us: nothing more is taken of it, and until it ends it goes on.
pub(super) const FLOODED: Duration = Duration::from_millis(500);
/// How long a kernel may take to end by SIGTERM.
const TERMINATE_GRACE: Duration = Duration::from_millis(500);
/// How long the death of a killed kernel is waited for; one that hangs in the system dies when the system lets it.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// A run that has been told to stop.
#[derive(Debug)]
pub(super) struct Stopping {
    /// What it comes to.
    ending: Ending,
    step: Step,
    /// When the next step is due.
    due: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Interrupted,
    Terminated,
    Killed,
}

impl Stopping {
    /// Interrupts the cell, which may take `grace` to stop.
    pub(super) async fn interrupt(kernel: &mut Kernel, ending: Ending, grace: Duration) -> Self {
        kernel.interrupt().await;
        Self { ending, step: Step::Interrupted, due: Instant::now() + grace }
    }

    /// Kills the kernel at once; what it had sent is still waited for.
    pub(super) fn kill(kernel: &Kernel, ending: Ending) -> Self {
        kernel.kill();
        Self { ending, step: Step::Killed, due: Instant::now() + KILL_GRACE }
    }

    /// Gives it no longer than `grace` from now for the step that it is at.
    pub(super) fn hurry(&mut self, grace: Duration) {
        self.due = self.due.min(Instant::now() + grace);
    }

    /// Comes back when the next step is due; never when nothing is stopping.
    pub(super) async fn due(stopping: &Option<Self>) {
        sleep_until(stopping.as_ref().map(|it| it.due)).await;
    }

    /// Takes the next step. `false`: there is none left, and nothing to wait for.
    pub(super) fn go_on(&mut self, kernel: &Kernel) -> bool {
        let (step, grace) = match self.step {
            Step::Interrupted => {
                tracing::warn!("the kernel does not stop when interrupted: asking it to end");
                kernel.terminate();
                (Step::Terminated, TERMINATE_GRACE)
            }
            Step::Terminated => {
                tracing::warn!("the kernel does not end when asked: killing it");
                kernel.kill();
                (Step::Killed, KILL_GRACE)
            }
            Step::Killed => return false,
        };
        (self.step, self.due) = (step, Instant::now() + grace);
        true
    }

    /// What the run comes to.
    pub(super) fn ending(self) -> Ending {
        self.ending
    }
}
