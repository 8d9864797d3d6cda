//! The runs that a notebook made: found by their tag, closed when the notebook could not.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::rest::Repeat;
use super::runs::{RUN_TAG, text};
use super::{MlflowClient, MlflowRun, RunOutcome};
use crate::error::Result;

/// Runs on one page of an answer: each brings all its parameters, metrics and tags.
const PAGE: usize = 200;
/// Experiments in one search; well below what any of MLflow's databases takes as bound values.
const EXPERIMENTS_PER_SEARCH: usize = 500;
/// Where the search ends on a server with more experiments than that; the execution's own comes first.
const MAX_EXPERIMENTS: usize = 10_000;

/// A run that the notebook started or autologged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildRun {
    /// Its experiment: the execution's, unless the notebook chose another.
    pub experiment_id: String,
    /// Its id.
    pub run_id: String,
    /// Its name, empty when it has none.
    pub name: String,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`, as MLflow writes them.
    pub status: String,
    /// Where a person sees it.
    pub url: String,
}

impl ChildRun {
    /// True while nobody has ended it.
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "SCHEDULED")
    }
}

#[derive(Deserialize)]
struct RunsPage {
    #[serde(default)]
    runs: Vec<RunItem>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct RunItem {
    info: ChildInfo,
    #[serde(default)]
    data: ChildData,
}

#[derive(Deserialize)]
struct ChildInfo {
    run_id: String,
    #[serde(deserialize_with = "text")]
    experiment_id: String,
    #[serde(default)]
    run_name: String,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize, Default)]
struct ChildData {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct ExperimentsPage {
    #[serde(default)]
    experiments: Vec<ExperimentItem>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct ExperimentItem {
    #[serde(deserialize_with = "text")]
    experiment_id: String,
}

impl MlflowClient {
    /// Every run that the notebook made, nested ones too, oldest first, in whichever experiment it made it.
    ///
    /// # Errors
    /// `Unavailable` when MLflow cannot be reached, `Invalid` when it refuses the search.
    pub async fn children(&self, run: &MlflowRun) -> Result<Vec<ChildRun>> {
        let experiments = self.experiments(&run.experiment_id).await?;
        let mut children = Vec::new();
        for experiments in experiments.chunks(EXPERIMENTS_PER_SEARCH) {
            self.search_runs(experiments, &run.run_id, &mut children).await?;
        }
        Ok(children)
    }

    /// Ends the children that nobody has ended, as after `os._exit` or a killed kernel, and returns them.
    ///
    /// # Errors
    /// As [`MlflowClient::children`]; what was closed before the error stays closed.
    pub async fn close_children(
        &self,
        run: &MlflowRun,
        outcome: RunOutcome,
        end_time: Timestamp,
    ) -> Result<Vec<ChildRun>> {
        let mut open = self.children(run).await?;
        open.retain(ChildRun::is_open);
        for child in &open {
            self.update_run(&child.run_id, outcome, end_time).await?;
        }
        Ok(open)
    }

    /// The ids of all experiments, `first` before all others.
    async fn experiments(&self, first: &str) -> Result<Vec<String>> {
        let call = "experiments/search";
        let mut experiments = vec![first.to_owned()];
        let mut tokens = HashSet::new();
        let mut token = None;
        loop {
            let mut body = json!({"max_results": 1000, "order_by": ["last_update_time DESC"]});
            if let Some(token) = &token {
                body["page_token"] = json!(token);
            }
            let page: ExperimentsPage =
                self.post(call, Repeat::Safe, &body).await.map_err(|fault| fault.into_error(call))?;
            let others = page.experiments.into_iter().map(|item| item.experiment_id);
            experiments.extend(others.filter(|id| id != first));
            token = page.next_page_token.filter(|token| !token.is_empty());
            // A server that gives the same page for ever must not keep us.
            let more = token.as_ref().is_some_and(|token| tokens.insert(token.clone()));
            if !more || experiments.len() >= MAX_EXPERIMENTS {
                experiments.truncate(MAX_EXPERIMENTS);
                return Ok(experiments);
            }
        }
    }

    async fn search_runs(
        &self,
        experiments: &[String],
        parent: &str,
        children: &mut Vec<ChildRun>,
    ) -> Result<()> {
        let call = "runs/search";
        // The id came from a server, and goes into a query: only what an id can be made of.
        let parent: String =
            parent.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        let mut tokens = HashSet::new();
        let mut token = None;
        loop {
            let mut body = json!({
                "experiment_ids": experiments,
                "filter": format!("tags.`{RUN_TAG}` = '{parent}'"),
                "run_view_type": "ACTIVE_ONLY",
                "max_results": PAGE,
                "order_by": ["attributes.start_time ASC"],
            });
            if let Some(token) = &token {
                body["page_token"] = json!(token);
            }
            let page: RunsPage =
                self.post(call, Repeat::Safe, &body).await.map_err(|fault| fault.into_error(call))?;
            children.extend(page.runs.into_iter().map(|item| self.child(item)));
            token = page.next_page_token.filter(|token| !token.is_empty());
            if !token.as_ref().is_some_and(|token| tokens.insert(token.clone())) {
                return Ok(());
            }
        }
    }

    fn child(&self, item: RunItem) -> ChildRun {
        let RunItem { info, data } = item;
        let tagged_name =
            || data.tags.into_iter().find(|tag| tag.key == "mlflow.runName").map(|tag| tag.value);
        let name = if info.run_name.is_empty() { tagged_name().unwrap_or_default() } else { info.run_name };
        ChildRun {
            url: self.run_url(&info.experiment_id, &info.run_id),
            experiment_id: info.experiment_id,
            run_id: info.run_id,
            name,
            status: info.status.as_str().unwrap_or_default().to_owned(),
        }
    }
}
