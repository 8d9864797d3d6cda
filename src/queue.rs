//! The queue: apalis drives the workers, the executions table is the queue.
//!
//! apalis's own storages keep a second record of every job beside ours, with leases, retries and
//! acknowledgements of their own; docs/adr/0001 tells why Bindery implements apalis's `Backend` trait
//! instead. The backend here asks a `claim` function for the next job: when there is none it sleeps until
//! it is woken or a poll interval has passed, and when the claim fails it backs off and asks again, so a
//! locked or absent database never ends the worker.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::WorkerError;
use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use futures::stream::{BoxStream, Stream, StreamExt};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// The longest that a worker lets word of work wait after word that was for nothing: it was for others, then.
const MAX_DISTRUST: Duration = Duration::from_millis(64);
/// The longest pause after failed claims.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// Wakes idle workers of this process when work has been submitted.
#[derive(Debug, Clone, Default)]
pub struct Wakeup(Arc<Words>);

#[derive(Debug, Default)]
struct Words {
    here: Notify,
    elsewhere: Notify,
}

impl Wakeup {
    /// Says that there is work: it was submitted in this process.
    pub fn notify(&self) {
        self.0.here.notify_one();
    }

    /// Says that there may be work: every worker hears of what is submitted elsewhere, and one gets it. Where that is
    /// not this one for a while, it does not listen so eagerly.
    pub fn notify_of_others(&self) {
        self.0.elsewhere.notify_one();
    }
}

/// What a worker is to do.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// For logs; unique.
    pub name: String,
    /// Jobs in hand at once, at most.
    pub concurrency: usize,
    /// How often an idle worker looks for work of which no word has come.
    pub poll_interval: Duration,
}

/// Runs a worker until `shutdown`, then waits for the jobs in hand.
///
/// `claim` takes the next job, or says that there is none; `handle` does it. A job is claimed only when there is a free
/// place for it.
///
/// # Errors
/// `Internal` when apalis gives up, which it has no reason to.
pub async fn run_worker<J, C, Claimed, H, Done>(
    options: WorkerOptions,
    wakeup: Wakeup,
    shutdown: CancellationToken,
    claim: C,
    handle: H,
) -> Result<()>
where
    J: Send + 'static,
    C: Fn() -> Claimed + Send + Sync + 'static,
    Claimed: Future<Output = Result<Option<J>>> + Send + 'static,
    H: Fn(J) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    let WorkerOptions { name, concurrency, poll_interval } = options;
    let places = Arc::new(Semaphore::new(concurrency));
    let handle = Arc::new(handle);
    let jobs = claimed_jobs(claim, wakeup, shutdown.clone(), Arc::clone(&places), poll_interval);
    let ended = CancellationToken::new();
    let backend = ClaimBackend { jobs: jobs.fuse().boxed(), ended: ended.clone() };
    let worker = WorkerBuilder::new(name).backend(backend).build(move |job: Claim<J>| {
        let handle = Arc::clone(&handle);
        async move {
            // A task of its own, so that a panic in one job ends that job only, and a place is freed at
            // its end whatever that end is.
            let done = tokio::spawn(async move {
                let Claim { job, _place } = job;
                handle(job).await;
            });
            if let Err(panic) = done.await {
                tracing::error!(error = %panic, "a job ended in a panic");
            }
            Ok::<(), Infallible>(())
        }
    });
    // apalis must be told to stop, and stops asking for jobs at once: told before the claims have ended, it
    // would drop one that the database has granted already.
    let stop = async move {
        ended.cancelled().await;
        Ok::<(), WorkerError>(())
    };
    worker.run_until(stop).await.map_err(|error| Error::internal("the worker stopped").with_source(error))?;
    // The jobs in hand hold their places until they are done.
    let _all = places.acquire_many(u32::try_from(concurrency).unwrap_or(u32::MAX)).await;
    Ok(())
}

/// A job and the place that it takes until it is done.
struct Claim<J> {
    job: J,
    _place: tokio::sync::OwnedSemaphorePermit,
}

fn claimed_jobs<J, C, Claimed>(
    claim: C,
    wakeup: Wakeup,
    shutdown: CancellationToken,
    places: Arc<Semaphore>,
    poll_interval: Duration,
) -> impl Stream<Item = Claim<J>>
where
    C: Fn() -> Claimed,
    Claimed: Future<Output = Result<Option<J>>>,
{
    futures::stream::unfold(
        (claim, wakeup, shutdown, places),
        move |(claim, wakeup, shutdown, places)| async move {
            let mut backoff = Duration::from_millis(100);
            let place = tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                place = Arc::clone(&places).acquire_owned() => place.ok()?,
            };
            // Until when word from elsewhere is left, and for how long next time.
            let (mut deaf_until, mut distrust) = (Instant::now(), Duration::from_millis(1));
            loop {
                if shutdown.is_cancelled() {
                    return None;
                }
                let pause = match claim().await {
                    Ok(Some(job)) => {
                        let claimed = Claim { job, _place: place };
                        return Some((claimed, (claim, wakeup, shutdown, places)));
                    }
                    Ok(None) => poll_interval,
                    Err(error) => {
                        tracing::warn!(%error, cause = error.cause(), "no work can be claimed now: trying again");
                        backoff = (backoff * 2).min(MAX_BACKOFF);
                        backoff
                    }
                };
                tokio::select! {
                    () = shutdown.cancelled() => return None,
                    () = wakeup.0.here.notified() => {}
                    () = async {
                        wakeup.0.elsewhere.notified().await;
                        tokio::time::sleep_until(deaf_until).await;
                    } => {
                        let now = Instant::now();
                        distrust = match now.duration_since(deaf_until) < MAX_DISTRUST {
                            true => (distrust * 2).min(MAX_DISTRUST),
                            false => Duration::from_millis(1),
                        };
                        deaf_until = now + distrust;
                    }
                    () = tokio::time::sleep(pause) => {}
                }
            }
        },
    )
}

