//! All that the file system knows: names, contents, failures, and whom to call before a change.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::time::SystemTime;

use crate::content::Content;
use crate::failure::{Failure, How, Ignored, What};
use crate::image::Image;
use crate::loss::{Chance, Loss};
use crate::names::{Names, Number};

/// The permissions of the files that a disk has from the beginning.
const PRIVATE: u16 = 0o600;

/// What a test does before each change.
pub(crate) type BeforeEachChange = Box<dyn FnMut(&mut Moment<'_>) + Send>;

/// The moment before a change of the disk.
#[derive(Debug)]
pub struct Moment<'d> {
    disk: &'d OnDisk,
    failures: &'d mut Vec<Failure>,
}

impl Moment<'_> {
    /// The files that a loss of power at this moment leaves. The seed decides what is left by chance.
    pub fn survivors(&self, loss: Loss, seed: u64) -> Image {
        self.disk.survivors(loss, seed)
    }

    /// Makes some of the next writes or syncs fail, perhaps the one that is about to come.
    pub fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
    }
}

pub(crate) struct State {
    pub(crate) disk: OnDisk,
    before_each_change: Option<BeforeEachChange>,
    failures: Vec<Failure>,
    pub(crate) ignored: Option<Ignored>,
    /// Without power, everything fails.
    pub(crate) has_power: bool,
    /// The number of the next file or open file.
    next: u64,
}

/// What a loss of power can take away.
#[derive(Debug, Default)]
pub(crate) struct OnDisk {
    pub(crate) names: Names,
    pub(crate) files: HashMap<Number, File>,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) content: Content,
    pub(crate) permissions: u16,
    pub(crate) changed: SystemTime,
    /// Each time that it is open, and how many of its failed syncs that one has been told of.
    pub(crate) opened: HashMap<Handle, u64>,
    /// How many syncs of it have failed.
    pub(crate) failed_syncs: u64,
}

/// The number of an open file.
pub(crate) type Handle = u64;

impl File {
    fn new(permissions: u16) -> Self {
        Self {
            content: Content::default(),
            permissions,
            changed: SystemTime::now(),
            opened: HashMap::new(),
            failed_syncs: 0,
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl State {
    /// A disk that has these files.
    pub(crate) fn with(left: &Image) -> Self {
        let mut state = Self::empty();
        for (name, bytes) in left.files() {
            let number = state.create(name, PRIVATE);
            if let Some(file) = state.disk.files.get_mut(&number) {
                file.content.write(0, bytes);
                file.content.sync();
            }
        }
        state.disk.names.sync();
        state
    }

    fn empty() -> Self {
        Self {
            disk: OnDisk::default(),
            before_each_change: None,
            failures: Vec::new(),
            ignored: None,
            has_power: true,
            // The folder itself has this number.
            next: 1,
        }
    }

    pub(crate) fn call(&mut self, before_each_change: Option<BeforeEachChange>) {
        self.before_each_change = before_each_change;
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    pub(crate) fn heal(&mut self) {
        self.failures.clear();
    }

    /// Whether all failures that were asked for have happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Calls the test before a change.
    pub(crate) fn changes(&mut self) {
        if let Some(call) = &mut self.before_each_change {
            call(&mut Moment { disk: &self.disk, failures: &mut self.failures });
        }
    }

    /// How this call fails, if it does.
    pub(crate) fn failure(&mut self, what: What) -> Option<How> {
        let counted = self.failures.iter_mut().map(|failure| failure.count(what));
        // Each one counts, whether or not another one strikes.
        let failure = counted.fold(None, Option::or);
        self.failures.retain(|failure| failure.times > 0);
        failure
    }

    pub(crate) fn create(&mut self, name: &OsStr, permissions: u16) -> Number {
        let number = self.number();
        self.disk.files.insert(number, File::new(permissions));
        self.disk.names.set(name, Some(number));
        number
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Opens a file; `None` if there is none.
    pub(crate) fn open(&mut self, number: Number) -> Option<Handle> {
        let handle = self.number();
        let file = self.disk.files.get_mut(&number)?;
        file.opened.insert(handle, file.failed_syncs);
        Some(handle)
    }

    /// Forgets a file that nobody can reach any more.
    pub(crate) fn forget(&mut self, number: Number) {
        let is_open = self.disk.files.get(&number).is_some_and(|file| !file.opened.is_empty());
        if !is_open && !self.disk.names.knows(number) {
            self.disk.files.remove(&number);
        }
    }

    /// Forgets all such files.
    pub(crate) fn forget_unreachable(&mut self) {
        let OnDisk { names, files } = &mut self.disk;
        files.retain(|number, file| !file.opened.is_empty() || names.knows(*number));
    }
}

impl OnDisk {
    pub(crate) fn survivors(&self, loss: Loss, seed: u64) -> Image {
        let mut chance = Chance::new(loss, seed);
        let names = self.names.survivors(&mut chance);
        let content = |number: &Number| {
            let file = self.files.get(number);
            file.map(|file| file.content.survivors(&mut chance)).unwrap_or_default()
        };
        let contents: Vec<_> = names.values().map(content).collect();
        Image::new(names.into_keys().zip(contents).collect())
    }
}
