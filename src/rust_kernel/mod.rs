//! A Jupyter kernel for Rust in this binary: evcxr behind the Jupyter protocol, as a process of its own.
//!
//! One cell at a time. evcxr compiles and runs it on a thread of its own; what it prints is broadcast as it comes. evcxr
//! runs the code in a child (this binary once more, see `evcxr::runtime_hook`), which is what an interrupt kills:
//! compiled code cannot be asked to stop. The variables go with it, the definitions stay.

mod errors;
mod evaluator;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::connection::{
    ConnectionInfo, KernelControlConnection, KernelIoPubConnection, KernelShellConnection,
    create_kernel_control_connection, create_kernel_heartbeat_connection, create_kernel_iopub_connection,
    create_kernel_shell_connection, create_kernel_stdin_connection,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use self::errors::CellFault;
use self::evaluator::{Evaluator, Printed};
use crate::error::{Error, Result};

/// The subcommand by which this binary is a kernel; `kernels/rust/kernel.json` has it.
const SUBCOMMAND: &str = "rust-kernel";
/// How long nothing is printed before a cell's output is taken for complete: evcxr reads it on threads of its own.
const QUIET: Duration = Duration::from_millis(5);

/// Whether this process is asked to be a Rust kernel, and by which connection file.
pub fn asked_for(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Option<std::path::PathBuf> {
    let mut arguments = arguments.into_iter().skip(1);
    let is_asked = arguments.next().is_some_and(|word| word == SUBCOMMAND);
    arguments.next().filter(|_| is_asked).map(Into::into)
}

/// Is a kernel until it is shut down.
///
/// # Errors
/// When the connection file cannot be used or evcxr does not start.
pub async fn run(connection_file: &Path) -> Result<()> {
    let unusable =
        |error: std::io::Error| Error::bad_input("the connection file cannot be read").with_source(error);
    let text = std::fs::read(connection_file).map_err(unusable)?;
    let info: ConnectionInfo = serde_json::from_slice(&text).map_err(|error| unusable(error.into()))?;
    let session = uuid::Uuid::new_v4().to_string();
    let no_sockets = |error: jupyter_zmq_client::RuntimeError| {
        Error::unavailable(format!("the kernel's sockets cannot be bound: {error}"))
    };
    let shell = create_kernel_shell_connection(&info, &session).await.map_err(no_sockets)?;
    let control = create_kernel_control_connection(&info, &session).await.map_err(no_sockets)?;
    let _stdin = create_kernel_stdin_connection(&info, &session).await.map_err(no_sockets)?;
    let iopub = create_kernel_iopub_connection(&info, &session).await.map_err(no_sockets)?;
    let mut heartbeat = create_kernel_heartbeat_connection(&info).await.map_err(no_sockets)?;
    tokio::spawn(async move { while heartbeat.single_heartbeat().await.is_ok() {} });

    let evaluator = Evaluator::start().await?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let iopub = Broadcast(Arc::new(Mutex::new(iopub)));
    let kernel = Kernel { shell, iopub: iopub.clone(), interrupted: Arc::clone(&interrupted), count: 0 };
    let stopper = evaluator.stopper();
    tokio::select! {
        ended = kernel.serve(evaluator) => ended,
        ended = control_loop(control, iopub, stopper, interrupted) => ended,
    }
}

/// The broadcasts of all tasks go out one by one.
#[derive(Clone)]
struct Broadcast(Arc<Mutex<KernelIoPubConnection>>);

impl Broadcast {
    async fn send(&self, msg_type: &str, content: Value, parent: &JupyterMessage) -> Result<()> {
        let message = message(msg_type, content, parent);
        self.0.lock().await.send(message).await.map_err(unsent)
    }

    async fn state(&self, state: &str, parent: &JupyterMessage) -> Result<()> {
        self.send("status", json!({"execution_state": state}), parent).await
    }
}

fn message(msg_type: &str, content: Value, parent: &JupyterMessage) -> JupyterMessage {
    JupyterMessage::new(UnknownMessage { msg_type: msg_type.to_owned(), content }, Some(parent))
}

fn unsent(error: jupyter_zmq_client::RuntimeError) -> Error {
    Error::kernel(format!("a message cannot be sent: {error}"))
}

fn kernel_info() -> Value {
    json!({
        "status": "ok", "protocol_version": "5.3", "implementation": "bindery",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "Rust", "version": "", "mimetype": "text/rust", "file_extension": ".rs",
            "pygment_lexer": "rust", "codemirror_mode": "rust",
        },
        "banner": "Rust by evcxr, in Bindery", "help_links": [],
    })
}

struct Kernel {
    shell: KernelShellConnection,
    iopub: Broadcast,
    interrupted: Arc<AtomicBool>,
    count: u64,
}

impl Kernel {
    async fn serve(mut self, mut evaluator: Evaluator) -> Result<()> {
        loop {
            let request = match self.shell.read().await {
                Ok(request) => request,
                Err(error) => {
                    eprintln!("a request cannot be read: {error}");
                    continue;
                }
            };
            self.iopub.state("busy", &request).await?;
            let answer = match &request.content {
                JupyterMessageContent::KernelInfoRequest(_) => Some(("kernel_info_reply", kernel_info())),
                JupyterMessageContent::IsCompleteRequest(_) => {
                    Some(("is_complete_reply", json!({"status": "complete"})))
                }
                JupyterMessageContent::CommInfoRequest(_) => {
                    Some(("comm_info_reply", json!({"status": "ok", "comms": {}})))
                }
                JupyterMessageContent::HistoryRequest(_) => {
                    Some(("history_reply", json!({"status": "ok", "history": []})))
                }
                JupyterMessageContent::ExecuteRequest(execute) => {
                    let (code, silent) = (execute.code.clone(), execute.silent);
                    Some(("execute_reply", self.execute(&mut evaluator, &request, code, silent).await?))
                }
                _ => None,
            };
            if let Some((msg_type, content)) = answer {
                self.shell.send(message(msg_type, content, &request)).await.map_err(unsent)?;
            }
            self.iopub.state("idle", &request).await?;
        }
    }

