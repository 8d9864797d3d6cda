//! What follows from how a flow stands: which steps may begin, how much more may run, what a step and the whole came to.

use super::{FlowStep, StepStatus};
use crate::execution::ExecutionStatus;
use crate::workflow::{Needs, Step, Workflow};

/// How those have ended that a step needs; `None` while one has not.
pub fn needs(workflow: &Workflow, steps: &[FlowStep], step: &Step) -> Option<Needs> {
    let positions = positions_of(workflow, &step.needs);
    if positions.iter().any(|position| !steps[*position].status.is_final()) {
        return None;
    }
    let is_good = |position: &usize| {
        let (definition, state) = (&workflow.steps[*position], &steps[*position]);
        state.status == StepStatus::Success
            || (state.status == StepStatus::Failed && definition.continue_on_error)
    };
    let mut before = positions.clone();
    let mut seen = vec![false; steps.len()];
    let mut failure = false;
    while let Some(position) = before.pop() {
        if !std::mem::replace(&mut seen[position], true) {
            failure |=
                steps[position].status == StepStatus::Failed && !workflow.steps[position].continue_on_error;
            before.extend(positions_of(workflow, &workflow.steps[position].needs));
        }
    }
    Some(Needs { success: positions.iter().all(is_good), failure })
}

/// The places of steps that are named; those that do not exist are left out, as a checked workflow names none.
pub fn positions_of(workflow: &Workflow, names: &[String]) -> Vec<usize> {
    names.iter().filter_map(|name| workflow.steps.iter().position(|step| step.name == *name)).collect()
}

/// How many more executions a step may have now, when all steps together have `running`.
pub fn room(workflow: &Workflow, step: &Step, state: &FlowStep, running: u64) -> u64 {
    let left =
        |most: Option<u32>, now: u64| most.map_or(u64::MAX, |most| u64::from(most).saturating_sub(now));
    left(step.max_parallel, state.running).min(left(workflow.max_parallel, running)).min(state.pending())
}

/// What a step that runs has come to; `None` while there is more to do.
pub fn end_of_step(state: &FlowStep) -> Option<StepStatus> {
    if state.running > 0 || state.pending() > 0 {
        return None;
    }
    Some(match (state.failed, state.cancelled) {
        (1.., _) => StepStatus::Failed,
        (0, 1..) => StepStatus::Cancelled,
        (0, 0) => StepStatus::Success,
    })
}

/// What the whole has come to; `None` while there is more to do.
pub fn end_of_flow(workflow: &Workflow, steps: &[FlowStep]) -> Option<ExecutionStatus> {
    if steps.iter().any(|step| !step.status.is_final()) {
        return None;
    }
    let has = |status: StepStatus, pardons: bool| {
        steps
            .iter()
            .zip(&workflow.steps)
            .any(|(state, step)| state.status == status && !(pardons && step.continue_on_error))
    };
    Some(if has(StepStatus::Failed, true) {
        ExecutionStatus::Failed
    } else if has(StepStatus::Cancelled, false) {
        ExecutionStatus::Cancelled
    } else {
        ExecutionStatus::Success
    })
}

/// What an execution of a task is called at its parent: `train[2]#1`, `prepare#1`.
pub fn child(step: &Step, item: usize, attempt: u32) -> String {
    match step.for_each {
        Some(_) => format!("{}[{item}]#{attempt}", step.name),
        None => format!("{}#{attempt}", step.name),
    }
}

/// Where a task's result goes when the step does not say: in the flow's folder, under names that sort by item.
pub fn output_path(directory: &str, step: &Step, item: usize, items: usize) -> String {
    match step.for_each {
        Some(_) => {
            let digits = items.saturating_sub(1).to_string().len().max(3);
            format!("{directory}/{}-{item:0digits$}.ipynb", step.name)
        }
        None => format!("{directory}/{}.ipynb", step.name),
    }
}

