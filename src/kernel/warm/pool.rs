//! The pool: which kernels are kept ready, how many, and who gets them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::client::{KernelStart, LocalKernel};
use super::super::discovery;
use super::super::forked::StrayReaper;
use super::super::launch::LaunchCommand;
use super::super::search_path::SearchPath;
use super::super::spec::KernelSpec;
use super::cold::{command, kernel_start, start_cold};
use super::fingerprint::Fingerprint;
use super::launcher;
use super::memory::{MemoryWatch, machine_memory, process_memory};
use super::ready::{ForkedKernel, ReadyKernel, Terms};
use super::zygote::{NoZygote, Zygote};
use crate::config::WarmKernels;
use crate::error::{Error, Result};

/// How often the kept kernels are looked at when nothing asks for it.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a zygote that failed is left alone at first; doubled with each failure that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a pool is made with.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Where Bindery's own kernels are.
    pub data_dir: PathBuf,
    /// Which kernels are kept ready.
    pub warm: Vec<WarmKernels>,
    /// Variables of this process that no kernel may see.
    pub hidden: Vec<&'static str>,
    /// No more kernels are made ready while those that are take more memory than this, in bytes; `None` is a quarter of
    /// the machine's.
    pub max_memory: Option<u64>,
}

/// Kernels that are ready before they are asked for; clones share one pool.
#[derive(Debug, Clone)]
pub struct KernelPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: PoolOptions,
    slots: Vec<Slot>,
    max_memory: u64,
    /// A kernel was handed out.
    taken: Notify,
}

/// The kept kernels of one kernelspec.
#[derive(Debug)]
struct Slot {
    wanted: WarmKernels,
    ready: Mutex<Ready>,
    /// Locked while it forks.
    source: tokio::sync::Mutex<Source>,
}

#[derive(Debug, Default)]
struct Ready {
    /// What the kernels were made of; `None` when there are none yet.
    of: Option<(KernelSpec, Fingerprint)>,
    kernels: VecDeque<ReadyKernel>,
}

/// Where ready kernels come from.
#[derive(Debug)]
enum Source {
    /// Nothing has been tried, or it is tried again after this time.
    None {
        again: Instant,
        pause: Duration,
    },
    Zygote(Box<Zygote>),
    /// It is no kernel that is forked: kernels are started ahead.
    Ahead,
    /// No kernel can be made ready, until the kernel's files change.
    Unfit,
}

impl Source {
    fn new() -> Self {
        Self::None { again: Instant::now(), pause: FIRST_PAUSE }
    }
}

impl KernelPool {
    /// A pool that keeps nothing until [`KernelPool::run`] runs.
    pub fn new(options: PoolOptions) -> Self {
        let slot = |wanted: &WarmKernels| Slot {
            wanted: wanted.clone(),
            ready: Mutex::default(),
            source: tokio::sync::Mutex::new(Source::new()),
        };
        let slots = options.warm.iter().filter(|wanted| wanted.count > 0).map(slot).collect();
        let max_memory = options.max_memory.unwrap_or_else(|| machine_memory() / 4);
        Self { inner: Arc::new(Inner { options, slots, max_memory, taken: Notify::new() }) }
    }

    /// A pool that keeps nothing ready.
    pub fn cold(data_dir: PathBuf) -> Self {
        Self::new(PoolOptions { data_dir, warm: Vec::new(), hidden: Vec::new(), max_memory: None })
    }