/// An apalis backend over a stream of claimed jobs. Registration, heartbeats and acknowledgement are no
/// business of apalis here: the engine keeps the lease of each execution itself.
struct ClaimBackend<J> {
    jobs: BoxStream<'static, Claim<J>>,
    /// Cancelled when there will be no more jobs.
    ended: CancellationToken,
}

impl<J> Backend for ClaimBackend<J> {
    type Task = Task<Claim<J>>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let polled = Pin::new(&mut self.jobs).poll_next(context);
        if matches!(polled, Poll::Ready(None)) {
            self.ended.cancel();
        }
        polled.map(|job| job.map(|job| Ok(Task::new(job))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl<J> BackendConfig for ClaimBackend<J> {
    type Args = Claim<J>;
    type Id = String;
    type Kind = apalis_core::backend::finalize::Ephemeral;
    type Config = ();
    type Layer = tower_layer::Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        tower_layer::Identity::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    type Jobs = Arc<Mutex<VecDeque<Result<u32>>>>;

    fn claim_from(
        jobs: &Jobs,
    ) -> impl Fn() -> futures::future::Ready<Result<Option<u32>>> + Send + Sync + 'static {
        let jobs = Arc::clone(jobs);
        move || futures::future::ready(jobs.lock().unwrap().pop_front().transpose())
    }

    fn options(concurrency: usize) -> WorkerOptions {
        WorkerOptions { name: "test".into(), concurrency, poll_interval: Duration::from_millis(500) }
    }

    #[tokio::test]
    async fn every_job_is_done_and_never_more_at_once_than_allowed() {
        let jobs: Jobs = Arc::new(Mutex::new((0..20).map(Ok).collect()));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done, mut finished) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let worker =
            tokio::spawn(run_worker(options(3), Wakeup::default(), shutdown.clone(), claim_from(&jobs), {
                let most = Arc::clone(&most);
                move |job| {
                    let (running, most, done) = (Arc::clone(&running), Arc::clone(&most), done.clone());
                    async move {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        for _ in 0..5 {
                            tokio::task::yield_now().await;
                        }
                        running.fetch_sub(1, Ordering::SeqCst);
                        done.send(job).unwrap();
                    }
                }
            }));
        let mut seen = Vec::new();
        while seen.len() < 20 {
            seen.push(finished.recv().await.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 3);
        shutdown.cancel();
        worker.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_failed_claim_and_a_panicking_job_do_not_end_the_worker() {
        let jobs: Jobs = Arc::new(Mutex::new(VecDeque::from([
            Err(Error::unavailable("the database is locked")),
            Ok(0),
            Ok(1),
        ])));
        let (done, mut finished) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(run_worker(
            options(1),
            Wakeup::default(),
            shutdown.clone(),
            claim_from(&jobs),
            move |job| {
                let done = done.clone();
                async move {
                    assert_ne!(job, 0, "job 0 panics");
                    done.send(job).unwrap();
                }
            },
        ));
        assert_eq!(finished.recv().await, Some(1));
        shutdown.cancel();
        worker.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn shutdown_waits_for_the_job_in_hand() {
        let jobs: Jobs = Arc::new(Mutex::new(VecDeque::from([Ok(1)])));
        let (started, mut has_started) = mpsc::unbounded_channel();
        let (go, may_go) = tokio::sync::watch::channel(false);
        let ended = Arc::new(AtomicUsize::new(0));
        let shutdown = CancellationToken::new();
        let worker =
            tokio::spawn(run_worker(options(2), Wakeup::default(), shutdown.clone(), claim_from(&jobs), {
                let ended = Arc::clone(&ended);
                move |_| {
                    let (started, mut may_go, ended) = (started.clone(), may_go.clone(), Arc::clone(&ended));
                    async move {
                        started.send(()).unwrap();
                        may_go.wait_for(|go| *go).await.unwrap();
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }));
        has_started.recv().await.unwrap();
        shutdown.cancel();
        go.send(true).unwrap();
        worker.await.unwrap().unwrap();
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn word_that_comes_while_a_claim_is_under_way_is_not_lost_and_without_word_it_looks_now_and_then() {
        let (asked, mut is_asked) = mpsc::unbounded_channel();
        let (answer, answers) = mpsc::unbounded_channel::<Result<Option<u32>>>();
        let answers = Arc::new(tokio::sync::Mutex::new(answers));
        let (wakeup, shutdown) = (Wakeup::default(), CancellationToken::new());
        let claim = move || {
            asked.send(()).unwrap();
            let answers = Arc::clone(&answers);
            async move { answers.lock().await.recv().await.unwrap_or(Ok(None)) }
        };
        let (done, mut finished) = mpsc::unbounded_channel();
        let options = WorkerOptions { poll_interval: Duration::from_secs(3600), ..options(1) };
        let handle = move |job| {
            done.send(job).unwrap();
            futures::future::ready(())
        };
        let worker = tokio::spawn(run_worker(options, wakeup.clone(), shutdown.clone(), claim, handle));
        for (word, job) in [(Wakeup::notify as fn(&Wakeup), 1), (Wakeup::notify_of_others, 2)] {
            is_asked.recv().await.unwrap();
            // The database has answered "nothing" in its mind when this is submitted.
            word(&wakeup);
            answer.send(Ok(None)).unwrap();
            is_asked.recv().await.unwrap();
            answer.send(Ok(Some(job))).unwrap();
            assert_eq!(finished.recv().await, Some(job));
        }
        shutdown.cancel();
        drop(answer);
        worker.await.unwrap().unwrap();
    }
}
