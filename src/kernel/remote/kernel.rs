//! A kernel behind a gateway, with the face of one on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::channel::{Channel, NoChannel};
use super::gateway::Gateway;
use super::link::{Link, Request, Terms};
use crate::error::{Error, Result};
use crate::execution::KernelHandle;
use crate::kernel::client::Incoming;
use crate::kernel::inbox::Inbox;
use crate::kernel::message::HeardAt;

/// A kernel behind a gateway. Dropping it leaves the kernel where it is, for another process to go on with.
#[derive(Debug)]
pub struct RemoteKernel {
    gateway: Gateway,
    handle: KernelHandle,
    pub(in crate::kernel) inbox: Inbox,
    requests: mpsc::UnboundedSender<Request>,
    link: AbortHandle,
    recorded: Arc<AtomicU64>,
    info: Map<String, Value>,
    end: Option<End>,
    is_ending: AtomicBool,
}

#[derive(Debug, Clone)]
enum End {
    Died(String),
    Lost(String),
}

/// Where another process was with a kernel.
#[derive(Debug)]
pub struct Resumed {
    /// The kernel.
    pub handle: KernelHandle,
    /// Where the last message is that was recorded.
    pub heard: Option<HeardAt>,
    /// The cell whose request may have been sent.
    pub in_flight: Option<usize>,
}

/// A kernel that was started and that nobody has yet; it is ended when it goes out of scope.
struct Unclaimed(Option<(Gateway, String)>);

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some((gateway, id)) = self.0.take() {
            tokio::spawn(async move { gateway.end(&id).await });
        }
    }
}

impl RemoteKernel {
    /// Starts a kernel, connects to it and waits until it answers. `env` is given to the gateway, which hands on what it
    /// is configured to; it must hold no secret.
    ///
    /// # Errors
    /// `Kernel` when it does not start or answer within `time`.
    pub async fn start(
        gateway: &Gateway,
        name: &str,
        env: &[(String, String)],
        time: Duration,
        terms: Terms,
    ) -> Result<Self> {
        let kernel_id = gateway.start(name, env, time).await?;
        let mut unclaimed = Unclaimed(Some((gateway.clone(), kernel_id.clone())));
        let deadline = Instant::now() + time;
        let session_id = uuid::Uuid::new_v4().simple().to_string();
        let handle = KernelHandle { kernel_id, session_id, kernel_session: None };
        let fault = |what: &str| {
            let gateway = gateway.shown();
            Error::kernel(format!("the kernel gateway at {gateway} started the kernel `{name}`, but {what}"))
        };
        let channel = Channel::open(gateway, &handle, time).await.map_err(|error| match error {
            NoChannel::Gone => fault("it ended at once"),
            NoChannel::Away(why) => fault(&why),
        })?;
        let inbox = Inbox::default();
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut link = Link::new(gateway.clone(), handle.clone(), terms, inbox.writer(), receiver);
        link.keep();
        let kernel_session = link.kernel_session.clone();
        let mut kernel = Self::over(gateway, handle, inbox, requests, link, Some(channel));
        match tokio::time::timeout_at(deadline, kernel.greet()).await {
            Ok(Ok(info)) => kernel.info = info,
            Ok(Err(why)) => return Err(fault(&why)),
            Err(_) => {
                let seconds = time.as_secs_f64();
                return Err(fault(&format!(
                    "it did not answer within {seconds} s: raise the start timeout if it needs longer"
                )));
            }
        }
        kernel.handle.kernel_session = kernel_session.get().cloned();
        unclaimed.0 = None;
        Ok(kernel)
    }

    /// Goes on with a kernel where another process was. What it has sent meanwhile comes first; once that is all, there
    /// is an [`Incoming::CaughtUp`]. It is connected to as its gateway answers; see [`Incoming::Lost`].
    pub fn resume(gateway: &Gateway, resumed: Resumed, terms: Terms) -> Self {
        let Resumed { handle, heard, in_flight } = resumed;
        let inbox = Inbox::default();
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut link = Link::new(gateway.clone(), handle.clone(), terms, inbox.writer(), receiver);
        link.goes_on(heard);
        link.last_request = in_flight.map(|cell| (request_id(&handle, cell), 0));
        Self::over(gateway, handle, inbox, requests, link, None)
    }

    fn over(
        gateway: &Gateway,
        handle: KernelHandle,
        inbox: Inbox,
        requests: mpsc::UnboundedSender<Request>,
        link: Link,
        channel: Option<Channel>,
    ) -> Self {
        let recorded = link.recorded.clone();
        Self {
            recorded,
            gateway: gateway.clone(),
            handle,
            inbox,
            requests,
            link: tokio::spawn(link.run(channel)).abort_handle(),
            info: Map::new(),
            end: None,
            is_ending: AtomicBool::new(false),
        }
    }

