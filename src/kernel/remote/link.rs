//! The task that keeps the connection to a kernel: what comes goes into the inbox, what is asked goes out, and when the
//! connection breaks it is made again under the same session.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::channel::{Channel, NoChannel, PING};
use super::framing::{Framing, Received};
use super::gateway::Gateway;
use super::heard::{CaughtUp, Heard, number};
use super::spool::{Spool, Spooled};
use crate::execution::KernelHandle;
use crate::kernel::client::Incoming;
use crate::kernel::inbox::{Wanted, Writer};
use crate::kernel::message::{HeardAt, Message};

/// How long one try to connect may take.
const CONNECT: Duration = Duration::from_secs(30);
/// The pauses between tries: from the first on, doubled.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A request of so many bytes may be more than a gateway takes. Tornado's limit is 10 MiB unless it is set.
const LARGE: usize = 1 << 20;

/// The terms on which a connection is kept.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long a gateway may be away.
    pub patience: Duration,
    /// Until when the run is surely ours, where others may take it: beyond that nothing is sent, and no connection made
    /// that would take theirs away.
    pub ours_until: Option<watch::Receiver<Instant>>,
    /// The file in which what comes is kept until it is recorded, where another process may go on with the kernel.
    pub spool: Option<PathBuf>,
}

impl Terms {
    async fn ours(&mut self) {
        let Some(until) = &mut self.ours_until else { return };
        while Instant::now() >= *until.borrow_and_update() {
            if until.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Something to send.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) msg_type: &'static str,
    pub(super) content: Value,
    /// Whether it is a cell's code, which is sent only while the run is ours.
    pub(super) is_cell: bool,
}

/// The question whose answer says that everything before it has come.
#[derive(Debug)]
struct Probe {
    id: String,
    request: Option<String>,
    reply: Option<(Option<u64>, bool)>,
    idle: bool,
}

pub(super) struct Link {
    pub(super) gateway: Gateway,
    pub(super) handle: KernelHandle,
    pub(super) terms: Terms,
    pub(super) inbox: Writer,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    /// The kernel's own session, once it is known.
    pub(super) kernel_session: Arc<OnceLock<String>>,
    pub(super) heard: Heard,
    /// The last cell's request that was sent, and how long it was.
    pub(super) last_request: Option<(String, usize)>,
    probe: Option<Probe>,
    away_since: Option<Instant>,
    pause: Duration,
    told_of_rate: bool,
    /// Up to which frame all has been recorded.
    pub(super) recorded: Arc<AtomicU64>,
    spool: Spool,
    /// What came to another process, and was not recorded there.
    left: Vec<Spooled>,
}

/// How a conversation ended.
enum Talked {
    /// Nobody has anything to ask any more.
    Done,
    /// The kernel has ended.
    Over(Incoming),
    /// The connection broke.
    Broke(String),
}

impl Link {
    pub(super) fn new(
        gateway: Gateway,
        handle: KernelHandle,
        terms: Terms,
        inbox: Writer,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let kernel_session = Arc::new(OnceLock::new());
        if let Some(session) = &handle.kernel_session {
            let _ = kernel_session.set(session.clone());
        }
        Self {
            gateway,
            handle,
            terms,
            inbox,
            requests,
            kernel_session,
            heard: Heard::default(),
            last_request: None,
            probe: None,
            away_since: None,
            pause: PAUSES.0,
            told_of_rate: false,
            recorded: Arc::default(),
            spool: Spool::create(None, 0, &[], Arc::default()),
            left: Vec::new(),
        }
    }

    /// Keeps what comes in the file of the terms.
    pub(super) fn keep(&mut self) {
        self.spool = Spool::create(self.terms.spool.as_deref(), 0, &[], self.recorded.clone());
    }

    /// Goes on behind what another process has recorded, with what the file of the terms has beyond that first.
    pub(super) fn goes_on(&mut self, heard: Option<HeardAt>) {
        let recorded = heard.map_or(0, |heard| heard.arrival);
        let mut left = self.terms.spool.as_deref().map(Spool::read).unwrap_or_default();
        left.retain(|it| it.arrival > recorded);
        self.heard = Heard::from(heard.and_then(|heard| heard.number));
        self.recorded.store(recorded, Ordering::Release);
        self.spool = Spool::create(self.terms.spool.as_deref(), recorded, &left, self.recorded.clone());
        self.left = left;
    }

