//! A mounted disk, as tests use it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::BackgroundSession;
use tempfile::TempDir;

use crate::failure::{Failure, Ignored};
use crate::image::Image;
use crate::loss::Loss;
use crate::mount::mount;
use crate::state::{Moment, State};

/// A mounted disk. Dropping it unmounts it; no process may have a file open then.
#[derive(Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    // Unmounted before the folder is removed.
    session: Option<BackgroundSession>,
    place: TempDir,
}

impl Disk {
    /// Mounts an empty disk in a temporary folder.
    ///
    /// # Errors
    /// If the system allows no process, or not this one, to mount a file system; [`may_mount_disk`](crate::may_mount_disk) helps.
    pub fn mount() -> io::Result<Self> {
        Self::mount_again(&Image::default())
    }

    /// Mounts a disk that has what a loss of power has left.
    ///
    /// # Errors
    /// As [`mount`](Self::mount).
    pub fn mount_again(left: &Image) -> io::Result<Self> {
        let place = tempfile::Builder::new().prefix("power-loss-").tempdir()?;
        let state = Arc::new(Mutex::new(State::with(left)));
        let session = Some(mount(Arc::clone(&state), place.path())?);
        Ok(Self { state, session, place })
    }

    /// The folder. Only other processes can use it.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The files that a loss of power at this moment leaves. The seed decides what is left by chance.
    pub fn survivors(&self, loss: Loss, seed: u64) -> Image {
        self.state().disk.survivors(loss, seed)
    }

    /// Calls `call` before each change of the disk. The change waits for it.
    pub fn before_each_change(&self, call: impl FnMut(&mut Moment<'_>) + Send + 'static) {
        self.state().call(Some(Box::new(call)));
    }

    /// Ends the calls before each change.
    pub fn call_no_more(&self) {
        self.state().call(None);
    }

    /// From now on everything fails with `EIO`, so nothing is synced any more. Returns what is left of the disk.
    pub fn cut_power(&self, loss: Loss, seed: u64) -> Image {
        let mut state = self.state();
        state.has_power = false;
        state.disk.survivors(loss, seed)
    }

    /// Makes some of the next writes or syncs fail.
    pub fn fail(&self, failure: Failure) {
        self.state().fail(failure);
    }

    /// Ends all failures.
    pub fn heal(&self) {
        self.state().heal();
    }

    /// Whether all failures that were asked for have happened.
    pub fn has_failed(&self) -> bool {
        self.state().has_failed()
    }

    /// From now on, these syncs do nothing, though they succeed: a disk that lies, or a program that leaves them out.
    pub fn ignore_syncs(&self, ignored: Ignored) {
        self.state().ignored = Some(ignored);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // If this fails, the folder stays mounted until this process ends.
            let _ = session.umount_and_join();
        }
    }
}
