//! What happens in an execution, told while it happens: the lines of its journal, from this machine's file or from the
//! shared database, so that whoever reads along reads what a crash would leave.

use std::collections::VecDeque;
use std::fs::File;
use std::str::FromStr;
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::shipping::whole_lines;
use super::{ANY_EXECUTION, Engine, Milestone, blocking, in_place, journal};
use crate::db::JournalPart;
use crate::error::{Error, Result};
use crate::execution::{Execution, ExecutionId};

/// How often the journal is looked at for more.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often the record is, should word of its end get lost.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);
/// How many parts of a journal are fetched from the database at once.
const PARTS: usize = 8;

/// Where in an execution's events a reader is: behind a line of the journal of one attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventPosition {
    /// The attempt, from 1.
    pub attempt: u32,
    /// In bytes of its journal.
    pub offset: u64,
}

impl std::fmt::Display for EventPosition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.attempt, self.offset)
    }
}

impl FromStr for EventPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('-').and_then(|(attempt, offset)| {
            Some(Self { attempt: attempt.parse().ok()?, offset: offset.parse().ok()? })
        });
        parsed.ok_or_else(|| Error::bad_input("`Last-Event-ID` is not the id of an event of this stream"))
    }
}

/// One thing that is told.
#[derive(Debug)]
pub enum ExecutionEvent {
    /// A line of the journal.
    Recorded {
        /// Behind it.
        position: EventPosition,
        /// `start` for the first line, which has the notebook as it was when the run began; else the name of the
        /// [`crate::notebook::record::Event`].
        name: String,
        /// The line: one JSON object.
        json: String,
    },
    /// The worker died, and another begins anew: what was told so far is of an attempt that counts no more.
    Restarted {
        /// The attempt that begins.
        attempt: u32,
    },
    /// It has ended. Nothing comes after it.
    Ended(Box<Execution>),
}

impl Engine {
    /// What happens in an execution from `after` on, until its end. What happened before is told as long as the journal is
    /// kept: until the end where the database is a file, for some minutes more where it is shared.
    ///
    /// # Errors
    /// `NotFound`. While the record or the journal cannot be read, the stream waits.
    pub async fn events(
        &self,
        id: ExecutionId,
        after: Option<EventPosition>,
    ) -> Result<impl Stream<Item = ExecutionEvent> + Send + 'static + use<>> {
        let milestones = self.inner.milestones.subscribe();
        let execution = self.execution(id).await?;
        let reader = Reader {
            engine: self.clone(),
            position: after.unwrap_or(EventPosition { attempt: execution.attempts, offset: 0 }),
            execution,
            looked: Instant::now(),
            file: None,
            milestones,
            ready: VecDeque::new(),
            ended: false,
        };
        Ok(stream::unfold(
            reader,
            |mut reader| async move { reader.next().await.map(|event| (event, reader)) },
        ))
    }
}

struct Reader {
    engine: Engine,
    position: EventPosition,
    /// As it was at `looked`, which is before the journal is looked at.
    execution: Execution,
    looked: Instant,
    file: Option<File>,
    milestones: broadcast::Receiver<(ExecutionId, Milestone)>,
    ready: VecDeque<ExecutionEvent>,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<ExecutionEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.more().await {
                Ok(parts) if !parts.is_empty() => {
                    parts.into_iter().for_each(|part| self.take(part));
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(execution.id = %self.execution.id, %error, "the events of an execution cannot be read now");
                    tokio::time::sleep(STATUS_INTERVAL).await;
                    continue;
                }
            }
            if self.execution.attempts > self.position.attempt {
                let attempt = self.execution.attempts;
                // Nothing was told of the attempt before when there was none.
                if self.position.attempt > 0 {
                    self.ready.push_back(ExecutionEvent::Restarted { attempt });
                }
                (self.position, self.file) = (EventPosition { attempt, offset: 0 }, None);
            } else if self.execution.status.is_final() {
                self.ended = true;
                self.ready.push_back(ExecutionEvent::Ended(Box::new(self.execution.clone())));
            } else {
                self.wait().await;
            }
        }
    }

    /// The lines that have come behind the position; none, too, before the attempt has begun.
    async fn more(&mut self) -> Result<Vec<JournalPart>> {
        let (id, EventPosition { attempt, offset }) = (self.execution.id, self.position);
        if self.engine.database().is_shared() {
            return self.engine.database().journal_parts(id, attempt, offset, PARTS).await;
        }
        if self.file.is_none() {
            let folder = self.engine.journal_dir();
            self.file = blocking(move || journal::open_attempt(&folder, id, attempt)).await?;
        }
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let part = in_place(|| whole_lines(file, offset));
        part.map(|part| part.into_iter().collect())
            .map_err(|error| Error::unavailable("the journal cannot be read").with_source(error))
    }

    fn take(&mut self, part: JournalPart) {
        let mut offset = part.start;
        for line in part.lines.split_inclusive(|byte| *byte == b'\n') {
            offset += line.len() as u64;
            let Ok(json) = std::str::from_utf8(line) else { continue };
            let Some(name) = json.strip_prefix("{\"").and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            let name = match name {
                "attempt" => "start",
                // How the file looks is our own business.
                "saved" | "mark" => continue,
                name => name,
            };
            self.ready.push_back(ExecutionEvent::Recorded {
                position: EventPosition { offset, ..self.position },
                name: name.to_owned(),
                json: json.trim_end().to_owned(),
            });
        }
        self.position.offset = part.end;
    }

    /// Waits for more to look at, and looks at the record when it is time.
    async fn wait(&mut self) {
        let until = Instant::now() + LOOK_INTERVAL;
        let id = self.execution.id;
        let heard = loop {
            match tokio::time::timeout_at(until, self.milestones.recv()).await {
                Ok(Ok((whose, _))) if whose == id || whose == ANY_EXECUTION => break true,
                Ok(Ok(_)) => {}
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => break true,
                Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => break false,
            }
        };
        if heard || self.looked.elapsed() >= STATUS_INTERVAL {
            self.looked = Instant::now();
            if let Ok(execution) = self.engine.execution(id).await {
                self.execution = execution;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_from_its_text() {
        let position = EventPosition { attempt: 2, offset: 1 << 40 };
        assert_eq!(position.to_string().parse::<EventPosition>().unwrap(), position);
        for text in ["", "7", "1-", "-1", "1-x", "1--2"] {
            assert!(text.parse::<EventPosition>().is_err(), "{text}");
        }
    }
}
