//! What the tasks of a step came to, as a table: parameters, what the notebook recorded, status, duration.

use serde_json::{Map, Value, json};

use super::FlowTask;
use crate::execution::{ExecutionId, human_duration};

/// A row: one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which item, from 0.
    pub item: usize,
    /// The task.
    pub task: FlowTask,
    /// What its notebook was given.
    pub parameters: Map<String, Value>,
}

/// The tasks of a step, in order of their items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// A table of these tasks.
    pub fn new(tasks: Vec<FlowTask>) -> Self {
        let row = |task: FlowTask| Row {
            item: task.item,
            parameters: serde_json::from_str(&task.parameters).unwrap_or_default(),
            task,
        };
        Self { rows: tasks.into_iter().map(row).collect() }
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The names of parameters and of results, each in the order in which they first come.
    pub fn columns(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut parameters, mut results) = (Vec::new(), Vec::new());
        let mut seen = (std::collections::HashSet::new(), std::collections::HashSet::new());
        for row in &self.rows {
            parameters.extend(row.parameters.keys().map(String::as_str).filter(|name| seen.0.insert(*name)));
            let recorded = row.task.results.iter().flatten().map(|(name, _)| name.as_str());
            results.extend(recorded.filter(|name| seen.1.insert(*name)));
        }
        (parameters, results)
    }

    /// As JSON: `{columns: {parameters, results}, rows: [{index, parameters, results, status, duration_seconds, …}]}`.
    pub fn to_json(&self) -> Value {
        let (parameters, results) = self.columns();
        let rows = self.rows.iter().map(|row| {
            json!({
                "index": row.item,
                "parameters": row.parameters,
                "results": row.task.results.clone().unwrap_or_default(),
                "status": row.task.status,
                "duration_seconds": seconds(&row.task),
                "duration": duration(&row.task),
                "attempts": row.task.attempts,
                "execution_id": row.task.execution_id,
                "output_path": row.task.output_path,
                "error": row.task.error,
            })
        });
        json!({"columns": {"parameters": parameters, "results": results}, "rows": rows.collect::<Vec<_>>()})
    }

    /// As columns for people: what is too long is cut.
    pub fn to_text(&self) -> String {
        const LONGEST: usize = 40;
        let (parameters, results) = self.columns();
        let own = ["status", "duration", "execution"].map(str::to_owned);
        let head = ["index".to_owned()].into_iter();
        let head = head.chain(parameters.iter().chain(&results).map(|name| (*name).to_owned())).chain(own);
        let mut lines: Vec<Vec<String>> = vec![head.map(|name| name.to_uppercase()).collect()];
        for row in &self.rows {
            let recorded = row.task.results.as_ref();
            let values = parameters.iter().map(|name| shown(row.parameters.get(*name)));
            let values =
                values.chain(results.iter().map(|name| shown(recorded.and_then(|it| it.get(*name)))));
            let own = [
                row.task.status.to_string(),
                duration(&row.task).unwrap_or_default(),
                row.task.execution_id.map(|ExecutionId(id)| id.to_string()).unwrap_or_default(),
            ];
            lines.push([row.item.to_string()].into_iter().chain(values).chain(own).collect());
        }
        let cut = |text: &String| -> String {
            let text = text.replace(['\n', '\r', '\t'], " ");
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        };
        let lines: Vec<Vec<String>> = lines.iter().map(|line| line.iter().map(cut).collect()).collect();
        let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        let mut text = String::new();
        for line in lines {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// As CSV (RFC 4180). A result that is called as a parameter is has `results.` before its name; texts stand as they
    /// are, all else as JSON.
    pub fn to_csv(&self) -> String {
        let (parameters, results) = self.columns();
        let mut text = String::new();
        let result_names = results.iter().map(|name| match OWN.contains(name) || parameters.contains(name) {
            true => format!("results.{name}"),
            false => (*name).to_owned(),
        });
        let parameter_names = parameters.iter().map(|name| match OWN.contains(name) {
            true => format!("parameters.{name}"),
            false => (*name).to_owned(),
        });
        let head = ["index".to_owned()].into_iter().chain(parameter_names).chain(result_names);
        line(&mut text, head.chain(OWN[1..].iter().map(|name| (*name).to_owned())));
        for row in &self.rows {
            let recorded = row.task.results.as_ref();
            let values = parameters.iter().map(|name| shown(row.parameters.get(*name)));
            let values =
                values.chain(results.iter().map(|name| shown(recorded.and_then(|it| it.get(*name)))));
            let own = [
                row.task.status.to_string(),
                seconds(&row.task).map(|seconds| seconds.to_string()).unwrap_or_default(),
                row.task.attempts.to_string(),
                row.task.execution_id.map(|ExecutionId(id)| id.to_string()).unwrap_or_default(),
                row.task.output_path.clone(),
                row.task.error.as_ref().map(ToString::to_string).unwrap_or_default(),
            ];
            line(&mut text, [row.item.to_string()].into_iter().chain(values).chain(own));
        }
        text
    }
}

/// The columns that every table has.
const OWN: [&str; 7] =
    ["index", "status", "duration_seconds", "attempts", "execution_id", "output_path", "error"];

fn seconds(task: &FlowTask) -> Option<f64> {
    Some(task.start_time?.duration_until(task.end_time?).as_millis() as f64 / 1000.0)
}

fn duration(task: &FlowTask) -> Option<String> {
    let duration = task.start_time?.duration_until(task.end_time?);
    Some(human_duration(std::time::Duration::try_from(duration).unwrap_or_default()))
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn line(text: &mut String, fields: impl Iterator<Item = String>) {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            text.push(',');
        }
        match field.contains(['"', ',', '\n', '\r']) {
            true => text.push_str(&format!("\"{}\"", field.replace('"', "\"\""))),
            false => text.push_str(&field),
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::execution::CellError;
    use crate::flow::StepStatus;

    fn task(item: usize, parameters: Value, results: Option<Value>) -> FlowTask {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        FlowTask {
            step: 0,
            item,
            status: if results.is_some() { StepStatus::Success } else { StepStatus::Failed },
            parameters: parameters.to_string(),
            output_path: format!("s/{item}.ipynb"),
            attempts: 1,
            execution_id: Some(ExecutionId(7)),
            retry_at: None,
            error: results.is_none().then(|| CellError::new(Some(1), "ValueError", "no, \"not\" so")),
            results: results.and_then(|it| it.as_object().cloned()),
            start_time: Some(at(10)),
            end_time: Some(at(12)),
        }
    }

    #[test]
    fn every_name_has_a_column_and_every_field_its_quotes() {
        let table = Table::new(vec![
            task(0, json!({"a": 0.1, "name": "x,y"}), Some(json!({"auc": 0.5, "a": [1], "status": "good"}))),
            task(1, json!({"a": 0.2}), None),
        ]);
        let expected = "index,a,name,auc,results.a,results.status,status,duration_seconds,attempts,execution_id,output_path,error\r\n\
            0,0.1,\"x,y\",0.5,[1],good,success,2,1,7,s/0.ipynb,\r\n\
            1,0.2,,,,,failed,2,1,7,s/1.ipynb,\"ValueError in cell 1: no, \"\"not\"\" so\"\r\n";
        assert_eq!(table.to_csv(), expected);
        let json = table.to_json();
        assert_eq!(json["columns"], json!({"parameters": ["a", "name"], "results": ["auc", "a", "status"]}));
        assert_eq!(json["rows"][0]["results"]["auc"], 0.5);
        assert_eq!(json["rows"][1]["results"], json!({}));
        assert_eq!(json["rows"][1]["duration"], "2.0s");
        let text = table.to_text();
        assert!(text.starts_with("INDEX  A    NAME  AUC  A    STATUS  STATUS   DURATION  EXECUTION\n0      0.1  x,y   0.5  [1]  good    success  2.0s      7\n"), "{text}");
    }
}
