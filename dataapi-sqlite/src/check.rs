//! Whether a store file is whole: its pages, its counts, and what its tables say of each other.

use std::path::Path;

use dataapi_core::{Audit, BrokenChain, EventKind, Positions};
use rusqlite::{Connection, OptionalExtension};

use crate::error::OpenError;
use crate::open::open_backup;
use crate::rows::chains::Chains;
use crate::rows::dialogs::{self, DIALOG_COLUMNS};
use crate::rows::identity::ref_key;
use crate::rows::ledger::{self, EVENT_COLUMNS};
use crate::rows::{keys, values};

/// As many are told of each kind of damage: they are for people, and may be millions.
const MOST: u32 = 100;

/// What is wrong with a store. None of it says what a dialog holds, or whose it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// SQLite finds its own pages or indexes broken; in its words.
    #[error("the file is damaged: {0}")]
    File(String),

    /// A kept count is not what is there.
    #[error("the count of {what} is {kept}, but there are {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// The count that is kept.
        kept: u64,
        /// How many there are.
        found: u64,
    },

    /// Dialogs are not as they were written.
    #[error("{0} dialogs are not as they were written")]
    Dialogs(u64),

    /// Dialogs are consented to by no event of theirs.
    #[error("{0} consented dialogs have no event of their consent in the ledger")]
    Consent(u64),

    /// Tombstones are not of the dialogs that their events are of.
    #[error("{0} tombstones are not as they were written")]
    Tombstones(u64),

    /// Keys are not as they were written: a server lets nobody in.
    #[error("a key is not as it was written; no server lets anybody in")]
    Keys,

    /// Dialogs are there that the ledger says are gone.
    #[error("{0} dialogs are there whose tombstone stands")]
    Tombstone(u64),

    /// The ledger is not what it was.
    #[error(transparent)]
    Ledger(#[from] BrokenChain),
}

/// Looks at every page and every row of the store at `path`; yields what is wrong, nothing if it is whole.
///
/// It is one read that takes some ten seconds for each million dialogs, and erasures in a store that is in
/// use wait for it: rather check a backup. It changes nothing.
///
/// # Errors
/// [`OpenError`] when the file cannot be opened as a store, or is damaged so that it cannot be read on.
pub fn check(path: &Path) -> Result<Vec<Damage>, OpenError> {
    let connection = open_backup(path)?;
    let moment = connection.unchecked_transaction()?;
    let mut damage = pages(&moment)?;
    if damage.is_empty() {
        damage.extend(counts(&moment)?);
        damage.extend(references(&moment)?);
        damage.extend(chains(&moment)?);
    }
    Ok(damage)
}

fn pages(connection: &Connection) -> rusqlite::Result<Vec<Damage>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MOST})"))?;
    let found = check.query_map((), |row| row.get::<_, String>(0))?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").map(Damage::File).collect())
}

fn counts(connection: &Connection) -> rusqlite::Result<Vec<Damage>> {
    const COUNTS: [(&str, &str, &str); 6] = [
        (
            "pending dialogs",
            "SELECT pending FROM store",
            "SELECT count(*) FROM dialog WHERE granted IS NULL",
        ),
        (
            "consented dialogs",
            "SELECT ifnull(sum(n), 0) FROM consented_count WHERE customer_id = '' AND language = ''",
            "SELECT count(*) FROM dialog WHERE granted IS NOT NULL",
        ),
        (
            "consented dialogs of all customers",
            "SELECT ifnull(sum(n), 0) FROM consented_count WHERE customer_id > '' AND language = ''",
            "SELECT count(*) FROM dialog WHERE granted IS NOT NULL",
        ),
        (
            "consented dialogs of all languages",
            "SELECT ifnull(sum(n), 0) FROM consented_count WHERE customer_id = '' AND language > ''",
            "SELECT count(*) FROM dialog WHERE granted IS NOT NULL",
        ),
        ("tombstones", "SELECT withdrawn + erased FROM store", "SELECT count(*) FROM tombstone"),
        ("early decisions", "SELECT early FROM store", "SELECT count(*) FROM early_grant"),
    ];
    let number = |sql: &str| connection.query_row(sql, (), |row| values::count(row, 0));
    let mut damage = Vec::new();
    for (what, kept, found) in COUNTS {
        let (kept, found) = (number(kept)?, number(found)?);
        if kept != found {
            damage.push(Damage::Count { what, kept, found });
        }
    }
    Ok(damage)
}

/// Each dialog, key and tombstone is as it was written, each consented dialog has its event, and none has a
/// tombstone.
fn references(connection: &Connection) -> Result<Vec<Damage>, OpenError> {
    let key = ref_key(connection)?;
    let mut dialogs = connection.prepare(&format!("SELECT {DIALOG_COLUMNS} FROM dialog"))?;
    let mut event = connection.prepare("SELECT ref, kind FROM event WHERE position = ?1")?;
    let mut tombstone = connection.prepare("SELECT 1 FROM tombstone WHERE ref = ?1")?;
    let (mut changed, mut without_event, mut with_tombstone) = (0, 0, 0);
    let mut rows = dialogs.query(())?;
    while let Some(row) = rows.next()? {
        let Ok((dialog, _, granted)) = dialogs::whole_dialog(row) else {
            changed += 1;
            continue;
        };
        let reference = key.reference(&dialog.dialog_id);
        if let Some(number) = granted {
            let said = event
                .query_row([number], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, u8>(1)?)))
                .optional()?;
            if said != Some((*reference.as_bytes(), EventKind::Granted.code())) {
                without_event += 1;
            }
        }
        if tombstone.exists([reference.as_bytes()])? {
            with_tombstone += 1;
        }
    }
    let strange: u64 = connection.query_row(
        "SELECT count(*) FROM tombstone LEFT JOIN event USING (position)
         WHERE event.ref IS NOT tombstone.ref",
        (),
        |row| values::count(row, 0),
    )?;
    let broken_keys = u64::from(keys::all(connection).is_err());
    let found = [
        (broken_keys, Damage::Keys),
        (strange, Damage::Tombstones(strange)),
        (changed, Damage::Dialogs(changed)),
        (without_event, Damage::Consent(without_event)),
        (with_tombstone, Damage::Tombstone(with_tombstone)),
    ];
    Ok(found.into_iter().filter(|(count, _)| *count > 0).map(|(_, damage)| damage).collect())
}

/// Each chain is whole, and none of those that do not grow ends too early.
fn chains(connection: &Connection) -> rusqlite::Result<Vec<Damage>> {
    let chains = Chains::load(connection)?;
    let mut events =
        connection.prepare(&format!("SELECT {EVENT_COLUMNS} FROM event ORDER BY position"))?;
    let mut audit = Audit::new(None);
    let mut ends = Positions::START;
    for event in events.query_map((), |row| ledger::event(row, &chains))? {
        let event = event?;
        if let Err(broken) = audit.check(&event) {
            return Ok(vec![broken.into()]);
        }
        ends.pass(&event);
    }
    let cut_off = chains.iter().filter_map(|chain| {
        let position = ends.of(chain.number);
        let is_whole = chain.events().is_none_or(|events| events == position);
        (!is_whole).then_some(BrokenChain::CutOff { chain: chain.number, position }.into())
    });
    Ok(cut_off.collect())
}
