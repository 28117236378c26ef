//! Checks whether a store file is intact: its pages, its counts, and the references between its tables.

use std::path::Path;

use dataapi_core::{Audit, BrokenChain, EventKind, Positions};
use rusqlite::{Connection, OptionalExtension};

use crate::error::OpenError;
use crate::open::OpenBackup;
use crate::rows::chains::Chains;
use crate::rows::dialogs::{self, DIALOG_COLUMNS};
use crate::rows::identity::ref_key;
use crate::rows::ledger::{self, EVENT_COLUMNS};
use crate::rows::{keys, values};
use crate::schema::{self, SchemaDifference};

/// How many damaged places SQLite reports at most: people read them, and there might be millions.
const MOST: u32 = 100;

/// One kind of damage to a store. It never contains a dialog's text or ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// SQLite found a broken page or index; this is its own message.
    #[error("the file is damaged: {0}")]
    File(String),

    /// The schema has something that DataAPI did not make, or not like this. A name can be chosen by anyone, so it is
    /// shown with its control characters escaped.
    #[error(
        "the schema has the {kind} '{name}', which DataAPI did not make like this; it could hold copies of texts that no \
         erasure reaches: find out who made it, and drop it"
    )]
    Foreign {
        /// `table`, `index`, `view` or `trigger`.
        kind: String,
        /// Its name.
        name: String,
    },

    /// The schema lacks something that DataAPI made, or has it in another form.
    #[error("the schema lacks the {kind} '{name}' as DataAPI made it")]
    Missing {
        /// `table` or `index`.
        kind: String,
        /// Its name.
        name: String,
    },

    /// A stored count differs from the number of rows.
    #[error("the count of {what} is {kept}, but there are {found}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The stored count.
        kept: u64,
        /// The number of rows.
        found: u64,
    },

    /// The rows of this many dialogs are not as they were written.
    #[error("the rows of {0} dialogs are damaged")]
    Dialogs(u64),

    /// This many consented dialogs do not refer to an event that grants them.
    #[error("{0} consented dialogs have no grant in the ledger")]
    Consent(u64),

    /// This many tombstones refer to an event of another dialog, or to none.
    #[error("{0} tombstones do not match their event in the ledger")]
    Tombstones(u64),

    /// The row of a key is not as it was written. A server cannot read the keys and accepts none of them.
    #[error(
        "the row of a key is damaged; servers cannot read the keys of this store and accept none of them"
    )]
    Keys,

    /// This many dialogs exist together with their tombstone.
    #[error("{0} dialogs are stored although they have a tombstone")]
    Tombstone(u64),

    /// The chain of the ledger is broken.
    #[error(transparent)]
    Ledger(#[from] BrokenChain),
}

/// Checks every page and every row of the store at `path`. Returns all damage that it finds; an empty list means
/// that the store is intact.
///
/// It changes nothing. It is one long read, of about ten seconds per million dialogs, and until it ends the bytes
/// of what is erased stay in the files: prefer to check a backup.
///
/// # Errors
/// [`OpenError`] if the file cannot be opened as a store, or is so damaged that the check cannot continue.
pub fn check(path: &Path) -> Result<Vec<Damage>, OpenError> {
    let connection = OpenBackup::open(path)?;
    let moment = connection.unchecked_transaction()?;
    let mut damage = pages(&moment)?;
    if damage.is_empty() {
        damage.extend(schema(&moment)?);
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

/// Compares the schema with the one that DataAPI makes.
fn schema(connection: &Connection) -> rusqlite::Result<Vec<Damage>> {
    let SchemaDifference { foreign, missing } = schema::difference(connection)?;
    let foreign = foreign
        .into_iter()
        .map(|object| Damage::Foreign { name: object.shown_name(), kind: object.kind });
    let missing = missing
        .into_iter()
        .map(|object| Damage::Missing { name: object.shown_name(), kind: object.kind });
    Ok(foreign.chain(missing).take(MOST as usize).collect())
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

/// Checks that the row of each dialog, key and tombstone is intact, and that each consented dialog has its grant and
/// no dialog has a tombstone.
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

/// Checks that each chain is unbroken, and that each copied chain has all its events.
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
