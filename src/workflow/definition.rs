//! What a workflow is made of. Stored as JSON in the database, durations as seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sweep::SweepPlan;

/// The most steps that a workflow may have.
pub const MAX_STEPS: usize = 1_000;
/// The most items over which one step may fan out, and the most points of a sweep unless a limit is given.
pub const MAX_ITEMS: usize = 10_000;
/// How many executions at the same time can be asked for.
pub const PARALLEL: std::ops::RangeInclusive<i64> = 1..=10_000;
/// How many further tries can be asked for.
pub const RETRIES: std::ops::RangeInclusive<i64> = 0..=100;
/// The name of the one step of a sweep.
pub const SWEEP_STEP: &str = "sweep";

/// Steps and how they hang together. Its steps have names of their own, need only each other, and nothing in a circle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// What people call it.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its own parameters with the values that they have when a run gives no other.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The steps in the order in which they were written, which need not be the order in which they run.
    pub steps: Vec<Step>,
    /// How many executions of all its steps may be waiting or running at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The longest that all of it may take, from when it was accepted.
    #[serde(default, with = "seconds::optional", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// For whom its executions run, when the run does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Of a sweep, how its points were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepPlan>,
}

impl Workflow {
    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }
}

/// One step: a notebook that is executed once, or once for each item of a list.
///
/// Texts in `${{ }}` are expressions; see [`super::expression`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name: a letter or `_`, then letters, digits and `_` of ASCII.
    pub name: String,
    /// What is executed.
    pub source: StepSource,
    /// Where the result goes, relative to the notebooks root. It may hold `${{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_path: Option<String>,
    /// The steps that must have ended before this one, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Whether it runs: an expression, without `${{ }}`. None is `success()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The items for each of which it is executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// What the notebook is given.
    #[serde(default, skip_serializing_if = "StepParameters::is_empty")]
    pub parameters: StepParameters,
    /// Whether nothing in `for_each` and in the values of the items is an expression, whatever it looks like, and each
    /// item is the object of parameters: a sweep's step, whose values a user gave as they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub literal_parameters: bool,
    /// How many executions of this step may be waiting or running at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// Whether the items that have not begun are given up once one has failed for good.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fail_fast: bool,
    /// How often an execution that failed is tried again, and when.
    #[serde(default, skip_serializing_if = "Retries::is_none")]
    pub retries: Retries,
    /// The longest that each execution may take.
    #[serde(default, with = "seconds::optional", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The longest that each cell may take.
    #[serde(default, with = "seconds::optional", skip_serializing_if = "Option::is_none")]
    pub cell_timeout: Option<Duration>,
    /// The longest that each execution may wait for a worker.
    #[serde(default, with = "seconds::optional", skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<Duration>,
    /// How often one execution may be begun when workers die under it; 1 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The kernel, when it is not the notebook's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_name: Option<String>,
    /// The Jupyter server or gateway on which the kernel runs, when it is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_gateway: Option<String>,
    /// Executions of a higher priority are taken first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Whether the workflow goes on as if the step had succeeded when it fails.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continue_on_error: bool,
}

impl Step {
    /// A step with this name and source, and nothing else that is out of the ordinary.
    pub fn new(name: impl Into<String>, source: StepSource) -> Self {
        Self {
            name: name.into(),
            source,
            output_path: None,
            needs: Vec::new(),
            condition: None,
            for_each: None,
            parameters: StepParameters::default(),
            literal_parameters: false,
            max_parallel: None,
            fail_fast: false,
            retries: Retries::default(),
            timeout: None,
            cell_timeout: None,
            queue_timeout: None,
            max_attempts: None,
            kernel_name: None,
            kernel_gateway: None,
            priority: None,
            continue_on_error: false,
        }
    }
}

/// What a step executes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepSource {
    /// A notebook, relative to the notebooks root.
    Notebook(String),
    /// A template, by its name in the store.
    Template(String),
}

impl StepSource {
    /// The path or the name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Notebook(path) => path,
            Self::Template(name) => name,
        }
    }
}

