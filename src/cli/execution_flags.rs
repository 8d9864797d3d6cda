//! How something is executed: the flags of all commands that record an execution, now or for later.

use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::flags::ParameterFlags;
use crate::config::{ByteSize, Seconds};
use crate::engine::executions::SubmitExecution;
use crate::error::{Error, Result};
use crate::execution::{ATTEMPTS, PRIORITIES, ResourceLimits};
use crate::notebook::{ParameterValue, Parameters};

/// How a notebook is executed.
#[derive(Debug, Args)]
pub(super) struct ExecutionFlags {
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
}

/// What a workflow or a sweep takes of [`ExecutionFlags`].
pub(super) struct FlowExecution {
    pub(super) parameters: Map<String, Value>,
    pub(super) username: Option<String>,
}

impl ExecutionFlags {
    /// For a workflow or a sweep, which `flag` names: how their notebooks are executed stands in their files.
    ///
    /// # Errors
    /// `BadInput` for a flag that is for one notebook; else as [`ParameterFlags::parse`].
    pub(super) fn into_flow(self, flag: &str) -> Result<FlowExecution> {
        let given = [
            ("--kernel", self.kernel.is_some()),
            ("--kernel-gateway", self.kernel_gateway.is_some()),
            ("--timeout", self.timeout.is_some()),
            ("--cell-timeout", self.cell_timeout.is_some()),
            ("--queue-timeout", self.queue_timeout.is_some()),
            ("--priority", self.priority.is_some()),
            ("--max-attempts", self.max_attempts.is_some()),
            ("--max-memory", self.max_memory.is_some()),
            ("--max-cpu-time", self.max_cpu_time.is_some()),
            ("--max-processes", self.max_processes.is_some()),
            ("--max-disk-writes", self.max_disk_writes.is_some()),
            ("--keep-kernel-on-failure", self.keep_kernel_on_failure.is_some()),
        ];
        if let Some((other, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return Err(Error::bad_input(format!(
                "{other} cannot be given with {flag}: how notebooks are executed stands in the file"
            )));
        }
        Ok(FlowExecution { parameters: self.parameters.parse()?.to_exact_json()?, username: self.username })
    }

    /// A submission of `notebook_path` with these flags, its result in place.
    ///
    /// # Errors
    /// As [`ParameterFlags::parse`].
    pub(super) fn into_submit(self, notebook_path: String) -> Result<SubmitExecution> {
        Ok(SubmitExecution {
            notebook_path,
            username: self.username,
            kernel_name: self.kernel,
            kernel_gateway: self.kernel_gateway,
            parameters: self.parameters.as_json_text()?,
            timeout: self.timeout.map(|time| time.0),
            cell_timeout: self.cell_timeout.map(|time| time.0),
            queue_timeout: self.queue_timeout.map(|time| time.0),
            resources: ResourceLimits {
                max_memory: self.max_memory.map(|size| size.0),
                max_cpu_time: self.max_cpu_time.map(|time| time.0),
                max_processes: self.max_processes,
                max_disk_writes: self.max_disk_writes.map(|size| size.0),
            },
            priority: self.priority,
            max_attempts: self.max_attempts,
            keep_kernel_on_failure: self.keep_kernel_on_failure.map(|time| time.0),
            ..SubmitExecution::default()
        })
    }
}

impl ParameterFlags {
    /// The parameters as exact JSON; `None` when there are none.
    ///
    /// # Errors
    /// As [`ParameterFlags::parse`]; `Invalid` for a number that JSON has not.
    pub(super) fn as_json_text(&self) -> Result<Option<Box<RawValue>>> {
        let parameters = self.parse()?;
        (!parameters.is_empty()).then(|| as_json_text(&parameters)).transpose()
    }
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
