//! The write-ahead log as a file: which pages it holds, and the lock among those who write it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::wal_index::Salt;

/// The size of the log's own header, in bytes (<https://www.sqlite.org/fileformat2.html>, section
/// 4.1).
const HEADER: u64 = 32;
/// The size of what precedes each page.
const FRAME_HEADER: usize = 24;
/// How many frames are read by one call.
const AT_ONCE: u32 = 64;

/// The log of a store. SQLite holds no locks on it, so that it can be closed like any file.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<File>);

/// While it is held, no other store of this or another process writes to the log.
///
/// SQLite's own write lock is not enough where nothing may be written between two transactions.
#[derive(Debug)]
pub(crate) struct Held(Arc<File>);

impl Log {
    /// Opens the log of the store at this path. A connection that stays open for as long must have
    /// read from the store before: SQLite removes the log when the last one closes.
    pub(crate) fn open(store: &Path) -> io::Result<Self> {
        let mut name = store.as_os_str().to_owned();
        name.push("-wal");
        Ok(Self(Arc::new(File::open(name)?)))
    }

    /// Waits for the lock for so long; `None` if another one held it all the time.
    pub(crate) fn hold(&self, patience: Duration) -> io::Result<Option<Held>> {
        const PAUSE: Duration = Duration::from_micros(100);
        let mut started = None;
        loop {
            match self.0.try_lock() {
                Ok(()) => return Ok(Some(Held(Arc::clone(&self.0)))),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if started.get_or_insert_with(Instant::now).elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Hands the number and the bytes of each page to `each`, from the frame after the first
    /// `after` to the frame `to`; false if the log has begun anew meanwhile.
    pub(crate) fn pages(
        &self,
        salt: Salt,
        after: u32,
        to: u32,
        mut each: impl FnMut(u32, &[u8]),
    ) -> io::Result<bool> {
        let mut header = [0; 32];
        self.0.read_exact_at(&mut header, 0)?;
        let page_bytes = usize::try_from(number(&header, 8)).unwrap_or_default();
        if header[16..24] != salt || !page_bytes.is_power_of_two() {
            return Ok(false);
        }
        let frame_bytes = FRAME_HEADER + page_bytes;
        let mut frames = vec![0; frame_bytes * AT_ONCE as usize];
        let mut done = after;
        while done < to {
            let count = (to - done).min(AT_ONCE);
            let frames = &mut frames[..frame_bytes * count as usize];
            self.0.read_exact_at(frames, HEADER + u64::from(done) * frame_bytes as u64)?;
            for frame in frames.chunks_exact(frame_bytes) {
                if frame[8..16] != salt {
                    return Ok(false);
                }
                each(number(frame, 0), &frame[FRAME_HEADER..]);
            }
            done += count;
        }
        Ok(true)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It is given back with the file at the latest.
        let _ = self.0.unlock();
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    u32::from_be_bytes([a, b, c, d])
}
