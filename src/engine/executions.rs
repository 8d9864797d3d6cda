//! Executions: accepted, looked at, waited for, cancelled. What a worker does with them is in `run.rs`.

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::time::Instant;

pub use super::runnable::DEFAULT_KERNEL;
use super::{ANY_EXECUTION, Engine, Milestone, blocking, kept_kernels};
pub use crate::db::ExecutionFilter;
use crate::error::{Error, ErrorKind, Result};
use crate::execution::{Execution, ExecutionId, ExecutionRequest, ExecutionStatus, Limits, ResourceLimits};
use crate::notebook::Parameters;

/// How often those who wait look into the database, should word of a run in another process get lost.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The same where such word comes by itself.
const SHARED_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// An execution to be accepted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubmitExecution {
    /// The notebook, relative to the notebooks root.
    pub notebook_path: String,
    /// Where the result goes; in place when not given.
    pub output_path: Option<String>,
    /// For whom.
    pub username: Option<String>,
    /// The kernel, when it is not the notebook's own choice.
    pub kernel_name: Option<String>,
    /// A configured gateway whose kernel it is, by name or address.
    pub kernel_gateway: Option<String>,
    /// A JSON object.
    pub parameters: Option<Box<RawValue>>,
    /// For the whole run, when it is not the service's own.
    pub timeout: Option<Duration>,
    /// For each cell, when it is not the service's own.
    pub cell_timeout: Option<Duration>,
    /// For a worker to take it, when it is not the service's own.
    pub queue_timeout: Option<Duration>,
    /// What it may take of the machine; can only be less than what the service grants.
    pub resources: ResourceLimits,
    /// See [`ExecutionRequest::idempotency_key`].
    pub idempotency_key: Option<String>,
    /// See [`ExecutionRequest::priority`]; 0 when not given.
    pub priority: Option<i32>,
    /// See [`ExecutionRequest::max_attempts`]; 1 when not given.
    pub max_attempts: Option<u32>,
    /// See [`ExecutionRequest::keep_kernel_on_failure`].
    pub keep_kernel_on_failure: Option<Duration>,
}

