//! The beginning of a step: its items, and what the notebook of each is given.

use std::collections::HashSet;

use super::super::Engine;
use crate::error::{Error, Result};
use crate::flow::{Flow, plan};
use crate::workflow::check;
use crate::workflow::expression::{self, Context};

/// Parameters (the text of a JSON object) and output path of each task of a step, in the order of the items.
///
/// # Errors
/// `Invalid` for what an expression came to, `BadInput` for an output path that cannot be.
pub(super) fn tasks(
    engine: &Engine,
    flow: &Flow,
    position: usize,
    context: &Context,
) -> Result<Vec<(String, String)>> {
    let step = &flow.definition.workflow.steps[position];
    let declared = flow.definition.declared.get(position).and_then(|it| it.as_deref());
    let items = expression::items(step, context)?;
    let count = items.as_ref().map_or(1, Vec::len);
    let mut taken = HashSet::new();
    let mut tasks = Vec::with_capacity(count);
    for index in 0..count {
        let of_item =
            items.as_ref().and_then(|items| items.get(index)).map(|item| context.with_item(item, index));
        let context = of_item.as_ref().unwrap_or(context);
        let at = |error: Error| match items {
            Some(_) => Error::new(error.kind(), format!("item {index}: {}", error.message())),
            None => error,
        };
        let parameters = expression::bind(step, context).map_err(at)?;
        if !step.literal_parameters {
            let found = check::values(&parameters, declared);
            if let Some(fault) = found.faults.first() {
                return Err(at(Error::invalid(fault.to_string())));
            }
        }
        let text = serde_json::to_string(&parameters)
            .map_err(|error| Error::internal("parameters cannot be written as JSON").with_source(error))?;
        let path = match expression::output_path(step, context).map_err(at)? {
            Some(path) => path,
            None => plan::output_path(&flow.output_directory, step, index, count),
        };
        let path = engine.root().notebook("output_path", &path).map_err(at)?.relative;
        if !taken.insert(path.clone()) {
            return Err(Error::invalid(format!(
                "item {index} would write `{path}`, as another item does: put `${{{{ index }}}}` into `output_path`"
            )));
        }
        tasks.push((text, path));
    }
    Ok(tasks)
}
