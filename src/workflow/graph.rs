//! A workflow as nodes and edges, for a page that draws it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::definition::{StepSource, Workflow};
use super::order::topological;

/// Nodes and edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkflowGraph)]
pub struct Graph {
    /// The steps, in the order in which they are written.
    pub nodes: Vec<Node>,
    /// What must end before what.
    pub edges: Vec<Edge>,
    /// The ids of the nodes by level: those that need nothing, those that need some of these, and so on.
    pub levels: Vec<Vec<String>>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkflowGraphNode)]
pub struct Node {
    /// The step's name.
    pub id: String,
    /// What to write on it: the step's name.
    pub label: String,
    /// What it executes.
    pub kind: Kind,
    /// The notebook or the template.
    pub source: String,
    /// Its level, from 0: one more than the highest of those that it needs.
    pub level: usize,
    /// Whether it is executed once for each item of a list.
    pub fans_out: bool,
    /// Where it stands in a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How many of its executions have ended, in a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// How many executions it has, in a run, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// What a node executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WorkflowGraphKind)]
pub enum Kind {
    /// A notebook.
    Notebook,
    /// A template.
    Template,
}

/// An arrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkflowGraphEdge)]
pub struct Edge {
    /// The step that must end first.
    pub from: String,
    /// The step that needs it.
    pub to: String,
}

/// The graph of a workflow that has no circles; where there are some, its steps are all on one level.
pub fn graph(workflow: &Workflow) -> Graph {
    let steps = &workflow.steps;
    let place = |name: &String| steps.iter().position(|step| step.name == *name);
    let needs: Vec<Vec<usize>> =
        steps.iter().map(|step| step.needs.iter().filter_map(place).collect()).collect();
    let mut levels_of = vec![0; steps.len()];
    for step in topological(&needs).unwrap_or_default() {
        levels_of[step] = needs[step].iter().map(|needed| levels_of[*needed] + 1).max().unwrap_or(0);
    }
    let mut levels = vec![Vec::new(); levels_of.iter().max().map_or(0, |level| level + 1)];
    let mut nodes = Vec::with_capacity(steps.len());
    for (step, level) in steps.iter().zip(levels_of) {
        levels[level].push(step.name.clone());
        nodes.push(Node {
            id: step.name.clone(),
            label: step.name.clone(),
            kind: match step.source {
                StepSource::Notebook(_) => Kind::Notebook,
                StepSource::Template(_) => Kind::Template,
            },
            source: step.source.as_str().to_owned(),
            level,
            fans_out: step.for_each.is_some(),
            status: None,
            done: None,
            total: None,
        });
    }
    let edges = steps
        .iter()
        .flat_map(|step| step.needs.iter().map(|from| Edge { from: from.clone(), to: step.name.clone() }))
        .collect();
    Graph { nodes, edges, levels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_below_all_that_they_need() {
        let text = "name: x\nsteps:\n  d: {notebook: d.ipynb, needs: [b, a]}\n  a: {template: t/a.ipynb}\n  b: {notebook: b.ipynb, needs: a, for_each: [1, 2]}\n  c: {notebook: c.ipynb}\n";
        let graph = graph(&crate::workflow::parse(text).unwrap());
        assert_eq!(graph.levels, [vec!["a", "c"], vec!["b"], vec!["d"]]);
        let nodes: Vec<_> =
            graph.nodes.iter().map(|node| (node.id.as_str(), node.level, node.fans_out)).collect();
        assert_eq!(nodes, [("d", 2, false), ("a", 0, false), ("b", 1, true), ("c", 0, false)]);
        assert_eq!((graph.nodes[1].kind, graph.nodes[1].source.as_str()), (Kind::Template, "t/a.ipynb"));
        let edges: Vec<_> = graph.edges.iter().map(|edge| format!("{}→{}", edge.from, edge.to)).collect();
        assert_eq!(edges, ["b→d", "a→d", "a→b"]);
    }
}
