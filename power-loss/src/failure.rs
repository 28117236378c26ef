//! Writes and syncs that fail.

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What changes a file's content or length.
    Writes,
    /// Syncs of a file or of the folder.
    Syncs,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `EIO`: the disk is broken.
    Broken,
    /// `ENOSPC`: the disk is full.
    Full,
    /// A write writes a part and says so. A sync is not shortened.
    Short,
}

/// A call that fails, and whether all after it fail too.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Which calls are counted.
    pub what: What,
    /// How many of them succeed first.
    pub after: u64,
    /// How many fail then.
    pub times: u64,
    /// How they fail.
    pub how: How,
}

impl Failure {
    /// Counts a call. Returns how it fails, or `None` if it succeeds.
    pub(crate) fn count(&mut self, what: What) -> Option<How> {
        if what != self.what {
            None
        } else if self.after > 0 {
            self.after -= 1;
            None
        } else if self.times > 0 {
            self.times -= 1;
            Some(self.how)
        } else {
            None
        }
    }
}

/// Syncs that do nothing, though they succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Those of files.
    Files,
    /// Those of the folder.
    Folder,
}
