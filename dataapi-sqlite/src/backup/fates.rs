//! What has happened to the dialogs of a backup since it was made, by a newer ledger.

use std::collections::HashMap;

use dataapi_core::{DialogRef, Event, EventKind, RefKey};

use crate::rows::chains::Chains;
use crate::rows::dialogs::DialogRow;
use crate::rows::event_number::EventNumber;
use crate::rows::values;

/// What has happened to the dialogs of a backup since it was made.
#[derive(Default)]
pub(crate) struct Fates(HashMap<DialogRef, Fate>);

/// What has happened to one of them.
#[derive(Clone, Copy)]
enum Fate {
    /// It was consented to by the event of that number.
    Granted(EventNumber),
    /// It was withdrawn or erased; a dialog that took its id later is another one.
    Gone,
}

impl Fates {
    pub(crate) fn add(&mut self, event: &Event, chains: &Chains) -> rusqlite::Result<()> {
        let fate = match event.kind {
            EventKind::Granted => {
                let number = chains.event_number(event.chain, event.position);
                Fate::Granted(number.ok_or_else(|| values::damaged(0))?)
            }
            EventKind::Withdrawn | EventKind::Erased | EventKind::Expired => Fate::Gone,
        };
        self.0
            .entry(event.reference)
            .and_modify(|before| {
                if matches!(fate, Fate::Gone) {
                    *before = fate;
                }
            })
            .or_insert(fate);
        Ok(())
    }

    /// Whether anything has happened to that dialog.
    pub(crate) fn tell_of(&self, reference: &DialogRef) -> bool {
        self.0.contains_key(reference)
    }

    /// Those that may come back, as they are to stand, and how many may not.
    pub(crate) fn sort(&self, key: &RefKey, rows: Vec<DialogRow>) -> (Vec<DialogRow>, u64) {
        if self.0.is_empty() {
            return (rows, 0);
        }
        let all = rows.len();
        let staying: Vec<_> = rows
            .into_iter()
            .filter_map(|mut row| match self.0.get(&key.reference(&row.dialog.dialog_id)) {
                None => Some(row),
                Some(Fate::Granted(number)) => {
                    row.granted = Some(*number);
                    Some(row)
                }
                Some(Fate::Gone) => None,
            })
            .collect();
        let gone = all - staying.len();
        (staying, gone as u64)
    }
}
