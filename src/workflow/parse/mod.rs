//! A workflow as people write it, in YAML or JSON, read into a [`Workflow`]: with every fault that it has, each with line
//! and column, and nothing evaluated.

mod reader;
mod references;
mod sweep;

use std::collections::HashSet;

use super::definition::{
    ForEach, MAX_ITEMS, MAX_STEPS, PARALLEL, RETRIES, Retries, Step, StepParameters, StepSource, Workflow,
};
use super::expression::{Piece, split};
use super::fault::{self, Fault, Places};
use crate::error::Result;
use crate::execution::{ATTEMPTS, PRIORITIES};
use crate::notebook::ParameterValue;
use crate::notebook::yaml::{self, Content, Node, Place};
use reader::{Fields, Reader, join, type_of};
use references::Written;
pub use sweep::{SweepReading, read_sweep};

const FIELDS: [&str; 7] =
    ["name", "description", "parameters", "max_parallel", "timeout", "username", "steps"];
const STEP_FIELDS: [&str; 18] = [
    "notebook",
    "template",
    "output_path",
    "needs",
    "if",
    "for_each",
    "parameters",
    "max_parallel",
    "fail_fast",
    "retries",
    "timeout",
    "cell_timeout",
    "queue_timeout",
    "max_attempts",
    "kernel_name",
    "kernel_gateway",
    "priority",
    "continue_on_error",
];
const RETRY_FIELDS: [&str; 4] = ["limit", "delay", "factor", "max_delay"];
const FACTORS: std::ops::RangeInclusive<f64> = 1.0..=100.0;
/// The longest that the name of a workflow or a step may be, in characters.
const LONGEST_NAME: usize = 100;

/// What was read.
#[derive(Debug)]
pub struct Reading {
    /// The workflow as far as it could be read; all of it when there are no faults. Without a name when it has none.
    pub workflow: Workflow,
    /// Where its parts stand.
    pub places: Places,
    /// What is wrong with it, in the order of the text; at most [`fault::MAX_FAULTS`].
    pub faults: Vec<Fault>,
}

impl Reading {
    /// The workflow, if nothing is wrong with it.
    ///
    /// # Errors
    /// `Invalid`, with a field for each fault.
    pub fn finish(self) -> Result<Workflow> {
        match self.faults.as_slice() {
            [] => Ok(self.workflow),
            faults => Err(fault::error("the workflow", faults)),
        }
    }
}

/// Reads a workflow.
pub fn read(text: &str) -> Reading {
    let mut reader = Reader::new(text);
    let workflow = match yaml::parse(text) {
        Ok(node) => workflow(&mut reader, &node),
        Err(yaml::Fault { place, message }) => {
            reader.fault(place, "", message);
            Workflow::default()
        }
    };
    let mut faults = reader.faults;
    faults.sort_by_key(|fault| (fault.line, fault.column));
    Reading { workflow, places: reader.places, faults }
}

/// Reads a workflow that must have no fault.
///
/// # Errors
/// `Invalid`, with a field for each fault.
pub fn parse(text: &str) -> Result<Workflow> {
    read(text).finish()
}

fn workflow(reader: &mut Reader<'_>, node: &Node) -> Workflow {
    let mut workflow = Workflow::default();
    if matches!(node.content, Content::Scalar(ParameterValue::Null)) {
        reader.fault(node.place, "", "there is nothing here: a workflow has a `name` and `steps`");
        return workflow;
    }
    let what = "a mapping with `name` and `steps`";
    let Some(fields) = reader.fields("", node, what, &FIELDS) else { return workflow };
    match fields.get("name") {
        Some((path, node)) => workflow.name = name(reader, &path, node).unwrap_or_default(),
        None => reader.fault(node.place, "name", "is missing: give the workflow a name"),
    }
    let get = |key: &str| fields.get(key).filter(|(_, node)| !is_nothing(node));
    workflow.description = get("description").and_then(|(path, node)| reader.text(&path, node));
    workflow.username = get("username").and_then(|(path, node)| reader.text(&path, node));
    workflow.max_parallel =
        get("max_parallel").and_then(|(path, node)| reader.integer(&path, node, &PARALLEL));
    workflow.timeout = get("timeout").and_then(|(path, node)| reader.duration(&path, node, false));
    if let Some((path, node)) = get("parameters") {
        workflow.parameters = reader.parameters(&path, node);
        no_expressions(reader, &path, node);
    }
    match fields.get("steps") {
        Some((path, node)) => steps(reader, &path, node, &mut workflow),
        None => reader.fault(node.place, "steps", "is missing: a workflow has one step at least"),
    }
    workflow
}

fn is_nothing(node: &Node) -> bool {
    matches!(node.content, Content::Scalar(ParameterValue::Null))
}

fn name(reader: &mut Reader<'_>, path: &str, node: &Node) -> Option<String> {
    let name = reader.text(path, node)?;
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let what = format!("must have at most {LONGEST_NAME} characters, on one line");
        reader.fault(node.place, path, what);
        return None;
    }
    Some(name)
}

