//! A lane: a task with its own connection that commits all waiting requests as one transaction.
//!
//! While a commit waits for the disk, the next requests gather. The busier the store is, the more requests share a
//! transaction. A request is answered after its commit.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::consent::rules::{self, Arrival, Slot};
use dataapi_core::{Date, Received, StoreError};
use deadpool_postgres::Client;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::error::{PostgresError, overloaded, unavailable, unknown};
use crate::pipeline::{Pipeline, parameters, patiently};
use crate::pool::Lent;
use crate::write::begin::{self, Asked, FreshInsert};
use crate::write::commit_outcome::{ServerLife, is_on_all_nodes, life, status};
use crate::write::context::StoreContext;
use crate::write::insert_outcome::{InsertOutcome, TAKEN, taken};
use crate::write::references::{bytes, groups};
use crate::write::request::{Batch, InsertRequest, Job, Needed, WriteRequest};
use crate::write::statements;
use crate::write::tally::Tally;
use crate::write::unit::Unit;

/// The largest number of requests in one commit, so that the first of them does not wait too long.
const MAX_BATCH: usize = 256;

/// How often to try a transaction that conflicts with others or loses its connection.
const TRIES: u32 = 8;

/// How long to ask for the outcome of a commit whose answer was lost.
const ASK_FOR: Duration = Duration::from_secs(10);

/// A connection, and the life of the server to which it connects.
struct LaneConnection {
    lent: Lent,
    life: ServerLife,
}

pub(super) struct Lane {
    shared: Arc<StoreContext>,
    connection: Option<LaneConnection>,
}

/// The result of a committed batch.
struct Committed {
    /// The date of the dialogs that were inserted without reading first.
    now: Date,
    /// The outcome of each of these inserts, in order.
    inserts: Vec<InsertOutcome>,
    /// The process that ran the transaction, if Citus distributed it over several shards.
    over_nodes: Option<i32>,
}

/// Why a batch is not known to be committed.
enum AttemptError {
    /// It failed before the commit was sent. Nothing happened.
    Before(PostgresError),
    /// It failed after the commit was sent. Contains the transaction's id, to ask for the outcome, and the result if
    /// the commit happened.
    Commit(String, Committed),
}

impl From<PostgresError> for AttemptError {
    fn from(failure: PostgresError) -> Self {
        Self::Before(failure)
    }
}

impl From<tokio_postgres::Error> for AttemptError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Before(error.into())
    }
}

impl Lane {
    /// Makes a lane that connects when it first has something to write.
    pub(super) fn new(shared: Arc<StoreContext>) -> Self {
        Self { shared, connection: None }
    }

