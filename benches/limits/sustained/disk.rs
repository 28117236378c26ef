//! The limit of the disk: how long it takes until a write is safe.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::tally::{Seen, Tally};

/// About what a commit of some 64 inserts writes to the log.
const WRITE: usize = 48 << 10;
const FILE_WRITES: u64 = 1_000;

/// Overwrites parts of a file, one after the other, each with an fdatasync. Returns the latencies.
pub(crate) fn synced_writes(folder: &Path, time: Duration) -> Outcome<Seen> {
    let path = folder.join("disk");
    let file = File::create(&path)?;
    let bytes = vec![0x5a; WRITE];
    for at in 0..FILE_WRITES {
        file.write_all_at(&bytes, at * WRITE as u64)?;
    }
    file.sync_all()?;
    let mut tally = Tally::new()?;
    let started = Instant::now();
    for number in 0.. {
        let before = started.elapsed();
        if before >= time {
            break;
        }
        file.write_all_at(&bytes, number % FILE_WRITES * WRITE as u64)?;
        file.sync_data()?;
        let after = started.elapsed();
        tally.succeeded();
        tally.record(after, after.saturating_sub(before));
    }
    std::fs::remove_file(&path)?;
    Ok(tally.seen())
}