    /// Runs a cell and broadcasts what comes of it; gives the answer.
    async fn execute(
        &mut self,
        evaluator: &mut Evaluator,
        request: &JupyterMessage,
        code: String,
        silent: bool,
    ) -> Result<Value> {
        if !silent {
            self.count += 1;
            let input = json!({"code": code, "execution_count": self.count});
            self.iopub.send("execute_input", input, request).await?;
        }
        self.interrupted.store(false, Ordering::SeqCst);
        let mut ending = evaluator.evaluate(code);
        let ended = loop {
            tokio::select! {
                biased;
                Some(printed) = evaluator.printed() => self.print(printed, request).await?,
                ended = &mut ending => break ended,
            }
        };
        while let Ok(Some(printed)) = tokio::time::timeout(QUIET, evaluator.printed()).await {
            self.print(printed, request).await?;
        }
        let evaluated = ended.map_err(|_| Error::internal("the thread of the evaluator has ended"))?;
        match evaluated {
            Ok(data) => {
                if !data.is_empty() && !silent {
                    let result = json!({"data": data, "metadata": {}, "execution_count": self.count});
                    self.iopub.send("execute_result", result, request).await?;
                }
                Ok(json!({
                    "status": "ok", "execution_count": self.count, "payload": [], "user_expressions": {},
                }))
            }
            Err(fault) => {
                let fault =
                    if self.interrupted.load(Ordering::SeqCst) { CellFault::interrupted() } else { fault };
                let content =
                    json!({"ename": fault.ename, "evalue": fault.evalue, "traceback": fault.traceback});
                self.iopub.send("error", content.clone(), request).await?;
                let mut answer = content;
                answer["status"] = "error".into();
                answer["execution_count"] = self.count.into();
                Ok(answer)
            }
        }
    }

    async fn print(&self, printed: Printed, request: &JupyterMessage) -> Result<()> {
        let Printed { stream, text } = printed;
        self.iopub.send("stream", json!({"name": stream, "text": text}), request).await
    }
}

/// Answers on the control channel until a shutdown is asked for.
async fn control_loop(
    mut control: KernelControlConnection,
    iopub: Broadcast,
    stopper: evaluator::Stopper,
    interrupted: Arc<AtomicBool>,
) -> Result<()> {
    loop {
        let request = match control.read().await {
            Ok(request) => request,
            Err(error) => {
                eprintln!("a request cannot be read: {error}");
                continue;
            }
        };
        iopub.state("busy", &request).await?;
        let (msg_type, content, ends) = match &request.content {
            JupyterMessageContent::KernelInfoRequest(_) => ("kernel_info_reply", kernel_info(), false),
            JupyterMessageContent::InterruptRequest(_) => {
                interrupted.store(true, Ordering::SeqCst);
                stopper.stop();
                ("interrupt_reply", json!({"status": "ok"}), false)
            }
            JupyterMessageContent::ShutdownRequest(shutdown) => {
                ("shutdown_reply", json!({"status": "ok", "restart": shutdown.restart}), true)
            }
            _ => continue,
        };
        control.send(message(msg_type, content, &request)).await.map_err(unsent)?;
        iopub.state("idle", &request).await?;
        if ends {
            stopper.stop();
            return Ok(());
        }
    }
}
