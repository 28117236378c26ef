//! What happened to the dialogs of a backup after it was made, according to a newer ledger.

use std::collections::HashMap;

use dataapi_core::{DialogRef, Event, EventKind, RefKey};

use crate::rows::chains::Chains;
use crate::rows::dialogs::DialogRow;
use crate::rows::event_number::EventNumber;
use crate::rows::values;

/// What happened to the dialogs of a backup after it was made.
#[derive(Default)]
pub(crate) struct Fates(HashMap<DialogRef, Fate>);

/// What happened to one dialog.
#[derive(Clone, Copy)]
enum Fate {
    /// It was granted, by the event with this number.
    Granted(EventNumber),
    /// It was withdrawn or erased. If its id has events after that, they are of another dialog.
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

    /// Whether anything happened to this dialog.
    pub(crate) fn tell_of(&self, reference: &DialogRef) -> bool {
        self.0.contains_key(reference)
    }

    /// Returns the rows that may come back, with their later grants, and how many rows may not.
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
