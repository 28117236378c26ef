//! The upkeep thread: it checkpoints the log while commits continue, and scrubs the files in time after an erasure.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};
use dataapi_core::StoreError;
use tokio::sync::oneshot;

use crate::erase::erasures::Erasures;
use crate::erase::scrub::{ScrubError, ScrubOutcome, Scrubber};
use crate::erase::wal_index::Header;
use crate::error::{OpenError, closed, read_in_the_way, store_error};
use crate::read::readers::LongReads;
use crate::write::commits::Commits;

/// How often the log is checkpointed while commits continue. A checkpoint delays the commits made meanwhile: with four
/// a second, the 99th percentile of the commits of 64 writers suffers.
const PERIOD: Duration = Duration::from_secs(1);

/// How many frames the log can have, about 200 MB, before it is restarted, whether or not anything was erased.
///
/// Writers wait for the restart. For the commits of 64 writers, the 99th percentile is 3.0 times the median with 80 MB,
/// and 2.7 times with 200 MB.
const MAX_LOG_FRAMES: u32 = 50_000;

/// How many frames the log can have while there are only occasional commits: nobody waits long for a restart then.
const MAX_QUIET_FRAMES: u32 = 4_000;

/// How many frames the log can have while each commit has few requests.
///
/// Such a commit mostly waits for the disk. To overwrite a part of the log takes two thirds of the time of extending
/// it, because the file system need not record a new length: a short log that restarts often is faster. Such commits
/// fill it in a quarter of a second, and then wait for a hundredth of a second.
const MAX_LONE_FRAMES: u32 = 4_000;

/// A commit with at most this many requests, on average, has few.
const FEW_REQUESTS: u64 = 4;

/// How often to check for such commits, while there are commits.
const LOOK: Duration = Duration::from_millis(50);

/// The time between two tries of a scrub that is blocked. Writers wait during a try, and continue between two.
const PAUSE: Duration = Duration::from_millis(200);

/// A read that blocks a scrub is not stopped before it has run for this long.
const SHORTEST_LIMIT: Duration = Duration::from_millis(100);

/// How long a caller that asked for a scrub waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

type Reply = oneshot::Sender<Result<(), StoreError>>;

/// The upkeep thread. Dropping it closes the store's files, with a last scrub if one is needed, and waits for that.
#[derive(Debug)]
pub(crate) struct UpkeepThread {
    requests: Option<Sender<Reply>>,
    thread: Option<JoinHandle<()>>,
}

impl UpkeepThread {
    /// Starts the thread. It scrubs the files `within` that time after an erasure.
    pub(crate) fn start(
        scrubber: Scrubber,
        erasures: Arc<Erasures>,
        long_reads: LongReads,
        commits: Arc<Commits>,
        within: Duration,
    ) -> Result<Self, OpenError> {
        let (requests, asked) = crossbeam_channel::unbounded();
        let keeper = Keeper {
            scrubber,
            erasures,
            long_reads,
            commits,
            within,
            waiting: Vec::new(),
            seen: None,
            not_before: Instant::now(),
            looked: Looked::default(),
        };
        let thread = std::thread::Builder::new()
            .name("dataapi-upkeep".into())
            .spawn(move || keeper.run(&asked))
            .map_err(OpenError::Thread)?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Scrubs the files at once. Returns when nothing is left of what was erased before the call.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        requests.send(reply).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for UpkeepThread {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the next open of the store does what is left.
            let _ = thread.join();
        }
    }
}

struct Keeper {
    scrubber: Scrubber,
    erasures: Arc<Erasures>,
    long_reads: LongReads,
    commits: Arc<Commits>,
    within: Duration,
    /// The callers that asked for a scrub, and until when each of them waits.
    waiting: Vec<(Reply, Instant)>,
    /// The header of the log's index at the end of the last period.
    seen: Option<Header>,
    /// No scrub begins before this time, after one was blocked.
    not_before: Instant,
    looked: Looked,
}

/// The counts of commits and requests at the last check, and its time.
#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    commits: u64,
    requests: u64,
    is_busy: bool,
}

