//! Sweeps: one notebook, executed once for each of many points, which parameters with several values make. A sweep is
//! compiled into a [`Workflow`] of one step, so that one machine runs both.
//!
//! A list is values to try. An object with one of these names as its only key says more: `{"value": x}` is `x` as it is,
//! a list for one; `{"range": [start, stop, step]}` is Python's range, floats too; `{"linspace": [start, stop, number]}`
//! and `{"logspace": …}` are numpy's; `{"uniform": [low, high]}`, `log_uniform`, `int_uniform` and `{"choice": […]}` are
//! for random samples. All else is the same in every point.

mod axis;
mod decimal;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::definition::{
    ForEach, MAX_ITEMS, Retries, SWEEP_STEP, Step, StepParameters, StepSource, Workflow,
};
use crate::error::{Error, FieldError, Result};
use crate::notebook::{ParameterValue, Parameters};
use axis::Axis;

/// The most bytes of JSON to which all points together may come.
const MAX_BYTES: usize = 32_000_000;

/// How points are made of the parameters' values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SweepMethod)]
pub enum Method {
    /// Each value with each of the others, the last parameter varying fastest.
    #[default]
    Grid,
    /// The first values together, the second ones together, and so on.
    Zip,
    /// As many as are asked for, each value drawn by itself.
    Random,
}

/// How a sweep came to its points: recorded with its workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SweepPlan {
    /// How points are made.
    pub method: Method,
    /// Of a random sample, what makes it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The parameters that are not the same in every point, in the order given.
    pub varied: Vec<String>,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRequest {
    /// What people call it; the notebook's name when not given.
    pub name: Option<String>,
    /// What is executed.
    pub source: StepSource,
    /// For whom.
    pub username: Option<String>,
    /// The parameters and what is tried for them.
    pub parameters: Map<String, Value>,
    /// How points are made.
    pub method: Method,
    /// How many points, of a random sample.
    pub samples: Option<u64>,
    /// What makes a random sample the same again; chosen when not given.
    pub seed: Option<u64>,
    /// The most points; [`MAX_ITEMS`] when not given, and never more.
    pub max_points: Option<u64>,
    /// The folder for the results, relative to the notebooks root.
    pub output_directory: Option<String>,
    /// How many may be waiting or running at the same time.
    pub max_parallel: Option<u32>,
    /// Whether the points that have not begun are given up once one has failed for good.
    pub fail_fast: bool,
    /// How often a point that failed is tried again.
    pub retries: Retries,
    /// The longest that all of it may take.
    pub sweep_timeout: Option<Duration>,
    /// The longest that each execution may take.
    pub timeout: Option<Duration>,
    /// The longest that each cell may take.
    pub cell_timeout: Option<Duration>,
    /// The longest that each execution may wait for a worker.
    pub queue_timeout: Option<Duration>,
    /// How often one execution may be begun when workers die under it.
    pub max_attempts: Option<u32>,
    /// The kernel, when it is not the notebook's own choice.
    pub kernel_name: Option<String>,
    /// The Jupyter server or gateway on which the kernel runs.
    pub kernel_gateway: Option<String>,
    /// Executions of a higher priority are taken first.
    pub priority: Option<i32>,
}

impl SweepRequest {
    /// A grid of nothing yet.
    pub fn new(source: StepSource) -> Self {
        Self {
            name: None,
            source,
            username: None,
            parameters: Map::new(),
            method: Method::Grid,
            samples: None,
            seed: None,
            max_points: None,
            output_directory: None,
            max_parallel: None,
            fail_fast: false,
            retries: Retries::default(),
            sweep_timeout: None,
            timeout: None,
            cell_timeout: None,
            queue_timeout: None,
            max_attempts: None,
            kernel_name: None,
            kernel_gateway: None,
            priority: None,
        }
    }

    /// The workflow of this sweep; `fresh_seed` gives one when a random sample has none.
    ///
    /// # Errors
    /// `Invalid`, with the field `parameters.<name>`, `samples`, `seed` or `output_directory`, for what is wrong with
    /// one parameter, with all together, or comes to too many points.
    pub fn compile(self, fresh_seed: impl FnOnce() -> u64) -> Result<Workflow> {
        let seed = match self.method {
            Method::Random => Some(self.seed.unwrap_or_else(fresh_seed)),
            Method::Grid | Method::Zip if self.seed.is_some() => {
                return Err(field("seed", "is for the method `random`"));
            }
            Method::Grid | Method::Zip => None,
        };
        let limit = self.max_points.map_or(MAX_ITEMS as u64, |limit| limit.min(MAX_ITEMS as u64));
        let axes = axes(self.parameters)?;
        let points = points(&axes, self.method, self.samples, seed, limit)?;
        let varied = axes.iter().filter(|(_, axis)| !axis.is_fixed()).map(|(name, _)| name.clone()).collect();
        let stem = self.source.as_str().rsplit('/').next().unwrap_or_default();
        let stem = stem.strip_suffix(".ipynb").unwrap_or(stem);
        let output_path = self
            .output_directory
            .as_deref()
            .map(|folder| output_path(folder, stem, points.len()))
            .transpose()?;
        let step = Step {
            output_path,
            for_each: Some(ForEach::List(points)),
            parameters: StepParameters::default(),
            literal_parameters: true,
            max_parallel: self.max_parallel,
            fail_fast: self.fail_fast,
            retries: self.retries,
            timeout: self.timeout,
            cell_timeout: self.cell_timeout,
            queue_timeout: self.queue_timeout,
            max_attempts: self.max_attempts,
            kernel_name: self.kernel_name,
            kernel_gateway: self.kernel_gateway,
            priority: self.priority,
            ..Step::new(SWEEP_STEP, self.source.clone())
        };
        Ok(Workflow {
            name: self.name.unwrap_or_else(|| stem.to_owned()),
            steps: vec![step],
            timeout: self.sweep_timeout,
            username: self.username,
            sweep: Some(SweepPlan { method: self.method, seed, varied }),
            ..Workflow::default()
        })
    }
}

