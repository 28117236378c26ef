//! Looks into the files of a store for what was withdrawn, while withdrawals go on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use rustix::time::{ClockId, clock_gettime};

use crate::markers::Markers;
use crate::outcome::Outcome;
use crate::process::fetch;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const NOTE_EVERY: Duration = Duration::from_millis(100);
/// How much longer than the erasure delay bytes can stay before a look finds fault with them.
const SLACK: Duration = Duration::from_secs(1);

const LOWEST_PRIORITY: i32 = 19;

/// A thread that looks every second.
pub(crate) struct ErasureWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Watched, String>>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) looks: u32,
    /// How many ids were found of what had to be gone, over all looks.
    pub(crate) left: u64,
    /// The highest age of an unscrubbed erasure that the server told of, in seconds.
    pub(crate) oldest_unscrubbed: f64,
    /// How much processor time all looks took.
    pub(crate) looking: Duration,
}

struct Watcher {
    store: PathBuf,
    server: SocketAddr,
    /// The file in which the load generator says how many withdrawals are answered.
    progress: PathBuf,
    markers: Markers,
    within: Duration,
    /// How many were answered at each time.
    answered: Vec<(Instant, u64)>,
    buffer: Vec<u8>,
    watched: Watched,
}

impl ErasureWatch {
    pub(crate) fn start(
        store: &Path,
        server: SocketAddr,
        progress: &Path,
        markers: Markers,
        within: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            store: store.to_owned(),
            server,
            progress: progress.to_owned(),
            markers,
            within,
            answered: Vec::new(),
            buffer: Vec::new(),
            watched: Watched::default(),
        };
        let stopped = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || watcher.run(&stopped)) }
    }

    /// Waits until everything that was withdrawn has to be gone, looks once more, and returns what was seen.
    pub(crate) fn finish(self) -> Outcome<Watched> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the watch of erasures panicked")??)
    }
}

impl Watcher {
    fn run(mut self, stop: &AtomicBool) -> Result<Watched, String> {
        // The search must not slow down the server. Linux lowers the priority of this thread alone.
        setpriority_process(None, LOWEST_PRIORITY).map_err(|error| error.to_string())?;
        let mut looked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NOTE_EVERY);
            self.note();
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look().map_err(|error| error.to_string())?;
            }
        }
        self.note();
        std::thread::sleep(self.within + SLACK);
        self.look().map_err(|error| error.to_string())?;
        Ok(self.watched)
    }

    fn note(&mut self) {
        let text = std::fs::read_to_string(&self.progress).unwrap_or_default();
        self.answered.push((Instant::now(), text.parse().unwrap_or(0)));
    }

    fn look(&mut self) -> Outcome<()> {
        let (started, used) = (Instant::now(), processor_time());
        let long_ago = |at: &Instant| started - *at >= self.within + SLACK;
        let end = self.answered.iter().rev().find(|(at, _)| long_ago(at)).map_or(0, |(_, n)| *n);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut file = self.store.as_os_str().to_owned();
            file.push(suffix);
            self.watched.left += self.markers.count_in(file.as_ref(), end, &mut self.buffer)?;
        }
        self.watched.looking += processor_time().saturating_sub(used);
        self.watched.looks += 1;
        let metrics = String::from_utf8(fetch(self.server, "/metrics")?)?;
        let age = metrics
            .lines()
            .find_map(|line| line.strip_prefix("dataapi_oldest_unscrubbed_erasure_seconds "))
            .ok_or("the server does not tell the age of the oldest unscrubbed erasure")?;
        self.watched.oldest_unscrubbed = self.watched.oldest_unscrubbed.max(age.parse()?);
        Ok(())
    }
}

/// How much processor time this thread has used.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