/// Expressions are evaluated in steps only: one that stands elsewhere would be taken for a text in silence.
fn no_expressions(reader: &mut Reader<'_>, path: &str, node: &Node) {
    match &node.content {
        Content::Scalar(ParameterValue::String(text)) if text.contains("${{") => {
            reader.fault(node.place, path, "holds `${{`, and expressions are for steps only");
        }
        Content::Scalar(_) => {}
        Content::List(nodes) => nodes.iter().for_each(|node| no_expressions(reader, path, node)),
        Content::Dict(entries) => {
            entries.iter().for_each(|entry| {
                no_expressions(reader, &join(path, &entry.key), &entry.value);
            });
        }
    }
}

fn steps(reader: &mut Reader<'_>, path: &str, node: &Node, workflow: &mut Workflow) {
    let Some(entries) = reader.entries(path, node, "a mapping of steps by name") else { return };
    if entries.is_empty() {
        reader.fault(node.place, path, "there are none: a workflow has one step at least");
    }
    if entries.len() > MAX_STEPS {
        let what = format!("there are {}; the limit is {MAX_STEPS}", entries.len());
        reader.fault(node.place, path, what);
        return;
    }
    let mut written = Vec::with_capacity(entries.len());
    for entry in entries {
        let path = join(path, &entry.key);
        if !is_step_name(&entry.key) {
            let what = format!(
                "is no name for a step: use a letter or `_`, then letters, digits and `_`, {LONGEST_NAME} at most"
            );
            reader.fault(entry.place, &path, what);
        }
        let (step, parts) = step(reader, &path, &entry.key, entry.place, &entry.value);
        workflow.steps.push(step);
        written.push(parts);
    }
    references::check(reader, workflow, &written);
}

fn is_step_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && (1..=LONGEST_NAME).contains(&name.len())
}

/// A step, and the nodes whose expressions are to be looked at once all steps are known.
fn step<'n>(
    reader: &mut Reader<'_>,
    path: &str,
    name: &str,
    place: Place,
    node: &'n Node,
) -> (Step, Written<'n>) {
    let mut step = Step::new(name, StepSource::Notebook(String::new()));
    let mut written = Written::new(path, place);
    let what = "a mapping with `notebook` or `template`";
    let Some(fields) = reader.fields(path, node, what, &STEP_FIELDS) else { return (step, written) };
    reader.places.insert(path, place);
    let get = |key: &str| fields.get(key).filter(|(_, node)| !is_nothing(node));
    if let Some(source) = source(reader, path, place, &fields) {
        step.source = source;
    }
    if let Some((path, node)) = get("needs") {
        step.needs = needs(reader, &path, node, &mut written);
    }
    if let Some((path, node)) = get("if") {
        step.condition = condition(reader, &path, node);
        written.condition = step.condition.is_some().then_some(node);
    }
    if let Some((path, node)) = get("for_each") {
        step.for_each = for_each(reader, &path, node);
        written.for_each = Some(node);
    }
    if let Some((path, node)) = get("parameters") {
        step.parameters = match &node.content {
            Content::Scalar(ParameterValue::String(text)) if is_one_expression(text) => {
                reader.places.insert(path, node.place);
                StepParameters::Expression(text.clone())
            }
            _ => StepParameters::Map(reader.parameters(&path, node)),
        };
        written.parameters = Some(node);
    }
    if let Some((path, node)) = get("output_path") {
        step.output_path = reader.text(&path, node);
        written.output_path = step.output_path.is_some().then_some(node);
    }
    if let Some((path, node)) = get("retries") {
        step.retries = retries(reader, &path, node);
    }
    let mut duration = |key: &str| get(key).and_then(|(path, node)| reader.duration(&path, node, false));
    step.timeout = duration("timeout");
    step.cell_timeout = duration("cell_timeout");
    step.queue_timeout = duration("queue_timeout");
    let mut text = |key: &str| get(key).and_then(|(path, node)| reader.text(&path, node));
    step.kernel_name = text("kernel_name");
    step.kernel_gateway = text("kernel_gateway");
    let mut boolean =
        |key: &str| get(key).and_then(|(path, node)| reader.boolean(&path, node)).unwrap_or_default();
    step.fail_fast = boolean("fail_fast");
    step.continue_on_error = boolean("continue_on_error");
    step.max_parallel = get("max_parallel").and_then(|(path, node)| reader.integer(&path, node, &PARALLEL));
    step.max_attempts = get("max_attempts").and_then(|(path, node)| reader.integer(&path, node, &ATTEMPTS));
    step.priority = get("priority").and_then(|(path, node)| reader.integer(&path, node, &PRIORITIES));
    if step.for_each.is_none() {
        for key in ["max_parallel", "fail_fast"] {
            if let Some((path, node)) = get(key) {
                reader.fault(node.place, &path, "is for steps with `for_each`, and this has none");
            }
        }
    }
    (step, written)
}

