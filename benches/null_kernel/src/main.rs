//! A Jupyter kernel that does nothing, over real ZeroMQ sockets: what is left of a run's time is Bindery's own.
//!
//! `null_kernel CONNECTION_FILE`. Every cell succeeds at once and puts nothing out.

use std::error::Error;

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::connection::{
    ConnectionInfo, KernelIoPubConnection, create_kernel_control_connection,
    create_kernel_heartbeat_connection, create_kernel_iopub_connection, create_kernel_shell_connection,
    create_kernel_stdin_connection,
};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).ok_or("usage: null_kernel CONNECTION_FILE")?;
    let info: ConnectionInfo = serde_json::from_slice(&std::fs::read(path)?)?;
    let session = uuid::Uuid::new_v4().to_string();
    // The client takes a socket that is there for one that can be used.
    let mut heartbeat = create_kernel_heartbeat_connection(&info).await?;
    let _stdin = create_kernel_stdin_connection(&info, &session).await?;
    let mut iopub = create_kernel_iopub_connection(&info, &session).await?;
    let mut control = create_kernel_control_connection(&info, &session).await?;
    let mut shell = create_kernel_shell_connection(&info, &session).await?;
    tokio::spawn(async move { while heartbeat.single_heartbeat().await.is_ok() {} });
    let mut count = 0;
    loop {
        tokio::select! {
            request = shell.read() => {
                let request = request?;
                state(&mut iopub, "busy", &request).await?;
                let (msg_type, content) = match &request.content {
                    JupyterMessageContent::KernelInfoRequest(_) => ("kernel_info_reply", kernel_info()),
                    JupyterMessageContent::ExecuteRequest(execute) => {
                        count += 1;
                        let input = json!({"code": execute.code, "execution_count": count});
                        iopub.send(message("execute_input", input, &request)).await?;
                        let content = json!({
                            "status": "ok", "execution_count": count, "payload": [], "user_expressions": {},
                        });
                        ("execute_reply", content)
                    }
                    _ => ("", Value::Null),
                };
                if !msg_type.is_empty() {
                    shell.send(message(msg_type, content, &request)).await?;
                }
                state(&mut iopub, "idle", &request).await?;
            }
            request = control.read() => {
                let request = request?;
                let (msg_type, content) = match &request.content {
                    JupyterMessageContent::ShutdownRequest(shutdown) => {
                        ("shutdown_reply", json!({"status": "ok", "restart": shutdown.restart}))
                    }
                    JupyterMessageContent::KernelInfoRequest(_) => ("kernel_info_reply", kernel_info()),
                    _ => ("interrupt_reply", json!({"status": "ok"})),
                };
                state(&mut iopub, "busy", &request).await?;
                control.send(message(msg_type, content, &request)).await?;
                state(&mut iopub, "idle", &request).await?;
                if msg_type == "shutdown_reply" {
                    return Ok(());
                }
            }
        }
    }
}

async fn state(iopub: &mut KernelIoPubConnection, state: &str, parent: &JupyterMessage) -> Result<()> {
    iopub.send(message("status", json!({"execution_state": state}), parent)).await?;
    Ok(())
}

fn message(msg_type: &str, content: Value, parent: &JupyterMessage) -> JupyterMessage {
    JupyterMessage::new(UnknownMessage { msg_type: msg_type.to_owned(), content }, Some(parent))
}

fn kernel_info() -> Value {
    json!({
        "status": "ok", "protocol_version": "5.3", "implementation": "null", "implementation_version": "0",
        "language_info": {"name": "null", "version": "0", "mimetype": "text/plain", "file_extension": ".txt"},
        "banner": "", "help_links": [],
    })
}