    /// A kernel of `spec` with its working folder and variables; none of `hidden`, of the variables of this process,
    /// reaches it. A ready one if there is, else one that is started now.
    ///
    /// # Errors
    /// As [`LocalKernel::start`].
    pub async fn start(
        &self,
        spec: &KernelSpec,
        start: KernelStart<'_>,
        hidden: &[&'static str],
    ) -> Result<LocalKernel> {
        if let Some(kernel) = self.ready_kernel(spec, &start, hidden).await {
            return Ok(kernel);
        }
        start_cold(&self.inner.options.data_dir, spec, start, hidden).await
    }

    /// How many kernels of each kept kernelspec are ready.
    pub fn ready(&self) -> Vec<WarmKernels> {
        let of = |slot: &Slot| WarmKernels {
            kernel: slot.wanted.kernel.clone(),
            count: slot.ready().kernels.len(),
        };
        self.inner.slots.iter().map(of).collect()
    }

    async fn ready_kernel(
        &self,
        spec: &KernelSpec,
        start: &KernelStart<'_>,
        hidden: &[&'static str],
    ) -> Option<LocalKernel> {
        let slot = self.inner.slots.iter().find(|slot| slot.is_for(spec))?;
        let terms = self.terms(start, hidden);
        while let Some(ready) = slot.take() {
            self.inner.taken.notify_one();
            match ready.lease(&terms).await {
                Ok(kernel) => return Some(kernel),
                Err(error) => {
                    tracing::warn!(%error, cause = error.cause(), kernel = spec.name, "a ready kernel was of no use")
                }
            }
        }
        let forked = slot.fork(&self.inner.options, spec, false).await?;
        forked.lease(&terms).await.ok()
    }

    fn terms<'a>(&self, start: &KernelStart<'a>, hidden: &'a [&'static str]) -> Terms<'a> {
        let text = |value: &str| Value::String(value.to_owned());
        let own = &self.inner.options.hidden;
        // What ready kernels were started without, and this one may see.
        let shown = own
            .iter()
            .filter(|name| !hidden.contains(name))
            .filter_map(|name| Some(((*name).to_owned(), text(std::env::var_os(name)?.to_str()?))));
        let set: Map<_, _> =
            shown.chain(start.env.iter().map(|(name, value)| (name.clone(), text(value)))).collect();
        let unset = hidden.iter().filter(|name| !own.contains(name)).copied().collect();
        Terms { cwd: start.cwd, set, unset }
    }

    /// Keeps the wanted kernels ready until `shutdown`, then ends them.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut reaper = StrayReaper::default();
        let mut memory = MemoryWatch::default();
        while !self.inner.slots.is_empty() && !shutdown.is_cancelled() {
            for slot in &self.inner.slots {
                tokio::select! {
                    () = self.refill(slot, &mut memory) => {}
                    () = shutdown.cancelled() => {}
                }
            }
            tokio::select! {
                () = self.inner.taken.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => reaper.reap(),
                () = shutdown.cancelled() => {}
            }
        }
        for slot in &self.inner.slots {
            slot.ready().kernels.clear();
            *slot.source.lock().await = Source::Unfit;
        }
    }

    async fn refill(&self, slot: &Slot, memory: &mut MemoryWatch) {
        let options = &self.inner.options;
        let search_path = SearchPath::from_process(&options.data_dir);
        // Not installed yet, perhaps: looked for again.
        let Ok(spec) = discovery::find(&search_path, &slot.wanted.kernel) else { return };
        if slot.retire(&spec, &options.data_dir) {
            *slot.source.lock().await = Source::new();
        }
        while slot.ready().kernels.len() < slot.wanted.count {
            let slots = &self.inner.slots;
            let ready = slots.iter().map(|slot| slot.ready().kernels.len()).sum();
            if memory.is_full(self.inner.max_memory, ready, || slots.iter().map(Slot::memory).sum()) {
                return;
            }
            let Some(kernel) = slot.fork(options, &spec, true).await else { return };
            slot.ready().kernels.push_back(kernel);
        }
    }
}

impl Slot {
    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is ready here is what `spec` would start.
    fn is_for(&self, spec: &KernelSpec) -> bool {
        self.ready().of.as_ref().is_some_and(|(of, fingerprint)| of == spec && fingerprint.holds())
    }

    fn take(&self) -> Option<ReadyKernel> {
        let mut ready = self.ready();
        while let Some(kernel) = ready.kernels.pop_front() {
            if kernel.lives() {
                return Some(kernel);
            }
        }
        None
    }

    /// Ends kernels that are made of files which have changed, and forgets those that have ended. True when the source
    /// is out of date, too.
    fn retire(&self, spec: &KernelSpec, data_dir: &Path) -> bool {
        let mut ready = self.ready();
        ready.kernels.retain(ReadyKernel::lives);
        let holds = ready.of.as_ref().is_some_and(|(of, fingerprint)| of == spec && fingerprint.holds());
        if !holds {
            if ready.of.is_some() {
                tracing::info!(
                    kernel = spec.name,
                    "the kernel's files have changed: ready kernels are made anew"
                );
            }
            ready.kernels.clear();
            ready.of = Some((spec.clone(), Fingerprint::of(spec, &command(spec, Path::new(""), data_dir))));
        }
        !holds
    }

