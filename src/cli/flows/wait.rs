//! Waiting for a workflow or a sweep to end, with a line that says how far it is.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{show_view, told};
use crate::cli::Exit;
use crate::engine::Engine;
use crate::error::Result;
use crate::execution::{ExecutionStatus, ParentKind};
use crate::flow::FlowId;
use crate::flow::view::{FlowProgress, FlowView};

/// How often is looked how far it is; only for a person who watches.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Waits for its end, shows it, and gives its result as the exit code.
pub(in crate::cli) async fn wait(
    engine: &Engine,
    kind: ParentKind,
    id: FlowId,
    as_json: bool,
) -> Result<Exit> {
    let ended = engine.wait_for_flow(kind, id);
    if std::io::stderr().is_terminal() {
        tokio::select! {
            ended = ended => drop(ended?),
            failed = show_progress(engine, kind, id) => failed?,
        }
    } else {
        ended.await?;
    }
    let view = engine.flow_view(kind, id).await?;
    show_view(&view, as_json)?;
    Ok(exit(&view))
}

/// Goes on until it is dropped, unless the engine cannot say.
async fn show_progress(engine: &Engine, kind: ParentKind, id: FlowId) -> Result<()> {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {wide_msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    // However this ends.
    let _clear = Clear(bar.clone());
    loop {
        let steps = engine.flow_steps(id).await?;
        let progress: FlowProgress = steps.iter().map(FlowProgress::of).sum();
        bar.set_length(progress.total);
        bar.set_position(progress.done());
        bar.set_message(format!("{kind} {id}: {}", told(&progress)));
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// What one that has ended comes to.
fn exit(view: &FlowView) -> Exit {
    match (view.status, &view.error) {
        (ExecutionStatus::Success, _) => Exit::Success,
        (_, Some(error)) => Exit::of_cell_error(error),
        (_, None) => Exit::UserFault,
    }
}
