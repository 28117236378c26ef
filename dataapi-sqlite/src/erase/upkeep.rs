//! The upkeep thread: it checkpoints the log while commits continue, and scrubs the files in time after an erasure.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};
use dataapi_core::StoreError;
use tokio::sync::oneshot;

use crate::erase::erasures::Erasures;
use crate::erase::scrub::{Beside, ScrubError, ScrubOutcome, Scrubber};
use crate::erase::wal_index::Header;
use crate::error::{OpenError, closed, read_in_the_way, store_error};
use crate::read::readers::ReadsInTheWay;
use crate::write::commits::Commits;

/// How often to look whether there is something to do while there are no commits.
const PERIOD: Duration = Duration::from_secs(1);

/// How often to look while there are commits.
const LOOK: Duration = Duration::from_millis(20);

/// Over how long to count commits and their requests.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

/// How many frames the log grows by before they are checkpointed.
///
/// A checkpoint waits for the disk for as long as its pages take, and commits wait for the disk with it.
const STEP: u32 = 1_000;

/// How many frames the log can have before it is restarted, whether or not anything was erased.
const MAX_LOG_FRAMES: u32 = 16_000;

/// How many frames the log can have while each commit has few requests.
///
/// Such a commit mostly waits for the disk. To overwrite a part of the log takes two thirds of the time of extending
/// it, because the file system need not record a new length: a short log that restarts often is faster. It is
/// checkpointed only then: a checkpoint delays one or two commits, and of lone ones there are few between two steps.
const MAX_LONE_FRAMES: u32 = 4_000;

/// A commit with at most this many requests, on average, has few.
const FEW_REQUESTS: u64 = 2;

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
        reads: ReadsInTheWay,
        commits: Arc<Commits>,
        within: Duration,
    ) -> Result<Self, OpenError> {
        let (requests, asked) = crossbeam_channel::unbounded();
        let keeper = Keeper {
            scrubber,
            erasures,
            reads,
            commits,
            within,
            waiting: Vec::new(),
            not_before: Instant::now(),
            log: Log { header: None, unchanged: Instant::now(), folded: 0 },
            load: Load { at: Instant::now(), commits: 0, requests: 0, is_lone: false },
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
    reads: ReadsInTheWay,
    commits: Arc<Commits>,
    within: Duration,
    /// The callers that asked for a scrub, and until when each of them waits.
    waiting: Vec<(Reply, Instant)>,
    /// Nothing is tried before this time, after a read was in the way.
    not_before: Instant,
    log: Log,
    load: Load,
}

/// What is known of the log.
#[derive(Debug)]
struct Log {
    /// The header of its index, which every commit of any process changes.
    header: Option<Header>,
    /// Since when that has not changed.
    unchanged: Instant,
    /// How many of its frames are checkpointed.
    folded: u32,
}

/// How many commits and requests there were up to the last look, and whether each commit had few requests.
#[derive(Debug)]
struct Load {
    at: Instant,
    commits: u64,
    requests: u64,
    is_lone: bool,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Nothing,
    /// Checkpoint beside the commits.
    Fold,
    Scrub {
        empty: bool,
    },
}

impl Keeper {
    fn run(mut self, requests: &Receiver<Reply>) {
        loop {
            let is_busy = self.log.unchanged.elapsed() < PERIOD;
            let wait = self.until_due().min(if is_busy { LOOK } else { PERIOD });
            select! {
                recv(requests) -> asked => match asked {
                    Ok(reply) => self.waiting.push((reply, Instant::now() + PATIENCE)),
                    Err(_) => break,
                },
                recv(self.erasures.noted()) -> _ => {}
                recv(self.commits.many()) -> _ => {}
                default(wait) => {}
            }
            match self.task() {
                Task::Nothing => {}
                Task::Fold => self.fold_in(),
                Task::Scrub { empty } => self.scrub(empty),
            }
        }
        // It has the idle connections. The last one to close has to be the scrubber's.
        drop(self.reads);
        self.scrubber.close(&self.erasures, self.commits.number() > 0);
    }

    fn task(&mut self) -> Task {
        // If the header cannot be read, it is tried again in a moment.
        let Ok(now) = self.scrubber.header() else { return Task::Nothing };
        self.load.look(&self.commits);
        self.log.look(now);
        // A caller that asks for a scrub might mean an erasure by another process: the log is cut in any case.
        let is_idle = now.frames() > 0 && self.log.unchanged.elapsed() >= PERIOD;
        let empty = is_idle || !self.waiting.is_empty();
        let most = if self.load.is_lone { MAX_LONE_FRAMES } else { MAX_LOG_FRAMES };
        if Instant::now() < self.not_before {
            Task::Nothing
        } else if empty || now.frames() > most || self.until_due().is_zero() {
            Task::Scrub { empty }
        } else if !self.load.is_lone && now.frames() >= self.log.folded + STEP {
            Task::Fold
        } else {
            Task::Nothing
        }
    }

    /// How long it is until the next scrub must begin.
    fn until_due(&self) -> Duration {
        let due = if self.waiting.is_empty() {
            // The scrub begins after half of the time. The other half is for the scrub itself and for what blocks it.
            self.erasures.waiting().map_or(PERIOD, |age| (self.within / 2).saturating_sub(age))
        } else {
            Duration::ZERO
        };
        due.max(self.not_before.saturating_duration_since(Instant::now()))
    }

    fn fold_in(&mut self) {
        match self.scrubber.fold_in() {
            Ok(Beside::Folded { done, .. }) => self.log.folded = done,
            // There are only occasional commits: nobody waits long.
            Ok(Beside::Quiet) => self.scrub(false),
            Ok(Beside::InTheWay) | Err(_) => self.not_before = Instant::now() + PAUSE,
        }
    }

    fn scrub(&mut self, empty: bool) {
        let no_snapshots = self.reads.keep_no_snapshots();
        let outcome = self.scrubber.scrub(&self.erasures, empty);
        drop(no_snapshots);
        if let Ok(ScrubOutcome::Clean) = outcome {
            for (reply, _) in self.waiting.drain(..) {
                let _ = reply.send(Ok(()));
            }
            return;
        }
        if self.erasures.age().is_some() || !self.waiting.is_empty() {
            self.reads.interrupt((self.within / 2).max(SHORTEST_LIMIT));
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

impl Log {
    fn look(&mut self, now: Header) {
        let before = self.header.replace(now);
        if before != Some(now) {
            self.unchanged = Instant::now();
        }
        if before.is_none_or(|before| before.salt() != now.salt()) {
            self.folded = 0;
        }
    }
}

impl Load {
    fn look(&mut self, now: &Commits) {
        let elapsed = self.at.elapsed();
        if elapsed < LONG_ENOUGH {
            return;
        }
        let (commits, requests) = (now.number(), now.requests());
        let [by, of] = [commits - self.commits, requests - self.requests];
        *self = Self {
            at: Instant::now(),
            commits,
            requests,
            is_lone: by > 0 && of <= by * FEW_REQUESTS,
        };
    }
}