    /// Commits requests until the queue is closed.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<WriteRequest>) {
        let mut waiting = Vec::new();
        while requests.recv_many(&mut waiting, MAX_BATCH).await > 0 {
            self.commit(Batch::of(std::mem::take(&mut waiting))).await;
        }
        self.give_back();
    }

    pub(super) fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.lent.give_back();
        }
    }

    /// Commits the batch and answers all its requests.
    pub(super) async fn commit(&mut self, batch: Batch) {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            left.extend(self.commit_once(batch).await);
        }
    }

    /// Commits the batch and answers the requests that are done. Returns those that need another transaction.
    async fn commit_once(&mut self, mut batch: Batch) -> Vec<Batch> {
        let mut is_lost = false;
        for tried in 0..TRIES {
            let failure = match self.attempt(&mut batch).await {
                Ok(committed) => return self.complete(batch, committed).await,
                Err(AttemptError::Commit(id, committed)) => match self.outcome(&id).await {
                    Some(true) => return self.complete(batch, committed).await,
                    Some(false) => PostgresError::Lost,
                    None => {
                        batch.fail(unknown);
                        return Vec::new();
                    }
                },
                Err(AttemptError::Before(failure)) => failure,
            };
            is_lost = matches!(failure, PostgresError::Lost);
            match failure {
                PostgresError::InTheWay => self.roll_back().await,
                PostgresError::Lost => {
                    self.connection = None;
                    // The other connections of the pool are probably lost too.
                    self.shared.pool.retain(|_, _| false);
                }
                // Nothing was committed. A request that cannot succeed must not make the others fail, so each is tried
                // alone.
                PostgresError::Database(_)
                | PostgresError::Damaged(_)
                | PostgresError::Refused(_)
                    if batch.len() > 1 =>
                {
                    self.roll_back().await;
                    return batch.apart().collect();
                }
                failure => {
                    self.roll_back().await;
                    let failure = SharedError::from(failure);
                    batch.fail(|| failure.error());
                    return Vec::new();
                }
            }
            sleep(pause(tried)).await;
        }
        // With Citus, the connection to a node can be lost again each time.
        batch.fail(|| if is_lost { PostgresError::Lost } else { PostgresError::InTheWay }.into());
        Vec::new()
    }

    /// Answers the requests of a batch that the server has committed, after its nodes have committed it too.
    async fn complete(&mut self, batch: Batch, committed: Committed) -> Vec<Batch> {
        if let Some(process) = committed.over_nodes
            && !self.is_everywhere(process).await
        {
            batch.fail(unknown);
            return Vec::new();
        }
        self.answer(batch, committed)
    }

    /// Waits until all nodes have committed what a process has committed. Returns whether they have.
    async fn is_everywhere(&mut self, process: i32) -> bool {
        let asked = async {
            for tried in 0.. {
                let told = async { is_on_all_nodes(self.connected().await?, process).await };
                match patiently(told).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(_) => self.connection = None,
                }
                sleep(pause(tried)).await;
            }
        };
        timeout(ASK_FOR, asked).await.is_ok()
    }

    /// Answers the requests of a committed batch. Returns the inserts whose outcome is unclear.
    fn answer(&self, batch: Batch, committed: Committed) -> Vec<Batch> {
        self.shared.commits.count(batch.len());
        let mut unclear = Batch::default();
        for (insert, outcome) in batch.inserts.into_iter().zip(committed.inserts) {
            let Some(slot) = outcome.slot(&insert.dialog) else {
                unclear.jobs.push(insert.into_job());
                continue;
            };
            let arrival = rules::insert(slot, committed.now);
            let answer = arrival.map(|Arrival { received, grant, .. }| Received {
                date: received,
                is_consented: grant.is_some(),
            });
            let _ = insert.reply.send(answer);
        }
        batch.jobs.into_iter().for_each(Job::answer);
        if unclear.jobs.is_empty() { Vec::new() } else { vec![unclear] }
    }

    /// Does the whole batch in one transaction.
    async fn attempt(&mut self, batch: &mut Batch) -> Result<Committed, AttemptError> {
        let shared = Arc::clone(&self.shared);
        let client = self.connected().await?;
        let Needed { references, with_texts, customers, erased } = batch.needed();
        let fresh: Vec<_> = batch
            .inserts
            .iter()
            .map(|insert| FreshInsert { reference: insert.reference, dialog: &insert.dialog })
            .collect();
        let now = shared.dates.now();
        let received = rules::insert(Slot::Free, now).map_err(PostgresError::from)?.received;
        let (shards, is_spread) = (&shared.shards, shared.is_spread);
        let begun = patiently(begin::begin(
            client,
            shards,
            is_spread,
            Asked { references, with_texts, fresh: &fresh, received, customers, erased },
        ))
        .await?;

        let over_nodes = (is_spread && begun.chains.len() > 1).then_some(begun.process);
        let mut unit =
            Unit::new(&shared.key, shards, shared.dates.now(), begun.chains, begun.working_rows);
        unit.held = begun.held;
        for job in &mut batch.jobs {
            job.run(&mut unit)?;
        }
        if !begun.fresh.is_empty() {
            unit.tally.pending(i64::try_from(begun.fresh.len()).unwrap_or(i64::MAX));
            unit.handed_out = unit.handed_out.max(received);
        }
        let (handed_out, erases) = (unit.handed_out, unit.erases);
        let counts = std::mem::take::<Tally>(&mut unit.tally);
        // Any shard that this transaction writes to will do.
        let first = fresh.first().map(|one| one.reference).or(begun.first);
        let mut pending = patiently(statements::of_unit(client, shards, unit)).await?;
        if let Some(first) = first {
            let key = shards.key(shards.of(&first));
            patiently(pending.count(client, key, counts.rows())).await?;
        }
        let not_put_in: Vec<_> = fresh
            .iter()
            .map(|one| one.reference)
            .filter(|reference| !begun.fresh.contains(reference))
            .collect();
        let look = async { Ok(client.prepare_cached(TAKEN).await?) };
        let taken_by = if not_put_in.is_empty() { None } else { Some(patiently(look).await?) };

        let mut pipeline = Pipeline::new(client);
        if !pending.are_certain() {
            let expected = pending.inserted();
            pending.send(&mut pipeline);
            let put: usize = pipeline.answers().await?.iter().map(Vec::len).sum();
            if put != expected {
                return Err(PostgresError::InTheWay.into());
            }
            pipeline = Pipeline::new(client);
        }
        let sent_before = pending.len();
        pending.send(&mut pipeline);
        let mut looks = 0;
        if let Some(statement) = taken_by {
            for (keys, references) in groups(&not_put_in, shards, is_spread) {
                let values = parameters![bytes(&references), keys];
                pipeline.ask(statement.clone(), values);
                looks += 1;
            }
        }
        if erases {
            shared.erasures.note();
        }
        shared.dates.hand_out(handed_out);
        pipeline.command("COMMIT");
        let outcome = |insert: &InsertRequest| {
            if begun.fresh.contains(&insert.reference) {
                InsertOutcome::Stored
            } else {
                InsertOutcome::Unclear
            }
        };
        let inserts = batch.inserts.iter().map(outcome).collect();
        let mut committed = Committed { now, inserts, over_nodes };
        let answers = match pipeline.answers().await {
            Ok(answers) => answers,
            Err(failure) if failure.is_a_refused_statement(is_spread) => return Err(failure.into()),
            Err(_) => return Err(AttemptError::Commit(begun.id, committed)),
        };
        for row in answers.iter().skip(sent_before).take(looks).flatten() {
            // The batch is committed. A row that cannot be read leaves its insert unclear, and that is done again.
            if let Ok((reference, outcome)) = taken(row)
                && let Ok(at) = batch.inserts.binary_search_by_key(&reference, |it| it.reference)
            {
                committed.inserts[at] = outcome;
            }
        }
        Ok(committed)
    }

    async fn connected(&mut self) -> Result<&Client, PostgresError> {
        if let Some(connection) = &self.connection
            && connection.lent.client()?.is_closed()
        {
            self.connection = None;
        }
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let lent = Lent::from(&self.shared.pool).await?;
            let life = patiently(life(lent.client()?)).await?;
            LaneConnection { lent, life }
        };
        self.connection.insert(connection).lent.client()
    }

    async fn roll_back(&mut self) {
        if let Some(connection) = &self.connection
            && let Ok(client) = connection.lent.client()
            && !matches!(timeout(ASK_FOR, client.batch_execute("ROLLBACK")).await, Ok(Ok(())))
        {
            self.connection = None;
        }
    }

    /// Returns whether a transaction whose answer was lost was committed; `None` if nobody knows.
    async fn outcome(&mut self, id: &str) -> Option<bool> {
        let before = self.connection.take()?.life;
        // With Citus, the nodes might have committed even if this transaction did not.
        let can_tell_no = !self.shared.is_spread;
        let asked = async {
            let mut tried = 0;
            loop {
                if let Ok(client) = self.connected().await
                    && let Ok(status) = status(client, id).await
                {
                    match status.as_deref() {
                        Some("committed") => break Some(true),
                        // "In the future": a crash came before anything of the transaction was on disk.
                        Some("aborted" | "in the future") => break can_tell_no.then_some(false),
                        // The server has not noticed yet that the connection is lost.
                        Some(_) => {}
                        None => break None,
                    }
                } else {
                    self.connection = None;
                }
                tried += 1;
                sleep(pause(tried)).await;
            }
        };
        let told = timeout(ASK_FOR, asked).await.ok().flatten();
        let now = &self.connection.as_ref()?.life;
        let is_same = *now == before;
        // After a crash another transaction might have our id and be committed. If it is not committed, ours was not
        // either.
        told.filter(|is_committed| is_same || (now.timeline == before.timeline && !is_committed))
    }
}

/// An error in a form that can be given to several requests.
enum SharedError {
    Overloaded,
    Unavailable(Cow<'static, str>),
    Backend(String),
}

impl From<PostgresError> for SharedError {
    fn from(failure: PostgresError) -> Self {
        match StoreError::from(failure) {
            StoreError::Overloaded { .. } => Self::Overloaded,
            StoreError::Unavailable { reason, .. } => Self::Unavailable(reason),
            StoreError::Backend { source } => Self::Backend(source.to_string()),
            other => Self::Backend(other.to_string()),
        }
    }
}

impl SharedError {
    fn error(&self) -> StoreError {
        match self {
            Self::Overloaded => overloaded(),
            Self::Unavailable(reason) => unavailable(reason.clone()),
            Self::Backend(what) => StoreError::backend(what.clone()),
        }
    }
}

/// Returns how long to wait before the next try: longer each time, and partly random, so that lanes do not try in step.
fn pause(tried: u32) -> Duration {
    let mut byte = [0];
    // Without random bytes all lanes wait equally long, which still works.
    let _ = getrandom::fill(&mut byte);
    let longest = Duration::from_millis(4) * 2_u32.pow(tried.min(7));
    longest.mul_f64(0.5 + f64::from(byte[0]) / 512.0)
}