    /// What another process needs to go on with it.
    pub fn handle(&self) -> &KernelHandle {
        &self.handle
    }

    /// The id of the request of a cell; the same in every process.
    pub fn request_id(&self, cell: usize) -> String {
        request_id(&self.handle, cell)
    }

    /// What came up to here has been recorded, and need not be kept any more.
    pub fn recorded(&self, heard: HeardAt) {
        self.recorded.fetch_max(heard.arrival, Ordering::AcqRel);
    }

    pub(in crate::kernel) fn info(&self) -> &Map<String, Value> {
        &self.info
    }

    pub(in crate::kernel) fn lives(&self) -> bool {
        self.end.is_none()
    }

    pub(in crate::kernel) fn execute(&self, cell: usize, code: &str, stop_on_error: bool) -> Result<String> {
        let id = self.request_id(cell);
        let content = json!({"code": code, "silent": false, "store_history": true, "user_expressions": {},
            "allow_stdin": false, "stop_on_error": stop_on_error});
        self.send(Request { id: id.clone(), msg_type: "execute_request", content, is_cell: true })?;
        Ok(id)
    }

    pub(in crate::kernel) fn update_widget(&self, comm_id: &str, outputs: Value) {
        let data = json!({"method": "update", "state": {"outputs": outputs}, "buffer_paths": []});
        let content = json!({"comm_id": comm_id, "data": data});
        if let Err(error) = self.send(Request { id: new_id(), msg_type: "comm_msg", content, is_cell: false })
        {
            tracing::debug!(%error, "a widget of the kernel cannot be updated");
        }
    }

    fn send(&self, request: Request) -> Result<()> {
        let gone = |_| Error::kernel("the kernel does not take messages any more");
        self.requests.send(request).map_err(gone)
    }

    /// As that of a kernel on this machine. Cancel safe.
    pub(in crate::kernel) async fn next(&mut self) -> Incoming {
        match self.inbox.next().await {
            Some(Incoming::Died(how)) => self.end = Some(End::Died(how)),
            Some(Incoming::Lost(how)) => self.end = Some(End::Lost(how)),
            Some(incoming) => return incoming,
            None => {}
        }
        match self.end.clone() {
            Some(End::Died(how)) => Incoming::Died(how),
            Some(End::Lost(how)) => Incoming::Lost(how),
            None => Incoming::Died("an unknown end".into()),
        }
    }

    /// Asks the running code to stop. Nobody waits for the gateway.
    pub(in crate::kernel) fn interrupt(&self) {
        let (gateway, id) = (self.gateway.clone(), self.handle.kernel_id.clone());
        tokio::spawn(async move {
            if let Err(error) = gateway.interrupt(&id).await {
                tracing::warn!(%error, cause = error.cause(), "a remote kernel cannot be interrupted");
            }
        });
    }

    /// Has the gateway end the kernel, without waiting for that; there is no politer and no ruder way.
    pub(in crate::kernel) fn kill(&self) {
        if !self.is_ending.swap(true, Ordering::Relaxed) {
            let (gateway, id) = (self.gateway.clone(), self.handle.kernel_id.clone());
            tokio::spawn(async move { gateway.end(&id).await });
        }
    }

    /// Leaves the kernel to whoever goes on with it.
    pub(in crate::kernel) fn leave(&self) {
        self.link.abort();
    }

    /// Has the gateway end the kernel; false when it may still be there.
    pub(in crate::kernel) async fn shutdown(self) -> bool {
        self.gateway.end(&self.handle.kernel_id).await
    }

    /// As that of a kernel on this machine.
    async fn greet(&mut self) -> Result<Map<String, Value>, String> {
        let (mut info, mut heard) = (None, false);
        loop {
            let request =
                Request { id: new_id(), msg_type: "kernel_info_request", content: json!({}), is_cell: false };
            self.send(request).map_err(|error| error.message().to_owned())?;
            let again = Instant::now() + Duration::from_millis(if info.is_some() { 100 } else { 2000 });
            loop {
                match tokio::time::timeout_at(again, self.next()).await {
                    Ok(Incoming::Shell(message)) if message.msg_type == "kernel_info_reply" => {
                        info = Some(message.content);
                    }
                    Ok(Incoming::Iopub(_)) => heard = true,
                    Ok(Incoming::Died(how) | Incoming::Lost(how)) => return Err(how),
                    Ok(_) => {}
                    Err(_) => break,
                }
                if heard && let Some(info) = info.take() {
                    return Ok(info);
                }
            }
        }
    }
}

impl Drop for RemoteKernel {
    fn drop(&mut self) {
        self.link.abort();
    }
}

fn request_id(handle: &KernelHandle, cell: usize) -> String {
    format!("{}-cell-{cell}", handle.session_id)
}

fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
