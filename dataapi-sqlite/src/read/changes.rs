//! The ledger's events, each grant with its dialog.

use dataapi_core::{Change, Event, Limit, Positions, Reach, StoredDialog};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use crate::error::SqliteError;
use crate::read::budget::Budget;
use crate::read::select::Select;
use crate::rows::chains::Chains;
use crate::rows::event_number::EventNumber;
use crate::rows::{dialogs, ledger};

/// Reads the events after these positions, chain by chain. A grant has its dialog if that is still consented and
/// within `reach`.
///
/// The row of an event might belong to another dialog by now. So a grant has a dialog only if that row refers back
/// to the event.
pub(crate) fn changes(
    connection: &Connection,
    chains: &Chains,
    positions: &Positions,
    at_most: Limit,
    reach: &Reach,
    budget: &Budget,
) -> Result<Vec<Change>, SqliteError> {
    let of_grant = Select::of_grant(reach);
    let mut granted = connection.prepare_cached(&of_grant.sql)?;
    let change = |event: Event| {
        let number = chains.event_number(event.chain, event.position).unwrap_or(EventNumber::START);
        let number: &dyn ToSql = &number;
        let rest = of_grant.parameters.iter().map(|value: &Value| value as &dyn ToSql);
        let stored = granted
            .query_row(params_from_iter([number].into_iter().chain(rest)), dialogs::stored_dialog)
            .optional()?
            .map(StoredDialog::readable);
        let change = Change { event, dialog: stored.transpose()? };
        budget.hold(change.bytes_in_memory())?;
        Ok(change)
    };
    ledger::after(connection, chains, positions, at_most)?.into_iter().map(change).collect()
}
