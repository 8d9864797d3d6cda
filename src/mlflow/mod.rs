//! A client of MLflow's tracking server, over its REST API.
//!
//! One run of MLflow stands for one execution of Bindery: [`MlflowClient::start_run`] makes it,
//! [`MlflowClient::kernel_environment`] hands it to the notebook so that every run the notebook makes
//! becomes its child, [`MlflowClient::finish_run`] and [`MlflowClient::log_artifact`] complete it.
//! Only calls that MLflow 2.8 and 3.x answer alike are used (`/api/2.0/mlflow/…`).
//!
//! It refuses tracking URIs that are no server (`sqlite:`, `file:`, `databricks`), talks to no cloud
//! storage itself, follows no redirects, and never puts a credential into a URL, a log or an error.

mod address;
mod artifacts;
mod children;
mod experiments;
mod parameters;
mod rest;
mod runs;

pub use address::MlflowCredentials;
pub use children::ChildRun;
pub use runs::{MlflowRun, RunContext, RunOutcome, RunStart, SourceType, VARIABLES_TO_CLEAR};

use std::time::Duration;

use crate::error::{Error, Result};
use address::TrackingServer;

/// How to talk to one tracking server.
#[derive(Debug, Clone)]
pub struct MlflowOptions {
    /// How long a connection may take to open. 3 s by default.
    pub connect_timeout: Duration,
    /// How long one request may take from its start to the last byte of the answer. 15 s by default;
    /// an upload gets one more second for every megabyte.
    pub request_timeout: Duration,
    /// How often an idempotent call is tried when the server is busy, failing or refusing connections.
    /// 3 by default, with 0.2 s and 0.8 s between; a timeout is never tried again.
    pub attempts: u32,
    /// Where people's browsers find the same server, for links; the tracking URI by default.
    pub public_uri: Option<String>,
}

impl Default for MlflowOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(15),
            attempts: 3,
            public_uri: None,
        }
    }
}

/// A tracking server, and the way to talk to it. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct MlflowClient {
    server: TrackingServer,
    http: reqwest::Client,
    options: MlflowOptions,
}

impl MlflowClient {
    /// A client with the default [`MlflowOptions`]; no request is made yet.
    ///
    /// `tracking_uri` is `http://` or `https://`, perhaps with a path prefix. Credentials in it
    /// (`https://user:password@host`) win over `credentials`, as they do in MLflow's own client.
    ///
    /// # Errors
    /// `BadInput` when `tracking_uri` is not the address of a tracking server.
    pub fn new(tracking_uri: &str, credentials: MlflowCredentials) -> Result<Self> {
        Self::with_options(tracking_uri, credentials, MlflowOptions::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`MlflowClient::new`].
    pub fn with_options(
        tracking_uri: &str,
        credentials: MlflowCredentials,
        options: MlflowOptions,
    ) -> Result<Self> {
        let server = TrackingServer::parse(tracking_uri, credentials)?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("bindery/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            // A POST that is redirected arrives as a GET, and a login page is no answer: a redirect is
            // reported with its target instead, which is what the tracking URI should be.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::internal("the HTTP client could not be built").with_source(error))?;
        Ok(Self { server, http, options })
    }

    /// The tracking URI without credentials and without a slash at the end.
    pub fn tracking_uri(&self) -> &str {
        self.server.base()
    }

    /// Where a person sees a run: `{base}/#/experiments/{experiment}/runs/{run}`.
    pub fn run_url(&self, experiment_id: &str, run_id: &str) -> String {
        let base =
            self.options.public_uri.as_deref().map_or(self.server.base(), |uri| uri.trim_end_matches('/'));
        format!("{base}/#/experiments/{experiment_id}/runs/{run_id}")
    }
}
