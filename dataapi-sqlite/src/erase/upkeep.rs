//! The thread that keeps the store's files: it folds the log into the database beside the commits,
//! and scrubs in time what was erased.

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

/// How often the log is folded in while commits are made. Each time holds up the commits of that
/// moment: four times a second is felt by the slowest hundredth of 64 writers.
const PERIOD: Duration = Duration::from_secs(1);

/// How many pages the log may have before it begins anew, whether or not anything was erased: 200 MB.
///
/// Writers wait for that: with 80 MB the slowest hundredth of 64 waits 3.0 times as long as the middle
/// one, with 200 MB 2.7 times.
const MAX_LOG_FRAMES: u32 = 50_000;

/// How many it may have where now and then someone writes, and the rest is as well done at once.
const MAX_QUIET_FRAMES: u32 = 4_000;

/// How many it may have where commits are of few requests. Each of these waits for the disk alone, and to
/// overwrite a short log takes two thirds of the time of making a long one longer: the file system need not
/// write down its new length. They fill it in a quarter of a second, and then wait for a hundredth.
const MAX_LONE_FRAMES: u32 = 4_000;

/// So many requests of a commit are few.
const FEW_REQUESTS: u64 = 4;

/// How often it is looked whether the log has as many, while commits are made.
const LOOK: Duration = Duration::from_millis(50);

/// From one try to the next, while something is in the way: writers wait during a try, and must get
/// on in between.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a read may run at least before it is ended for being in the way.
const SHORTEST_LIMIT: Duration = Duration::from_millis(100);

/// How long whoever asked for a scrub waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

type Reply = oneshot::Sender<Result<(), StoreError>>;

/// The thread. Dropping it scrubs for the last time, and waits until that has ended.
#[derive(Debug)]
pub(crate) struct UpkeepThread {
    requests: Option<Sender<Reply>>,
    thread: Option<JoinHandle<()>>,
}

impl UpkeepThread {
    /// Starts it; what is erased is scrubbed `within` that time.
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

    /// Scrubs at once, and returns when nothing is left of what was erased before.
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
            // What it left undone is done by whoever opens the store next.
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
    /// Who asked for a scrub, and until when they wait.
    waiting: Vec<(Reply, Instant)>,
    /// The log at the end of the last period.
    seen: Option<Header>,
    /// When to try again after something was in the way.
    not_before: Instant,
    looked: Looked,
}

/// The commits at the last look, and when that was.
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

    /// Whether the log is to begin anew, since each commit waits for its own.
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
            // As long again is there for the scrub itself and for what is in its way.
            self.erasures.age().map_or(PERIOD, |age| (self.within / 2).saturating_sub(age))
        } else {
            Duration::ZERO
        };
        due.max(self.not_before.saturating_duration_since(Instant::now()))
    }

    /// Folds in what was committed in the last period, unless it is time for all of it: tells whether
    /// nobody writes, and whether the log is to begin anew.
    fn fold_in(&mut self) -> (bool, bool) {
        let Ok(now) = self.scrubber.header() else { return (false, false) };
        let is_idle = self.seen.replace(now) == Some(now) && now.frames() > 0;
        if is_idle || now.frames() > MAX_LOG_FRAMES {
            return (is_idle, true);
        }
        if self.erasures.age().is_some() && self.until_due() < PERIOD {
            // The scrub folds it in as well: most pages would be written twice.
            return (false, false);
        }
        // What fails now is tried again in the next period.
        let is_quiet = now.frames() > 0 && matches!(self.scrubber.fold_in(), Ok(None));
        (false, is_quiet && now.frames() > MAX_QUIET_FRAMES)
    }

    fn scrub(&mut self, is_idle: bool) {
        // Whoever asked may mean an erasure of another process.
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