/// Files that sort as the points do.
fn output_path(folder: &str, stem: &str, count: usize) -> Result<String> {
    if folder.contains("${{") || stem.contains("${{") {
        return Err(field("output_directory", "must not hold `${{`"));
    }
    let digits = count.saturating_sub(1).to_string().len();
    let folder = folder.trim_end_matches('/');
    let begin = if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") };
    Ok(format!("{begin}-${{{{ '%0{digits}d' | format(index) }}}}.ipynb"))
}

fn field(name: &str, what: impl Into<String>) -> Error {
    let what = what.into();
    Error::invalid(format!("`{name}` {what}")).with_field(name, what)
}

fn axes(parameters: Map<String, Value>) -> Result<Vec<(String, Axis)>> {
    let (mut axes, mut faults) = (Vec::with_capacity(parameters.len()), Vec::<FieldError>::new());
    for (name, value) in parameters {
        if let Err(error) = Parameters::new().insert(name.as_str(), ParameterValue::Null) {
            faults.extend_from_slice(error.fields());
            continue;
        }
        match Axis::parse(value) {
            Ok(axis) => axes.push((name, axis)),
            Err(message) => faults.push(FieldError { field: format!("parameters.{name}"), message }),
        }
    }
    match faults.first() {
        Some(first) => Err(Error::invalid(format!("{} {}", first.field, first.message)).with_fields(faults)),
        None if axes.iter().all(|(_, axis)| axis.is_fixed()) => {
            Err(field("parameters", "has nothing to try: give one parameter a list of values"))
        }
        None => Ok(axes),
    }
}

/// The points, each an object of all parameters in the order given.
fn points(
    axes: &[(String, Axis)],
    method: Method,
    samples: Option<u64>,
    seed: Option<u64>,
    limit: u64,
) -> Result<Vec<Value>> {
    if method != Method::Random {
        if samples.is_some() {
            return Err(field("samples", "is for the method `random`"));
        }
        if let Some((name, _)) = axes.iter().find(|(_, axis)| matches!(axis, Axis::Random(_))) {
            return Err(field(
                &format!("parameters.{name}"),
                "is drawn at random: set the method to `random`",
            ));
        }
    }
    let count = match method {
        Method::Grid => grid_count(axes, limit)?,
        Method::Zip => zip_count(axes)?,
        Method::Random => samples
            .filter(|samples| *samples > 0)
            .ok_or_else(|| field("samples", "must say how many points to draw: a whole number from 1"))?,
    };
    if count > limit {
        return Err(too_many(&format!("{} points", thousands(count.into())), limit));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed.unwrap_or_default());
    let (mut points, mut bytes) = (Vec::new(), 0);
    for index in 0..count {
        let mut point = Map::new();
        let mut rest = index;
        // Backwards, because the last one varies fastest; the random ones in the order given.
        let mut places = vec![index; axes.len()];
        if method == Method::Grid {
            for ((_, axis), place) in axes.iter().zip(&mut places).rev() {
                *place = rest % axis.count();
                rest /= axis.count();
            }
        }
        for ((name, axis), place) in axes.iter().zip(places) {
            let value = match method {
                Method::Random => axis.draw(&mut random),
                _ => axis.get(place),
            };
            point.insert(name.clone(), value);
        }
        let point = Value::Object(point);
        bytes += point.to_string().len();
        if bytes > MAX_BYTES {
            let most = MAX_BYTES / 1_000_000;
            let what = format!("come to more than {most} MB in all points: put what is large into a file");
            return Err(field("parameters", what));
        }
        points.push(point);
    }
    Ok(points)
}

fn grid_count(axes: &[(String, Axis)], limit: u64) -> Result<u64> {
    let counts: Vec<u64> =
        axes.iter().filter(|(_, axis)| !axis.is_fixed()).map(|(_, axis)| axis.count()).collect();
    let product = counts.iter().try_fold(1_u128, |product, count| product.checked_mul(u128::from(*count)));
    match product.map(u64::try_from) {
        Some(Ok(count)) if count <= limit => Ok(count),
        _ => {
            let factors: Vec<_> = counts.iter().map(|count| count.to_string()).collect();
            let product = product.map_or_else(|| "more than 10^38".to_owned(), thousands);
            let told = match factors.as_slice() {
                [_] => format!("{product} points"),
                _ => format!("{} = {product} points", factors.join(" × ")),
            };
            Err(too_many(&told, limit))
        }
    }
}

fn zip_count(axes: &[(String, Axis)]) -> Result<u64> {
    let mut listed = axes.iter().filter(|(_, axis)| !axis.is_fixed());
    let Some((first, axis)) = listed.next() else { return Ok(1) };
    let different: Vec<_> = listed.filter(|(_, other)| other.count() != axis.count()).collect();
    if different.is_empty() {
        return Ok(axis.count());
    }
    let told: Vec<_> =
        different.iter().map(|(name, other)| format!("`{name}` has {}", other.count())).collect();
    let what = format!(
        "must have equally many values each for the method `zip`: `{first}` has {}, {}",
        axis.count(),
        told.join(", ")
    );
    Err(field("parameters", what))
}

fn too_many(told: &str, limit: u64) -> Error {
    let message = format!("{told}; the limit is {}", thousands(limit.into()));
    Error::invalid(message.clone()).with_field("parameters", message)
}

fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

#[cfg(test)]
mod tests;
