//! Word of changes that others made: a wake-up instead of a poll. Word may be lost (a connection that broke, a process
//! that did not listen yet): who waits looks now and then all the same.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{Database, Pool};
use crate::execution::ExecutionId;

/// How long a lost connection is left before it is made again.
const RECONNECT: Duration = Duration::from_secs(1);

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is work.
    Work,
    /// An execution's first code cell is done, or it has ended.
    Progress(ExecutionId),
    /// An execution that runs is to stop.
    Cancel(ExecutionId),
    /// A schedule has an earlier tick than before.
    Schedules,
    /// Something: it was not heard what.
    Unknown,
}

/// Who asks for word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Whether work is looked for here.
    pub work: bool,
    /// Whether somebody waits here for executions to go on.
    pub progress: bool,
}

/// Changes as they are heard of, without an end.
pub struct Changes {
    source: Source,
}

enum Source {
    Postgres { pool: sqlx::PgPool, listener: Option<PgListener>, channels: Vec<&'static str> },
    Sqlite(WriteAheadLog),
}

impl Database {
    /// Word of changes from now on.
    pub fn changes(&self, interest: Interest) -> Changes {
        let source = match &self.pool {
            Pool::Postgres(pool) => {
                let mut channels = vec!["bindery_schedules"];
                if interest.work {
                    channels.extend(["bindery_work", "bindery_cancel"]);
                }
                if interest.progress {
                    channels.push("bindery_progress");
                }
                // A connection of its own, which the statements need not wait for.
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_lazy_with((*pool.connect_options()).clone());
                Source::Postgres { pool, listener: None, channels }
            }
            Pool::Sqlite(file) => Source::Sqlite(WriteAheadLog::watch(&file.path)),
        };
        Changes { source }
    }
}

impl Changes {
    /// The next change. What may have been missed while the database was away is [`Change::Unknown`].
    pub async fn next(&mut self) -> Change {
        match &mut self.source {
            Source::Sqlite(log) => {
                log.changed().await;
                Change::Unknown
            }
            Source::Postgres { pool, listener, channels } => loop {
                if let Some(listening) = listener {
                    match listening.try_recv().await {
                        Ok(Some(word)) => return read(word.channel(), word.payload()),
                        Ok(None) => return Change::Unknown,
                        Err(error) => {
                            tracing::debug!(%error, "changes in the database cannot be heard of now");
                            *listener = None;
                            tokio::time::sleep(RECONNECT).await;
                        }
                    }
                }
                let listen = async {
                    let mut listener = PgListener::connect_with(pool).await?;
                    listener.listen_all(channels.iter().copied()).await?;
                    Ok::<_, sqlx::Error>(listener)
                };
                match listen.await {
                    Ok(listening) => {
                        *listener = Some(listening);
                        return Change::Unknown;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "changes in the database cannot be listened for now");
                        tokio::time::sleep(RECONNECT).await;
                    }
                }
            },
        }
    }
}

fn read(channel: &str, payload: &str) -> Change {
    match (channel, payload.parse().map(ExecutionId)) {
        ("bindery_work", _) => Change::Work,
        ("bindery_schedules", _) => Change::Schedules,
        ("bindery_progress", Ok(id)) => Change::Progress(id),
        ("bindery_cancel", Ok(id)) => Change::Cancel(id),
        _ => Change::Unknown,
    }
}

/// SQLite's log, to which every process that commits something writes.
struct WriteAheadLog {
    #[cfg(target_os = "linux")]
    watch: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

impl WriteAheadLog {
    /// Where the system cannot tell (or will not: its watches are used up), nothing is heard of.
    fn watch(database: &std::path::Path) -> Self {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        Self {
            #[cfg(target_os = "linux")]
            watch: watch_file(PathBuf::from(log))
                .inspect_err(|error| tracing::debug!(%error, "the database's log cannot be watched"))
                .ok(),
        }
    }

    #[cfg(target_os = "linux")]
    async fn changed(&mut self) {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = watch.readable().await else { return std::future::pending().await };
            let mut buffer = [0_u8; 4096];
            let read = ready.try_io(|watch| rustix::io::read(watch, &mut buffer).map_err(Into::into));
            if matches!(read, Ok(Ok(1..))) {
                return;
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn changed(&mut self) {
        std::future::pending().await
    }
}

#[cfg(target_os = "linux")]
fn watch_file(path: PathBuf) -> std::io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    use rustix::fs::inotify;
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, path, inotify::WatchFlags::MODIFY)?;
    #[expect(unsafe_code, reason = "tokio has no safe way to wait for a descriptor of ours")]
    // SAFETY: the descriptor is owned by the `AsyncFd` alone, so it stays open and the same until that is dropped.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(watch) }?)
}
