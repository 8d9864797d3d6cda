//! What started an execution, a workflow or a sweep when it was no client: a workflow, a sweep, a schedule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Error;

/// The kinds of things that start executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParentKind {
    /// A run of a workflow.
    Workflow,
    /// A sweep.
    Sweep,
    /// A schedule.
    Schedule,
}

impl ParentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Workflow, Self::Sweep, Self::Schedule];

    /// The word used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Sweep => "sweep",
            Self::Schedule => "schedule",
        }
    }
}

impl fmt::Display for ParentKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What started executions: `workflow/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParentId {
    /// Of which kind it is.
    pub kind: ParentKind,
    /// Its id among its kind.
    pub id: i64,
}

impl fmt::Display for ParentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.id)
    }
}

impl FromStr for ParentId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = text.split_once('/').and_then(|(kind, id)| {
            let kind = ParentKind::ALL.into_iter().find(|it| it.as_str() == kind)?;
            Some(Self { kind, id: id.parse().ok().filter(|id| *id > 0)? })
        });
        read.ok_or_else(|| {
            Error::bad_input(format!(
                "`{text}` starts no executions: it must be workflow/ID, sweep/ID or schedule/ID"
            ))
        })
    }
}

impl ParentId {
    /// With one of what it started.
    pub fn child(self, child: impl Into<String>) -> Parent {
        Parent { kind: self.kind, id: self.id, child: child.into() }
    }
}

/// What started an execution, and which of its executions this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Parent {
    /// Its kind.
    pub kind: ParentKind,
    /// Its id among its kind.
    #[schema(example = 3)]
    pub id: i64,
    /// Unique within it: a workflow's step, item and attempt, or a schedule's time.
    #[schema(example = "train[2]#1")]
    pub child: String,
}

impl Parent {
    /// Without the child.
    pub fn parent(&self) -> ParentId {
        ParentId { kind: self.kind, id: self.id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_all_else_refused() {
        for kind in ParentKind::ALL {
            let id = ParentId { kind, id: 7 };
            assert_eq!(id.to_string().parse::<ParentId>().unwrap(), id);
        }
        for wrong in ["workflow", "workflow/", "workflow/x", "workflow/0", "job/1", "workflow/-1"] {
            assert!(wrong.parse::<ParentId>().is_err(), "{wrong}");
        }
    }
}