    /// A kernel from the zygote, which is started when it `may_start` and is not there.
    async fn fork(&self, options: &PoolOptions, spec: &KernelSpec, may_start: bool) -> Option<ReadyKernel> {
        let mut source = self.source.lock().await;
        if let Source::Zygote(zygote) = &mut *source
            && !zygote.lives()
        {
            tracing::warn!(
                kernel = spec.name,
                "the process that forks kernels has ended: it is started again"
            );
            *source = Source::new();
        }
        if may_start && let Source::None { again, pause } = *source {
            if Instant::now() < again {
                return None;
            }
            let begun = Instant::now();
            let command = command(spec, Path::new(""), &options.data_dir);
            match Zygote::start(&command, &preload(spec), &options.hidden).await {
                Ok(zygote) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    tracing::info!(kernel = spec.name, seconds, "kernels are forked from now on");
                    *source = Source::Zygote(Box::new(zygote));
                }
                Err(NoZygote::OtherKernel) => *source = Source::Ahead,
                Err(NoZygote::Unfit(why)) => {
                    tracing::info!(kernel = spec.name, %why, "no kernels are kept ready: each is started when it is needed");
                    *source = Source::Unfit;
                }
                Err(NoZygote::Failed(error)) => {
                    tracing::warn!(kernel = spec.name, %error, cause = error.cause(), "no kernels can be kept ready now");
                    *source =
                        Source::None { again: Instant::now() + pause, pause: (pause * 2).min(LONGEST_PAUSE) };
                }
            }
        }
        if may_start && matches!(*source, Source::Ahead) {
            drop(source);
            return self.start_ahead(options, spec).await;
        }
        // Taken out meanwhile: should this be dropped half-way, an answer is still to come.
        let Source::Zygote(mut zygote) = std::mem::replace(&mut *source, Source::new()) else {
            return None;
        };
        let start = kernel_start(spec, Path::new("/"));
        let forked = ForkedKernel::fork(&mut zygote, &start, |connection_file| {
            arguments(&command(spec, connection_file, &options.data_dir))
        });
        *source = match forked.await {
            Ok(kernel) => {
                *source = Source::Zygote(zygote);
                // Others may fork while this one starts.
                drop(source);
                let ready = kernel.ready(&start).await;
                return ready.inspect_err(|error| failed(spec, error)).ok();
            }
            Err(error) => {
                failed(spec, &error);
                Source::None { again: Instant::now() + FIRST_PAUSE, pause: FIRST_PAUSE * 2 }
            }
        };
        None
    }

    /// A kernel that was started as any other, before its folder and variables are known.
    async fn start_ahead(&self, options: &PoolOptions, spec: &KernelSpec) -> Option<ReadyKernel> {
        let nowhere = Path::new("/");
        let start = kernel_start(spec, nowhere);
        let kernel = start_cold(&options.data_dir, spec, start, &options.hidden).await;
        let ready = match kernel {
            Ok(kernel) => ReadyKernel::moved_by_source(kernel, &spec.language, nowhere).await,
            Err(error) => {
                tracing::warn!(kernel = spec.name, %error, cause = error.cause(), "no kernel can be kept ready now");
                *self.source.lock().await =
                    Source::None { again: Instant::now() + LONGEST_PAUSE, pause: LONGEST_PAUSE };
                return None;
            }
        };
        if ready.is_none() {
            tracing::info!(
                kernel = spec.name,
                "no kernels are kept ready: these learn their folder when they start only"
            );
            *self.source.lock().await = Source::Unfit;
        }
        ready
    }

    fn memory(&self) -> u64 {
        let zygote = self.source.try_lock().ok().and_then(|source| match &*source {
            Source::Zygote(zygote) => zygote.pid(),
            _ => None,
        });
        let pids: Vec<u32> =
            self.ready().kernels.iter().map(|kernel| kernel.pid().unsigned_abs()).chain(zygote).collect();
        pids.into_iter().map(process_memory).sum()
    }
}

fn failed(spec: &KernelSpec, error: &Error) {
    tracing::warn!(kernel = spec.name, %error, cause = error.cause(), "a kernel could not be forked");
}

fn arguments(command: &LaunchCommand) -> Vec<OsString> {
    launcher::ipython_command(command).map(|parts| parts.arguments.to_vec()).unwrap_or_default()
}

/// The modules that the kernelspec wants imported before kernels are forked.
fn preload(spec: &KernelSpec) -> Vec<String> {
    let modules =
        spec.metadata.get("bindery").and_then(|bindery| bindery.get("preload")).and_then(Value::as_array);
    modules.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
