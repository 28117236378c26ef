//! The progress of long work: a bar on a terminal, plain lines elsewhere.

use std::io::Read;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::messages::say;

const LINE_EVERY: u64 = 10_000;
const LINE_AFTER: Duration = Duration::from_secs(5);

/// Shows the progress of work on standard error.
#[derive(Debug)]
pub(crate) struct WorkProgress {
    bar: ProgressBar,
    /// The unit that is counted, such as "lines read".
    what: &'static str,
    lines: Option<LastPlainLine>,
    count: u64,
}

/// The last plain line.
#[derive(Debug)]
struct LastPlainLine {
    count: u64,
    at: Instant,
}

impl WorkProgress {
    /// Progress towards `total` of `what`.
    pub(crate) fn counting(quiet: bool, what: &'static str, total: u64) -> Self {
        let progress =
            Self::new(quiet, what, Some(total), "{bar:30} {pos}/{len} {msg}, {eta} left");
        progress.bar.set_message(what);
        progress
    }

    /// Progress of an unknown total of `what`.
    pub(crate) fn passing(quiet: bool, what: &'static str) -> Self {
        let progress = Self::new(quiet, what, None, "{spinner} {pos} {msg}");
        progress.bar.set_message(what);
        progress
    }

    /// Progress towards the end of an input with this many `bytes`, if the number is known. Wrap the input in
    /// [`WorkProgress::reads`] to move the bar.
    pub(crate) fn reading(quiet: bool, what: &'static str, bytes: Option<u64>) -> Self {
        let template = match bytes {
            Some(_) => "{bar:30} {bytes}/{total_bytes}, {msg}, {eta} left",
            None => "{spinner} {bytes}, {msg}",
        };
        let progress = Self::new(quiet, what, bytes, template);
        progress.bar.set_message(format!("0 {what}"));
        progress
    }

    fn new(quiet: bool, what: &'static str, total: Option<u64>, template: &str) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let plain = bar.is_hidden() && !quiet;
        let lines = plain.then(|| LastPlainLine { count: 0, at: Instant::now() });
        Self { bar, what, lines, count: 0 }
    }

    /// Wraps `input` so that each read moves the bar.
    pub(crate) fn reads<R: Read + Send + 'static>(&self, input: R) -> Box<dyn Read + Send> {
        Box::new(self.bar.wrap_read(input))
    }

    /// Counts `n` more units as done, and moves the bar by them.
    pub(crate) fn done(&mut self, n: u64) {
        self.bar.inc(n);
        self.count(n);
    }

    /// Counts `n` more units as done, where the bar moves with the bytes read.
    pub(crate) fn read(&mut self, n: u64) {
        self.count(n);
        self.bar.set_message(format!("{} {}", self.count, self.what));
    }

    fn count(&mut self, n: u64) {
        self.count += n;
        let (count, what) = (self.count, self.what);
        if let Some(last) = &mut self.lines
            && (count - last.count >= LINE_EVERY || last.at.elapsed() >= LINE_AFTER)
        {
            *last = LastPlainLine { count, at: Instant::now() };
            say(&format!("{count} {what}"));
        }
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
