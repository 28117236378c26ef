//! The content of a file: as it is read, as it is on the disk, and what was changed in between.

use std::collections::HashMap;
use std::ops::Range;

use crate::loss::Chance;

#[derive(Debug, Default)]
pub(crate) struct Content {
    now: Vec<u8>,
    on_disk: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Zero(Range<usize>),
    Length(usize),
}

impl Content {
    /// The bytes as they are read.
    pub(crate) fn now(&self) -> &[u8] {
        &self.now
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.reach(at + bytes.len());
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    /// Overwrites a range with zeros, and makes the file longer if it `may_grow`.
    pub(crate) fn zero(&mut self, range: Range<usize>, may_grow: bool) {
        if may_grow {
            self.reach(range.end);
        }
        let end = range.end.min(self.now.len());
        if range.start < end {
            self.change(Change::Zero(range.start..end));
        }
    }

    /// Makes the file at least this long.
    pub(crate) fn reach(&mut self, length: usize) {
        if length > self.now.len() {
            self.set_length(length);
        }
    }

    pub(crate) fn set_length(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.unsynced.push(change);
    }

    /// Brings all changes to the disk.
    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            if let Change::Write { at, bytes } = &change {
                // Its length is lost if a sync has failed before.
                let end = at + bytes.len();
                if self.on_disk.len() < end {
                    self.on_disk.resize(end, 0);
                }
            }
            apply(&mut self.on_disk, &change);
        }
    }

    /// Forgets to bring the changes to the disk.
    pub(crate) fn lose(&mut self) {
        self.unsynced.clear();
    }

    /// What the disk has after a loss of power.
    pub(crate) fn survivors(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.on_disk.clone();
        let Some(unit) = chance.unit() else { return bytes };
        let unit = usize::try_from(unit).unwrap_or(usize::MAX);
        let (mut changes, mut lengths) = (HashMap::new(), 0);
        for change in &self.unsynced {
            for unit in units(change, unit) {
                *changes.entry(unit).or_insert(0) += 1;
            }
            lengths += u64::from(matches!(change, Change::Length(_)));
        }
        let mut units_with_changes: Vec<_> = changes.keys().copied().collect();
        units_with_changes.sort_unstable();
        for unit in units_with_changes {
            changes.entry(unit).and_modify(|count| *count = chance.of(*count));
        }
        let mut lengths = chance.of(lengths);
        // Bytes behind the end may become part of the file later.
        let mut length = bytes.len();
        for change in &self.unsynced {
            if let Change::Length(new) = change {
                if lengths == 0 {
                    continue;
                }
                lengths -= 1;
                length = *new;
                if let Some(cut) = bytes.get_mut(length..) {
                    cut.fill(0);
                }
                continue;
            }
            for number in units(change, unit) {
                let left = changes.entry(number).or_insert(0);
                if *left > 0 {
                    *left -= 1;
                    apply_within(&mut bytes, change, number * unit..(number + 1) * unit);
                }
            }
        }
        bytes.resize(length, 0);
        bytes
    }
}

/// The numbers of the units that a change touches.
fn units(change: &Change, unit: usize) -> Range<usize> {
    let range = range(change);
    if range.is_empty() { 0..0 } else { range.start / unit..range.end.div_ceil(unit) }
}

fn range(change: &Change) -> Range<usize> {
    match change {
        Change::Write { at, bytes } => *at..at + bytes.len(),
        Change::Zero(range) => range.clone(),
        Change::Length(_) => 0..0,
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        _ => apply_within(bytes, change, range(change)),
    }
}

