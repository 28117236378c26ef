//! The lanes that write: each has a connection, and commits all requests that wait as one transaction.
//!
//! While one commit waits for the disk, the next requests gather; the busier the store, the more of them
//! share a transaction. A request is answered after the commit that holds it. The dialogs of a shard always
//! go the same lane, so that the lanes of one process never wait for each other.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataapi_core::{Activity, BatchSizes, DialogRef, NewDialog, Received, RefKey, StoreError};
use deadpool_postgres::{Client, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;

use crate::connect::Lent;
use crate::dates::Dates;
use crate::erasures::Erasures;
use crate::failure::{Failure, closed, overloaded, unknown};
use crate::pipeline::{Pipeline, parameters, patiently};
use crate::rows::get;
use crate::shards::Shards;
use crate::tally::Tally;
use crate::transaction::{self, Fresh, TAKEN, Taken};
use crate::unit::Unit;

/// How many requests one commit takes at most, so that the first of them does not wait for ever.
const MAX_BATCH: usize = 256;

/// How often a transaction is tried whose way others were in, or whose connection was lost.
const TRIES: u32 = 8;

/// How long the outcome of a commit is asked for that nobody answered.
const ASK_FOR: Duration = Duration::from_secs(10);

/// What all lanes share.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) key: RefKey,
    pub(crate) shards: Shards,
    pub(crate) is_spread: bool,
    pub(crate) dates: Arc<Dates>,
    pub(crate) erasures: Arc<Erasures>,
    commits: Commits,
}

impl Shared {
    pub(crate) fn new(
        pool: Pool,
        key: RefKey,
        shards: Shards,
        is_spread: bool,
        dates: Arc<Dates>,
        erasures: Arc<Erasures>,
    ) -> Self {
        Self { pool, key, shards, is_spread, dates, erasures, commits: Commits::default() }
    }
}

/// The queues to the lanes. Once it is dropped, they commit what was taken in, and end.
pub(crate) struct Writer {
    lanes: Vec<mpsc::Sender<Request>>,
    shared: Arc<Shared>,
    capacity: usize,
}

impl Writer {
    /// Starts so many lanes; at most `capacity` requests wait in all, any more are refused as overloaded.
    pub(crate) fn start(shared: Arc<Shared>, lanes: usize, capacity: usize) -> Self {
        let of_one = (capacity / lanes).max(1);
        let lane = || {
            let (queue, requests) = mpsc::channel(of_one);
            tokio::spawn(Lane { shared: Arc::clone(&shared), connection: None }.run(requests));
            queue
        };
        let lanes: Vec<_> = (0..lanes).map(|_| lane()).collect();
        let capacity = of_one * lanes.len();
        Self { lanes, shared, capacity }
    }

