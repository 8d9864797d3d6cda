//! `bindery schedule`: what is to run at the times of a cron expression.

mod define;
mod target;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::executions::submit::warn_without_service;
use super::flags::EngineFlags;
use super::print::{print, print_json, properties, shortened, table, tell, time};
use super::{Exit, flows, wire};
use crate::engine::Engine;
use crate::engine::schedules::{DEFAULT_TIME_ZONE, MOST_NEXT_RUNS};
use crate::error::Result;
use crate::execution::{ParentKind, human_duration};
use crate::schedule::{Schedule, ScheduleId, ScheduledRun, TickRecord, Timetable};

/// Create, list, pause and change schedules
///
/// Works on the data dir itself. What is scheduled is executed by a `bindery serve` on the same data dir.
#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    #[command(subcommand)]
    command: ScheduleCommand,
    #[command(flatten)]
    flags: EngineFlags,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// Schedule a notebook, a workflow or a sweep
    #[command(after_help = "Examples:
  bindery schedule create nightly ada/train.ipynb --cron '0 2 * * *' --time-zone Europe/Berlin
  bindery schedule create hourly ada/report.ipynb --cron @hourly -p region eu --overlap queue
  bindery schedule create flow --workflow nightly.yaml --cron '0 3 * * *' --scheduled-time-parameter day
  bindery schedule create grid --sweep grid.yaml --cron @weekly
  bindery schedule create daily ada/report.ipynb --cron '30 6 * * mon-fri' \\
      --output 'ada/reports/{scheduled_time:%Y-%m-%d}.ipynb' --scheduled-time-parameter run_date")]
    Create(Box<define::CreateArgs>),
    /// Show schedules, in the order of their creation
    #[command(after_help = "Examples:\n  bindery schedule list\n  bindery schedule list --json")]
    List(ListArgs),
    /// Show everything that is recorded of a schedule
    #[command(
        after_help = "Examples:\n  bindery schedule show nightly\n  bindery schedule show nightly --json"
    )]
    Show(OneArgs),
    /// Show the next times of a schedule, or of an expression
    #[command(after_help = "Examples:\n  bindery schedule next nightly\n  \
                      bindery schedule next --cron '0 2 * * *' --time-zone Europe/Berlin --count 10")]
    Next(NextArgs),
    /// Show what became of a schedule's times, newest first
    #[command(
        after_help = "Examples:\n  bindery schedule runs nightly\n  bindery schedule runs nightly --limit 5 --json"
    )]
    Runs(RunsArgs),
    /// Run nothing until it is resumed; what is missed meanwhile is never caught up
    #[command(after_help = "Examples:\n  bindery schedule pause nightly")]
    Pause(OneArgs),
    /// Go on with the next time from now
    #[command(after_help = "Examples:\n  bindery schedule resume nightly")]
    Resume(OneArgs),
    /// Run it once now, beside what runs already
    #[command(after_help = "Examples:\n  bindery schedule run nightly")]
    Run(OneArgs),
    /// Change a schedule; what is not named stays
    #[command(after_help = "Examples:\n  bindery schedule update nightly --cron '0 3 * * *'\n  \
                      bindery schedule update nightly -p alpha 0.3 --overlap queue")]
    Update(Box<define::UpdateArgs>),
    /// Forget a schedule; what it has started stays
    #[command(after_help = "Examples:\n  bindery schedule delete nightly")]
    Delete(OneArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those with a larger id: the last one of the page before
    #[arg(long, value_name = "ID", default_value_t = 0, hide_default_value = true)]
    after: i64,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The schedule, by name or id
    #[arg(value_name = "SCHEDULE")]
    schedule: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct NextArgs {
    /// The schedule, by name or id
    #[arg(value_name = "SCHEDULE", required_unless_present = "cron", conflicts_with = "cron")]
    schedule: Option<String>,
    /// A cron expression instead of a schedule
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// On whose clock the expression is
    #[arg(long, value_name = "ZONE", default_value = DEFAULT_TIME_ZONE, conflicts_with = "schedule")]
    time_zone: String,
    /// How many times
    #[arg(long, short = 'n', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=MOST_NEXT_RUNS as u64))]
    count: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunsArgs {
    /// The schedule, by name or id
    #[arg(value_name = "SCHEDULE")]
    schedule: String,
    /// Only those with a smaller id: the last one of the page before
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ScheduleArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let done = |done: Result<()>| done.map(|()| Exit::Success);
    let exit = match args.command {
        ScheduleCommand::Create(args) => define::create(&engine, *args).await,
        ScheduleCommand::Update(args) => define::update(&engine, *args).await,
        ScheduleCommand::List(args) => done(list(&engine, args).await),
        ScheduleCommand::Show(args) => match engine.find_schedule(&args.schedule).await {
            Ok(schedule) => done(show(&engine, &schedule, args.json).await),
            Err(error) => Err(error),
        },
        ScheduleCommand::Next(args) => done(next(&engine, args).await),
        ScheduleCommand::Runs(args) => done(runs(&engine, args).await),
        ScheduleCommand::Pause(args) => done(set_paused(&engine, args, true).await),
        ScheduleCommand::Resume(args) => done(set_paused(&engine, args, false).await),
        ScheduleCommand::Run(args) => done(run_now(&engine, args).await),
        ScheduleCommand::Delete(args) => done(delete(&engine, args).await),
    };
    engine.close().await;
    exit
}

async fn last_run(engine: &Engine, schedule: &Schedule) -> Result<Option<TickRecord>> {
    Ok(engine.schedule_runs(schedule.id, None, 1).await?.into_iter().next())
}

async fn list(engine: &Engine, args: ListArgs) -> Result<()> {
    // One more than shown tells whether there are more.
    let mut schedules = engine.list_schedules(ScheduleId(args.after), args.limit + 1).await?;
    let has_more = schedules.len() > args.limit as usize;
    schedules.truncate(args.limit as usize);
    let next = schedules.last().filter(|_| has_more).map(|schedule| schedule.id.to_string());
    if args.json {
        let schedules: Result<Vec<_>> = schedules.iter().map(|it| wire::schedule(engine, it, None)).collect();
        return print_json(&json!({"schedules": schedules?, "next_cursor": next}));
    }
    if schedules.is_empty() {
        tell!("there are no such schedules");
        return Ok(());
    }
    let mut rows = Vec::new();
    for schedule in &schedules {
        let definition = &schedule.definition;
        rows.push([
            schedule.id.to_string(),
            definition.name.clone(),
            definition.cron.clone(),
            definition.time_zone.clone(),
            match schedule.next_run {
                _ if schedule.paused => "paused".to_owned(),
                next => next.map_or_else(|| "never".to_owned(), time),
            },
            last_run(engine, schedule).await?.as_ref().map_or_else(|| "-".to_owned(), in_short),
        ]);
    }
    print(&table(["ID", "NAME", "CRON", "TIME ZONE", "NEXT RUN", "LAST RUN"], &rows))?;
    if let Some(next) = next {
        tell!("there are more: --after {next}");
    }
    Ok(())
}

fn in_short(run: &TickRecord) -> String {
    match (run.run, run.status) {
        (Some(started), Some(status)) => format!("{started}: {status}"),
        (Some(started), None) => started.to_string(),
        (None, _) => run.outcome.as_str().to_owned(),
    }
}

async fn show(engine: &Engine, schedule: &Schedule, as_json: bool) -> Result<()> {
    let last = last_run(engine, schedule).await?;
    if as_json {
        return print_json(&wire::schedule(engine, schedule, last.as_ref())?);
    }
    let definition = &schedule.definition;
    let timetable = definition.timetable()?;
    let next = engine.next_runs(schedule, 5).into_iter().map(|it| both_times(&timetable, it));
    let mut rows = vec![
        ("schedule", Some(schedule.id.to_string())),
        ("name", Some(definition.name.clone())),
        ("cron", Some(definition.cron.clone())),
        ("time zone", Some(definition.time_zone.clone())),
        ("paused", schedule.paused.then(|| "yes".to_owned())),
        (
            "catch up",
            Some(format!("{}, after {}", definition.catch_up, human_duration(definition.misfire_grace))),
        ),
        ("overlap", Some(definition.overlap.to_string())),
    ];
    rows.extend(target::described(&engine.schedule_target(schedule)?));
    rows.extend([
        ("waits", schedule.queued.map(|it| both_times(&timetable, it))),
        ("last run", last.as_ref().map(|run| format!("{}, {}", time(run.scheduled_time), in_short(run)))),
        ("skipped", Some(schedule.skipped.to_string()).filter(|_| schedule.skipped > 0)),
        ("last error", schedule.last_error.clone()),
        ("created", Some(time(schedule.created_at))),
        ("changed", Some(time(schedule.updated_at)).filter(|_| schedule.updated_at != schedule.created_at)),
    ]);
    let mut text = properties(rows);
    for next in next {
        text.push_str(&format!("next run: {next}\n"));
    }
    print(&text)
}

/// A time in UTC and on the schedule's own clock.
fn both_times(timetable: &Timetable, at: Timestamp) -> String {
    match timetable.time_zone() {
        "UTC" => time(at),
        _ => format!("{}  {}", time(at), timetable.local(at).strftime("%a %Y-%m-%d %H:%M:%S %Z")),
    }
}

async fn next(engine: &Engine, args: NextArgs) -> Result<()> {
    let count = usize::try_from(args.count).unwrap_or(MOST_NEXT_RUNS);
    let (timetable, runs) = match (args.schedule, args.cron) {
        (Some(schedule), _) => {
            let schedule = engine.find_schedule(&schedule).await?;
            if schedule.paused {
                tell!(
                    "schedule `{}` is paused: it runs nothing until it is resumed",
                    schedule.definition.name
                );
            }
            (schedule.definition.timetable()?, engine.next_runs(&schedule, count))
        }
        (None, cron) => {
            let cron = cron.unwrap_or_default();
            let runs = engine.preview_schedule(&cron, Some(&args.time_zone), count)?;
            (Timetable::parse(&cron, &args.time_zone)?, runs)
        }
    };
    if args.json {
        return print_json(&json!({
            "cron": timetable.cron().as_str(), "time_zone": timetable.time_zone(), "next_runs": runs
        }));
    }
    print(&runs.into_iter().map(|it| both_times(&timetable, it) + "\n").collect::<String>())
}

async fn runs(engine: &Engine, args: RunsArgs) -> Result<()> {
    let schedule = engine.find_schedule(&args.schedule).await?;
    let mut runs = engine.schedule_runs(schedule.id, args.before, args.limit + 1).await?;
    let has_more = runs.len() > args.limit as usize;
    runs.truncate(args.limit as usize);
    let next = runs.last().filter(|_| has_more).map(|run| run.id.to_string());
    if args.json {
        let runs: Vec<_> = runs.iter().map(wire::schedule_run).collect();
        return print_json(&json!({"runs": runs, "next_cursor": next}));
    }
    if runs.is_empty() {
        tell!("nothing has become due yet");
        return Ok(());
    }
    let row = |run: &TickRecord| {
        let count = if run.ticks > 1 { format!("{} times: ", run.ticks) } else { String::new() };
        [
            run.id.to_string(),
            time(run.scheduled_time),
            if run.manual { "by hand" } else { "on time" }.to_owned(),
            run.outcome.as_str().to_owned(),
            run.run.map_or_else(|| "-".to_owned(), |started| started.to_string()),
            run.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            count + &run.reason.as_deref().map(|reason| shortened(reason, 80)).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    print(&table(["ID", "DUE", "BY", "OUTCOME", "RUN", "STATUS", "REASON"], &rows))?;
    if let Some(next) = next {
        tell!("there are more: --before {next}");
    }
    Ok(())
}

async fn set_paused(engine: &Engine, args: OneArgs, paused: bool) -> Result<()> {
    let id = engine.find_schedule(&args.schedule).await?.id;
    let schedule = match paused {
        true => engine.pause_schedule(id).await?,
        false => engine.resume_schedule(id).await?,
    };
    if args.json {
        return show(engine, &schedule, true).await;
    }
    let name = &schedule.definition.name;
    match schedule.next_run.filter(|_| !paused) {
        Some(next) => print(&format!("schedule `{name}` runs next at {}\n", time(next))),
        None => print(&format!("schedule `{name}` is paused\n")),
    }
}

async fn run_now(engine: &Engine, args: OneArgs) -> Result<()> {
    let id = engine.find_schedule(&args.schedule).await?.id;
    let run = engine.run_schedule(id).await?;
    let (kind, id) = match run {
        ScheduledRun::Execution(id) => {
            warn_without_service(engine, &format!("execution {id} stays pending")).await;
            if args.json {
                return print_json(&wire::execution(engine, &engine.execution(id).await?, None));
            }
            return print(&format!(
                "execution {id} is pending: `bindery executions wait {id}` waits for its end\n"
            ));
        }
        ScheduledRun::Workflow(id) => (ParentKind::Workflow, id),
        ScheduledRun::Sweep(id) => (ParentKind::Sweep, id),
    };
    flows::follow(engine, kind, id, false, args.json).await.map(drop)
}

async fn delete(engine: &Engine, args: OneArgs) -> Result<()> {
    let schedule = engine.find_schedule(&args.schedule).await?;
    engine.delete_schedule(schedule.id).await?;
    if args.json {
        return print_json(&json!({"status": "success", "schedule_id": schedule.id}));
    }
    print(&format!("schedule `{}` is forgotten\n", schedule.definition.name))
}
