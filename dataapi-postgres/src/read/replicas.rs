//! Reads pages from standbys. A page from a standby that is behind is not used.

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

/// How long to wait for a standby.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a standby that did not answer is left alone.
const REST: Duration = Duration::from_secs(5);

/// The length of each chain. Every change to what can be read makes one longer.
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

    /// Returns a page from a standby if its snapshot contains everything that the primary has acknowledged by now.
    /// `None` if the standby is behind or does not answer, or if there is no standby.
    ///
    /// This compares the ends of the chains, which are read in the snapshot of the page. WAL positions would not do:
    /// while dialogs come in, a standby is always a little behind in the WAL.
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
            // The primary would refuse it too, and has the latest state.
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