    /// Stores a dialog, and answers when that is on disk.
    pub(crate) async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let reference = self.shared.key.reference(&dialog.dialog_id);
        let (reply, answer) = oneshot::channel();
        self.queue(reference, Request::Insert(Insert { reference, dialog, reply }))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on one dialog in the next transaction of its lane, and answers when that is on disk.
    ///
    /// `work` may run several times: where others were in the way, and where a shared transaction failed.
    pub(crate) async fn write<T, W>(&self, reference: DialogRef, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Unit<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (job, answer) = Work::job(vec![reference], Vec::new(), work);
        self.queue(reference, Request::Job(job))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on any number of dialogs in a transaction of its own; the words of those `with_texts` can
    /// be compared.
    pub(crate) async fn write_many<T, W>(
        &self,
        references: Vec<DialogRef>,
        with_texts: Vec<DialogRef>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Unit<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (job, answer) = Work::job(references, with_texts, work);
        let mut lane = Lane { shared: Arc::clone(&self.shared), connection: None };
        // On its own, so that it comes to its end whoever waits for it.
        tokio::spawn(async move {
            lane.commit(Batch { jobs: vec![job], inserts: Vec::new() }).await;
            lane.give_back();
        });
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    fn queue(&self, reference: DialogRef, request: Request) -> Result<(), StoreError> {
        let lane = self.shared.shards.of(&reference).number() % self.lanes.len();
        self.lanes[lane].try_send(request).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => overloaded(),
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
    }

    /// What it is busy with; how long erasures have waited is not its to say.
    pub(crate) fn activity(&self) -> Activity {
        let free: usize = self.lanes.iter().map(mpsc::Sender::capacity).sum();
        Activity {
            queued: self.capacity.saturating_sub(free) as u64,
            queue_capacity: self.capacity as u64,
            commits: self.shared.commits.sizes(),
            unscrubbed: None,
        }
    }
}

/// What waits for a lane.
enum Request {
    Insert(Insert),
    Job(Box<dyn Job>),
}

struct Insert {
    reference: DialogRef,
    dialog: NewDialog,
    reply: oneshot::Sender<Result<Received, StoreError>>,
}

impl Insert {
    /// The same with a look at what is there.
    fn into_job(self) -> Box<dyn Job> {
        let dialog = self.dialog;
        let references = vec![self.reference];
        let work = move |unit: &mut Unit<'_>| unit.insert(&dialog);
        Box::new(Work {
            with_texts: references.clone(),
            references,
            on_unit: work,
            outcome: None,
            reply: self.reply,
        })
    }
}

/// A request that needs a look at what is there, on its way through a lane.
trait Job: Send {
    fn references(&self) -> &[DialogRef];
    fn with_texts(&self) -> &[DialogRef];

    /// Does its work; an error means that the transaction must be rolled back.
    fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Failure>;

    /// Answers with what its work yielded.
    fn answer(self: Box<Self>);

    fn fail(self: Box<Self>, error: StoreError);
}

struct Work<T, W> {
    references: Vec<DialogRef>,
    with_texts: Vec<DialogRef>,
    on_unit: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Work<T, W>
where
    T: Send + 'static,
    W: FnMut(&mut Unit<'_>) -> Result<T, Failure> + Send + 'static,
{
    #[allow(clippy::type_complexity, reason = "a job and where its answer comes")]
    fn job(
        references: Vec<DialogRef>,
        with_texts: Vec<DialogRef>,
        on_unit: W,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { references, with_texts, on_unit, outcome: None, reply }), answer)
    }
}

impl<T, W> Job for Work<T, W>
where
    T: Send,
    W: FnMut(&mut Unit<'_>) -> Result<T, Failure> + Send,
{
    fn references(&self) -> &[DialogRef] {
        &self.references
    }

    fn with_texts(&self) -> &[DialogRef] {
        &self.with_texts
    }

    fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Failure> {
        self.outcome = Some(match (self.on_unit)(unit) {
            Ok(answer) => Ok(answer),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(failure) => return Err(failure),
        });
        Ok(())
    }

    // Nobody may be waiting any more: a dropped call still happened whole.

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome.unwrap_or_else(|| Err(closed())));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The requests of one transaction.
#[derive(Default)]
struct Batch {
    inserts: Vec<Insert>,
    jobs: Vec<Box<dyn Job>>,
}

impl Batch {
    /// A dialog that only one request is about, and that is new, is put in without a look.
    fn of(requests: Vec<Request>) -> Self {
        let (mut seen, mut again) = (HashSet::new(), HashSet::new());
        let mut note = |reference: DialogRef| {
            if !seen.insert(reference) {
                again.insert(reference);
            }
        };
        for request in &requests {
            match request {
                Request::Insert(insert) => note(insert.reference),
                Request::Job(job) => job.references().iter().copied().for_each(&mut note),
            }
        }
        let mut batch = Self::default();
        for request in requests {
            match request {
                Request::Insert(insert) if again.contains(&insert.reference) => {
                    batch.jobs.push(insert.into_job());
                }
                Request::Insert(insert) => batch.inserts.push(insert),
                Request::Job(job) => batch.jobs.push(job),
            }
        }
        // In one order everywhere, so that no two wait for each other.
        batch.inserts.sort_by_key(|insert| insert.reference);
        batch
    }

    fn len(&self) -> usize {
        self.inserts.len() + self.jobs.len()
    }

    fn fail(self, error: impl Fn() -> StoreError) {
        for insert in self.inserts {
            let _ = insert.reply.send(Err(error()));
        }
        for job in self.jobs {
            job.fail(error());
        }
    }

    /// Each request on its own.
    fn apart(self) -> impl Iterator<Item = Self> {
        let inserts = self.inserts.into_iter();
        let inserts = inserts.map(|insert| Self { inserts: vec![insert], jobs: Vec::new() });
        let jobs = self.jobs.into_iter().map(|job| Self { inserts: Vec::new(), jobs: vec![job] });
        inserts.chain(jobs)
    }
}

/// A connection, and the life of the server that it belongs to.
struct Connection {
    lent: Lent,
    life: Life,
}

/// What the id of a transaction belongs to.
#[derive(PartialEq)]
struct Life {
    /// Changes when another server takes over.
    timeline: String,
    /// Changes with a crash as well.
    id: i64,
}

struct Lane {
    shared: Arc<Shared>,
    connection: Option<Connection>,
}

/// What came of a batch that is committed.
struct Committed {
    /// For each insert, in order.
    inserts: Vec<Result<Received, Taken>>,
}

/// Why a batch is not known to be committed.
enum Abort {
    /// Before its commit was on the way: nothing happened.
    Before(Failure),
    /// After that: by that id its outcome can be asked for; and what it is if it happened.
    Commit(String, Committed),
}

impl From<Failure> for Abort {
    fn from(failure: Failure) -> Self {
        Self::Before(failure)
    }
}

impl From<tokio_postgres::Error> for Abort {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Before(error.into())
    }
}

impl Lane {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut waiting = Vec::new();
        while requests.recv_many(&mut waiting, MAX_BATCH).await > 0 {
            self.commit(Batch::of(std::mem::take(&mut waiting))).await;
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.lent.give_back();
        }
    }

    /// Commits the batch and answers each of it.
    async fn commit(&mut self, batch: Batch) {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            left.extend(self.commit_once(batch).await);
        }
    }

