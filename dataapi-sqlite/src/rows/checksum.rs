//! Check values of dialogs, keys and the store's own key: damage to the file is noticed before anything is
//! shown or allowed by it. SQLite itself looks at how a page is laid out, not at what stands on it.
//!
//! They guard against a disk, not against an attacker, who could write right ones as well.

use std::iter::once;

use crc32fast::Hasher;
use dataapi_core::{CustomerPrefix, Date, Key, Language, NewDialog};

use crate::rows::event_number::EventNumber;

/// The check value of a dialog's row: 35 ns, 4 % of a page that the library reads from anywhere.
pub(crate) fn dialog(dialog: &NewDialog, date: Date, granted: Option<EventNumber>) -> u32 {
    let mut hasher = Hasher::new();
    let NewDialog { dialog_id, customer_id, language, text } = dialog;
    let [id, customer, language] = [dialog_id.as_str(), customer_id.as_str(), language.as_str()];
    for value in [text.as_str(), id, customer, language] {
        hasher.update(value.as_bytes());
    }
    // Where each of them ends; none of these is longer than 255 bytes.
    let [id, customer, language] = [id, customer, language].map(|value| value.len() as u64);
    let ends = id << 16 | customer << 8 | language;
    hasher.update(
        &(u128::from(date.as_micros().cast_unsigned()) << 64 | u128::from(ends)).to_be_bytes(),
    );
    hasher.finalize() ^ state(granted)
}

/// The check value of the key of the store's references.
pub(crate) fn ref_key(key: &[u8; 32]) -> u32 {
    crc32fast::hash(key)
}

/// The check value of a key's row.
pub(crate) fn api_key(key: &Key) -> u32 {
    let mut hasher = Hasher::new();
    let reach = key.grant.reach();
    let languages = reach.languages().iter().map(Language::as_str);
    // No name, language or prefix has a zero byte in it.
    for value in once(key.name.as_str())
        .chain(languages)
        .chain([""])
        .chain(reach.customers().map(CustomerPrefix::as_str))
    {
        hasher.update(value.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(&[key.grant.roles().bits()]);
    hasher.update(key.hash.as_bytes());
    for date in [Some(key.created), key.expires, key.revoked, key.last_used] {
        // No date is as early.
        hasher.update(&date.map_or(i64::MIN, Date::as_micros).to_be_bytes());
    }
    hasher.finalize()
}

/// By what a grant changes the check value of a pending row, whatever stands in it: by exclusive or.
pub(crate) fn grant(number: EventNumber) -> u32 {
    state(None) ^ state(Some(number))
}

fn state(granted: Option<EventNumber>) -> u32 {
    // The numbers of events begin at 1.
    crc32fast::hash(&granted.unwrap_or(EventNumber::START).get().to_be_bytes())
}
