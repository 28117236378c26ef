//! Reads a store whole.

use dataapi_core::copy::{
    EarlyGrantRow, HeldRow, LastEvent, Rest, Row as StoreRow, Rows, SealedRow, StoreManifest,
};
use dataapi_core::{Event, EventKind, Limit, Positions, Reach, RefKey};
use tokio_postgres::Row;

use crate::connect::Address;
use crate::error::{OpenError, PostgresError};
use crate::keys;
use crate::pool::primary;
use crate::read::{Readers, SqlQuery, SqlValue, counts, last_date, ledger};
use crate::rows::{self, DIALOG_COLUMNS, get, state, state_after};
use crate::schema::Identity;
use crate::shards::Shards;

/// How many rows are read at once: up to 64 MiB with texts of the default maximum length.
const ROWS_AT_ONCE: i64 = 1_000;

/// Reads a whole store while nothing writes to it.
pub(super) struct StoreReader {
    readers: Readers,
    key: RefKey,
    pub(super) shards: Shards,
}

impl StoreReader {
    pub(super) fn new(address: &Address, identity: Identity) -> Result<Self, OpenError> {
        let Identity { key, shards, .. } = identity;
        Ok(Self { readers: Readers::new(primary(address, 1)?), key, shards })
    }

    pub(super) async fn manifest(&self) -> Result<StoreManifest, PostgresError> {
        Ok(StoreManifest {
            key: self.key.clone(),
            heads: ledger::heads(&self.readers).await?,
            stats: counts::stats(&self.readers).await?,
            last_date: last_date(&self.readers).await?,
        })
    }

    pub(super) async fn events(
        &self,
        after: &Positions,
        limit: Limit,
    ) -> Result<Vec<Event>, PostgresError> {
        ledger::events(&self.readers, &self.shards, after, limit, &Reach::default()).await
    }

    /// Returns rows ordered by reference. The last reference is the bookmark.
    pub(super) async fn rows(&self, after: &[u8]) -> Result<Rows, PostgresError> {
        let mut query = SqlQuery::new(format!(
            "SELECT {DIALOG_COLUMNS}, d.ref, d.is_imported, d.chain, d.position, kind, event_date
               FROM (SELECT d.*, e.kind, e.date AS event_date
                       FROM dataapi.dialog d
                       LEFT JOIN dataapi.event e
                         ON e.shard = d.shard AND e.chain = d.chain AND e.position = d.position
                            AND e.ref = d.ref
                      WHERE d.state > 0) AS d"
        ));
        query.append(" WHERE d.ref > ?", [SqlValue::Bytes(after.to_vec())]);
        query.append(" ORDER BY d.ref LIMIT ?", [SqlValue::Number(ROWS_AT_ONCE)]);
        let found = self.readers.rows(&query).await?;
        let bookmark = match found.last() {
            Some(last) => rows::reference(last, 6)?.as_bytes().to_vec(),
            None => after.to_vec(),
        };
        let rows = found.iter().map(|row| self.row(row)).collect::<Result<_, _>>()?;
        Ok(Rows { rows, bookmark })
    }

    fn row(&self, row: &Row) -> Result<SealedRow, PostgresError> {
        let reference = rows::reference(row, 6)?;
        let state = get::<i16>(row, 5)?;
        let last = match get::<Option<i16>>(row, 8)? {
            None => None,
            Some(chain) => {
                let kind = u8::try_from(get::<i16>(row, 10)?).ok().and_then(EventKind::from_code);
                Some(LastEvent {
                    chain: u16::try_from(chain).map_err(|_| rows::damaged("chain"))?,
                    position: rows::position(row, 9)?,
                    kind: kind.ok_or_else(|| rows::damaged("event"))?,
                    date: rows::date(row, 11)?,
                })
            }
        };
        if state != last.map_or(state::PENDING, |last| state_after(last.kind)) {
            return Err(rows::damaged("event"));
        }
        let held = match state {
            state::PENDING | state::CONSENTED => {
                let (dialog, received) = rows::whole_dialog(row, 0)?;
                if self.key.reference(&dialog.dialog_id) != reference {
                    return Err(rows::damaged("id"));
                }
                Some(HeldRow { dialog, received, is_imported: get(row, 7)? })
            }
            _ => None,
        };
        Ok(SealedRow::new(StoreRow { reference, held, last }))
    }

    pub(super) async fn rest(&self) -> Result<Rest, PostgresError> {
        let query = SqlQuery::new(
            "SELECT ref, date, until, notice, method, locale FROM dataapi.early_grant ORDER BY ref",
        );
        let early_grant = |row: &Row| {
            Ok(EarlyGrantRow {
                reference: rows::reference(row, 0)?,
                date: rows::date(row, 1)?,
                until: rows::date(row, 2)?,
                evidence: rows::evidence(row, 3)?,
            })
        };
        let early_grants = self.readers.rows(&query).await?;
        let early_grants =
            early_grants.iter().map(early_grant).collect::<Result<_, PostgresError>>()?;
        Ok(Rest { early_grants, keys: keys::all(&self.readers).await? })
    }
}
