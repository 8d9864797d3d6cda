//! One step forward of a flow: account is taken of what has ended, what may begin begins, and when all has ended so has the
//! flow. It is one transaction: after a crash all of it was done or none, and whoever comes next does the rest.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::super::{ANY_EXECUTION, Engine, Milestone};
use super::begin;
use crate::db::{EndedTask, Transaction};
use crate::error::{Error, Result};
use crate::execution::{
    CellError, ExecutionId, ExecutionRequest, ExecutionStatus, Limits, Parent, ResourceLimits,
};
use crate::flow::plan::{self, end_of_flow, end_of_step, room};
use crate::flow::{Flow, FlowId, FlowStep, FlowTask, StepStatus};
use crate::workflow::{ForEach, Step, StepSource, expression};

/// How long a task waits whose output another execution is writing.
const OUTPUT_TAKEN: SignedDuration = SignedDuration::from_secs(5);
/// How many executions one step forward puts into the queue: in a file of this machine nobody else writes meanwhile.
const SUBMITTED_AT_ONCE: u64 = 500;

impl Engine {
    /// Lets a flow go on as far as it can now.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used: then nothing has changed.
    pub(super) async fn advance_flow(&self, id: FlowId) -> Result<()> {
        while self.step_forward(id).await? {}
        Ok(())
    }

    /// Takes one step; says whether there is room for more at once.
    async fn step_forward(&self, id: FlowId) -> Result<bool> {
        let mut transaction = self.database().begin().await?;
        let now = self.database().now();
        let Some(flow) = transaction.lock_flow(id).await? else { return Ok(false) };
        let steps = transaction.flow_steps(id).await?;
        let mut advance = Advance {
            engine: self,
            changed: vec![false; steps.len()],
            transaction,
            flow,
            steps,
            now,
            submitted: 0,
            asked: Vec::new(),
        };
        let end = advance.run().await?;
        let Advance { transaction, submitted, asked, flow, .. } = advance;
        transaction.commit().await?;
        if submitted > 0 {
            self.inner.wakeup.notify();
            metrics::counter!("bindery_executions_submitted_total").increment(submitted);
        }
        for (execution, status) in asked {
            match status.is_final() {
                true => self.announce(execution, Milestone::Ended),
                false => self.ask(execution),
            }
        }
        if let Some(status) = end {
            let kind = flow.kind;
            metrics::counter!("bindery_flows_finished_total", "kind" => kind.as_str(), "status" => status.as_str())
                .increment(1);
            tracing::info!(flow.id = %id, flow.kind = %kind, %status, "a {kind} ended");
            // Who waits for it looks again.
            self.announce(ANY_EXECUTION, Milestone::Unknown);
        }
        Ok(submitted >= SUBMITTED_AT_ONCE)
    }
}

/// A flow whose row is ours, until the transaction's end.
struct Advance<'a> {
    engine: &'a Engine,
    transaction: Transaction,
    flow: Flow,
    steps: Vec<FlowStep>,
    /// Which steps are to be written.
    changed: Vec<bool>,
    now: Timestamp,
    submitted: u64,
    /// Executions that were asked to stop.
    asked: Vec<(ExecutionId, ExecutionStatus)>,
}

