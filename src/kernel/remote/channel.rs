//! The websocket to one kernel: opened with the token in a header, under the session whose messages we want.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::framing::{Framing, V1};
use super::gateway::Gateway;
use crate::execution::KernelHandle;

/// How often the gateway is asked whether it is still there.
pub(super) const PING: Duration = Duration::from_secs(10);
/// How long nothing may come, no answer to that either, before the connection is taken for broken.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest message that is taken, in bytes. What a notebook may put out is bounded elsewhere; this is against a
/// gateway that sends for ever.
const LONGEST: usize = 1 << 30;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoChannel {
    /// The gateway has no such kernel.
    Gone,
    /// Everything else, in words.
    Away(String),
}

/// An open connection.
pub(super) struct Channel {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) framing: Framing,
    heard: Instant,
}

impl Channel {
    /// Connects within `time`.
    pub(super) async fn open(
        gateway: &Gateway,
        handle: &KernelHandle,
        time: Duration,
    ) -> Result<Self, NoChannel> {
        let opening = async {
            match Self::open_as(gateway, handle, Framing::V1).await {
                // It does not know the newer framing.
                Err(SocketError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
                    Self::open_as(gateway, handle, Framing::Json).await
                }
                opened => opened,
            }
        };
        let error = match tokio::time::timeout(time, opening).await {
            Ok(Ok(channel)) => return Ok(channel),
            Ok(Err(error)) => error,
            Err(_) => {
                return Err(NoChannel::Away(format!("no websocket came about in {} s", time.as_secs())));
            }
        };
        let words = match &error {
            SocketError::Http(answer) => {
                if gateway.has(&handle.kernel_id).await.is_ok_and(|has| !has) {
                    return Err(NoChannel::Gone);
                }
                let status = answer.status();
                match status.as_u16() {
                    401 | 403 => format!("its websocket does not let us ({status}): check the token"),
                    _ => {
                        format!("it gives no websocket ({status}): check the address, and what is in between")
                    }
                }
            }
            SocketError::Io(error) => format!("its websocket cannot be reached ({})", error.kind()),
            SocketError::Tls(_) => "TLS fails: check its certificate".to_owned(),
            _ => "it gives no websocket: check the address, and what is in between".to_owned(),
        };
        tracing::debug!(%error, "a gateway's websocket cannot be opened");
        Err(NoChannel::Away(words))
    }

    async fn open_as(
        gateway: &Gateway,
        handle: &KernelHandle,
        framing: Framing,
    ) -> Result<Self, SocketError> {
        let mut url = gateway.at(&format!("api/kernels/{}/channels", handle.kernel_id));
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // Both are schemes of the web, so this cannot fail.
        let _ = url.set_scheme(scheme);
        url.query_pairs_mut().append_pair("session_id", &handle.session_id);
        let mut request = url.as_str().into_client_request()?;
        let headers = request.headers_mut();
        if let Some(Ok(token)) = gateway.token.as_ref().map(|token| token.header()) {
            headers.insert(AUTHORIZATION, token);
        }
        if framing == Framing::V1 {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(V1));
        }
        let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
        let (socket, _) = connect_async_with_config(request, Some(config), true).await?;
        Ok(Self { socket, framing, heard: Instant::now() })
    }

    /// The next frame.
    ///
    /// # Errors
    /// Why the connection broke. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Frame, String> {
        match self.socket.next().await {
            Some(Ok(Frame::Close(frame))) => Err(match frame {
                Some(frame) => format!("the gateway closed it ({})", u16::from(frame.code)),
                None => "the gateway closed it".to_owned(),
            }),
            Some(Ok(frame)) => {
                self.heard = Instant::now();
                Ok(frame)
            }
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it ended".to_owned()),
        }
    }

    /// # Errors
    /// Why the connection broke.
    pub(super) async fn send(&mut self, frame: Frame) -> Result<(), String> {
        self.socket.send(frame).await.map_err(|error| error.to_string())
    }

    /// Asks whether the gateway is there; its answer is a frame like others.
    ///
    /// # Errors
    /// When nothing has come for too long.
    pub(super) async fn ping(&mut self) -> Result<(), String> {
        if self.heard.elapsed() > SILENCE {
            return Err(format!("nothing came for {} s", SILENCE.as_secs()));
        }
        self.send(Frame::Ping(bytes::Bytes::new())).await
    }

    /// Takes leave; the gateway keeps what comes from now on.
    pub(super) async fn close(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}
