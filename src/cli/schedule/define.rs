//! `bindery schedule create` and `update`.

use clap::Args;
use serde_json::value::RawValue;

use super::{show, warn_without_service};
use crate::cli::execution_flags::ExecutionFlags;
use crate::cli::flags::ParameterFlags;
use crate::cli::print::{print, time};
use crate::config::Seconds;
use crate::engine::Engine;
use crate::engine::schedules::{ExecutionTarget, NewSchedule, Target};
use crate::error::{Error, Result};
use crate::notebook::Parameters;
use crate::schedule::{CatchUp, Overlap};

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
    /// Where results go, with fields as in papermill's paths and {scheduled_time:%Y-%m-%d} [default: beside the notebook,
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
    #[arg(value_name = "NOTEBOOK")]
    notebook: String,
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

pub(super) async fn create(engine: &Engine, args: CreateArgs) -> Result<()> {
    let when = args.when;
    let mut submit = args.execution.into_submit(args.notebook)?;
    submit.output_path = when.output;
    let target = ExecutionTarget { submit, scheduled_time_parameter: when.scheduled_time_parameter };
    let new = NewSchedule {
        name: args.name,
        cron: args.cron,
        time_zone: when.time_zone,
        catch_up: when.catch_up.unwrap_or_default(),
        misfire_grace: when.misfire_grace.map(|time| time.0),
        overlap: when.overlap.unwrap_or_default(),
        target: Target::Execution(Box::new(target)),
    };
    let (schedule, is_new) = engine.create_schedule(new, args.paused).await?;
    let name = &schedule.definition.name;
    warn_without_service(engine, &format!("schedule `{name}` runs nothing")).await;
    if args.json {
        return show(engine, &schedule, true).await;
    }
    let state = if is_new { "is created" } else { "existed already" };
    let next = match schedule.next_run {
        _ if schedule.paused => "is paused".to_owned(),
        next => format!("runs next at {}", next.map_or_else(|| "no time".to_owned(), time)),
    };
    print(&format!("schedule `{name}` {state}, as number {}, and {next}\n", schedule.id))
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

pub(super) async fn update(engine: &Engine, args: UpdateArgs) -> Result<()> {
    let schedule = engine.find_schedule(&args.schedule).await?;
    let (old, when) = (&schedule.definition, args.when);
    let Target::Execution(mut target) = engine.schedule_target(&schedule)?;
    let submit = &mut target.submit;
    if let Some(notebook) = args.notebook {
        submit.notebook_path = notebook;
    }
    submit.output_path = when.output.or(submit.output_path.take());
    if let Some(changed) = args.parameters.as_json_text()? {
        submit.parameters = Some(merged(submit.parameters.as_deref(), &changed)?);
    }
    target.scheduled_time_parameter =
        when.scheduled_time_parameter.or(target.scheduled_time_parameter.take());
    let new = NewSchedule {
        name: args.rename.unwrap_or_else(|| old.name.clone()),
        cron: args.cron.unwrap_or_else(|| old.cron.clone()),
        time_zone: when.time_zone.or_else(|| Some(old.time_zone.clone())),
        catch_up: when.catch_up.unwrap_or(old.catch_up),
        misfire_grace: Some(when.misfire_grace.map_or(old.misfire_grace, |time| time.0)),
        overlap: when.overlap.unwrap_or(old.overlap),
        target: Target::Execution(target),
    };
    let schedule = engine.update_schedule(schedule.id, new).await?;
    show(engine, &schedule, args.json).await
}

fn merged(old: Option<&RawValue>, changed: &RawValue) -> Result<Box<RawValue>> {
    match old {
        Some(old) => Parameters::merge_json_text(old.get(), changed),
        None => RawValue::from_string(changed.get().to_owned())
            .map_err(|error| Error::internal("the parameters cannot be written as JSON").with_source(error)),
    }
}
