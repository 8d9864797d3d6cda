//! What can be said of a workflow once all its steps are known: needs, circles, and what expressions speak of.

use super::reader::{Reader, join};
use crate::notebook::ParameterValue;
use crate::notebook::yaml::{Content, Node, Place};
use crate::workflow::definition::{ForEach, Step, Workflow};
use crate::workflow::expression::{
    FUNCTIONS, Piece, STATUS_FUNCTIONS, has_filter, has_test, mentions, split, unknown,
};
use crate::workflow::fault::suggestion;
use crate::workflow::order::{Closure, topological};

/// What is known of a step by the same name.
const STEP_VALUES: [&str; 4] = ["status", "results", "execution_id", "output_path"];
const WORKFLOW_VALUES: [&str; 2] = ["id", "name"];

/// The parts of a step that speak of others.
pub(super) struct Written<'n> {
    path: String,
    place: Place,
    /// One for each name in [`Step::needs`].
    pub(super) needs: Vec<(String, &'n Node)>,
    pub(super) condition: Option<&'n Node>,
    pub(super) for_each: Option<&'n Node>,
    pub(super) parameters: Option<&'n Node>,
    pub(super) output_path: Option<&'n Node>,
}

impl Written<'_> {
    pub(super) fn new(path: &str, place: Place) -> Self {
        let path = path.to_owned();
        Self {
            path,
            place,
            needs: vec![],
            condition: None,
            for_each: None,
            parameters: None,
            output_path: None,
        }
    }
}

/// Tells what is wrong between steps.
pub(super) fn check(reader: &mut Reader<'_>, workflow: &Workflow, written: &[Written<'_>]) {
    let names: Vec<&str> = workflow.steps.iter().map(|step| step.name.as_str()).collect();
    let position = |name: &str| names.iter().position(|other| *other == name);
    let mut needs = Vec::with_capacity(names.len());
    for (step, written) in workflow.steps.iter().zip(written) {
        let mut places = Vec::with_capacity(step.needs.len());
        for (name, (path, node)) in step.needs.iter().zip(&written.needs) {
            match position(name) {
                Some(place) => places.push(place),
                None => {
                    let others = names.iter().copied().filter(|other| *other != step.name);
                    let suggestion = suggestion(name, others);
                    reader.fault(node.place, path, format!("there is no step `{name}`{suggestion}"));
                }
            }
        }
        needs.push(places);
    }
    let closure = match topological(&needs) {
        Ok(order) => Some(Closure::new(&needs, &order)),
        Err(circles) => {
            for circle in circles {
                let told: Vec<_> = circle.iter().map(|step| names[*step]).collect();
                let first = &written[circle[0]];
                let next = names[circle[1]];
                let need = workflow.steps[circle[0]].needs.iter().position(|name| name == next);
                let (path, place) = match need.and_then(|need| first.needs.get(need)) {
                    Some((path, node)) => (path.as_str(), node.place),
                    None => (first.path.as_str(), first.place),
                };
                let what = format!("these steps wait for each other for ever: {}", told.join(" → "));
                reader.fault(place, path, what);
            }
            None
        }
    };
    for (index, (step, written)) in workflow.steps.iter().zip(written).enumerate() {
        let scope = Scope { workflow, names: &names, closure: closure.as_ref(), index };
        scope.step(reader, step, written);
    }
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Condition,
    ForEach,
    Values,
}

struct Scope<'w> {
    workflow: &'w Workflow,
    names: &'w [&'w str],
    closure: Option<&'w Closure>,
    index: usize,
}

