//! A gateway: what it can start, and a kernel's life by REST.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use super::answer::Step;
use super::specs::GatewaySpecs;
use super::token::Token;
use crate::error::{Error, Result};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take for which nothing has to be started or ended.
const ANSWER: Duration = Duration::from_secs(5);
/// The same for the end of a kernel, which may first be asked politely by the gateway.
const END: Duration = Duration::from_secs(30);
/// How long a kernel's end is tried, and the pauses between.
const END_TRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// Enterprise Gateway and Kernel Gateway give the variables of one start to another that comes at the same time. So
/// there is one at a time, and each sends its variables.
static STARTS: Mutex<()> = Mutex::const_new(());

/// A gateway and what it knows us by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    url: Url,
    pub(super) token: Option<Token>,
    pub(super) http: reqwest::Client,
}

/// Why it is not known what a gateway can start.
#[derive(Debug)]
pub enum NoSpecs {
    /// It gave no answer in time.
    Away(Error),
    /// It does not let us, or answered what is no list of kernelspecs.
    Refused(Error),
}

impl From<NoSpecs> for Error {
    fn from(fault: NoSpecs) -> Self {
        let (NoSpecs::Away(error) | NoSpecs::Refused(error)) = fault;
        error
    }
}

#[derive(Deserialize)]
struct Started {
    id: String,
}

impl Gateway {
    /// A gateway at an address without secrets.
    ///
    /// # Errors
    /// `BadInput` when it is no address, `Internal` when the system gives no HTTP client.
    pub fn new(url: &str, token: Option<Token>) -> Result<Self> {
        let url = Url::parse(url).map_err(|error| {
            Error::bad_input("the address of a kernel gateway is none").with_source(error)
        })?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            // A websocket goes through no proxy either.
            .no_proxy()
            .build()
            .map_err(|error| Error::internal("no HTTP client can be made").with_source(error))?;
        Ok(Self { url, token, http })
    }

    /// Its address, as it is shown.
    pub fn shown(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// An address below its own.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// What it can start.
    ///
    /// # Errors
    /// Both are `Unavailable`.
    pub async fn specs(&self) -> Result<GatewaySpecs, NoSpecs> {
        let step = Step {
            what: "list its kernelspecs",
            method: Method::GET,
            path: "api/kernelspecs",
            body: None,
            time: ANSWER,
        };
        let (status, body) = self.ask(&step).await.map_err(NoSpecs::Away)?;
        let answer = self.read(&step, status, &body).map_err(NoSpecs::Refused)?;
        Ok(GatewaySpecs { gateway: self.shown().to_owned(), answer })
    }

    /// Starts a kernel and gives its id. `env` must hold no secret. One that is started after all when nobody waits any
    /// more is ended again.
    ///
    /// # Errors
    /// `Kernel` when it is not started within `time`.
    pub(super) async fn start(&self, name: &str, env: &[(String, String)], time: Duration) -> Result<String> {
        let mut variables: serde_json::Map<_, _> =
            env.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        // How long Enterprise Gateway waits for a cluster.
        variables.insert("KERNEL_LAUNCH_TIMEOUT".into(), time.as_secs().max(1).to_string().into());
        let body = json!({"name": name, "env": variables});
        let (gateway, what) = (self.clone(), format!("start the kernel `{name}`"));
        let (answer, started) = oneshot::channel();
        tokio::spawn(async move {
            let _alone = STARTS.lock().await;
            if answer.is_closed() {
                return;
            }
            let step =
                Step { what: &what, method: Method::POST, path: "api/kernels", body: Some(&body), time };
            let started = gateway.ask_for::<Started>(&step).await;
            if let Err(Ok(Started { id })) = answer.send(started) {
                gateway.end(&id).await;
            }
        });
        let started = started.await.map_err(|_| Error::internal("a start ended in a panic"))?;
        started.map(|it| it.id).map_err(|error| Error::kernel(error.message()).with_source(error))
    }

    /// Asks the running code to stop.
    pub(super) async fn interrupt(&self, id: &str) -> Result<()> {
        let path = format!("api/kernels/{id}/interrupt");
        let what = "interrupt a kernel";
        let (method, body) = (Method::POST, None);
        let step = Step { what, method, path: &path, body, time: ANSWER };
        match self.ask(&step).await? {
            (status, _) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            (status, body) => Err(self.refusal(what, status, &body)),
        }
    }

    /// Whether it still has a kernel.
    ///
    /// # Errors
    /// `Unavailable` when it does not say.
    pub(super) async fn has(&self, id: &str) -> Result<bool> {
        let path = format!("api/kernels/{id}");
        let what = "look for a kernel";
        let step = Step { what, method: Method::GET, path: &path, body: None, time: ANSWER };
        match self.ask(&step).await? {
            (status, _) if status.is_success() => Ok(true),
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (status, body) => Err(self.refusal(what, status, &body)),
        }
    }

    /// Ends a kernel. One that is gone already is a success.
    ///
    /// # Errors
    /// `Unavailable` when the gateway does not do it.
    pub async fn end_once(&self, id: &str) -> Result<()> {
        let path = format!("api/kernels/{id}");
        let what = "end a kernel";
        let step = Step { what, method: Method::DELETE, path: &path, body: None, time: END };
        match self.ask(&step).await? {
            (status, _) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            (status, body) => Err(self.refusal(what, status, &body)),
        }
    }

    /// The same, tried more than once; false when the kernel may still be there.
    pub(super) async fn end(&self, id: &str) -> bool {
        let begun = Instant::now();
        for pause in END_TRIES.map(Some).into_iter().chain([None]) {
            let error = match self.end_once(id).await {
                Ok(()) => return true,
                Err(error) => error,
            };
            // A gateway that is just starting a dead kernel anew may fail, for one.
            match pause.filter(|_| begun.elapsed() < END) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    tracing::warn!(kernel.id = id, %error, cause = error.cause(), "a remote kernel cannot be ended");
                    break;
                }
            }
        }
        false
    }
}
