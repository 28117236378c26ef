//! One run of the load on a disk, whose power is lost at many moments.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use power_loss::{Disk, Failure, How, Ignored, Image, Loss, Moment, What};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::checker::{Wrong, compare};
use crate::journal::{Known, Work};
use crate::load::{FOLDER, JOURNAL, MAY_FAIL, NAME, SEED};

/// How long to wait for the next loss of power.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run begins with: what a loss of power has left, and what was known then.
#[derive(Debug, Default)]
pub(crate) struct Start {
    image: Image,
    journal: String,
    /// How many runs there were on the same disk.
    runs: u64,
}

/// What a run has shown.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) losses: u64,
    /// How many of them came during each kind of work.
    pub(crate) during: BTreeMap<Work, u64>,
    pub(crate) wrong: Option<Wrong>,
    /// What the last loss of power has left.
    pub(crate) last: Start,
}

/// A load that runs, on a disk of its own.
#[derive(Debug)]
pub(crate) struct Run {
    // Killed before the disk is unmounted.
    load: Running,
    disk: Disk,
    folder: TempDir,
    seed: u64,
    runs: u64,
    disk_fails: bool,
}

/// A process that is killed when the value is dropped.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A loss of power: what is left, and how much the journal had at that moment.
struct Lost {
    image: Image,
    known: u64,
    loss: Loss,
    seed: u64,
}

impl Run {
    pub(crate) fn begin(start: &Start, seed: u64) -> Self {
        Self::on(start, seed, false)
    }

    /// Begins a run on a disk with writes and syncs that fail.
    pub(crate) fn begin_on_failing(start: &Start, seed: u64) -> Self {
        Self::on(start, seed, true)
    }

    fn on(start: &Start, seed: u64, disk_fails: bool) -> Self {
        let disk = Disk::mount_again(&start.image).expect("a disk");
        let folder = tempfile::tempdir().expect("a folder");
        let journal = folder.path().join("journal");
        std::fs::write(&journal, &start.journal).expect("a journal");
        let mut load = Command::new(std::env::current_exe().expect("this program"));
        load.args(["--exact", "the_load", "--ignored", "--nocapture"])
            .env(FOLDER, disk.path())
            .env(JOURNAL, journal)
            .env(SEED, seed.to_string())
            .env(NAME, start.runs.to_string())
            .stdout(std::process::Stdio::null());
        if disk_fails {
            load.env(MAY_FAIL, "1");
        }
        let load = Running(load.spawn().expect("a process"));
        Self { load, disk, folder, seed, runs: start.runs, disk_fails }
    }

    pub(crate) fn ignore_syncs(&self, ignored: Ignored) {
        self.disk.ignore_syncs(ignored);
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// Loses the power this many times, and compares what is left each time. Ends at the first that is wrong.
    pub(crate) fn lose_power(mut self, times: u64) -> Outcome {
        let (moments, losses) = sync_channel(2);
        self.call_at_moments(moments);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut outcome = Outcome::default();
        while outcome.losses < times && outcome.wrong.is_none() {
            let loss = self.next(&losses);
            let journal = std::fs::read(self.journal()).expect("the journal");
            let journal = &journal[..usize::try_from(loss.known).expect("a length")];
            let journal = String::from_utf8(journal.to_vec()).expect("text");
            let known: Known = journal.parse().expect("a journal");
            let compared = runtime.block_on(compare(&loss.image, &known));
            outcome.losses += 1;
            for work in known.unfinished() {
                *outcome.during.entry(work).or_default() += 1;
            }
            if let Err(wrong) = compared {
                let kept = keep(&loss.image, &journal);
                let (what, seed) = (loss.loss, loss.seed);
                let run = self.seed;
                outcome.wrong = Some(format!(
                    "{wrong}\n{what:?} with seed {seed} was lost in the run with seed {run}; see {}",
                    kept.display()
                ));
            }
            outcome.last = Start { image: loss.image, journal, runs: self.runs + 1 };
        }
        // A change may be waiting for room in the queue.
        drop(losses);
        self.disk.call_no_more();
        outcome
    }

    /// Calls before some changes of the disk: in one run nearly all of them, in another one few.
    fn call_at_moments(&self, moments: SyncSender<Lost>) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let widest = [2, 20, 100, 400][usize::try_from(random.next_u64() % 4).expect("small")];
        let journal = self.journal();
        let mut wait = random.next_u64() % widest;
        let disk_fails = self.disk_fails;
        self.disk.before_each_change(move |moment| {
            if wait > 0 {
                wait -= 1;
                return;
            }
            wait = random.next_u64() % widest;
            let choice = usize::try_from(random.next_u64() % 3).expect("small");
            let loss = [Loss::All, Loss::Pages, Loss::Sectors][choice];
            let seed = random.next_u64();
            // What is written down now was known before what is left.
            let known = std::fs::metadata(&journal).expect("the journal").len();
            let image = moment.survivors(loss, seed);
            if disk_fails && random.next_u64() % 4 == 0 {
                fail(moment, &mut random);
            }
            // It fails once there were enough.
            let _ = moments.send(Lost { image, known, loss, seed });
        });
    }

    fn next(&mut self, moments: &Receiver<Lost>) -> Lost {
        let started = Instant::now();
        loop {
            if let Ok(moment) = moments.recv_timeout(Duration::from_millis(100)) {
                return moment;
            }
            if let Some(status) = self.load.0.try_wait().expect("its status") {
                panic!("the load has ended: {status}");
            }
            assert!(started.elapsed() < PATIENCE, "the load does nothing any more");
        }
    }
}

/// Makes one of the next writes or syncs fail, perhaps with those that follow it.
fn fail(moment: &mut Moment<'_>, random: &mut ChaCha8Rng) {
    let mut below = |end: u64| random.next_u64() % end;
    let what = [What::Writes, What::Syncs][usize::from(below(2) == 0)];
    let how = [How::Broken, How::Full, How::Short][usize::try_from(below(3)).expect("small")];
    let after = below(40);
    let times = [1, 1, 2, 10][usize::try_from(below(4)).expect("small")];
    moment.fail(Failure { what, after, times, how });
}

/// Keeps what is left and what was known, so that the reason can be found.
fn keep(image: &Image, journal: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix("power-loss-").tempdir().expect("a folder").keep();
    image.write_to(&folder).expect("files");
    std::fs::write(folder.join("journal"), journal).expect("the journal");
    folder
}