    /// Commits the batch and answers each of it that is done; yields what takes another transaction.
    async fn commit_once(&mut self, mut batch: Batch) -> Vec<Batch> {
        for tried in 0..TRIES {
            let failure = match self.attempt(&mut batch).await {
                Ok(committed) => return self.answer(batch, committed),
                Err(Abort::Commit(id, committed)) => match self.outcome(&id).await {
                    Some(true) => return self.answer(batch, committed),
                    Some(false) => Failure::Lost,
                    None => {
                        batch.fail(unknown);
                        return Vec::new();
                    }
                },
                Err(Abort::Before(failure)) => failure,
            };
            match failure {
                Failure::InTheWay => self.roll_back().await,
                Failure::Lost => {
                    self.connection = None;
                    // The others of the pool are no better.
                    self.shared.pool.retain(|_, _| false);
                }
                // Nothing was committed: one request that cannot succeed must not fail the others.
                Failure::Database(_) | Failure::Damaged(_) | Failure::Refused(_)
                    if batch.len() > 1 =>
                {
                    self.roll_back().await;
                    return batch.apart().collect();
                }
                failure => {
                    self.roll_back().await;
                    let failure = Refusal::from(failure);
                    batch.fail(|| failure.error());
                    return Vec::new();
                }
            }
            sleep(pause(tried)).await;
        }
        batch.fail(|| Failure::InTheWay.into());
        Vec::new()
    }

    /// Answers the requests of a batch that is committed; yields those that take another look.
    fn answer(&self, batch: Batch, committed: Committed) -> Vec<Batch> {
        self.shared.commits.count(batch.len());
        let mut unclear = Batch::default();
        for (insert, outcome) in batch.inserts.into_iter().zip(committed.inserts) {
            let answer = match outcome {
                Ok(received) => Ok(received),
                Err(Taken::By(stored)) => {
                    Err(StoreError::Exists { same_content: stored.same_content(&insert.dialog) })
                }
                Err(Taken::Gone) => Err(StoreError::Gone),
                Err(Taken::Unclear) => {
                    unclear.jobs.push(insert.into_job());
                    continue;
                }
            };
            let _ = insert.reply.send(answer);
        }
        batch.jobs.into_iter().for_each(Job::answer);
        if unclear.jobs.is_empty() { Vec::new() } else { vec![unclear] }
    }

