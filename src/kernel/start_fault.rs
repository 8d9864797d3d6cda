//! Why a kernel did not come up, in words.

use super::child::{KernelChild, describe_exit};
use super::client::{KernelStart, LAST_WORDS};
use crate::error::Error;

/// Whether a kernel died because a port of it was taken between our look and its own.
pub(super) fn lost_a_port(error: &Error) -> bool {
    let text = format!("{} {}", error.message(), error.cause().unwrap_or_default()).to_lowercase();
    text.contains("address already in use") || text.contains("addrinuse")
}

fn with_last_words(message: String, child: &KernelChild) -> Error {
    let tail = child.tail();
    let message = match tail.last() {
        Some(last) => format!("{message}; its last words: {last}"),
        None => message,
    };
    let error = Error::kernel(message);
    if tail.len() > 1 { error.with_source(std::io::Error::other(tail.join("\n"))) } else { error }
}

pub(super) async fn died_at_start(name: &str, child: &KernelChild) -> Error {
    // Its output may come a moment after its exit.
    tokio::time::sleep(LAST_WORDS).await;
    let status = child.exit().borrow().map_or_else(|| "an unknown end".into(), describe_exit);
    with_last_words(format!("kernel `{name}` died while it started ({status})"), child)
}

pub(super) fn never_answered(start: &KernelStart<'_>, child: &KernelChild) -> Error {
    let seconds = start.start_timeout.as_secs_f64();
    with_last_words(
        format!(
            "kernel `{}` did not answer within {seconds} s of its start: raise the start timeout if it needs longer",
            start.name
        ),
        child,
    )
}