    /// Talks over `channel`, else over one that is opened now in place of another process's, until the kernel's end.
    pub(super) async fn run(mut self, mut channel: Option<Channel>) {
        for Spooled { framing, frame, arrival } in std::mem::take(&mut self.left) {
            if let Some(end) = self.take(frame, framing, arrival) {
                return self.inbox.push(end);
            }
        }
        loop {
            let talked = match channel.take() {
                Some(channel) => self.talk(channel, false).await,
                None => {
                    self.heard.broke();
                    match self.reconnect().await {
                        Ok(channel) => self.talk(channel, true).await,
                        Err(end) => Talked::Over(end),
                    }
                }
            };
            match talked {
                Talked::Done => return,
                Talked::Over(end) => return self.inbox.push(end),
                Talked::Broke(why) => {
                    tracing::warn!(
                        kernel.id = self.handle.kernel_id,
                        why,
                        "the connection to a kernel gateway broke"
                    );
                }
            }
        }
    }

    /// A connection in place of one that broke.
    async fn reconnect(&mut self) -> Result<Channel, Incoming> {
        loop {
            let since = *self.away_since.get_or_insert_with(Instant::now);
            // A connection that breaks at once is no better than none.
            let pause = self.pause;
            self.pause = (pause * 2).min(PAUSES.1);
            tokio::time::sleep(pause).await;
            self.terms.ours().await;
            match Channel::open(&self.gateway, &self.handle, CONNECT).await {
                Ok(channel) => return Ok(channel),
                Err(NoChannel::Gone) => {
                    let text = format!("the kernel gateway at {} has it no more", self.gateway.shown());
                    return Err(Incoming::Died(text));
                }
                Err(NoChannel::Away(why)) if since.elapsed() >= self.terms.patience => {
                    let (gateway, seconds) = (self.gateway.shown(), since.elapsed().as_secs());
                    return Err(Incoming::Lost(format!(
                        "the kernel gateway at {gateway} was away for {seconds} s: {why}"
                    )));
                }
                Err(NoChannel::Away(why)) => {
                    tracing::debug!(kernel.id = self.handle.kernel_id, why, "a kernel gateway is away");
                }
            }
        }
    }

    async fn talk(&mut self, mut channel: Channel, is_again: bool) -> Talked {
        if is_again && let Err(why) = self.send_probe(&mut channel).await {
            return Talked::Broke(why);
        }
        let mut pings = tokio::time::interval(PING);
        loop {
            let done = tokio::select! {
                frame = channel.next() => match frame {
                    Ok(frame) => {
                        let arrival = self.spool.keep(channel.framing, &frame);
                        if let Some(end) = self.take(frame, channel.framing, arrival) {
                            return Talked::Over(end);
                        }
                        Ok(())
                    }
                    Err(why) => Err(why),
                },
                request = self.requests.recv() => match request {
                    Some(request) => self.send(request, &mut channel).await,
                    None => {
                        channel.close().await;
                        return Talked::Done;
                    }
                },
                _ = pings.tick() => channel.ping().await,
            };
            if let Err(why) = done {
                return Talked::Broke(why);
            }
        }
    }

    async fn send(&mut self, request: Request, channel: &mut Channel) -> Result<(), String> {
        if request.is_cell {
            self.terms.ours().await;
        }
        let frame = self.frame(&request.id, request.msg_type, &request.content, channel);
        if request.is_cell {
            self.last_request = Some((request.id, frame.len()));
        }
        channel.send(frame).await
    }

    fn frame(&self, id: &str, msg_type: &str, content: &Value, channel: &Channel) -> Frame {
        let header = json!({"msg_id": id, "msg_type": msg_type, "session": self.handle.session_id,
            "username": "bindery", "date": Timestamp::now().to_string(), "version": "5.3"});
        channel.framing.write(&header, content)
    }

    /// A kernel takes its requests one after the other: with the answer to this one, all that it had to say before has
    /// come. It runs nothing and counts for nothing.
    async fn send_probe(&mut self, channel: &mut Channel) -> Result<(), String> {
        let id = format!("{}-look-{}", self.handle.session_id, uuid::Uuid::new_v4().simple());
        let content = json!({"code": "", "silent": true, "store_history": false, "user_expressions": {},
            "allow_stdin": false, "stop_on_error": false});
        let frame = self.frame(&id, "execute_request", &content, channel);
        let request = self.last_request.as_ref().map(|(id, _)| id.clone());
        self.probe = Some(Probe { id, request, reply: None, idle: false });
        channel.send(frame).await
    }

