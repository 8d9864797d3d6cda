//! How far a run is, on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

use super::super::print::tell;
use crate::engine::execute::RunProgress;

/// A bar on a terminal, elsewhere a line per cell; until the run has ended.
pub(super) async fn show_progress(mut watcher: watch::Receiver<RunProgress>) {
    let on_terminal = std::io::stderr().is_terminal();
    let style = ProgressStyle::with_template(
        "Executing: {percent:>3}% [{bar:30}] {pos}/{len} cells [{elapsed}] {wide_msg}",
    );
    let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    // At once: the first steady tick comes late for a short run.
    bar.tick();
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut told = 0;
    let mut open = true;
    while open {
        open = watcher.changed().await.is_ok();
        let progress = watcher.borrow_and_update().progress;
        bar.set_length(progress.cells_total as u64);
        bar.set_position(progress.cells_done as u64);
        bar.set_message(progress.current_cell.map(|cell| format!("in cell {cell}")).unwrap_or_default());
        if !on_terminal && progress.cells_done > told {
            told = progress.cells_done;
            tell!("Executing: {told}/{} cells [{}s]", progress.cells_total, bar.elapsed().as_secs());
        }
    }
    bar.abandon();
}