fn source(reader: &mut Reader<'_>, path: &str, place: Place, fields: &Fields<'_>) -> Option<StepSource> {
    let notebook = fields.get("notebook");
    let template = fields.get("template");
    let (field, node, source): (_, _, fn(String) -> StepSource) = match (notebook, template) {
        (Some((path, node)), None) => (path, node, StepSource::Notebook),
        (None, Some((path, node))) => (path, node, StepSource::Template),
        (Some(_), Some((path, node))) => {
            reader.fault(node.place, &path, "a step has a `notebook` or a `template`, not both");
            return None;
        }
        (None, None) => {
            reader.fault(place, path, "has no `notebook` and no `template`: give it one");
            return None;
        }
    };
    let text = reader.text(&field, node)?;
    if text.contains("${{") {
        reader.fault(node.place, &field, "must be written out: no expression is evaluated here");
        return None;
    }
    Some(source(text))
}

fn needs<'n>(reader: &mut Reader<'_>, path: &str, node: &'n Node, written: &mut Written<'n>) -> Vec<String> {
    reader.places.insert(path, node.place);
    let nodes: Vec<(String, &Node)> = match &node.content {
        Content::List(nodes) => {
            nodes.iter().enumerate().map(|(index, node)| (format!("{path}[{index}]"), node)).collect()
        }
        Content::Scalar(_) => vec![(path.to_owned(), node)],
        Content::Dict(_) => {
            reader.fault(node.place, path, format!("must be steps' names, not {}", type_of(node)));
            Vec::new()
        }
    };
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for (path, node) in nodes {
        let Some(name) = reader.text(&path, node) else { continue };
        if !seen.insert(name.clone()) {
            reader.fault(node.place, &path, format!("`{name}` is here twice: keep one"));
            continue;
        }
        written.needs.push((path, node));
        names.push(name);
    }
    names
}

/// The expression of an `if`, which may stand in `${{ }}` or not.
fn condition(reader: &mut Reader<'_>, path: &str, node: &Node) -> Option<String> {
    if let Content::Scalar(ParameterValue::Bool(value)) = node.content {
        return Some(value.to_string());
    }
    let text = reader.text(path, node)?;
    if !text.contains("${{") {
        return Some(text);
    }
    match split(text.trim()) {
        Ok(pieces) => match pieces.as_slice() {
            [Piece::Expression { source, .. }] => Some((*source).to_owned()),
            _ => {
                let what = "is text and expressions mixed: write one expression, with or without `${{ }}`";
                reader.fault(node.place, path, what);
                None
            }
        },
        Err(fault) => {
            let place = reader.place_within(node, text.trim(), fault.offset);
            reader.fault(place, path, fault.message);
            None
        }
    }
}

fn for_each(reader: &mut Reader<'_>, path: &str, node: &Node) -> Option<ForEach> {
    reader.places.insert(path, node.place);
    match &node.content {
        Content::List(nodes) if nodes.len() > MAX_ITEMS => {
            let what = format!("has {} items; the limit is {MAX_ITEMS}", nodes.len());
            reader.fault(node.place, path, what);
            None
        }
        Content::List(nodes) => {
            let items = nodes.iter().enumerate();
            let items = items.map(|(index, node)| reader.value(&format!("{path}[{index}]"), node));
            Some(ForEach::List(items.collect::<Vec<_>>().into_iter().flatten().collect()))
        }
        Content::Scalar(ParameterValue::String(text)) if is_one_expression(text) => {
            Some(ForEach::Expression(text.clone()))
        }
        _ => {
            let what = format!("must be a list, or one expression in `${{{{ }}}}`, not {}", type_of(node));
            reader.fault(node.place, path, what);
            None
        }
    }
}

/// Whether a text is one expression, or would be were it not faulty, which is told later.
fn is_one_expression(text: &str) -> bool {
    match split(text.trim()) {
        Ok(pieces) => matches!(pieces.as_slice(), [Piece::Expression { .. }]),
        Err(_) => text.trim_start().starts_with("${{"),
    }
}

fn retries(reader: &mut Reader<'_>, path: &str, node: &Node) -> Retries {
    let mut retries = Retries::default();
    if matches!(node.content, Content::Scalar(ParameterValue::Integer(_))) {
        retries.limit = reader.integer(path, node, &RETRIES).unwrap_or_default();
        return retries;
    }
    let what = "a whole number, or a mapping with `limit`";
    let Some(fields) = reader.fields(path, node, what, &RETRY_FIELDS) else { return retries };
    match fields.get("limit") {
        Some((path, node)) => retries.limit = reader.integer(&path, node, &RETRIES).unwrap_or_default(),
        None => reader.fault(node.place, &join(path, "limit"), "is missing: say how often"),
    }
    if let Some((path, node)) = fields.get("delay") {
        retries.delay = reader.duration(&path, node, true).unwrap_or_default();
        // A longest delay that is not given is no shorter than the first one.
        retries.max_delay = retries.max_delay.max(retries.delay);
    }
    if let Some((path, node)) = fields.get("max_delay") {
        retries.max_delay = reader.duration(&path, node, true).unwrap_or_default();
    }
    if let Some((path, node)) = fields.get("factor") {
        retries.factor = reader.float(&path, node, &FACTORS).unwrap_or(1.0);
    }
    retries
}

#[cfg(test)]
mod tests;
