//! A background task that keeps the store small and clean. It vacuums erased rows away, adds up counts, and removes
//! held grants whose time is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use dataapi_core::StoreError;

use crate::dates::Dates;
use crate::erase::{Erasures, vacuum};
use crate::error::{PostgresError, closed, unavailable};
use crate::pool::Lent;
use crate::rows::get;

/// How often counts are added up. A page with a total reads at most the counts of about one second's commits.
const PERIOD: Duration = Duration::from_secs(1);

/// Up to this many rows of counts do not slow a page down.
const FEW_COUNTS: i64 = 256;

/// The handle of the task, which ends when this is dropped.
pub(crate) struct UpkeepTask {
    requests: mpsc::Sender<oneshot::Sender<Result<(), StoreError>>>,
}

impl UpkeepTask {
    /// Starts the task.
    pub(crate) fn start(
        pool: Pool,
        erasures: Arc<Erasures>,
        dates: Arc<Dates>,
        erase_within: Duration,
    ) -> Self {
        let (requests, waiting) = mpsc::channel(64);
        tokio::spawn(Task { pool, erasures, dates, erase_within }.run(waiting));
        Self { requests }
    }

    /// Returns when everything that was erased before the call is vacuumed away.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

struct Task {
    pool: Pool,
    erasures: Arc<Erasures>,
    dates: Arc<Dates>,
    erase_within: Duration,
}

impl Task {
    async fn run(self, mut requests: mpsc::Receiver<oneshot::Sender<Result<(), StoreError>>>) {
        // Begins early enough for the vacuum to end within the delay.
        let period = (self.erase_within / 2).clamp(Duration::from_millis(20), PERIOD);
        let mut counted = Instant::now();
        let mut next = Instant::now() + period;
        loop {
            tokio::select! {
                asked = requests.recv() => {
                    let Some(first) = asked else { return };
                    let mut all = vec![first];
                    while let Ok(other) = requests.try_recv() {
                        all.push(other);
                    }
                    let is_done = self.clean_up().await;
                    for reply in all {
                        let refusal = "the vacuum of what was erased failed; try again";
                        // The caller might have stopped waiting.
                        let _ = reply.send(if is_done { Ok(()) } else { Err(unavailable(refusal)) });
                    }
                }
                () = sleep_until(next) => {
                    next = Instant::now() + period;
                    if self.erasures.age().is_some() {
                        self.clean_up().await;
                    }
                    if counted.elapsed() >= PERIOD {
                        counted = Instant::now();
                        // What fails now is done next time.
                        let _ = timeout(PERIOD * 10, self.add_up()).await;
                        let _ = timeout(PERIOD * 10, self.end_early_grants()).await;
                    }
                }
            }
        }
    }

    /// Removes the traces of the erasures so far. Returns whether that succeeded.
    async fn clean_up(&self) -> bool {
        let since = self.erasures.take();
        let is_done = vacuum(&self.pool).await.is_ok();
        if let (false, Some(since)) = (is_done, since) {
            self.erasures.put_back(since);
        }
        is_done
    }

    /// Replaces the count rows of each shard, state and language by one row with their sum.
    async fn add_up(&self) -> Result<(), PostgresError> {
        let lent = Lent::from(&self.pool).await?;
        let client = lent.client()?;
        let count = client.prepare_cached("SELECT count(*) FROM dataapi.tally").await?;
        if get::<i64>(&client.query_one(&count, &[]).await?, 0)? <= FEW_COUNTS {
            lent.give_back();
            return Ok(());
        }
        client.batch_execute("BEGIN").await?;
        let lock = "SELECT pg_try_advisory_xact_lock(hashtext('dataapi.tally'))";
        let is_ours = get::<bool>(&client.query_one(lock, &[]).await?, 0)?;
        if is_ours {
            let taken = "DELETE FROM dataapi.tally RETURNING shard, state, language, n";
            let mut sums: BTreeMap<(i32, i16, String), i64> = BTreeMap::new();
            for row in client.query(taken, &[]).await? {
                let key = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
                *sums.entry(key).or_default() += get::<i64>(&row, 3)?;
            }
            let put =
                client.prepare_cached("INSERT INTO dataapi.tally VALUES ($1, $2, $3, $4)").await?;
            for ((shard, state, language), n) in sums.into_iter().filter(|(_, n)| *n != 0) {
                client.execute(&put, &[&shard, &state, &language, &n]).await?;
            }
        }
        client.batch_execute("COMMIT").await?;
        if is_ours {
            client.batch_execute("VACUUM dataapi.tally").await?;
        }
        lent.give_back();
        Ok(())
    }

    async fn end_early_grants(&self) -> Result<(), PostgresError> {
        let lent = Lent::from(&self.pool).await?;
        let client = lent.client()?;
        let now = self.dates.now().as_micros();
        let ended = client
            .prepare_cached(
                "SELECT ref, shard FROM dataapi.early_grant WHERE until <= $1 LIMIT 1000",
            )
            .await?;
        for row in client.query(&ended, &[&now]).await? {
            let (reference, shard) = (get::<&[u8]>(&row, 0)?, get::<i32>(&row, 1)?);
            client.batch_execute("BEGIN").await?;
            // Every writer that replaces this grant by a dialog or another grant locks the chain first.
            let lock = "SELECT 1 FROM dataapi.chain WHERE shard = $1 FOR UPDATE";
            client.query(lock, &[&shard]).await?;
            let end =
                "DELETE FROM dataapi.early_grant WHERE ref = $1 AND shard = $2 AND until <= $3";
            if client.execute(end, &[&reference, &shard, &now]).await? > 0 {
                let forget =
                    "DELETE FROM dataapi.dialog WHERE ref = $1 AND shard = $2 AND state = 0";
                client.execute(forget, &[&reference, &shard]).await?;
            }
            client.batch_execute("COMMIT").await?;
        }
        lent.give_back();
        Ok(())
    }
}