/// The items of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ForEach {
    /// These. Unless the step's parameters are literal, texts within may hold `${{ }}`.
    List(Vec<Value>),
    /// What this text in `${{ }}` comes to, which must be a list.
    Expression(String),
}

/// What a step gives to its notebook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StepParameters {
    /// Name by name. Texts, also within lists and objects, may hold `${{ }}`.
    Map(Map<String, Value>),
    /// What this text in `${{ }}` comes to, which must be an object: `${{ item }}`.
    Expression(String),
}

impl StepParameters {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Map(map) if map.is_empty())
    }
}

impl Default for StepParameters {
    fn default() -> Self {
        Self::Map(Map::new())
    }
}

/// How often an execution that failed is tried again, and how long is waited before: `delay`, then each time `factor`
/// times as long as before, and never longer than `max_delay`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// How often; 0 is never.
    pub limit: u32,
    /// Before the first time.
    #[serde(with = "seconds")]
    pub delay: Duration,
    /// From 1 to 100.
    pub factor: f64,
    /// At most.
    #[serde(with = "seconds")]
    pub max_delay: Duration,
}

impl Retries {
    /// Whether nothing is tried again.
    pub fn is_none(&self) -> bool {
        self.limit == 0
    }

    /// How long is waited after `failures` executions of one item have failed (from 1); `None` when that is the end.
    pub fn delay_after(&self, failures: u32) -> Option<Duration> {
        if failures == 0 || failures > self.limit {
            return None;
        }
        let exponent = i32::try_from(failures - 1).unwrap_or(i32::MAX);
        let seconds = self.delay.as_secs_f64() * self.factor.powi(exponent);
        // What is beyond any duration is beyond the longest delay as well.
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(self.max_delay).min(self.max_delay))
    }
}

impl Default for Retries {
    /// None; with a limit alone, 10 s, 20 s, 40 s and so on, up to 5 minutes.
    fn default() -> Self {
        Self { limit: 0, delay: Duration::from_secs(10), factor: 2.0, max_delay: Duration::from_secs(300) }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(super) mod optional {
        use super::{Deserialize, Deserializer, Duration, Error, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            let seconds = Option::<f64>::deserialize(deserializer)?;
            seconds.map(Duration::try_from_secs_f64).transpose().map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_stored_is_read_again() {
        let mut step = Step::new("train", StepSource::Template("ml/train.ipynb".into()));
        step.timeout = Some(Duration::from_millis(1_500));
        step.for_each = Some(ForEach::List(vec![json!(1), json!({"a": 0.1})]));
        step.parameters = StepParameters::Expression("${{ item }}".into());
        step.retries = Retries { limit: 3, ..Retries::default() };
        let mut other = Step::new("report", StepSource::Notebook("ada/report.ipynb".into()));
        other.needs = vec!["train".into()];
        other.for_each = Some(ForEach::Expression("${{ steps.train.results }}".into()));
        let workflow = Workflow {
            name: "nightly".into(),
            parameters: Map::from_iter([("rows".to_owned(), json!(i64::MAX))]),
            steps: vec![step, other],
            max_parallel: Some(4),
            ..Workflow::default()
        };
        let text = serde_json::to_string(&workflow).unwrap();
        assert!(text.contains(r#""source":{"template":"ml/train.ipynb"}"#), "{text}");
        assert!(text.contains(r#""timeout":1.5"#), "{text}");
        assert_eq!(serde_json::from_str::<Workflow>(&text).unwrap(), workflow);
    }

    #[test]
    fn retries_back_off_up_to_the_longest_delay() {
        let retries = Retries { limit: 4, ..Retries::default() };
        let delays: Vec<_> = (0..=5).map(|failures| retries.delay_after(failures)).collect();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(delays, [None, seconds(10), seconds(20), seconds(40), seconds(80), None]);
        let many = Retries { limit: u32::MAX, factor: 100.0, ..Retries::default() };
        assert_eq!(many.delay_after(u32::MAX), seconds(300));
    }
}
