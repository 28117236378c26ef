//! The ledger's events for a reader who may have bounds, with their dialogs or without.

use dataapi_core::{Change, Event, Limit, Positions, Reach, StoredDialog};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Statement, ToSql, params_from_iter};

use crate::error::SqliteError;
use crate::read::budget::Budget;
use crate::read::select::Select;
use crate::rows::chains::Chains;
use crate::rows::event_number::EventNumber;
use crate::rows::{dialogs, ledger};

/// Reads the events after these positions, chain by chain. A grant has its dialog if that is still consented and
/// within `reach`. Outside a `reach` with bounds, events hide their evidence.
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
        let stored = of_event(&mut granted, &of_grant, chains, &event, dialogs::stored_dialog)?;
        let dialog = stored.map(StoredDialog::readable).transpose()?;
        let is_within = reach.is_all() || dialog.is_some();
        let event = if is_within { event } else { event.without_evidence() };
        let change = Change { event, dialog };
        budget.hold(change.bytes_in_memory())?;
        Ok(change)
    };
    ledger::after(connection, chains, positions, at_most)?.into_iter().map(change).collect()
}

/// Reads the events after these positions, chain by chain. Outside a `reach` with bounds, they hide their evidence.
pub(crate) fn events(
    connection: &Connection,
    chains: &Chains,
    positions: &Positions,
    at_most: Limit,
    reach: &Reach,
) -> Result<Vec<Event>, SqliteError> {
    let events = ledger::after(connection, chains, positions, at_most)?;
    if reach.is_all() {
        return Ok(events);
    }
    let is_within = Select::is_grant_within(reach);
    let mut granted = connection.prepare_cached(&is_within.sql)?;
    let event = |event: Event| {
        let found = of_event(&mut granted, &is_within, chains, &event, |_| Ok(()))?;
        Ok(if found.is_some() { event } else { event.without_evidence() })
    };
    events.into_iter().map(event).collect()
}

/// Runs a query for the grant of this event.
fn of_event<T>(
    granted: &mut Statement<'_>,
    query: &Select,
    chains: &Chains,
    event: &Event,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let number = chains.event_number(event.chain, event.position).unwrap_or(EventNumber::START);
    let number: &dyn ToSql = &number;
    let rest = query.parameters.iter().map(|value: &Value| value as &dyn ToSql);
    granted.query_row(params_from_iter([number].into_iter().chain(rest)), read).optional()
}
