//! `bindery executions submit`: a notebook is recorded for execution by a service.

use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;

use super::wait;
use crate::cli::flags::ParameterFlags;
use crate::cli::print::{print, print_json, tell};
use crate::cli::serve::reachable_url;
use crate::cli::{Exit, wire};
use crate::config::{ByteSize, Seconds};
use crate::engine::Engine;
use crate::engine::executions::SubmitExecution;
use crate::error::{Error, Result};
use crate::execution::{ATTEMPTS, ExecutionId, PRIORITIES, ResourceLimits};
use crate::notebook::{ParameterValue, Parameters};

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// The notebook, relative to the notebooks root, or absolute and inside it
    #[arg(value_name = "NOTEBOOK")]
    notebook: String,
    /// Where the result goes, relative to the notebooks root [default: in place]
    #[arg(long, value_name = "PATH")]
    output: Option<String>,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// The kernel to run, whatever the notebook asks for
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,
    /// Run on a kernel of this gateway, by its name or address in the service's configuration
    #[arg(long, value_name = "NAME")]
    kernel_gateway: Option<String>,
    /// For whom
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    /// How long the whole run may take, such as 30m
    #[arg(long, value_name = "TIME")]
    timeout: Option<Seconds>,
    /// How long each cell may take
    #[arg(long, value_name = "TIME")]
    cell_timeout: Option<Seconds>,
    /// How long it may wait for a worker
    #[arg(long, value_name = "TIME")]
    queue_timeout: Option<Seconds>,
    /// Those of a higher priority are executed first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(PRIORITIES))]
    priority: Option<i32>,
    /// How often it may be begun when its worker dies under it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(ATTEMPTS))]
    max_attempts: Option<u32>,
    /// Memory that all its processes may take together, such as 2GB; of this and the next three, none can be more than
    /// the service grants
    #[arg(long, value_name = "SIZE")]
    max_memory: Option<ByteSize>,
    /// Processor time that all its processes may take together, such as 1h
    #[arg(long, value_name = "TIME")]
    max_cpu_time: Option<Seconds>,
    /// Processes that it may have at the same time, its kernel included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_processes: Option<u64>,
    /// What all its processes may write to disk together, such as 10GB
    #[arg(long, value_name = "SIZE")]
    max_disk_writes: Option<ByteSize>,
    /// How long its kernel stays when a cell fails, such as 10m, so that you can attach to it: `bindery executions show`
    /// says how
    #[arg(long, value_name = "TIME")]
    keep_kernel_on_failure: Option<Seconds>,
    /// What this request is called, such as `daily-2026-11-21`: with the same name it starts nothing a second time
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    idempotency_key: Option<String>,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn submit(engine: &Engine, args: SubmitArgs) -> Result<Exit> {
    let parameters = args.parameters.parse()?;
    let id = engine
        .submit(SubmitExecution {
            notebook_path: args.notebook,
            output_path: args.output,
            username: args.username,
            kernel_name: args.kernel,
            kernel_gateway: args.kernel_gateway,
            parameters: (!parameters.is_empty()).then(|| as_json_text(&parameters)).transpose()?,
            timeout: args.timeout.map(|time| time.0),
            cell_timeout: args.cell_timeout.map(|time| time.0),
            queue_timeout: args.queue_timeout.map(|time| time.0),
            resources: ResourceLimits {
                max_memory: args.max_memory.map(|size| size.0),
                max_cpu_time: args.max_cpu_time.map(|time| time.0),
                max_processes: args.max_processes,
                max_disk_writes: args.max_disk_writes.map(|size| size.0),
            },
            idempotency_key: args.idempotency_key,
            priority: args.priority,
            max_attempts: args.max_attempts,
            keep_kernel_on_failure: args.keep_kernel_on_failure.map(|time| time.0),
        })
        .await?;
    follow(engine, id, args.wait, args.json).await
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// The execution
    #[arg(value_name = "ID", value_parser = super::execution_id)]
    id: ExecutionId,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn retry(engine: &Engine, args: RetryArgs) -> Result<Exit> {
    let parameters = args.parameters.parse()?;
    let changed = (!parameters.is_empty()).then(|| as_json_text(&parameters)).transpose()?;
    let id = engine.retry(args.id, changed, None).await?;
    follow(engine, id, args.wait, args.json).await
}

/// Says what has become of a request; `wait_for_end` waits for it.
async fn follow(engine: &Engine, id: ExecutionId, wait_for_end: bool, as_json: bool) -> Result<Exit> {
    let execution = engine.execution(id).await?;
    // A request that was sent again may have ended long ago.
    let has_ended = execution.status.is_final();
    if !has_ended {
        warn_without_service(engine, id).await;
    }
    if wait_for_end {
        return wait(engine, id, as_json).await;
    }
    let status = execution.status;
    if as_json {
        print_json(&wire::execution(engine, &execution, None))?;
    } else if has_ended {
        print(&format!("execution {id} has ended before: {status}\n"))?;
    } else {
        print(&format!("execution {id} is {status}: `bindery executions wait {id}` waits for its end\n"))?;
    }
    Ok(Exit::Success)
}

/// Parameters as exact JSON; those of the command line are flat.
fn as_json_text(parameters: &Parameters) -> Result<Box<RawValue>> {
    let mut entries = Vec::new();
    for (name, value) in parameters.iter() {
        let value = match value {
            ParameterValue::BigInteger(digits) => digits.clone(),
            ParameterValue::Float(number) if !number.is_finite() => {
                let field = format!("parameters.{name}");
                let fault = format!("{number} cannot be submitted, because JSON has no word for it");
                return Err(Error::invalid(format!("{field}: {fault}")).with_field(field, fault));
            }
            value => value.to_json().to_string(),
        };
        entries.push(format!("{}:{value}", serde_json::Value::from(name)));
    }
    RawValue::from_string(format!("{{{}}}", entries.join(",")))
        .map_err(|error| Error::internal("the parameters cannot be written as JSON").with_source(error))
}

/// A submitted execution stays pending as long as no service takes it: said, because it looks like a fault.
async fn warn_without_service(engine: &Engine, id: ExecutionId) {
    let url = reachable_url(engine.config().listen);
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(800)).build();
    let answers = match client {
        Ok(client) => {
            client.get(format!("{url}/health")).send().await.is_ok_and(|it| it.status().is_success())
        }
        Err(_) => false,
    };
    if !answers {
        tell!(
            "note: no service answers at {url}; unless one runs elsewhere on this data dir, execution {id} stays pending \
             until `bindery serve --data-dir {}` is started",
            engine.config().data_dir.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notebook::parse_cli_value;

    #[test]
    fn parameters_become_exact_json_or_are_refused() {
        let text = |value: &str| {
            let mut parameters = Parameters::new();
            parameters.insert("a", parse_cli_value(value)).unwrap();
            as_json_text(&parameters)
        };
        let check = |value: &str, expected: &str| assert_eq!(text(value).unwrap().get(), expected);
        check("123456789012345678901234567890", r#"{"a":123456789012345678901234567890}"#);
        check("0.1", r#"{"a":0.1}"#);
        check("say \"hi\"", r#"{"a":"say \"hi\""}"#);
        check("None", r#"{"a":null}"#);
        assert!(text("nan").unwrap_err().message().contains("parameters.a: NaN cannot be submitted"));
    }
}