impl Keeper {
    fn run(mut self, requests: &Receiver<Reply>) {
        let mut period = Instant::now();
        loop {
            let wait = self.until_due().min(PERIOD.saturating_sub(period.elapsed()));
            let wait = if self.looked.is_busy { wait.min(LOOK) } else { wait };
            select! {
                recv(requests) -> asked => match asked {
                    Ok(reply) => self.waiting.push((reply, Instant::now() + PATIENCE)),
                    Err(_) => break,
                },
                recv(self.erasures.noted()) -> _ => {}
                default(wait) => {}
            }
            let (is_idle, is_full) = if period.elapsed() >= PERIOD {
                period = Instant::now();
                self.fold_in()
            } else {
                (false, false)
            };
            let is_full = is_full || self.is_full_of_lone_commits();
            if is_full || self.until_due().is_zero() {
                self.scrub(is_idle);
            }
        }
        self.scrubber.close(&self.erasures, self.commits.number() > 0);
    }

    /// Whether to restart the log because commits have few requests (see [`MAX_LONE_FRAMES`]).
    fn is_full_of_lone_commits(&mut self) -> bool {
        if self.looked.at.is_some_and(|at| at.elapsed() < LOOK) {
            return false;
        }
        let (commits, requests) = (self.commits.number(), self.commits.requests());
        let [by, of] = [commits - self.looked.commits, requests - self.looked.requests];
        self.looked = Looked { at: Some(Instant::now()), commits, requests, is_busy: by > 0 };
        by > 0
            && of <= by * FEW_REQUESTS
            && Instant::now() >= self.not_before
            && self.scrubber.header().is_ok_and(|now| now.frames() > MAX_LONE_FRAMES)
    }

    /// How long it is until the next scrub must begin.
    fn until_due(&self) -> Duration {
        let due = if self.waiting.is_empty() {
            // The scrub begins after half of the time. The other half is for the scrub itself and for what blocks it.
            self.erasures.age().map_or(PERIOD, |age| (self.within / 2).saturating_sub(age))
        } else {
            Duration::ZERO
        };
        due.max(self.not_before.saturating_duration_since(Instant::now()))
    }

    /// Checkpoints what was committed in the last period, unless a scrub is due soon. Returns whether there was no
    /// commit in the last period, and whether to scrub and restart the log.
    fn fold_in(&mut self) -> (bool, bool) {
        let Ok(now) = self.scrubber.header() else { return (false, false) };
        let is_idle = self.seen.replace(now) == Some(now) && now.frames() > 0;
        if is_idle || now.frames() > MAX_LOG_FRAMES {
            return (is_idle, true);
        }
        if self.erasures.age().is_some() && self.until_due() < PERIOD {
            // The scrub checkpoints too: most pages would be written twice.
            return (false, false);
        }
        // If this fails, it is tried again in the next period.
        let is_quiet = now.frames() > 0 && matches!(self.scrubber.fold_in(), Ok(None));
        (false, is_quiet && now.frames() > MAX_QUIET_FRAMES)
    }

    fn scrub(&mut self, is_idle: bool) {
        // A caller that asks for a scrub might mean an erasure by another process: the log is cut in any case.
        let empty = is_idle || !self.waiting.is_empty();
        let outcome = self.scrubber.scrub(&self.erasures, empty);
        if let Ok(ScrubOutcome::Clean) = outcome {
            for (reply, _) in self.waiting.drain(..) {
                let _ = reply.send(Ok(()));
            }
            return;
        }
        if self.erasures.age().is_some() || !self.waiting.is_empty() {
            self.long_reads.interrupt((self.within / 2).max(SHORTEST_LIMIT));
        }
        self.not_before = Instant::now() + PAUSE;
        let (late, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, until)| *until <= Instant::now());
        self.waiting = waiting;
        for (reply, _) in late {
            let _ = reply.send(Err(match &outcome {
                Err(ScrubError::Sqlite(error)) => store_error(error),
                Err(ScrubError::File(error)) => StoreError::backend(error.to_string()),
                Ok(_) => read_in_the_way(),
            }));
        }
    }
}
