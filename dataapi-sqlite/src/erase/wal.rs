//! The write-ahead log as a file: reads its pages, locks it among writers, and overwrites its old frames.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::erase::wal_index::Salt;

/// The size of the log's own header, in bytes (<https://www.sqlite.org/fileformat2.html>, section
/// 4.1).
const HEADER: u64 = 32;
/// The size of a frame's header, which comes before the page, in bytes.
const FRAME_HEADER: usize = 24;
/// How many frames one call reads at most.
const AT_ONCE: u32 = 64;

/// The log of a store. SQLite holds no locks on this file, so it can be closed like any other.
#[derive(Clone, Debug)]
pub(crate) struct Wal {
    file: Arc<File>,
    /// Whether the scrubber of this store is waiting for the lock and goes first.
    is_wanted: Arc<AtomicBool>,
}

/// The lock on the log. While it is held, no other open store, in this or another process, writes to the log.
///
/// SQLite's own write lock lasts for one transaction. A scrub needs to keep others from writing between two.
#[derive(Debug)]
pub(crate) struct WalLock(Arc<File>);

impl Wal {
    /// Opens the log of the store at this path. Before the call, a connection must have read from the store, and
    /// must stay open for as long as this: SQLite removes the log when the last connection closes.
    pub(crate) fn open(store: &Path) -> io::Result<Self> {
        Ok(Self { file: open(store)?, is_wanted: Arc::default() })
    }

    /// Opens the log of the same store for another thread, which takes the lock independently.
    pub(crate) fn another(&self, store: &Path) -> io::Result<Self> {
        Ok(Self { file: open(store)?, is_wanted: Arc::clone(&self.is_wanted) })
    }

    /// Waits for the lock, at most for `patience`. Returns `None` if it was not free in that time.
    pub(crate) fn lock(&self, patience: Duration) -> io::Result<Option<WalLock>> {
        self.lock_when(|| !self.is_wanted.load(Ordering::Relaxed), patience)
    }

    /// Waits for the lock like [`lock`](Self::lock), but goes before the other threads of this store.
    ///
    /// A writer that commits without a pause takes the lock again long before a waiting scrubber sees that it was
    /// free. Without precedence, as much would be written during the wait as the scrubber has just checkpointed.
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

    /// Where the frame after the first `frames` frames begins, in bytes.
    pub(crate) fn offset(frames: u32, page_bytes: u32) -> u64 {
        HEADER + u64::from(frames) * (FRAME_HEADER as u64 + u64::from(page_bytes))
    }

    /// The length of the file, in bytes.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Overwrites a range of the file with zeros. The range lies behind the last frame. Returns false if the file system cannot do that without writing all the zeros.
    ///
    /// The file keeps its length. To cut it would take several times as long: the file system would free all its
    /// space, and allocate it again in the commits that follow.
    pub(crate) fn blank(&self, _: &WalLock, range: Range<u64>) -> bool {
        range.is_empty() || zero(&self.file, range.start, range.end - range.start)
    }

    /// Writes the whole file once more, and waits until it is on the disk. The caller keeps everybody from writing to it.
    pub(crate) fn write_again(&self, _: &WalLock) -> io::Result<()> {
        let mut bytes = vec![0; 1 << 20];
        let mut at = 0;
        loop {
            let count = self.file.read_at(&mut bytes, at)?;
            if count == 0 {
                return self.file.sync_data();
            }
            self.file.write_all_at(&bytes[..count], at)?;
            at += count as u64;
        }
    }

    /// Waits until what was overwritten is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Calls `each` with the number and the bytes of the page in each frame, from the frame after the first `after`
    /// frames to the frame `to`. Returns false if the log does not have this salt any more: it was restarted.
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
        // If this fails, the lock is released when the file is closed.
        let _ = self.0.unlock();
    }
}

fn open(store: &Path) -> io::Result<Arc<File>> {
    let mut name = store.as_os_str().to_owned();
    name.push("-wal");
    Ok(Arc::new(File::options().read(true).write(true).open(name)?))
}

/// Turns a range of a file into zeros without writing them. Returns false if the file system cannot.
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

    /// A new store, with a connection that keeps its log open.
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
        let is_blank = wal.blank(&lock, Wal::offset(2, page_bytes)..wal.length().unwrap());
        std::io::Seek::rewind(&mut &*wal.file).unwrap();
        let after = read().unwrap();
        assert_eq!(after.len(), before.len());
        assert_eq!(after[..kept], before[..kept]);
        assert_eq!(after[kept..].iter().all(|byte| *byte == 0), is_blank);
    }
}
