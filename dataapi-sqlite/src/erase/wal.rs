//! The write-ahead log as a file: which pages it holds, the lock among those who write it, and how what
//! is left behind its end is overwritten.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::erase::wal_index::Salt;

/// The size of the log's own header, in bytes (<https://www.sqlite.org/fileformat2.html>, section
/// 4.1).
const HEADER: u64 = 32;
/// The size of what precedes each page.
const FRAME_HEADER: usize = 24;
/// How many frames are read by one call.
const AT_ONCE: u32 = 64;

/// The log of a store. SQLite holds no locks on it, so that it can be closed like any file.
#[derive(Clone, Debug)]
pub(crate) struct Wal {
    file: Arc<File>,
    /// Whether someone of this store waits to hold it before all others.
    is_wanted: Arc<AtomicBool>,
}

/// While it is held, no other store of this or another process writes to the log.
///
/// SQLite's own write lock is not enough where nothing may be written between two transactions.
#[derive(Debug)]
pub(crate) struct WalLock(Arc<File>);

impl Wal {
    /// Opens the log of the store at this path. A connection that stays open for as long must have
    /// read from the store before: SQLite removes the log when the last one closes.
    pub(crate) fn open(store: &Path) -> io::Result<Self> {
        Ok(Self { file: open(store)?, is_wanted: Arc::default() })
    }

    /// The log of the same store for another thread, which holds it on its own account.
    pub(crate) fn another(&self, store: &Path) -> io::Result<Self> {
        Ok(Self { file: open(store)?, is_wanted: Arc::clone(&self.is_wanted) })
    }

    /// Waits for the lock for so long; `None` if another one held it all the time.
    pub(crate) fn lock(&self, patience: Duration) -> io::Result<Option<WalLock>> {
        self.lock_when(|| !self.is_wanted.load(Ordering::Relaxed), patience)
    }

    /// The same, before the others of this store: one that commits without a break is back at the lock long
    /// before anyone who waits for it, so that without this as much is written meanwhile as the one who
    /// waits has just folded in.
    pub(crate) fn lock_next(&self, patience: Duration) -> io::Result<Option<WalLock>> {
        self.is_wanted.store(true, Ordering::Relaxed);
        let lock = self.lock_when(|| true, patience);
        self.is_wanted.store(false, Ordering::Relaxed);
        lock
    }

    fn lock_when(
        &self,
        is_my_turn: impl Fn() -> bool,
        patience: Duration,
    ) -> io::Result<Option<WalLock>> {
        const PAUSE: Duration = Duration::from_micros(100);
        let mut started = None;
        loop {
            if is_my_turn() {
                match self.file.try_lock() {
                    Ok(()) => return Ok(Some(WalLock(Arc::clone(&self.file)))),
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
            if started.get_or_insert_with(Instant::now).elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Overwrites what is left of earlier rounds of the log behind its first so many frames, durably; false
    /// if the file system cannot do that without writing as many zeros.
    ///
    /// The file keeps its length: to cut it takes several times as long, since all of its space is given
    /// back, and each commit that makes it longer again takes it anew.
    pub(crate) fn blank(&self, _: &WalLock, after: u32, page_bytes: u32) -> io::Result<bool> {
        let frame_bytes = FRAME_HEADER as u64 + u64::from(page_bytes);
        let from = HEADER + u64::from(after) * frame_bytes;
        let length = self.file.metadata()?.len().saturating_sub(from);
        if length == 0 {
            return Ok(true);
        }
        if !zero(&self.file, from, length) {
            return Ok(false);
        }
        self.file.sync_data()?;
        Ok(true)
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
        self.file.read_exact_at(&mut header, 0)?;
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
            self.file.read_exact_at(frames, HEADER + u64::from(done) * frame_bytes as u64)?;
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

impl Drop for WalLock {
    fn drop(&mut self) {
        // It is given back with the file at the latest.
        let _ = self.0.unlock();
    }
}

fn open(store: &Path) -> io::Result<Arc<File>> {
    let mut name = store.as_os_str().to_owned();
    name.push("-wal");
    Ok(Arc::new(File::options().read(true).write(true).open(name)?))
}

/// Makes a part of a file zeros without writing them; false if the file system cannot.
#[cfg(target_os = "linux")]
fn zero(file: &File, from: u64, length: u64) -> bool {
    use rustix::fs::{FallocateFlags, fallocate};

    fallocate(file, FallocateFlags::ZERO_RANGE, from, length).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn zero(_: &File, _: u64, _: u64) -> bool {
    false
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A store whose log is there, and that log.
    fn new() -> (tempfile::TempDir, rusqlite::Connection, Wal) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dialogs.db");
        let writer = crate::open::open_for_writing(&path, true, 1 << 20).unwrap();
        let wal = Wal::open(&path).unwrap();
        (folder, writer, wal)
    }

    #[test]
    fn one_that_waits_for_the_lock_gets_it_before_one_that_takes_it_again_and_again() {
        let (folder, _writer, wal) = new();
        let greedy = wal.another(&folder.path().join("dialogs.db")).unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (taken_once, first) = std::sync::mpsc::channel();
        let taking = std::thread::spawn(move || {
            let mut taken = 0_u64;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let lock = greedy.lock(PATIENCE).unwrap().unwrap();
                std::thread::sleep(Duration::from_millis(2));
                drop(lock);
                taken += 1;
                let _ = taken_once.send(());
            }
            taken
        });
        first.recv().unwrap();
        let mut got = 0;
        for _ in 0..20 {
            got += u64::from(wal.lock_next(PATIENCE).unwrap().is_some());
        }
        drop(stop);
        assert_eq!(got, 20);
        assert!(taking.join().unwrap() > 0);
        assert!(wal.lock(PATIENCE).unwrap().is_some(), "nobody waits any more");
    }

    #[test]
    fn a_blank_log_keeps_its_first_frames_and_nothing_of_what_was_behind_them() {
        let (_folder, writer, wal) = new();
        for round in 1..=20 {
            writer.execute("UPDATE store SET pending = ?1", [round]).unwrap();
        }
        let page_bytes: u32 =
            writer.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
        let read = || {
            let mut bytes = Vec::new();
            io::copy(&mut &*wal.file, &mut bytes).map(|_| bytes)
        };
        let before = read().unwrap();
        let kept = usize::try_from(HEADER).unwrap() + 2 * (FRAME_HEADER + page_bytes as usize);
        assert!(before[kept..].iter().any(|byte| *byte != 0));
        let lock = wal.lock(PATIENCE).unwrap().unwrap();
        let is_blank = wal.blank(&lock, 2, page_bytes).unwrap();
        std::io::Seek::rewind(&mut &*wal.file).unwrap();
        let after = read().unwrap();
        assert_eq!(after.len(), before.len());
        assert_eq!(after[..kept], before[..kept]);
        assert_eq!(after[kept..].iter().all(|byte| *byte == 0), is_blank);
    }
}