/// The folder of a flow that asked for none: `workflows/3-nightly`.
pub fn output_directory(kind: &str, id: i64, name: &str) -> String {
    let safe = |character: char| {
        if character.is_alphanumeric() || "-_".contains(character) { character } else { '-' }
    };
    let name: String = name.chars().take(60).map(safe).collect();
    format!("{kind}s/{id}-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{ForEach, StepSource};

    fn workflow(steps: &[(&str, &[&str])]) -> Workflow {
        let steps = steps.iter().map(|(name, needs)| Step {
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            ..Step::new(*name, StepSource::Notebook("a.ipynb".into()))
        });
        Workflow { name: "w".into(), steps: steps.collect(), ..Workflow::default() }
    }

    fn states(statuses: &[StepStatus]) -> Vec<FlowStep> {
        let state = |(position, status): (usize, &StepStatus)| FlowStep {
            position,
            name: position.to_string(),
            status: *status,
            items: 0,
            running: 0,
            success: 0,
            failed: 0,
            cancelled: 0,
            start_time: None,
            end_time: None,
            error: None,
        };
        statuses.iter().enumerate().map(state).collect()
    }

    use StepStatus::{Cancelled, Failed, Pending, Running, Skipped, Success};

    #[test]
    fn a_step_waits_for_all_that_it_needs_and_hears_of_failures_further_up() {
        let workflow = workflow(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a", "c"])]);
        let check = |statuses: &[StepStatus], step: usize, expected: Option<(bool, bool)>| {
            let needs = needs(&workflow, &states(statuses), &workflow.steps[step]);
            assert_eq!(needs.map(|it| (it.success, it.failure)), expected, "{statuses:?} {step}");
        };
        check(&[Pending; 4], 0, Some((true, false)));
        check(&[Running, Pending, Pending, Pending], 1, None);
        check(&[Success, Success, Running, Pending], 3, None);
        check(&[Success, Success, Success, Pending], 3, Some((true, false)));
        check(&[Success, Failed, Pending, Pending], 2, Some((false, true)));
        check(&[Success, Failed, Skipped, Pending], 3, Some((false, true)));
        check(&[Success, Skipped, Pending, Pending], 2, Some((false, false)));
        check(&[Success, Cancelled, Pending, Pending], 2, Some((false, false)));
    }

    #[test]
    fn an_error_that_is_to_be_passed_over_stops_nothing() {
        let mut workflow = workflow(&[("a", &[]), ("b", &["a"])]);
        workflow.steps[0].continue_on_error = true;
        let states = states(&[Failed, Success]);
        assert_eq!(
            needs(&workflow, &states, &workflow.steps[1]),
            Some(Needs { success: true, failure: false })
        );
        assert_eq!(end_of_flow(&workflow, &states), Some(ExecutionStatus::Success));
    }

    #[test]
    fn the_whole_ends_when_every_step_has() {
        let workflow = workflow(&[("a", &[]), ("b", &[])]);
        let check = |statuses: [StepStatus; 2], expected: Option<ExecutionStatus>| {
            assert_eq!(end_of_flow(&workflow, &states(&statuses)), expected, "{statuses:?}");
        };
        check([Success, Running], None);
        check([Failed, Pending], None);
        check([Success, Skipped], Some(ExecutionStatus::Success));
        check([Cancelled, Success], Some(ExecutionStatus::Cancelled));
        check([Cancelled, Failed], Some(ExecutionStatus::Failed));
    }

    #[test]
    fn room_is_what_both_limits_leave() {
        let mut workflow = workflow(&[("a", &[])]);
        let mut state = states(&[Running]).remove(0);
        state.items = 10;
        let check = |workflow: &Workflow, state: &FlowStep, running: u64, expected: u64| {
            assert_eq!(room(workflow, &workflow.steps[0], state, running), expected);
        };
        check(&workflow, &state, 100, 10);
        (state.running, state.success) = (3, 2);
        check(&workflow, &state, 3, 5);
        workflow.steps[0].max_parallel = Some(4);
        check(&workflow, &state, 3, 1);
        workflow.max_parallel = Some(3);
        check(&workflow, &state, 3, 0);
        check(&workflow, &state, 9, 0);
    }

    #[test]
    fn a_step_ends_as_its_tasks_did() {
        let check =
            |items: u64, [running, success, failed, cancelled]: [u64; 4], expected: Option<StepStatus>| {
                let state =
                    FlowStep { items, running, success, failed, cancelled, ..states(&[Running]).remove(0) };
                assert_eq!(end_of_step(&state), expected);
            };
        check(0, [0; 4], Some(Success));
        check(3, [1, 1, 1, 0], None);
        check(3, [0, 1, 1, 0], None);
        check(3, [0, 3, 0, 0], Some(Success));
        check(3, [0, 1, 1, 1], Some(Failed));
        check(3, [0, 1, 0, 2], Some(Cancelled));
    }

    #[test]
    fn results_get_names_that_sort() {
        let mut step = workflow(&[("train", &[])]).steps.remove(0);
        assert_eq!(output_path("w/1-x", &step, 0, 1), "w/1-x/train.ipynb");
        assert_eq!(child(&step, 0, 2), "train#2");
        step.for_each = Some(ForEach::Expression("${{ x }}".into()));
        assert_eq!(output_path("w/1-x", &step, 7, 10_000), "w/1-x/train-0007.ipynb");
        assert_eq!(output_path("w/1-x", &step, 7, 8), "w/1-x/train-007.ipynb");
        assert_eq!(child(&step, 7, 1), "train[7]#1");
        assert_eq!(output_directory("sweep", 4, "a/../b c"), "sweeps/4-a----b-c");
    }
}
