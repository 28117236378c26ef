//! Pages from standbys, which may be behind, and are then not taken.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dataapi_core::{Dialog, Page, PageRequest};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::read::pages;
use crate::read::query::SqlQuery;
use crate::read::readers::Readers;
use crate::rows::get;

/// A standby that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long one is left alone that did not answer.
const REST: Duration = Duration::from_secs(5);

/// How far each chain goes: whatever changes what can be read makes one longer.
const ENDS: &str = "SELECT shard, position FROM dataapi.chain ORDER BY shard";

/// The standbys.
pub(crate) struct Replicas {
    all: Vec<Replica>,
    next: AtomicUsize,
}

struct Replica {
    readers: Readers,
    rests_until: Mutex<Option<Instant>>,
}

impl Replicas {
    pub(crate) fn new(all: Vec<Readers>) -> Self {
        let replica = |readers| Replica { readers, rests_until: Mutex::default() };
        Self { all: all.into_iter().map(replica).collect(), next: AtomicUsize::new(0) }
    }

    /// A page from one of them, if what it shows has all that the primary has acknowledged by now; `None` if
    /// it has not, does not answer, or there is none.
    ///
    /// The ends of the chains are compared, as they are in the very snapshot of the page. Positions in the
    /// write-ahead log would say less: a standby is always a little behind in those while dialogs come in.
    pub(crate) async fn page(
        &self,
        primary: &Readers,
        request: &PageRequest,
    ) -> Result<Option<Page<Dialog>>, PostgresError> {
        if self.all.is_empty() || request.filter().is_out_of_reach() {
            return Ok(None);
        }
        let replica = &self.all[self.next.fetch_add(1, Ordering::Relaxed) % self.all.len()];
        if replica.rests() {
            return Ok(None);
        }
        let ends = ends(&primary.rows(&SqlQuery::new(ENDS)).await?)?;
        let beside = [SqlQuery::new(ENDS)];
        let reading = pages::page_with(&replica.readers, request, &beside);
        let (page, beside) = match timeout(PATIENCE, reading).await {
            Ok(Ok(read)) => read,
            // The primary refuses it as well, and knows better what is there.
            Ok(Err(PostgresError::Refused(_))) => return Ok(None),
            _ => {
                replica.rest();
                return Ok(None);
            }
        };
        let [seen] = &beside[..] else { return Ok(None) };
        let seen = self::ends(seen)?;
        let has_all = seen.len() == ends.len()
            && ends
                .iter()
                .zip(&seen)
                .all(|((shard, end), (other, seen))| shard == other && seen >= end);
        Ok(has_all.then_some(page))
    }
}

impl Replica {
    fn rests(&self) -> bool {
        let until = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + REST);
    }
}

fn ends(rows: &[Row]) -> Result<Vec<(i32, i64)>, PostgresError> {
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}