    /// Takes a frame; gives the end when it is that.
    fn take(&mut self, frame: Frame, framing: Framing, arrival: u64) -> Option<Incoming> {
        let received = match framing.read(frame) {
            Ok(received) => received?,
            Err(error) => {
                let why = error.message().to_owned();
                self.inbox.push(Incoming::Unreadable { is_reply: false, why });
                return None;
            }
        };
        (self.away_since, self.pause) = (None, PAUSES.0);
        let is_reply = received.channel == "shell";
        // What is asked and answered elsewhere is none of ours.
        if !is_reply && received.channel != "iopub" {
            return None;
        }
        match self.read(received, arrival, is_reply) {
            Ok(Some(message)) => self.pass_on(message, is_reply),
            Ok(None) => None,
            Err(why) => {
                self.inbox.push(Incoming::Unreadable { is_reply, why });
                None
            }
        }
    }

    /// Reads a message that somebody wants, and says whether the kernel itself has sent it.
    fn read(
        &mut self,
        received: Received,
        arrival: u64,
        is_reply: bool,
    ) -> Result<Option<(Message, bool)>, String> {
        let Received { parts, .. } = received;
        let header = parts.header().map_err(|error| error.message().to_owned())?;
        if is_reply && header.msg_type == "kernel_info_reply" {
            let _ = self.kernel_session.set(header.session.clone());
        }
        let session = self.kernel_session.get();
        let is_of_kernel = session.is_none_or(|session| *session == header.session);
        let id = header.msg_id.as_deref().unwrap_or_default();
        let number = session.and_then(|session| number(id, session));
        number.into_iter().for_each(|number| self.heard.note(number));
        let wanted = self.inbox.wants();
        if wanted == Wanted::Nothing || (wanted == Wanted::NoOutputs && header.is_output()) {
            return Ok(None);
        }
        let mut message = Message::decode(header, parts, self.inbox.longest())
            .map_err(|error| error.message().to_owned())?;
        message.heard = Some(HeardAt { arrival, number });
        Ok(Some((message, is_of_kernel)))
    }

    fn pass_on(&mut self, (message, is_of_kernel): (Message, bool), is_reply: bool) -> Option<Incoming> {
        let parent = message.parent_id.as_deref();
        if is_reply && message.msg_type == "execute_reply" && !is_of_kernel {
            return Some(Incoming::Died("it was restarted, and has forgotten all that had run".into()));
        }
        if message.msg_type == "status" {
            match message.text("execution_state") {
                // Only a gateway says this. What it starts anew knows nothing of the cells before.
                "restarting" | "autorestarting" | "dead" => {
                    return Some(Incoming::Died("the kernel gateway says that its process ended".into()));
                }
                "idle" => {
                    let is_of = |request: &(String, usize)| Some(request.0.as_str()) == parent;
                    if self.last_request.as_ref().is_some_and(is_of) {
                        self.heard.note_done(message.heard.and_then(|heard| heard.number));
                    }
                }
                _ => {}
            }
        }
        if let Some(probe) = self.probe.as_mut().filter(|probe| Some(probe.id.as_str()) == parent) {
            match message.msg_type.as_str() {
                "execute_reply" => {
                    let count = message.content.get("execution_count").and_then(Value::as_u64);
                    probe.reply = Some((count, message.text("status").starts_with("abort")));
                }
                "status" => probe.idle |= message.text("execution_state") == "idle",
                _ => {}
            }
            self.tell_caught_up();
            return None;
        }
        let is_notice = !is_of_kernel && is_rate_notice(&message);
        self.inbox.push(if is_reply { Incoming::Shell(message) } else { Incoming::Iopub(message) });
        if is_notice && !std::mem::replace(&mut self.told_of_rate, true) {
            let text = "the kernel gateway left out output that came too fast; its `iopub_data_rate_limit` and \
                        `iopub_msg_rate_limit` say how fast it may come";
            self.inbox.push(Incoming::Notice(text.into()));
        }
        None
    }

    fn tell_caught_up(&mut self) {
        let Some(Probe { request, reply: Some((execution_count, is_aborted)), idle: true, .. }) = &self.probe
        else {
            return;
        };
        let last = self.last_request.as_ref().filter(|(id, _)| Some(id) == request.as_ref());
        let caught_up = CaughtUp {
            request: request.clone(),
            execution_count: *execution_count,
            is_aborted: *is_aborted,
            lost: self.heard.lost(),
            was_large: last.is_some_and(|(_, length)| *length >= LARGE),
        };
        self.probe = None;
        self.inbox.push(Incoming::CaughtUp(caught_up));
    }
}

/// Jupyter Server puts this text in place of what it leaves out (`services/kernels/connection/channels.py`).
fn is_rate_notice(message: &Message) -> bool {
    let text = message.text("text");
    message.msg_type == "stream" && text.contains("IOPub ") && text.contains("rate exceeded")
}
