//! Requests that wait for a lane, and batches of them.

use std::collections::HashSet;

use dataapi_core::{CustomerId, DialogRef, NewDialog, Received, StoreError};
use tokio::sync::oneshot;

use crate::error::{PostgresError, closed};
use crate::write::customers::Customers;
use crate::write::unit::Unit;

/// A request that waits for a lane.
pub(super) enum WriteRequest {
    Insert(InsertRequest),
    Job(Box<dyn Job>),
}

pub(super) struct InsertRequest {
    pub(super) reference: DialogRef,
    pub(super) dialog: NewDialog,
    pub(super) reply: oneshot::Sender<Result<Received, StoreError>>,
}

impl InsertRequest {
    /// Turns the insert into a job that reads the row first.
    pub(super) fn into_job(self) -> Box<dyn Job> {
        let dialog = self.dialog;
        let rows = Rows {
            references: vec![self.reference],
            with_texts: vec![self.reference],
            customers: Customers::Stores(vec![dialog.customer_id.clone()]),
        };
        let work = move |unit: &mut Unit<'_>| unit.insert(&dialog);
        Box::new(Work { rows, on_unit: work, outcome: None, reply: self.reply })
    }
}

/// What a request reads and locks before it writes.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The dialogs, unless it erases all of a customer.
    pub(crate) references: Vec<DialogRef>,
    /// Those of them whose texts can be compared.
    pub(crate) with_texts: Vec<DialogRef>,
    pub(crate) customers: Customers,
}

/// A request that has to read rows before it writes.
pub(super) trait Job: Send {
    fn rows(&self) -> &Rows;

    /// Does the work. An error means that the transaction must be rolled back.
    fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), PostgresError>;

    /// Answers with the result of the work.
    fn answer(self: Box<Self>);

    fn fail(self: Box<Self>, error: StoreError);
}

struct Work<T, W> {
    rows: Rows,
    on_unit: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

/// Makes a job from work on dialogs, and the receiver of its answer.
#[allow(clippy::type_complexity, reason = "a job and the receiver of its answer")]
pub(super) fn job<T, W>(
    rows: Rows,
    on_unit: W,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    W: FnMut(&mut Unit<'_>) -> Result<T, PostgresError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Work { rows, on_unit, outcome: None, reply }), answer)
}

impl<T, W> Job for Work<T, W>
where
    T: Send,
    W: FnMut(&mut Unit<'_>) -> Result<T, PostgresError> + Send,
{
    fn rows(&self) -> &Rows {
        &self.rows
    }

    fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), PostgresError> {
        self.outcome = Some(match (self.on_unit)(unit) {
            Ok(answer) => Ok(answer),
            Err(PostgresError::Refused(refusal)) => Err(refusal),
            Err(failure) => return Err(failure),
        });
        Ok(())
    }

    // If the caller has stopped waiting, the answer is dropped. The call still happened whole.

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome.unwrap_or_else(|| Err(closed())));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// What all requests of a batch read and lock.
#[derive(Default)]
pub(super) struct Needed {
    pub(super) references: Vec<DialogRef>,
    pub(super) with_texts: Vec<DialogRef>,
    /// The customers whose dialogs they store.
    pub(super) customers: Vec<CustomerId>,
    /// The customer of whom everything is erased.
    pub(super) erased: Option<CustomerId>,
}

/// The requests of one transaction.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) inserts: Vec<InsertRequest>,
    pub(super) jobs: Vec<Box<dyn Job>>,
}

impl Batch {
    /// Makes a batch. An insert that shares its dialog with no other request does not read first.
    pub(super) fn of(requests: Vec<WriteRequest>) -> Self {
        let (mut seen, mut again) = (HashSet::new(), HashSet::new());
        let mut note = |reference: DialogRef| {
            if !seen.insert(reference) {
                again.insert(reference);
            }
        };
        for request in &requests {
            match request {
                WriteRequest::Insert(insert) => note(insert.reference),
                WriteRequest::Job(job) => job.rows().references.iter().copied().for_each(&mut note),
            }
        }
        let mut batch = Self::default();
        for request in requests {
            match request {
                WriteRequest::Insert(insert) if again.contains(&insert.reference) => {
                    batch.jobs.push(insert.into_job());
                }
                WriteRequest::Insert(insert) => batch.inserts.push(insert),
                WriteRequest::Job(job) => batch.jobs.push(job),
            }
        }
        // The same order everywhere, so that transactions do not deadlock.
        batch.inserts.sort_by_key(|insert| insert.reference);
        batch
    }

    /// Returns what the transaction has to read and lock first.
    pub(super) fn needed(&self) -> Needed {
        let customers = self.inserts.iter().map(|insert| insert.dialog.customer_id.clone());
        let mut needed = Needed { customers: customers.collect(), ..Needed::default() };
        for rows in self.jobs.iter().map(|job| job.rows()) {
            needed.references.extend_from_slice(&rows.references);
            needed.with_texts.extend_from_slice(&rows.with_texts);
            match &rows.customers {
                Customers::Any => {}
                Customers::Stores(customers) => needed.customers.extend_from_slice(customers),
                Customers::Erases(customer) => needed.erased = Some(customer.clone()),
            }
        }
        needed
    }

    pub(super) fn len(&self) -> usize {
        self.inserts.len() + self.jobs.len()
    }

    pub(super) fn fail(self, error: impl Fn() -> StoreError) {
        for insert in self.inserts {
            let _ = insert.reply.send(Err(error()));
        }
        for job in self.jobs {
            job.fail(error());
        }
    }

    /// Splits the batch into one batch for each request.
    pub(super) fn apart(self) -> impl Iterator<Item = Self> {
        let inserts = self.inserts.into_iter();
        let inserts = inserts.map(|insert| Self { inserts: vec![insert], jobs: Vec::new() });
        let jobs = self.jobs.into_iter().map(|job| Self { inserts: Vec::new(), jobs: vec![job] });
        inserts.chain(jobs)
    }
}
