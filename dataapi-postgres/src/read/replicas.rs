//! Reads pages from standbys. A page is used only if it is one that the primary would have given meanwhile.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dataapi_core::{Dialog, EventHash, Page, PageRequest};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::read::pages;
use crate::read::query::SqlQuery;
use crate::read::readers::Readers;
use crate::rows::{self, get};

/// How long to wait for a standby.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a standby that did not answer is left alone.
const REST: Duration = Duration::from_secs(5);

/// The end of each chain. Every change to what can be read makes one longer.
const ENDS: &str = "SELECT shard, position, hash FROM dataapi.chain ORDER BY shard";

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

    /// Returns a page from a standby if the primary would have answered the same: before the standby was asked, or after
    /// it. `None` if that is not certain, if the standby does not answer, or if there is no standby.
    ///
    /// This compares the ends of the chains, which are read in the snapshot of the page. WAL positions would not do:
    /// while dialogs come in, a standby is always a little behind in the WAL.
    ///
    /// A snapshot that is later than the first answer of the primary is not enough. A standby shows a commit when it has
    /// its WAL, the primary only when it also has the answers of its synchronous standbys, so a later page of the
    /// primary could be older; and if the primary is lost in between, the commit can be lost after it was shown. Nor is
    /// it enough that the snapshot lies between two answers of the primary: a standby shows commits in the order of the
    /// WAL, the primary in the order in which they end, so the standby's state can be one that the primary never had.
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
        let ask = SqlQuery::new(ENDS);
        let before = ends(&primary.rows(&ask).await?)?;
        let beside = [ask.clone()];
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
        if seen == before {
            return Ok(Some(page));
        }
        let is_later = before.iter().zip(&seen).all(|(before, seen)| seen.1 >= before.1);
        Ok((is_later && seen == self::ends(&primary.rows(&ask).await?)?).then_some(page))
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

/// Reads shard, position and hash. A standby that was ahead of a primary that is lost can have chains of the same
/// lengths as the new one, with other events.
fn ends(found: &[Row]) -> Result<Vec<(i32, u64, EventHash)>, PostgresError> {
    found
        .iter()
        .map(|row| Ok((get(row, 0)?, rows::position(row, 1)?, rows::hash(row, 2)?)))
        .collect()
}
