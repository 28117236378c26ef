//! The names in the folder: as they are seen, as they are on the disk, and what was changed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::loss::Chance;

/// The number of a file.
pub(crate) type Number = u64;

#[derive(Debug, Default)]
pub(crate) struct Names {
    now: BTreeMap<OsString, Number>,
    on_disk: BTreeMap<OsString, Number>,
    unsynced: Vec<Change>,
}

/// What each name stands for from now on, together or not at all.
type Change = Vec<(OsString, Option<Number>)>;

impl Names {
    pub(crate) fn get(&self, name: &OsStr) -> Option<Number> {
        self.now.get(name).copied()
    }

    /// The names as they are seen.
    pub(crate) fn now(&self) -> &BTreeMap<OsString, Number> {
        &self.now
    }

    pub(crate) fn set(&mut self, name: &OsStr, file: Option<Number>) {
        self.change(vec![(name.to_owned(), file)]);
    }

    pub(crate) fn rename(&mut self, from: &OsStr, to: &OsStr) {
        if from != to {
            let file = self.get(from);
            self.change(vec![(from.to_owned(), None), (to.to_owned(), file)]);
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.unsynced.push(change);
    }

    /// Brings all changes to the disk.
    pub(crate) fn sync(&mut self) {
        self.unsynced.drain(..).for_each(|change| apply(&mut self.on_disk, &change));
    }

    /// Whether this file has a name, or can have one after a loss of power.
    pub(crate) fn knows(&self, file: Number) -> bool {
        let later = self.unsynced.iter().flatten().filter_map(|(_, file)| file.as_ref());
        self.now.values().chain(self.on_disk.values()).chain(later).any(|known| *known == file)
    }

    /// What the disk has after a loss of power.
    pub(crate) fn survivors(&self, chance: &mut Chance) -> BTreeMap<OsString, Number> {
        let mut names = self.on_disk.clone();
        let mut lost = BTreeSet::new();
        for change in &self.unsynced {
            let follows_lost = change.iter().any(|(name, _)| lost.contains(name));
            if follows_lost || chance.of(1) == 0 {
                lost.extend(change.iter().map(|(name, _)| name));
            } else {
                apply(&mut names, change);
            }
        }
        names
    }
}

fn apply(names: &mut BTreeMap<OsString, Number>, change: &Change) {
    for (name, file) in change {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Loss;

    fn left(names: &Names, loss: Loss) -> BTreeSet<Vec<(String, Number)>> {
        let one = |seed| {
            let left = names.survivors(&mut Chance::new(loss, seed));
            left.into_iter().map(|(name, file)| (name.into_string().unwrap(), file)).collect()
        };
        (0..200).map(one).collect()
    }

    #[test]
    fn a_name_is_on_the_disk_after_a_sync_and_a_move_is_never_half_there() {
        let mut names = Names::default();
        names.set(OsStr::new("a"), Some(1));
        assert_eq!(left(&names, Loss::All), BTreeSet::from([vec![]]));
        names.sync();
        names.rename(OsStr::new("a"), OsStr::new("b"));
        names.set(OsStr::new("c"), Some(2));
        let all_or_none = |name: &str, file| vec![(name.to_owned(), file)];
        let with = |name: &str| vec![(name.to_owned(), 1), ("c".to_owned(), 2)];
        let expected = [all_or_none("a", 1), all_or_none("b", 1), with("a"), with("b")];
        assert_eq!(left(&names, Loss::Pages), BTreeSet::from(expected));
    }

    #[test]
    fn the_changes_of_one_name_keep_their_order() {
        let mut names = Names::default();
        names.set(OsStr::new("a"), Some(1));
        names.set(OsStr::new("a"), None);
        names.set(OsStr::new("a"), Some(2));
        let one = |file| vec![("a".to_owned(), file)];
        assert_eq!(left(&names, Loss::Sectors), BTreeSet::from([vec![], one(1), one(2)]));
        assert!(names.knows(1) && names.knows(2));
        names.sync();
        assert!(!names.knows(1) && names.knows(2));
    }
}
