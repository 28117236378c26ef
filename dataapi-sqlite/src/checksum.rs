//! Check values of dialogs' rows and of the store's key: damage to the file is noticed before it is shown. SQLite itself
//! looks at how a page is laid out, not at what stands on it.
//!
//! It guards against a disk, not against an attacker, who could write a right one as well. CRC-32 takes
//! some 50 ns of a dialog of a kilobyte.

use crc32fast::Hasher;
use dataapi_core::{Date, NewDialog};

/// The check value of a row.
pub(crate) fn row(dialog: &NewDialog, date: Date, granted: Option<u64>) -> u32 {
    let mut hasher = Hasher::new();
    // None of them has a zero byte in it.
    let NewDialog { dialog_id, customer_id, language, text } = dialog;
    for value in [dialog_id.as_str(), customer_id.as_str(), language.as_str(), text.as_str()] {
        hasher.update(value.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(&date.as_micros().to_be_bytes());
    hasher.finalize() ^ state(granted)
}

/// The check value of the store's key.
pub(crate) fn key(key: &[u8; 32]) -> u32 {
    crc32fast::hash(key)
}

/// By what a grant changes the check value of a pending row, whatever stands in it: by exclusive or.
pub(crate) fn grant(position: u64) -> u32 {
    state(None) ^ state(Some(position))
}

fn state(granted: Option<u64>) -> u32 {
    // Positions begin at 1.
    crc32fast::hash(&granted.unwrap_or(0).to_be_bytes())
}