    /// Does all of it in one transaction.
    async fn attempt(&mut self, batch: &mut Batch) -> Result<Committed, Abort> {
        let shared = Arc::clone(&self.shared);
        let client = self.connected().await?;
        let references: Vec<_> =
            batch.jobs.iter().flat_map(|job| job.references()).copied().collect();
        let with_texts: Vec<_> =
            batch.jobs.iter().flat_map(|job| job.with_texts()).copied().collect();
        let fresh: Vec<_> = batch
            .inserts
            .iter()
            .map(|insert| Fresh { reference: insert.reference, dialog: &insert.dialog })
            .collect();
        let date = shared.dates.now();
        let (shards, is_spread) = (&shared.shards, shared.is_spread);
        let begun = patiently(transaction::begin(
            client,
            shards,
            is_spread,
            &references,
            &with_texts,
            &fresh,
            date.as_micros(),
        ))
        .await?;

        let mut unit =
            Unit::new(&shared.key, shards, shared.dates.now(), begun.chains, begun.entries);
        for job in &mut batch.jobs {
            job.run(&mut unit)?;
        }
        if !begun.fresh.is_empty() {
            unit.tally.pending(i64::try_from(begun.fresh.len()).unwrap_or(i64::MAX));
            unit.handed_out = unit.handed_out.max(date);
        }
        let (handed_out, erases) = (unit.handed_out, unit.erases);
        let counts = std::mem::take::<Tally>(&mut unit.tally);
        // Any shard that this transaction writes to.
        let first = fresh.first().map(|one| one.reference).or(references.first().copied());
        let mut changes = patiently(transaction::changes(client, shards, unit)).await?;
        if let Some(first) = first {
            let key = shards.key(shards.of(&first));
            patiently(changes.count(client, key, counts.rows())).await?;
        }
        let taken: Vec<_> = fresh
            .iter()
            .map(|one| one.reference)
            .filter(|reference| !begun.fresh.contains(reference))
            .collect();
        let look = async { Ok(client.prepare_cached(TAKEN).await?) };
        let taken_by = if taken.is_empty() { None } else { Some(patiently(look).await?) };

        let mut pipeline = Pipeline::new(client);
        if !changes.are_certain() {
            let expected = changes.inserted();
            changes.send(&mut pipeline);
            let put: usize = pipeline.answers().await?.iter().map(Vec::len).sum();
            if put != expected {
                return Err(Failure::InTheWay.into());
            }
            pipeline = Pipeline::new(client);
        }
        let sent_before = changes.len();
        changes.send(&mut pipeline);
        let mut looks = 0;
        if let Some(statement) = taken_by {
            for (keys, references) in transaction::groups(&taken, shards, is_spread) {
                let values = parameters![transaction::bytes(&references), keys];
                pipeline.ask(statement.clone(), values);
                looks += 1;
            }
        }
        if erases {
            shared.erasures.note();
        }
        shared.dates.hand_out(handed_out);
        pipeline.command("COMMIT");
        let received = |insert: &Insert| {
            if begun.fresh.contains(&insert.reference) {
                Ok(Received { date, is_consented: false })
            } else {
                Err(Taken::Unclear)
            }
        };
        let mut committed = Committed { inserts: batch.inserts.iter().map(received).collect() };
        let answers = match pipeline.answers().await {
            Ok(answers) => answers,
            // A statement that was refused has ended the transaction, and its commit with it.
            Err(failure @ (Failure::Database(_) | Failure::InTheWay | Failure::Locked)) => {
                return Err(failure.into());
            }
            Err(_) => return Err(Abort::Commit(begun.id, committed)),
        };
        for row in answers.iter().skip(sent_before).take(looks).flatten() {
            // It is committed: what cannot be read is looked at again.
            if let Ok((reference, taken)) = transaction::taken(row)
                && let Ok(at) = batch.inserts.binary_search_by_key(&reference, |it| it.reference)
            {
                committed.inserts[at] = Err(taken);
            }
        }
        Ok(committed)
    }

