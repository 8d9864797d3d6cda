//! What is shown of flows.

use super::super::Engine;
use crate::error::Result;
use crate::execution::ParentKind;
use crate::flow::FlowId;
use crate::flow::view::{FlowView, graph_of};
use crate::workflow::Graph;

use super::FlowFilter;

impl Engine {
    /// One workflow's run, or one sweep, with its steps.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow_view(&self, kind: ParentKind, id: FlowId) -> Result<FlowView> {
        let flow = self.flow(kind, id).await?;
        let steps = self.flow_steps(id).await?;
        let mut tasks = Vec::new();
        for (position, step) in flow.definition.workflow.steps.iter().enumerate() {
            if step.for_each.is_none() {
                tasks.extend(self.flow_tasks(id, Some(position)).await?);
            }
        }
        Ok(FlowView::new(flow, steps, tasks, self.database().now()))
    }

    /// Workflows' runs or sweeps, newest first, without what each execution came to.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_flow_views(&self, filter: &FlowFilter) -> Result<Vec<FlowView>> {
        let flows = self.list_flows(filter).await?;
        let mut views = Vec::with_capacity(flows.len());
        for flow in flows {
            let steps = self.flow_steps(flow.id).await?;
            views.push(FlowView::new(flow, steps, Vec::new(), self.database().now()));
        }
        Ok(views)
    }

    /// The graph of a workflow's run, with where each step stands.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow_graph(&self, kind: ParentKind, id: FlowId) -> Result<Graph> {
        let flow = self.flow(kind, id).await?;
        Ok(graph_of(&flow, &self.flow_steps(id).await?))
    }
}
