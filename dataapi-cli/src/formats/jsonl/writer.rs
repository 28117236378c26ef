//! Writes dialogs as JSON Lines.

use std::io::{self, Write};

use dataapi::{Dialog, DialogRef, Filter, LedgerHead};
use dataapi_wire::ExportedDialog;

use super::line::write_line;
use super::manifest::LineDigest;

/// Writes dialogs as JSON Lines; if they have references, writes a manifest after them.
pub(crate) struct JsonlWriter<W> {
    out: W,
    on_terminal: bool,
    line: Vec<u8>,
    /// `None` for lines without references, which get no manifest.
    written: Option<LineDigest>,
}

impl<W: Write> JsonlWriter<W> {
    pub(crate) fn new(out: W, on_terminal: bool, references: bool) -> Self {
        Self { out, on_terminal, line: Vec::new(), written: references.then(LineDigest::default) }
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: DialogRef) -> io::Result<()> {
        let exported = ExportedDialog::new(dialog, self.written.is_some().then_some(reference));
        self.line.clear();
        write_line(&mut self.line, &exported, self.on_terminal)?;
        if let Some(written) = &mut self.written {
            written.add(&self.line);
        }
        self.out.write_all(&self.line)
    }

    pub(crate) fn finish(&mut self, filter: &Filter, head: &LedgerHead) -> io::Result<()> {
        match &self.written {
            Some(written) => written.write_manifest(&mut self.out, filter, head),
            None => Ok(()),
        }
    }

    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

/// The line of a dialog in an export, including the line end.
pub(crate) fn export_line(dialog: &Dialog, reference: DialogRef) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    write_line(&mut line, &ExportedDialog::new(dialog, Some(reference)), false)?;
    Ok(line)
}
