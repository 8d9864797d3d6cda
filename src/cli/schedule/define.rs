//! `bindery schedule create` and `update`.

use clap::Args;
use serde_json::value::RawValue;

use super::target::{FlowFlags, merge, sweep_request, workflow_text};
use super::{show, warn_without_service};
use crate::cli::Exit;
use crate::cli::execution_flags::{ExecutionFlags, FlowExecution};
use crate::cli::flags::ParameterFlags;
use crate::cli::print::{print, time};
use crate::config::Seconds;
use crate::engine::Engine;
use crate::engine::schedules::{ExecutionTarget, NewSchedule, SweepTarget, Target, WorkflowTarget};
use crate::error::{Error, Result};
use crate::notebook::Parameters;
use crate::schedule::{CatchUp, Overlap};
use crate::workflow::{StepSource, SweepRequest};

/// When, and what becomes of what cannot be kept.
#[derive(Debug, Args)]
struct WhenFlags {
    /// On whose clock, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What becomes of runs that were missed because no server ran: none, last or all [default: last]
    #[arg(long, value_name = "POLICY", value_parser = |text: &str| text.parse::<CatchUp>().map_err(|error| error.message().to_owned()))]
    catch_up: Option<CatchUp>,
    /// How late a run may begin and still count as on time [default: 60s]
    #[arg(long, value_name = "TIME")]
    misfire_grace: Option<Seconds>,
    /// What becomes of a run while an earlier one goes on: skip, queue, cancel or allow [default: skip]
    #[arg(long, value_name = "POLICY", value_parser = |text: &str| text.parse::<Overlap>().map_err(|error| error.message().to_owned()))]
    overlap: Option<Overlap>,
    /// The parameter that is given the time at which the run was due, as 2026-11-27T03:00:00+01:00
    #[arg(long, value_name = "NAME")]
    scheduled_time_parameter: Option<String>,
    /// Where a notebook's results go, with fields as in papermill's paths and {scheduled_time:%Y-%m-%d} [default: beside the notebook,
    /// as NAME.schedule-3.20261127T020000Z.ipynb]
    #[arg(long, value_name = "PATH")]
    output: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: String,
    /// The notebook, relative to the notebooks root, or absolute and inside it
    #[arg(value_name = "NOTEBOOK", required_unless_present_any = ["workflow", "sweep"])]
    notebook: Option<String>,
    #[command(flatten)]
    flow: FlowFlags,
    /// When: minute, hour, day of month, month, day of week, such as '0 2 * * *'; or @hourly, @daily, @weekly, @monthly
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    #[command(flatten)]
    when: WhenFlags,
    /// Run nothing until it is resumed
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    execution: ExecutionFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn create(engine: &Engine, args: CreateArgs) -> Result<Exit> {
    let (when, flow) = (args.when, args.flow);
    let scheduled_time_parameter = when.scheduled_time_parameter;
    let mut written = None;
    let target = if let Some(file) = flow.workflow {
        let FlowExecution { parameters, username } = args.execution.into_flow("--workflow")?;
        let Some(text) = workflow_text(engine, &file).await? else { return Ok(Exit::UserFault) };
        let output_directory = flow.output_directory;
        let is_json = false;
        Target::Workflow(Box::new(WorkflowTarget {
            text,
            is_json,
            parameters,
            username,
            output_directory,
            scheduled_time_parameter,
        }))
    } else if let Some(file) = flow.sweep {
        let FlowExecution { parameters, username } = args.execution.into_flow("--sweep")?;
        let Some((mut request, read)) = sweep_request(&file)? else { return Ok(Exit::UserFault) };
        merge(&mut request.parameters, parameters);
        request.username = username.or(request.username);
        request.output_directory = flow.output_directory.or(request.output_directory);
        written = Some(read);
        Target::Sweep(Box::new(SweepTarget { request, scheduled_time_parameter }))
    } else {
        let mut submit = args.execution.into_submit(args.notebook.unwrap_or_default())?;
        submit.output_path = when.output;
        Target::Execution(Box::new(ExecutionTarget { submit, scheduled_time_parameter }))
    };
    let new = NewSchedule {
        name: args.name,
        cron: args.cron,
        time_zone: when.time_zone,
        catch_up: when.catch_up.unwrap_or_default(),
        misfire_grace: when.misfire_grace.map(|time| time.0),
        overlap: when.overlap.unwrap_or_default(),
        target,
    };
    let created = engine.create_schedule(new, args.paused).await;
    let (schedule, is_new) = match (created, written) {
        (Err(error), Some(written)) => return written.tell(error),
        (created, _) => created?,
    };
    let name = &schedule.definition.name;
    warn_without_service(engine, &format!("schedule `{name}` runs nothing")).await;
    if args.json {
        return show(engine, &schedule, true).await.map(|()| Exit::Success);
    }
    let state = if is_new { "is created" } else { "existed already" };
    let next = match schedule.next_run {
        _ if schedule.paused => "is paused".to_owned(),
        next => format!("runs next at {}", next.map_or_else(|| "no time".to_owned(), time)),
    };
    print(&format!("schedule `{name}` {state}, as number {}, and {next}\n", schedule.id))?;
    Ok(Exit::Success)
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The schedule, by name or id
    #[arg(value_name = "SCHEDULE")]
    schedule: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// The notebook, relative to the notebooks root
    #[arg(long, value_name = "PATH")]
    notebook: Option<String>,
    #[command(flatten)]
    flow: FlowFlags,
    /// When
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    #[command(flatten)]
    when: WhenFlags,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn update(engine: &Engine, args: UpdateArgs) -> Result<Exit> {
    let schedule = engine.find_schedule(&args.schedule).await?;
    let (old, when, flow) = (&schedule.definition, args.when, args.flow);
    let mut target = engine.schedule_target(&schedule)?;
    let mut written = None;
    let refuse = |flag: &str, is_given: bool, of: &str| match is_given {
        true => Err(Error::bad_input(format!(
            "{flag} is not for schedule `{}`, which is for a {of}: create another schedule",
            old.name
        ))),
        false => Ok(()),
    };
    match &mut target {
        Target::Execution(target) => {
            refuse("--workflow", flow.workflow.is_some(), "notebook")?;
            refuse("--sweep", flow.sweep.is_some(), "notebook")?;
            refuse("--output-directory", flow.output_directory.is_some(), "notebook")?;
            let submit = &mut target.submit;
            if let Some(notebook) = args.notebook {
                submit.notebook_path = notebook;
            }
            submit.output_path = when.output.or(submit.output_path.take());
            if let Some(changed) = args.parameters.as_json_text()? {
                submit.parameters = Some(merged(submit.parameters.as_deref(), &changed)?);
            }
            replace(&mut target.scheduled_time_parameter, when.scheduled_time_parameter);
        }
        Target::Sweep(target) => {
            refuse("--workflow", flow.workflow.is_some(), "sweep")?;
            refuse("--output", when.output.is_some(), "sweep")?;
            if let Some(file) = flow.sweep {
                let Some((request, read)) = sweep_request(&file)? else { return Ok(Exit::UserFault) };
                let old = &target.request;
                // What stood beside the old file stays, unless the new one says otherwise.
                target.request = SweepRequest {
                    username: request.username.clone().or_else(|| old.username.clone()),
                    output_directory: request
                        .output_directory
                        .clone()
                        .or_else(|| old.output_directory.clone()),
                    ..request
                };
                written = Some(read);
            }
            if let Some(notebook) = args.notebook {
                target.request.source = StepSource::Notebook(notebook);
            }
            replace(&mut target.request.output_directory, flow.output_directory);
            merge(&mut target.request.parameters, args.parameters.parse()?.to_exact_json()?);
            replace(&mut target.scheduled_time_parameter, when.scheduled_time_parameter);
        }
        Target::Workflow(target) => {
            refuse("--sweep", flow.sweep.is_some(), "workflow")?;
            refuse("--notebook", args.notebook.is_some(), "workflow")?;
            refuse("--output", when.output.is_some(), "workflow")?;
            if let Some(file) = flow.workflow {
                let Some(text) = workflow_text(engine, &file).await? else { return Ok(Exit::UserFault) };
                (target.text, target.is_json) = (text, false);
            }
            replace(&mut target.output_directory, flow.output_directory);
            merge(&mut target.parameters, args.parameters.parse()?.to_exact_json()?);
            replace(&mut target.scheduled_time_parameter, when.scheduled_time_parameter);
        }
    }
    let new = NewSchedule {
        name: args.rename.unwrap_or_else(|| old.name.clone()),
        cron: args.cron.unwrap_or_else(|| old.cron.clone()),
        time_zone: when.time_zone.or_else(|| Some(old.time_zone.clone())),
        catch_up: when.catch_up.unwrap_or(old.catch_up),
        misfire_grace: Some(when.misfire_grace.map_or(old.misfire_grace, |time| time.0)),
        overlap: when.overlap.unwrap_or(old.overlap),
        target,
    };
    let schedule = match (engine.update_schedule(schedule.id, new).await, written) {
        (Err(error), Some(written)) => return written.tell(error),
        (updated, _) => updated?,
    };
    show(engine, &schedule, args.json).await?;
    Ok(Exit::Success)
}

/// What is not named stays.
fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

fn merged(old: Option<&RawValue>, changed: &RawValue) -> Result<Box<RawValue>> {
    match old {
        Some(old) => Parameters::merge_json_text(old.get(), changed),
        None => RawValue::from_string(changed.get().to_owned())
            .map_err(|error| Error::internal("the parameters cannot be written as JSON").with_source(error)),
    }
}