impl Engine {
    /// Accepts an execution: checks that it can be run, records it as `pending`, wakes a worker. A request that has the
    /// idempotency key of an earlier one gives that one's execution, however far it has come.
    ///
    /// # Errors
    /// `BadInput` for a path, `NotFound` for the notebook, `NotANotebook` or `Invalid` for what is in it, for
    /// the parameters or the kernel, `Conflict` when the output is being written by another execution; `Invalid` too
    /// when the idempotency key stands for another request.
    pub async fn submit(&self, submit: SubmitExecution) -> Result<ExecutionId> {
        let (mut request, parameters) = self.request_of(submit)?;
        // Before the notebook is looked at, which may be another by now.
        if let Some(first) = self.asked_before(&request).await? {
            return Ok(first);
        }
        self.check_runnable(&request, parameters).await?;
        request.template_name = self.template_of(&request).await?;
        let id = match self.database().insert_execution(&request, self.database().now()).await {
            // The same request may have come twice at once.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return self.asked_before(&request).await?.ok_or(error);
            }
            inserted => inserted?,
        };
        self.inner.wakeup.notify();
        metrics::counter!("bindery_executions_submitted_total").increment(1);
        tracing::info!(execution.id = %id, notebook = %request.notebook_path, "an execution was accepted");
        Ok(id)
    }

    /// What a submission asks of a worker, its paths and parameters checked, with the service's limits where it has none of
    /// its own.
    pub(super) fn request_of(&self, submit: SubmitExecution) -> Result<(ExecutionRequest, Parameters)> {
        let notebook_path = self.root().notebook("notebook_path", &submit.notebook_path)?;
        let output_path = match submit.output_path.as_deref() {
            Some(path) => self.root().notebook("output_path", path)?,
            None => notebook_path.clone(),
        };
        let parameters =
            submit.parameters.as_deref().map(Parameters::from_json_text).transpose()?.unwrap_or_default();
        let limits = self.config().limits;
        let limits = Limits {
            start_timeout: limits.start_timeout,
            cell_timeout: submit.cell_timeout.or(limits.cell_timeout),
            timeout: submit.timeout.or(limits.timeout),
            queue_timeout: submit.queue_timeout.or(limits.queue_timeout),
            resources: limits.resources.lowered_to(submit.resources),
        };
        let gateway = self.checked_gateway(&submit)?;
        let limits = match gateway {
            Some(_) => Limits { resources: ResourceLimits::default(), ..limits },
            None => limits,
        };
        let request = ExecutionRequest {
            username: submit.username,
            kernel_name: submit.kernel_name,
            kernel_gateway: gateway.map(|gateway| gateway.name.clone()),
            parameters: submit.parameters.map(|parameters| parameters.get().to_owned()),
            idempotency_key: submit.idempotency_key,
            priority: submit.priority.unwrap_or_default(),
            max_attempts: submit.max_attempts.unwrap_or(1),
            keep_kernel_on_failure: kept_kernels::check(submit.keep_kernel_on_failure)?,
            ..ExecutionRequest::new(notebook_path.relative, output_path.relative, limits)
        };
        Ok((request, parameters))
    }

    /// The template that a request's notebook was made from, when that is recorded.
    pub(super) async fn template_of(&self, request: &ExecutionRequest) -> Result<Option<String>> {
        let record = self.database().notebook_at(&request.notebook_path).await?;
        Ok(record.and_then(|record| record.notebook.template_name))
    }

    /// Accepts what an ended execution was asked for once more; `changed`, a JSON object, has parameters that take the
    /// place of the old ones. The timeouts are those of then.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it has not ended; else as [`Engine::submit`].
    pub async fn retry(
        &self,
        id: ExecutionId,
        changed: Option<Box<RawValue>>,
        idempotency_key: Option<String>,
    ) -> Result<ExecutionId> {
        let Execution { status, request, .. } = self.execution(id).await?;
        if !status.is_final() {
            return Err(Error::conflict(format!(
                "execution {id} has not ended, it is {status}: cancel it first"
            )));
        }
        self.release_kernel(id).await?;
        let parameters =
            match (request.parameters, changed) {
                (Some(old), Some(changed)) => Some(Parameters::merge_json_text(&old, &changed)?),
                (Some(old), None) => Some(RawValue::from_string(old).map_err(|error| {
                    Error::internal("recorded parameters cannot be read").with_source(error)
                })?),
                (None, changed) => changed,
            };
        self.submit(SubmitExecution {
            notebook_path: request.notebook_path,
            output_path: Some(request.output_path),
            username: request.username,
            kernel_name: request.kernel_name,
            kernel_gateway: request.kernel_gateway,
            parameters,
            timeout: request.limits.timeout,
            cell_timeout: request.limits.cell_timeout,
            queue_timeout: request.limits.queue_timeout,
            resources: request.limits.resources,
            idempotency_key,
            priority: Some(request.priority),
            max_attempts: Some(request.max_attempts),
            keep_kernel_on_failure: request.keep_kernel_on_failure,
        })
        .await
    }

    /// The execution that an earlier request with the same idempotency key has got.
    async fn asked_before(&self, request: &ExecutionRequest) -> Result<Option<ExecutionId>> {
        let Some(key) = request.idempotency_key.as_deref() else { return Ok(None) };
        let Some((first, asked)) = self.database().request_by_key(key).await? else { return Ok(None) };
        if !request.asks_the_same_as(&asked) {
            let what = format!("was given to another request, execution {first}: take a new one");
            return Err(
                Error::invalid(format!("`Idempotency-Key` {what}")).with_field("Idempotency-Key", what)
            );
        }
        tracing::debug!(execution.id = %first, "an execution was asked for once more");
        Ok(Some(first))
    }

    /// One execution.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn execution(&self, id: ExecutionId) -> Result<Execution> {
        self.database().execution(id).await
    }

    /// How many executions a worker takes before this one; `None` when it does not wait.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn queue_position(&self, id: ExecutionId) -> Result<Option<u64>> {
        self.database().queue_position(id).await
    }

    /// Executions, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_executions(&self, filter: &ExecutionFilter) -> Result<Vec<Execution>> {
        self.database().list_executions(filter).await
    }

    /// How many executions have each status.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn count_executions(&self) -> Result<Vec<(ExecutionStatus, u64)>> {
        self.database().count_executions().await
    }

    /// Cancels a pending execution at once; a running one is interrupted by its worker within seconds.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it has ended.
    pub async fn cancel_execution(&self, id: ExecutionId) -> Result<ExecutionStatus> {
        let status = self.database().cancel_execution(id, self.database().now()).await?;
        if status.is_final() {
            self.announce(id, Milestone::Ended);
        }
        self.ask(id);
        tracing::info!(execution.id = %id, %status, "an execution was asked to stop");
        Ok(status)
    }

    /// Waits until the first code cell of an execution is done or it has ended, or until `at_most` has passed.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait_for_first_cell(&self, id: ExecutionId, at_most: Duration) -> Result<Execution> {
        let until = Instant::now() + at_most;
        self.wait(id, Some(until), &[Milestone::FirstCodeCell, Milestone::Ended]).await
    }

    /// Waits until an execution has ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait_for_end(&self, id: ExecutionId) -> Result<Execution> {
        self.wait(id, None, &[Milestone::Ended]).await
    }

    async fn wait(&self, id: ExecutionId, until: Option<Instant>, wanted: &[Milestone]) -> Result<Execution> {
        // Subscribed before the look, so that nothing can happen in between unseen.
        let mut milestones = self.inner.milestones.subscribe();
        let first_cell_is_enough = wanted.contains(&Milestone::FirstCodeCell);
        loop {
            let execution = self.execution(id).await?;
            let reached =
                execution.status.is_final() || (first_cell_is_enough && execution.code_cells_done > 0);
            if reached || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(execution);
            }
            let interval = match self.database().is_shared() {
                true => SHARED_LOOK_INTERVAL,
                false => LOOK_INTERVAL,
            };
            let look = Instant::now() + interval;
            let look = until.map_or(look, |until| look.min(until));
            loop {
                match tokio::time::timeout_at(look, milestones.recv()).await {
                    Ok(Ok((whose, Milestone::FirstCodeCell))) if whose == id && first_cell_is_enough => {
                        return self.execution(id).await;
                    }
                    // A worker that had to give an execution up says so, too: what the record says counts.
                    Ok(Ok((whose, Milestone::Ended | Milestone::Unknown))) if whose == id => break,
                    Ok(Ok((ANY_EXECUTION, _))) => break,
                    Ok(Ok(_)) => {}
                    Ok(Err(broadcast::error::RecvError::Lagged(_))) => break,
                    Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => break,
                }
            }
        }
    }

    pub(super) fn announce(&self, id: ExecutionId, milestone: Milestone) {
        // An error means that nobody waits.
        let _ = self.inner.milestones.send((id, milestone));
    }

    /// The name and the bytes of an execution's output notebook as it is saved now.
    ///
    /// # Errors
    /// `NotFound` for the execution or its file.
    pub async fn executed_notebook(&self, id: ExecutionId) -> Result<(String, Bytes)> {
        let execution = self.execution(id).await?;
        let path = self.root().notebook("output_path", &execution.request.output_path)?;
        let name = path.relative.rsplit('/').next().unwrap_or(&path.relative).to_owned();
        let source = path.source(u64::MAX - 1).await?;
        let bytes = blocking(move || source.read()).await?;
        Ok((name, bytes))
    }

    /// The address at which a user's Jupyter server shows a notebook; `None` when the address needs a user and
    /// none is known.
    pub fn notebook_url(&self, path: &str, username: Option<&str>) -> Option<String> {
        /// What a path segment may hold as it is (RFC 3986's unreserved characters).
        const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        let config = self.config();
        let template = &config.jupyter_url_template;
        if username.is_none() && template.contains("{username}") {
            return None;
        }
        let segments: Vec<_> =
            path.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
        let username = utf8_percent_encode(username.unwrap_or_default(), SEGMENT).to_string();
        // One pass, so that what is filled in is never taken for a placeholder.
        let mut url = String::new();
        let mut rest = template.as_str();
        while let Some(start) = rest.find('{') {
            url.push_str(&rest[..start]);
            let after = &rest[start..];
            let fill = [
                ("{base}", config.jupyter_base_url.as_str()),
                ("{username}", &username),
                ("{path}", &segments.join("/")),
            ]
            .into_iter()
            .find_map(|(name, value)| after.strip_prefix(name).map(|rest| (value.to_owned(), rest)));
            match fill {
                Some((value, after)) => {
                    url.push_str(&value);
                    rest = after;
                }
                None => {
                    url.push('{');
                    rest = &after[1..];
                }
            }
        }
        url.push_str(rest);
        Some(url)
    }
}