    async fn connected(&mut self) -> Result<&Client, Failure> {
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
            Connection { lent, life }
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

    /// Whether a transaction was committed whose commit nobody answered; `None` if that cannot be told.
    async fn outcome(&mut self, id: &str) -> Option<bool> {
        let before = self.connection.take()?.life;
        // What Citus has committed on its nodes, the transaction here does not tell.
        let can_tell_no = !self.shared.is_spread;
        let asked = async {
            let mut tried = 0;
            loop {
                if let Ok(client) = self.connected().await
                    && let Ok(status) = status(client, id).await
                {
                    match status.as_deref() {
                        Some("committed") => break Some(true),
                        // The second: nothing of it came to the disk before a crash.
                        Some("aborted" | "in the future") => break can_tell_no.then_some(false),
                        // The server has not noticed yet that nobody is there any more.
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
        // After a crash another transaction may have the id of ours, and be committed. If it is not, ours was
        // not either.
        told.filter(|is_committed| is_same || (now.timeline == before.timeline && !is_committed))
    }
}

/// A failure that several requests are told of.
enum Refusal {
    Overloaded,
    Unavailable(&'static str),
    Backend(String),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match StoreError::from(failure) {
            StoreError::Overloaded { .. } => Self::Overloaded,
            StoreError::Unavailable { reason: std::borrow::Cow::Borrowed(reason), .. } => {
                Self::Unavailable(reason)
            }
            StoreError::Backend { source } => Self::Backend(source.to_string()),
            other => Self::Backend(other.to_string()),
        }
    }
}

impl Refusal {
    fn error(&self) -> StoreError {
        match self {
            Self::Overloaded => overloaded(),
            Self::Unavailable(reason) => crate::failure::unavailable(reason),
            Self::Backend(what) => StoreError::backend(what.clone()),
        }
    }
}

/// Which life of the server this is: after a crash, and on a standby that takes over, ids of transactions
/// that were lost are given out again.
async fn life(client: &Client) -> Result<Life, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Lost)?;
    let begin = "INSERT INTO dataapi.life VALUES (1, $1) ON CONFLICT DO NOTHING";
    client.execute(begin, &[&i64::from_be_bytes(bytes)]).await?;
    let found = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), id FROM dataapi.life";
    let row = client.query_one(found, &[]).await?;
    Ok(Life { timeline: get(&row, 0)?, id: get(&row, 1)? })
}

/// What became of a transaction; `None` if that was too long ago.
async fn status(client: &Client, id: &str) -> Result<Option<String>, Failure> {
    let statement = client.prepare_cached("SELECT pg_xact_status($1::text::xid8)").await?;
    match client.query_one(&statement, &[&id]).await.map_err(Failure::from) {
        Ok(row) => get(&row, 0),
        Err(Failure::Database(SqlState::INVALID_PARAMETER_VALUE)) => {
            Ok(Some("in the future".into()))
        }
        Err(failure) => Err(failure),
    }
}

/// How long to wait before the next try: longer each time, and not for all the same.
fn pause(tried: u32) -> Duration {
    let mut byte = [0];
    // Without it they only wait alike.
    let _ = getrandom::fill(&mut byte);
    let longest = Duration::from_millis(4) * 2_u32.pow(tried.min(7));
    longest.mul_f64(0.5 + f64::from(byte[0]) / 512.0)
}

/// What the commits so far were made of.
#[derive(Debug, Default)]
struct Commits {
    counts: [AtomicU64; 12],
    sum: AtomicU64,
}

impl Commits {
    fn count(&self, size: usize) {
        let size = size as u64;
        self.counts[BatchSizes::bucket(size)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    fn sizes(&self) -> BatchSizes {
        BatchSizes {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}