impl Scope<'_> {
    fn step(&self, reader: &mut Reader<'_>, step: &Step, written: &Written<'_>) {
        if let (Some(node), Some(source)) = (written.condition, &step.condition) {
            self.expression(reader, &join(&written.path, "if"), node, (source, 0), source, Part::Condition);
        }
        if let Some(node) = written.for_each {
            self.texts(reader, &join(&written.path, "for_each"), node, Part::ForEach);
        }
        if let Some(node) = written.parameters {
            self.texts(reader, &join(&written.path, "parameters"), node, Part::Values);
        }
        let Some(node) = written.output_path else { return };
        let path = join(&written.path, "output_path");
        self.texts(reader, &path, node, Part::Values);
        let speaks_of_item = step.output_path.as_deref().is_some_and(|text| {
            let pieces = split(text).unwrap_or_default();
            pieces.iter().any(|piece| match piece {
                Piece::Text(_) => false,
                // A faulty one is told elsewhere.
                Piece::Expression { source, .. } => mentions(source).map_or(true, |mentions| {
                    let roots = mentions.references.iter().map(|reference| reference.path[0].as_str());
                    roots.into_iter().any(|root| matches!(root, "item" | "index"))
                }),
            })
        });
        let is_one = matches!(&step.for_each, Some(ForEach::List(items)) if items.len() <= 1);
        if step.for_each.is_some() && !is_one && !speaks_of_item {
            let what = "is the same for every item: put `${{ index }}` or `${{ item }}` into it";
            reader.fault(node.place, &path, what);
        }
    }

    /// Every text within a node.
    fn texts(&self, reader: &mut Reader<'_>, path: &str, node: &Node, part: Part) {
        match &node.content {
            Content::Scalar(ParameterValue::String(text)) => self.text(reader, path, node, text, part),
            Content::Scalar(_) => {}
            Content::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.texts(reader, &format!("{path}[{index}]"), node, part);
                }
            }
            Content::Dict(entries) => {
                for entry in entries {
                    self.texts(reader, &join(path, &entry.key), &entry.value, part);
                }
            }
        }
    }

    fn text(&self, reader: &mut Reader<'_>, path: &str, node: &Node, text: &str, part: Part) {
        match split(text) {
            Ok(pieces) => {
                for piece in pieces {
                    let Piece::Expression { source, range } = piece else { continue };
                    self.expression(reader, path, node, (text, range.start), source, part);
                }
            }
            Err(fault) => {
                let place = reader.place_within(node, text, fault.offset);
                reader.fault(place, path, fault.message);
            }
        }
    }

    /// One expression, which stands in a text at a byte.
    fn expression(
        &self,
        reader: &mut Reader<'_>,
        path: &str,
        node: &Node,
        (text, begin): (&str, usize),
        source: &str,
        part: Part,
    ) {
        let mut fault = |offset: usize, message: String| {
            let place = reader.place_within(node, text, begin + offset);
            reader.fault(place, path, message);
        };
        let mentions = match mentions(source) {
            Ok(mentions) => mentions,
            Err(error) => return fault(error.offset, error.message),
        };
        for reference in &mentions.references {
            if let Some(message) = self.reference_fault(&reference.path, reference.may_be_missing, part) {
                fault(reference.offset, message);
            }
        }
        for function in &mentions.functions {
            let name = function.name.as_str();
            if STATUS_FUNCTIONS.contains(&name) {
                if part != Part::Condition {
                    fault(function.offset, format!("`{name}()` can be asked in `if` only"));
                }
            } else if !FUNCTIONS.contains(&name) {
                let known = FUNCTIONS.into_iter().chain(STATUS_FUNCTIONS);
                let suggestion = suggestion(name, known);
                fault(function.offset, format!("there is no function `{name}`{suggestion}"));
            }
        }
        for filter in mentions.filters.iter().filter(|filter| !has_filter(&filter.name)) {
            fault(filter.offset, format!("there is no filter `{}`", filter.name));
        }
        for test in mentions.tests.iter().filter(|test| !has_test(&test.name)) {
            fault(test.offset, format!("there is no test `{}`", test.name));
        }
    }

    fn reference_fault(&self, path: &[String], may_be_missing: bool, part: Part) -> Option<String> {
        let fans_out = self.workflow.steps[self.index].for_each.is_some();
        let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        match path[0].as_str() {
            "parameters" => {
                let name = path.get(1)?;
                let parameters = &self.workflow.parameters;
                if parameters.contains_key(name) || may_be_missing {
                    return None;
                }
                let suggestion = suggestion(name, parameters.keys().map(String::as_str));
                let hint = if parameters.is_empty() { ": it has none" } else { "" };
                Some(format!("the workflow has no parameter `{name}`{suggestion}{hint}"))
            }
            "workflow" => {
                let name = path.get(1)?;
                (!WORKFLOW_VALUES.contains(&name.as_str()))
                    .then(|| unknown(&path[..2], &known(&WORKFLOW_VALUES)))
            }
            "steps" => self.step_fault(path, may_be_missing),
            name @ ("item" | "index") => {
                if part == Part::Values && fans_out {
                    return None;
                }
                Some(match part {
                    _ if !fans_out => format!("`{name}` is for steps with `for_each`, and this has none"),
                    Part::Condition => {
                        format!("`{name}` is not known in `if`, which is asked once for all items")
                    }
                    _ => format!("`{name}` is not known in `for_each`, which makes the items"),
                })
            }
            _ if may_be_missing => None,
            _ => {
                let mut names = known(&["parameters", "steps", "workflow"]);
                if part == Part::Values && fans_out {
                    names.extend(known(&["item", "index"]));
                }
                Some(unknown(&path[..1], &names))
            }
        }
    }

    fn step_fault(&self, path: &[String], may_be_missing: bool) -> Option<String> {
        let name = path.get(1)?;
        let own = self.names[self.index];
        let others = || self.names.iter().copied().filter(|other| *other != own);
        let Some(step) = self.names.iter().position(|other| other == name) else {
            return Some(format!("there is no step `{name}`{}", suggestion(name, others())));
        };
        if step == self.index {
            return Some(format!("`steps.{name}` is this step itself, which has not run yet"));
        }
        if self.closure.is_some_and(|closure| !closure.needs(self.index, step)) {
            return Some(format!("`{name}` is not among what this step needs: add it to `needs`"));
        }
        let field = path.get(2)?;
        (!STEP_VALUES.contains(&field.as_str()) && !may_be_missing).then(|| {
            let known = STEP_VALUES.map(str::to_owned);
            let hint = if field == "result" || path.len() == 3 {
                format!("; what the notebook recorded is in `steps.{name}.results`")
            } else {
                String::new()
            };
            format!("{}{hint}", unknown(&path[..3], &known))
        })
    }
}