impl Advance<'_> {
    async fn run(&mut self) -> Result<Option<ExecutionStatus>> {
        self.take_account().await?;
        if self.stop_what_is_to_stop().await? {
            // Those that had not begun have ended by that.
            self.take_account().await?;
        }
        while self.close_steps() || self.begin_steps().await? {}
        let end = end_of_flow(&self.flow.definition.workflow, &self.steps);
        if end.is_none() {
            self.submit().await?;
        }
        for step in self.steps.iter().filter(|step| self.changed[step.position]) {
            self.transaction.update_step(self.flow.id, step).await?;
        }
        let wake_at = match end {
            Some(_) => None,
            None => {
                let retry = self.transaction.next_retry(self.flow.id).await?;
                // What is due already waits for room, and room comes with an end.
                let deadline = self.flow.deadline.filter(|_| !self.is_stopped());
                let later = [retry, deadline].into_iter().flatten().filter(|time| *time > self.now).min();
                // Should this process die before its next step, another takes it.
                if self.submitted >= SUBMITTED_AT_ONCE { Some(self.now) } else { later }
            }
        };
        // Somebody stopped it whole: that is how it ended, whatever its steps had come to by then.
        let end = end.map(|end| match self.flow.cancel_requested && end != ExecutionStatus::Success {
            true => ExecutionStatus::Cancelled,
            false if self.flow.error.is_some() => ExecutionStatus::Failed,
            false => end,
        });
        self.transaction.update_flow(&self.flow, end, wake_at, self.now).await?;
        Ok(end)
    }

    fn definition(&self, position: usize) -> &Step {
        &self.flow.definition.workflow.steps[position]
    }

    fn change(&mut self, position: usize) -> &mut FlowStep {
        self.changed[position] = true;
        &mut self.steps[position]
    }

    /// Whether nothing of it may begin any more.
    fn is_stopped(&self) -> bool {
        self.flow.cancel_requested || self.flow.error.is_some()
    }

    /// Writes down what the executions that have ended came to.
    async fn take_account(&mut self) -> Result<()> {
        for ended in self.transaction.ended_tasks(self.flow.id).await? {
            let definition = self.definition(ended.step);
            let retry = match ended.status {
                ExecutionStatus::Failed if !self.is_stopped() => definition.retries.delay_after(ended.tries),
                _ => None,
            };
            let status = match (ended.status, retry) {
                (ExecutionStatus::Success, _) => StepStatus::Success,
                (ExecutionStatus::Failed, Some(_)) => StepStatus::Pending,
                (ExecutionStatus::Failed, None) => StepStatus::Failed,
                _ => StepStatus::Cancelled,
            };
            let retry_at =
                retry.map(|delay| self.now + SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX));
            self.transaction.end_task(self.flow.id, &ended, status, retry_at).await?;
            let step = self.change(ended.step);
            step.running = step.running.saturating_sub(1);
            match status {
                StepStatus::Success => step.success += 1,
                StepStatus::Failed => {
                    step.failed += 1;
                    step.error = step.error.take().or(ended.error);
                }
                StepStatus::Cancelled => step.cancelled += 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives up what waits and asks to stop what runs: of the whole flow, or of a step of which one item failed. Says whether
    /// an execution was asked.
    async fn stop_what_is_to_stop(&mut self) -> Result<bool> {
        if self.flow.deadline.is_some_and(|deadline| deadline <= self.now) && !self.is_stopped() {
            let limit = self.flow.definition.workflow.timeout.unwrap_or_default();
            let text = format!("the {} took longer than {} s", self.flow.kind, limit.as_secs_f64());
            self.flow.error = Some(CellError::new(None, "WorkflowTimeoutError", text));
        }
        let before = self.asked.len();
        for position in 0..self.steps.len() {
            let (step, definition) = (&self.steps[position], self.definition(position));
            match step.status {
                StepStatus::Pending if self.is_stopped() => {
                    let now = self.now;
                    let step = self.change(position);
                    (step.status, step.end_time) = (StepStatus::Cancelled, Some(now));
                }
                StepStatus::Running if self.is_stopped() || (definition.fail_fast && step.failed > 0) => {
                    let (id, now) = (self.flow.id, self.now);
                    let given_up = self.transaction.cancel_pending_tasks(id, position).await?;
                    if given_up > 0 {
                        self.change(position).cancelled += given_up;
                    }
                    if self.steps[position].running > 0 {
                        self.asked.extend(self.transaction.cancel_running_tasks(id, position, now).await?);
                    }
                }
                _ => {}
            }
        }
        Ok(self.asked.len() > before)
    }

    /// Ends the steps of which nothing is left to do; says whether there was one.
    fn close_steps(&mut self) -> bool {
        let mut closed = false;
        for position in 0..self.steps.len() {
            let step = &self.steps[position];
            if step.status == StepStatus::Running
                && let Some(status) = end_of_step(step)
            {
                let now = self.now;
                let step = self.change(position);
                (step.status, step.end_time) = (status, Some(now));
                closed = true;
            }
        }
        closed
    }

    /// Begins the steps whose needs have ended; says whether there was one.
    async fn begin_steps(&mut self) -> Result<bool> {
        let mut begun = false;
        for position in 0..self.steps.len() {
            if self.steps[position].status != StepStatus::Pending {
                continue;
            }
            let workflow = &self.flow.definition.workflow;
            let Some(needs) = plan::needs(workflow, &self.steps, &workflow.steps[position]) else { continue };
            begun = true;
            if let Some(items) = self.transaction.items_of_step(self.flow.id, position).await? {
                self.flow.definition.workflow.steps[position].for_each = Some(ForEach::List(items));
            }
            let context = self.context(position).await?;
            let definition = self.definition(position);
            let tasks = match expression::condition(definition, &context, needs) {
                Ok(false) => Ok(None),
                Ok(true) => begin::tasks(self.engine, &self.flow, position, &context).map(Some),
                Err(error) => Err(error),
            };
            let now = self.now;
            match tasks {
                Ok(Some(tasks)) => {
                    self.transaction.insert_tasks(self.flow.id, position, &tasks).await?;
                    let step = self.change(position);
                    (step.status, step.start_time) = (StepStatus::Running, Some(now));
                    step.items = tasks.len() as u64;
                }
                Ok(None) => {
                    let step = self.change(position);
                    (step.status, step.end_time) = (StepStatus::Skipped, Some(now));
                }
                Err(error) => {
                    let step = self.change(position);
                    (step.status, step.start_time, step.end_time) =
                        (StepStatus::Failed, Some(now), Some(now));
                    step.error = Some(CellError::new(None, "StepError", error.message()));
                }
            }
        }
        Ok(begun)
    }

    /// What the expressions of a step can speak of. Of other steps only what it may need is fetched.
    async fn context(&mut self, position: usize) -> Result<expression::Context> {
        let workflow = &self.flow.definition.workflow;
        let text = serde_json::to_string(&workflow.steps[position])
            .map_err(|error| Error::internal("a step cannot be written as JSON").with_source(error))?;
        let mut wanted = plan::positions_of(workflow, &workflow.steps[position].needs);
        let mut steps = Map::new();
        while let Some(before) = wanted.pop() {
            let workflow = &self.flow.definition.workflow;
            let step = &workflow.steps[before];
            wanted.extend(plan::positions_of(workflow, &step.needs));
            if steps.contains_key(&step.name) || !text.contains(&step.name) {
                continue;
            }
            let (name, fans_out) = (step.name.clone(), step.for_each.is_some());
            let tasks = self.transaction.tasks_of_step(self.flow.id, before).await?;
            steps.insert(name, outcome(self.steps[before].status, fans_out, &tasks));
        }
        Ok(expression::Context::new(&json!({
            "parameters": self.flow.parameters,
            "workflow": {"id": self.flow.id, "name": self.flow.name},
            "steps": steps,
        })))
    }

    /// Puts as many tasks into the queue as there is room for.
    async fn submit(&mut self) -> Result<()> {
        let mut running: u64 = self.steps.iter().map(|step| step.running).sum();
        for position in 0..self.steps.len() {
            if self.steps[position].status != StepStatus::Running {
                continue;
            }
            let workflow = &self.flow.definition.workflow;
            let most = room(workflow, &workflow.steps[position], &self.steps[position], running)
                .min(SUBMITTED_AT_ONCE - self.submitted);
            if most == 0 {
                continue;
            }
            for task in self.transaction.due_tasks(self.flow.id, position, most, self.now).await? {
                let request = self.request(&task);
                match self.transaction.insert_execution(&request, self.now).await? {
                    Some(execution) => {
                        self.transaction.start_task(self.flow.id, &task, execution).await?;
                        self.change(position).running += 1;
                        running += 1;
                        self.submitted += 1;
                    }
                    None => {
                        let text = format!(
                            "`{}` is being written by another execution: waiting for its end",
                            task.output_path
                        );
                        let waiting = EndedTask::waiting(&task, CellError::new(None, "OutputTaken", text));
                        let retry_at = Some(self.now + OUTPUT_TAKEN);
                        self.transaction
                            .end_task(self.flow.id, &waiting, StepStatus::Pending, retry_at)
                            .await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn request(&self, task: &FlowTask) -> ExecutionRequest {
        let (flow, step) = (&self.flow, self.definition(task.step));
        let service = self.engine.config().limits;
        let limits = Limits {
            start_timeout: service.start_timeout,
            cell_timeout: step.cell_timeout.or(service.cell_timeout),
            timeout: step.timeout.or(service.timeout),
            queue_timeout: step.queue_timeout.or(service.queue_timeout),
            resources: service.resources.lowered_to(ResourceLimits::default()),
        };
        let (notebook_path, template_name) = match &step.source {
            StepSource::Notebook(path) => (path.clone(), None),
            StepSource::Template(name) => (task.output_path.clone(), Some(name.clone())),
        };
        let child = plan::child(step, task.item, task.attempts + 1);
        ExecutionRequest {
            username: flow.username.clone().or_else(|| flow.definition.workflow.username.clone()),
            kernel_name: step.kernel_name.clone(),
            kernel_gateway: step.kernel_gateway.clone(),
            parameters: Some(task.parameters.clone()).filter(|parameters| parameters != "{}"),
            from_template: template_name.is_some(),
            template_name,
            priority: step.priority.unwrap_or_default(),
            max_attempts: step.max_attempts.unwrap_or(1),
            parent: Some(Parent { kind: flow.kind, id: flow.id.0, child }),
            mlflow_parent: super::tracking::parent_of(flow),
            ..ExecutionRequest::new(notebook_path, task.output_path.clone(), limits)
        }
    }
}

/// What a step came to, as expressions see it.
fn outcome(status: StepStatus, fans_out: bool, tasks: &[FlowTask]) -> Value {
    let list = |of: &dyn Fn(&FlowTask) -> Value| match (fans_out, tasks.first()) {
        (true, _) => tasks.iter().map(of).collect(),
        (false, Some(task)) => of(task),
        (false, None) => Value::Null,
    };
    let results = match (fans_out, tasks.is_empty()) {
        (false, true) => json!({}),
        _ => list(&|task| Value::Object(task.results.clone().unwrap_or_default())),
    };
    json!({
        "status": status,
        "results": results,
        "execution_id": list(&|task| json!(task.execution_id)),
        "output_path": list(&|task| json!(task.output_path)),
    })
}
