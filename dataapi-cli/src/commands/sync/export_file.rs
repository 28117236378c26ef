//! The file of an export: checks it against its manifest, and rewrites it with the changes since.

use std::io::{self, BufRead, Read, Write};

use dataapi::{Dialog, Position};
use dataapi_wire::{ExportedLine, Manifest};

use super::changes::ChangesSinceExport;
use super::error::SyncError;
use crate::error::CommandError;
use crate::formats::jsonl::{LineDigest, export_line, parse_manifest};

/// The longest line: the longest text with each byte escaped as six, and the other members.
const LONGEST_LINE: u64 = 128 << 20;

/// How many dialogs were added to and removed from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncCounts {
    pub(super) added: u64,
    pub(super) removed: u64,
}

impl std::ops::AddAssign for SyncCounts {
    fn add_assign(&mut self, more: Self) {
        self.added += more.added;
        self.removed += more.removed;
    }
}

/// Reads an export with its manifest, and checks that it was not changed.
pub(super) fn check(input: impl BufRead) -> Result<Manifest, CommandError> {
    let mut digest = LineDigest::default();
    let mut last = Vec::new();
    each_line(input, |line| {
        if !last.is_empty() {
            digest.add(&last);
        }
        last.clear();
        last.extend_from_slice(line);
        Ok(())
    })
    .map_err(CommandError::Input)?;
    let manifest = parse_manifest(&last).ok_or(SyncError::NoManifest)?;
    if digest.matches(&manifest) { Ok(manifest) } else { Err(SyncError::Changed.into()) }
}

fn each_line(
    mut input: impl BufRead,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(&line)?;
    }
}

/// Writes the lines of an export that stay and those that are new, in order, then a new manifest.
pub(super) fn rewrite(
    old: impl BufRead,
    manifest: &Manifest,
    changes: &ChangesSinceExport,
    out: &mut impl Write,
) -> Result<SyncCounts, CommandError> {
    let filter = manifest.filter().map_err(|_| SyncError::Changed)?;
    let mut new: Vec<_> = changes
        .by_dialog
        .iter()
        .filter_map(|(reference, dialog)| Some((reference, dialog.as_ref()?)))
        .map(|(reference, dialog)| (position(dialog), reference, dialog))
        .collect();
    new.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut counts = SyncCounts { added: new.len() as u64, removed: 0 };
    let mut new = new.into_iter().peekable();
    let mut digest = LineDigest::default();
    let mut left = manifest.count;
    let mut write = |out: &mut _, line: &[u8]| {
        digest.add(line);
        Write::write_all(out, line)
    };
    let stale = || io::Error::other(SyncError::Changed);
    each_line(old, |line| {
        // The line after the last dialog is the old manifest.
        let Some(rest) = left.checked_sub(1) else { return Ok(()) };
        left = rest;
        let old: ExportedLine = serde_json::from_slice(line).map_err(|_| stale())?;
        match changes.by_dialog.get(&old.reference) {
            None => {}
            Some(None) => {
                counts.removed += 1;
                return Ok(());
            }
            // The dialog was consented to while the export was written, so the export already has it.
            Some(Some(_)) => {
                counts.added -= 1;
                return Ok(());
            }
        }
        let old = old.position();
        while let Some((_, reference, dialog)) = new.next_if(|(new, ..)| *new < old) {
            write(out, &export_line(dialog, *reference)?)?;
        }
        write(out, line)
    })?;
    for (_, reference, dialog) in new {
        write(out, &export_line(dialog, *reference)?)?;
    }
    digest.write_manifest(out, &filter, &changes.head)?;
    Ok(counts)
}

fn position(dialog: &Dialog) -> Position {
    Position { date: dialog.date(), dialog_id: dialog.dialog_id().clone() }
}
