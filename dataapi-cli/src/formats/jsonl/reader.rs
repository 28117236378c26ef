//! Reads dialogs from JSON Lines.

use std::io::{self, BufRead, Read};

use dataapi::{ImportedDialog, Invalid};
use dataapi_wire::import;

use crate::formats::import_line::{ImportLine, longest_line, too_long};

/// Reads the lines of a JSON Lines input, without blank lines and manifests of exports.
pub(crate) struct JsonlReader<R> {
    input: R,
    max_text: usize,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> JsonlReader<R> {
    pub(crate) fn new(input: R, max_text: usize) -> Self {
        Self { input, max_text, number: 0, line: Vec::new() }
    }

    fn next_line(&mut self) -> io::Result<Option<ImportLine>> {
        let longest = longest_line(self.max_text);
        loop {
            self.line.clear();
            let mut input = (&mut self.input).take((longest as u64).saturating_add(1));
            if input.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.len() > longest && self.line.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
                return Ok(Some(self.line(Err(too_long(longest)))));
            }
            let line = self.line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if let Some(dialog) = import::line(line, self.max_text).transpose() {
                return Ok(Some(self.line(dialog)));
            }
        }
    }
}

impl<R> JsonlReader<R> {
    fn line(&self, dialog: Result<ImportedDialog, Invalid>) -> ImportLine {
        ImportLine { number: self.number, last: self.number, dialog }
    }
}

impl<R: BufRead> Iterator for JsonlReader<R> {
    type Item = io::Result<ImportLine>;

    fn next(&mut self) -> Option<io::Result<ImportLine>> {
        self.next_line().transpose()
    }
}
