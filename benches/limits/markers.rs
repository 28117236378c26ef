//! Searches files for the ids of dialogs that must be gone.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use memchr::memmem::Finder;

use crate::data::{MARKER_AT, Space, number_of};

/// How much of a file is looked at together. It fits into the cache of a processor.
const AT_ONCE: usize = 256 << 10;

/// The pause after each part of a file, so that a search takes no core from the server for long.
const PAUSE: Duration = Duration::from_micros(500);

/// Reads a file in no hurry.
struct Unhurried(File);

impl Read for Unhurried {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(PAUSE);
        self.0.read(buffer)
    }
}

/// What the ids of the searched dialogs have in common.
pub(crate) struct Markers(Finder<'static>);

impl Markers {
    /// Finds the ids of a space in order. With `odd`, those of its odd numbers.
    pub(crate) fn of(space: Space, odd: bool) -> Self {
        Self(Finder::new(&space.marker(odd)).into_owned())
    }

    /// How many ids with a number below `end` there are in the file. A file that is not there has none.
    pub(crate) fn count_in(&self, path: &Path, end: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
        match File::open(path) {
            Ok(file) => self.count(Unhurried(file), end, buffer),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn count(
        &self,
        mut from: impl Read,
        end: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<u64> {
        let needle = self.0.needle().len();
        buffer.resize(AT_ONCE, 0);
        let (mut filled, mut count) = (0, 0);
        loop {
            let read = from.read(&mut buffer[filled..])?;
            if read == 0 {
                return Ok(count);
            }
            filled += read;
            let bytes = &buffer[..filled];
            // Each marker is found once: what is kept below is shorter than an id up to its marker's end.
            for at in self.0.find_iter(bytes) {
                let start = at.checked_sub(MARKER_AT).and_then(|start| bytes.get(start..at));
                let number = start.and_then(|start| number_of(start.try_into().ok()?));
                count += u64::from(number.is_some_and(|number| number < end));
            }
            let kept = filled.min(MARKER_AT + needle - 1);
            buffer.copy_within(filled - kept..filled, 0);
            filled = kept;
        }
    }
}
