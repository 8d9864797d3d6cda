//! evcxr on a thread of its own.

use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use evcxr::{CommandContext, EvalCallbacks};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::errors::CellFault;
use crate::error::{Error, Result};

/// Something that the code printed.
pub(super) struct Printed {
    pub(super) stream: &'static str,
    pub(super) text: String,
}

/// A cell's result by mime type, or why there is none.
pub(super) type Evaluated = std::result::Result<Map<String, Value>, CellFault>;

struct Job {
    code: String,
    done: oneshot::Sender<Evaluated>,
}

/// evcxr, one cell after the other.
pub(super) struct Evaluator {
    jobs: std::sync::mpsc::Sender<Job>,
    printed: mpsc::UnboundedReceiver<Printed>,
    process: Arc<Mutex<Child>>,
}

/// Ends the process that runs the code.
pub(super) struct Stopper(Arc<Mutex<Child>>);

impl Stopper {
    pub(super) fn stop(&self) {
        let mut process = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that it has ended already.
        let _ = process.kill();
    }
}

impl Evaluator {
    pub(super) async fn start() -> Result<Self> {
        let starting = tokio::task::spawn_blocking(|| {
            let failed = |error: evcxr::Error| Error::kernel(format!("evcxr does not start: {error}"));
            let (mut context, outputs) = CommandContext::new().map_err(failed)?;
            context.execute(":load_config").map_err(failed)?;
            Ok::<_, Error>((context, outputs))
        });
        let (mut context, outputs) = starting
            .await
            .map_err(|error| Error::internal("evcxr's start panicked").with_source(error))??;
        let process = context.process_handle();
        let (sender, printed) = mpsc::unbounded_channel();
        for (stream, lines) in [("stdout", outputs.stdout), ("stderr", outputs.stderr)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in lines {
                    if sender.send(Printed { stream, text: format!("{line}\n") }).is_err() {
                        return;
                    }
                }
            });
        }
        let (jobs, waiting) = std::sync::mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for Job { code, done } in waiting {
                let _ = done.send(evaluate(&mut context, &code));
            }
        });
        Ok(Self { jobs, printed, process })
    }

    pub(super) fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.process))
    }

    /// Begins with a cell.
    pub(super) fn evaluate(&self, code: String) -> oneshot::Receiver<Evaluated> {
        let (done, ended) = oneshot::channel();
        // Without the thread, `done` is dropped, which the receiver hears.
        let _ = self.jobs.send(Job { code, done });
        ended
    }

    /// The next thing that the code prints. Cancel safe.
    pub(super) async fn printed(&mut self) -> Option<Printed> {
        self.printed.recv().await
    }
}

fn evaluate(context: &mut CommandContext, code: &str) -> Evaluated {
    // Nobody is there to answer a question.
    let mut callbacks = EvalCallbacks { input_reader: &|_| String::new() };
    let outputs =
        context.execute_with_callbacks(code, &mut callbacks).map_err(|error| CellFault::new(&error))?;
    let by_mime_type = outputs.content_by_mime_type.into_iter().map(|(mime, text)| {
        let value = match mime.contains("json") {
            true => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            false => Value::String(text),
        };
        (mime, value)
    });
    Ok(by_mime_type.collect())
}