/// Applies the part of a change that lies in a range.
fn apply_within(to: &mut Vec<u8>, change: &Change, within: Range<usize>) {
    let whole = range(change);
    let part = whole.start.max(within.start)..whole.end.min(within.end);
    if part.is_empty() {
        return;
    }
    if to.len() < part.end {
        to.resize(part.end, 0);
    }
    match change {
        Change::Write { at, bytes } => {
            to[part.clone()].copy_from_slice(&bytes[part.start - at..part.end - at]);
        }
        Change::Zero(_) => to[part].fill(0),
        Change::Length(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::loss::Loss;

    const PAGE: usize = 4_096;

    fn left(content: &Content, loss: Loss) -> BTreeSet<Vec<u8>> {
        (0..400).map(|seed| content.survivors(&mut Chance::new(loss, seed))).collect()
    }

    #[test]
    fn what_was_synced_stays_and_all_else_can_go() {
        let mut content = Content::default();
        content.write(0, b"kept");
        content.sync();
        content.write(0, b"lost");
        assert_eq!(content.now(), b"lost");
        assert_eq!(left(&content, Loss::All), BTreeSet::from([b"kept".to_vec()]));
        let either = BTreeSet::from([b"kept".to_vec(), b"lost".to_vec()]);
        assert_eq!(left(&content, Loss::Pages), either);
        assert_eq!(left(&content, Loss::Sectors), either);
        content.sync();
        assert_eq!(left(&content, Loss::Sectors), BTreeSet::from([b"lost".to_vec()]));
    }

    #[test]
    fn each_page_goes_through_its_contents_by_itself() {
        let mut content = Content::default();
        content.write(0, &[1; 2 * PAGE]);
        content.sync();
        content.write(0, &[2; 2 * PAGE]);
        content.write(0, &[3; 2 * PAGE]);
        let mut seen = BTreeSet::new();
        for bytes in left(&content, Loss::Pages) {
            let (first, second) = bytes.split_at(PAGE);
            assert!(first.iter().all(|byte| *byte == first[0]), "a page is torn");
            assert!(second.iter().all(|byte| *byte == second[0]), "a page is torn");
            seen.insert((first[0], second[0]));
        }
        assert_eq!(seen.len(), 9, "{seen:?}");
        let is_torn = |bytes: &Vec<u8>| bytes[..PAGE].iter().any(|byte| *byte != bytes[0]);
        let torn = left(&content, Loss::Sectors);
        assert!(torn.iter().any(is_torn));
        for bytes in torn {
            let whole = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
            assert!(bytes.chunks(512).all(whole), "a sector is torn");
        }
    }

    #[test]
    fn lengths_keep_their_order_and_what_was_cut_does_not_come_back() {
        let mut content = Content::default();
        content.write(0, &[1; PAGE]);
        content.sync();
        content.set_length(0);
        content.write(PAGE, &[2; PAGE]);
        let found = left(&content, Loss::Pages);
        let lengths: BTreeSet<_> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, BTreeSet::from([0, PAGE, 2 * PAGE]));
        let longest: BTreeSet<_> =
            found.iter().filter(|bytes| bytes.len() == 2 * PAGE).map(|bytes| bytes[0]).collect();
        assert_eq!(longest, BTreeSet::from([0]));
    }

    #[test]
    fn zeros_are_a_change_like_any_other() {
        let mut content = Content::default();
        content.write(0, &[1; 3 * PAGE]);
        content.sync();
        content.zero(PAGE..9 * PAGE, false);
        assert_eq!(content.now().len(), 3 * PAGE);
        assert!(content.now()[PAGE..].iter().all(|byte| *byte == 0));
        let kinds = left(&content, Loss::Pages);
        assert_eq!(kinds.len(), 4, "each of two pages is left or not");
        content.zero(0..4 * PAGE, true);
        content.sync();
        assert_eq!(left(&content, Loss::All), BTreeSet::from([vec![0; 4 * PAGE]]));
    }

    #[test]
    fn a_failed_sync_is_not_made_up_for() {
        let mut content = Content::default();
        content.write(0, b"one");
        content.lose();
        content.write(3, b"two");
        content.sync();
        assert_eq!(content.now(), b"onetwo");
        assert_eq!(left(&content, Loss::All), BTreeSet::from([b"\0\0\0two".to_vec()]));
    }
}
