//! Copying a whole store to another backend: dialogs in every state, tombstones, the ledger as it was written, held
//! grants, and keys.
//!
//! A backend implements two small traits, [`Source`] and [`Target`]. [`copy_store`] defines once, for all backends, the
//! order of the work, where an interrupted copy continues, and what is verified.
//!
//! The copy has the store's secret key, so the references of its dialogs stay the same. Its ledger keeps the chains of
//! the source under their numbers and appends new events to chains of its own. Heads that were noted earlier and
//! positions that were read up to therefore stay valid.

use std::ops::ControlFlow;

use async_trait::async_trait;

use crate::dialog::NewDialog;
use crate::error::StoreError;
use crate::key::Key;
use crate::ledger::{Audit, BrokenChain, ChainHead, Event, EventKind, LedgerHead, Positions};
use crate::query::Limit;
use crate::store::Stats;
use crate::values::Date;
use crate::values::{DialogRef, Evidence, RefKey};

/// What describes a store, apart from its rows.
#[derive(Clone, Debug)]
pub struct StoreManifest {
    /// Its secret key.
    pub key: RefKey,
    /// The head of each chain that has events.
    pub heads: Vec<ChainHead>,
    /// How many dialogs there are in each state.
    pub stats: Stats,
    /// The last date that the store handed out.
    pub last_date: Date,
}

impl StoreManifest {
    /// A value that changes when a dialog is added, decided on, removed or forgotten.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_keyed(self.key.as_bytes());
        hasher.update(&self.head().hash.as_bytes()[..]);
        hasher.update(self.head().positions.to_string().as_bytes());
        let Stats { pending, consented, withdrawn, erased, .. } = self.stats;
        for count in [pending, consented, withdrawn, erased] {
            hasher.update(&count.to_be_bytes());
        }
        Fingerprint(*hasher.finalize().as_bytes())
    }

    /// The heads of all chains, signed off with one hash.
    pub fn head(&self) -> LedgerHead {
        LedgerHead::of(self.heads.iter().copied())
    }

    /// The lowest chain number above those in use.
    pub fn next_chain(&self) -> u16 {
        self.heads.iter().map(|head| head.chain + 1).max().unwrap_or(0)
    }

    /// How many rows there are: dialogs and tombstones.
    pub fn rows(&self) -> u64 {
        let Stats { pending, consented, withdrawn, erased, .. } = self.stats;
        pending + consented + withdrawn + erased
    }
}

/// Shows whether a store has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes the bytes that a backend has stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a store keeps about one dialog.
#[derive(Clone, Debug)]
pub struct Row {
    /// How the ledger names it.
    pub reference: DialogRef,
    /// The dialog itself; `None` once it is gone.
    pub held: Option<HeldRow>,
    /// Its last event; `None` while it is pending.
    pub last: Option<LastEvent>,
}

/// A dialog that is held.
#[derive(Clone, Debug)]
pub struct HeldRow {
    /// The dialog.
    pub dialog: NewDialog,
    /// When it was received.
    pub received: Date,
    /// Whether `received` is the date of another store's clock, as far as this store knows.
    pub is_imported: bool,
}

/// The event that a row refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEvent {
    /// Its chain.
    pub chain: u16,
    /// Its position in that chain.
    pub position: u64,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub date: Date,
}

/// A [`Row`] on its way from a source to a target. It can hold a dialog that nobody consented to, so its content cannot
/// be read.
///
/// Only a [`Target`] that gets it from [`copy_store`] can open it:
///
/// ```compile_fail,E0423
/// # use dataapi_core::copy::{Permit, Row, SealedRow};
/// fn peek(row: SealedRow) -> Row {
///     row.open(&Permit(())) // its field is private
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SealedRow(Row);

impl SealedRow {
    /// Seals what a backend read from its storage.
    pub fn new(row: Row) -> Self {
        Self(row)
    }

    /// The row, for a backend to write.
    pub fn open(self, _: &Permit) -> Row {
        self.0
    }

    /// Adds the row to a sum that does not depend on the order of the rows.
    fn add_to(&self, digest: &mut Digest) {
        let Row { reference, held, last } = &self.0;
        let mut hasher = blake3::Hasher::new();
        hasher.update(reference.as_bytes());
        if let Some(HeldRow { dialog, received, .. }) = held {
            let NewDialog { customer_id, dialog_id, language, text } = dialog;
            let values =
                [customer_id.as_str(), dialog_id.as_str(), language.as_str(), text.as_str()];
            for value in values {
                hasher.update(&(value.len() as u64).to_be_bytes());
                hasher.update(value.as_bytes());
            }
            hasher.update(&received.as_micros().to_be_bytes());
        }
        if let Some(LastEvent { chain, position, kind, .. }) = last {
            hasher.update(&[kind.code()]);
            hasher.update(&chain.to_be_bytes());
            hasher.update(&position.to_be_bytes());
        }
        digest.add(hasher.finalize().as_bytes());
    }
}

/// Opens a [`SealedRow`]. Only [`copy_store`] has one.
#[derive(Debug)]
pub struct Permit(());

/// A sum over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes the bytes that a backend has stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Adds 32 bytes as four separate numbers.
    fn add(&mut self, hash: &[u8; 32]) {
        for (sum, number) in self.0.chunks_exact_mut(8).zip(hash.chunks_exact(8)) {
            let [mut a, mut b] = [[0; 8]; 2];
            a.copy_from_slice(sum);
            b.copy_from_slice(number);
            sum.copy_from_slice(
                &u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b)).to_le_bytes(),
            );
        }
    }
}

/// How far a copy has come. A [`Target`] stores it in the same transaction as the data that it describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Up to which positions the ledger has been copied.
    pub positions: Positions,
    /// How many rows have been copied.
    pub rows: u64,
    /// The sum over these rows.
    pub digest: Digest,
    /// Where to continue in the source's rows, in the source's own format; empty at the start.
    pub bookmark: Vec<u8>,
}

/// What follows the rows. It is little and is read in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Every held grant, ordered by reference.
    pub early_grants: Vec<EarlyGrantRow>,
    /// All keys, ordered by name.
    pub keys: Vec<Key>,
}

/// A held grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyGrantRow {
    /// For which dialog.
    pub reference: DialogRef,
    /// When it came.
    pub date: Date,
    /// Until when it is held.
    pub until: Date,
    /// Its evidence.
    pub evidence: Evidence,
}

/// The rows after a bookmark, and the bookmark at their end.
#[derive(Debug)]
pub struct Rows {
    /// A few thousand rows at most; empty at the end.
    pub rows: Vec<SealedRow>,
    /// The bookmark to ask for the following rows with.
    pub bookmark: Vec<u8>,
}

/// A store that can be read as a whole.
///
/// While a source exists, nobody else writes to the store, in any process; reads continue. Everything that it returns
/// is therefore of one moment.
#[async_trait]
pub trait Source: Send {
    /// Describes the store.
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError>;

    /// The events after those positions, as [`DialogStore::events`](crate::Ledger::events) returns them.
    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError>;

    /// The rows after that bookmark, always in the same order.
    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError>;

    /// What follows the rows.
    async fn rest(&mut self) -> Result<Rest, StoreError>;
}

/// A store that is being made. Nobody can open it as a store before [`release`](Self::release).
///
/// A call that returns `Ok` is durable. A call that returns `Err` has changed nothing.
#[async_trait]
pub trait Target: Source {
    /// Makes the store, or continues with one that an earlier run began.
    ///
    /// # Errors
    /// [`IncompleteCopy::Changed`] if the earlier run began a copy of something else; [`IncompleteCopy::Chains`] if no
    /// number is left for a chain of its own.
    async fn begin(&mut self, manifest: &StoreManifest) -> Result<Progress, IncompleteCopy>;

    /// Adds events as they were written.
    async fn add_events(&mut self, events: &[Event], progress: &Progress)
    -> Result<(), StoreError>;

    /// Adds rows.
    async fn add_rows(
        &mut self,
        rows: Vec<SealedRow>,
        progress: &Progress,
        permit: &Permit,
    ) -> Result<(), StoreError>;

    /// Replaces the rest that is already there, and counts what is there.
    async fn complete(&mut self, manifest: &StoreManifest, rest: &Rest) -> Result<(), StoreError>;

    /// Releases the store: from now on it is a store like any other.
    async fn release(&mut self) -> Result<(), StoreError>;
}

/// What a copy is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Copying events of the ledger.
    Ledger,
    /// Copying dialogs and tombstones.
    Rows,
    /// Reading the copy and comparing it.
    Verification,
}

/// Called after each step with how many events or rows are done and how many there are, those of an earlier run
/// included. A break stops the copy, which can be continued later.
pub type Watch<'w> = &'w mut (dyn FnMut(Stage, u64, u64) -> ControlFlow<()> + Send);

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many dialogs there are in each state.
    pub stats: Stats,
    /// The head of the ledger: the same in the copy and in the source.
    pub head: LedgerHead,
    /// How many keys there are.
    pub keys: u64,
}

/// Why a copy was not completed. What was copied stays, and the next run continues from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncompleteCopy {
    /// The source could not be read.
    #[error("cannot read the store to copy from")]
    Source(#[source] StoreError),

    /// The target could not be written.
    #[error("cannot write the new store")]
    Target(#[from] StoreError),

    /// The unfinished copy does not belong to the source as it is now.
    #[error(
        "the unfinished copy is of another store, or the store has changed since; remove the unfinished \
         copy, stop every server of the store, and copy again"
    )]
    Changed,

    /// The ledger would have too many chains, because a store keeps the chains of every store that it was copied from.
    #[error(
        "the ledger would have too many chains: {past} old and {new} new ones, but at most {} are \
         possible; choose fewer shards",
        Positions::MAX_CHAINS
    )]
    Chains {
        /// How many chain numbers are in use.
        past: u16,
        /// How many the new store needs.
        new: u16,
    },

    /// The source's ledger is damaged. It is not copied as if it were whole.
    #[error("the ledger of the store to copy from is damaged")]
    Ledger(#[from] BrokenChain),

    /// The copy differs from what was read.
    #[error(
        "the copy differs from the source in its {0} and was not released; remove it and copy again"
    )]
    Differs(&'static str),

    /// The caller stopped it.
    #[error("the copy was stopped before it was complete; copy again to continue where it stopped")]
    Stopped,
}

/// Copies all of `source` to `target`, compares the two, and releases the target as a store.
///
/// A copy that was stopped or killed can be called again. It continues after the last step that the target has stored,
/// as long as nothing was written to the source. Events are copied first, then dialogs and tombstones, a few thousand
/// at a time, then the rest. Then everything is read back: each chain of the ledger is checked from its first event,
/// and the sum over the rows must be the same as in the source. Memory: one step, all held grants, and the keys.
///
/// # Errors
/// See [`IncompleteCopy`]. After any of them the target is not released. The exception is an error from the release
/// itself: its outcome is unknown, and it happened or did not.
pub async fn copy_store(
    source: &mut dyn Source,
    target: &mut dyn Target,
    watch: Watch<'_>,
) -> Result<Copied, IncompleteCopy> {
    let manifest = source.manifest().await.map_err(IncompleteCopy::Source)?;
    let mut progress = target.begin(&manifest).await?;
    copy_ledger(source, target, &manifest, &mut progress, watch).await?;
    copy_rows(source, target, &manifest, &mut progress, watch).await?;
    let rest = source.rest().await.map_err(IncompleteCopy::Source)?;
    target.complete(&manifest, &rest).await?;
    verify(target, &manifest, &progress, &rest, watch).await?;
    // The lock that keeps others from writing might have been lost on the way.
    let now = source.manifest().await.map_err(IncompleteCopy::Source)?;
    if now.fingerprint() != manifest.fingerprint() {
        return Err(IncompleteCopy::Changed);
    }
    target.release().await?;
    Ok(Copied { head: manifest.head(), stats: manifest.stats, keys: rest.keys.len() as u64 })
}

async fn copy_ledger(
    source: &mut dyn Source,
    target: &mut dyn Target,
    manifest: &StoreManifest,
    progress: &mut Progress,
    watch: Watch<'_>,
) -> Result<(), IncompleteCopy> {
    let total = manifest.head().positions.events();
    loop {
        go_on(watch(Stage::Ledger, progress.positions.events(), total))?;
        let events = source.events(&progress.positions, AT_ONCE).await;
        let events = events.map_err(IncompleteCopy::Source)?;
        if events.is_empty() {
            return Ok(());
        }
        for event in &events {
            progress.positions.pass(event);
        }
        target.add_events(&events, progress).await?;
    }
}

async fn copy_rows(
    source: &mut dyn Source,
    target: &mut dyn Target,
    manifest: &StoreManifest,
    progress: &mut Progress,
    watch: Watch<'_>,
) -> Result<(), IncompleteCopy> {
    let permit = Permit(());
    loop {
        go_on(watch(Stage::Rows, progress.rows, manifest.rows()))?;
        let found = source.rows(&progress.bookmark).await.map_err(IncompleteCopy::Source)?;
        if found.rows.is_empty() {
            return Ok(());
        }
        progress.bookmark = found.bookmark;
        progress.rows += found.rows.len() as u64;
        for row in &found.rows {
            row.add_to(&mut progress.digest);
        }
        target.add_rows(found.rows, progress, &permit).await?;
    }
}

/// Reads the copy in the same way as a source, and compares it with what was read from the source.
async fn verify(
    target: &mut dyn Target,
    manifest: &StoreManifest,
    copied: &Progress,
    rest: &Rest,
    watch: Watch<'_>,
) -> Result<(), IncompleteCopy> {
    let found = target.manifest().await?;
    let total = manifest.head().positions.events() + manifest.rows();
    let mut audit = Audit::new(Some(manifest.head()));
    let mut seen = Progress::default();
    loop {
        go_on(watch(Stage::Verification, seen.positions.events(), total))?;
        let events = target.events(&seen.positions, AT_ONCE).await?;
        if events.is_empty() {
            break;
        }
        for event in events {
            audit.check(&event)?;
            seen.positions.pass(&event);
        }
    }
    if audit.finish()? != manifest.head() {
        return Err(IncompleteCopy::Differs("ledger"));
    }
    loop {
        go_on(watch(Stage::Verification, seen.positions.events() + seen.rows, total))?;
        let Rows { rows, bookmark } = target.rows(&seen.bookmark).await?;
        if rows.is_empty() {
            break;
        }
        seen.rows += rows.len() as u64;
        seen.bookmark = bookmark;
        for row in &rows {
            row.add_to(&mut seen.digest);
        }
    }
    let is_same = [
        ("rows", (seen.rows, seen.digest) == (copied.rows, copied.digest)),
        ("number of rows", seen.rows == manifest.rows()),
        ("counts", found.stats == manifest.stats),
        ("reference key", found.key.as_bytes() == manifest.key.as_bytes()),
        ("dates", found.last_date >= manifest.last_date),
        ("held decisions or keys", target.rest().await? == *rest),
    ];
    match is_same.iter().find(|(_, is_same)| !is_same) {
        Some((what, _)) => Err(IncompleteCopy::Differs(what)),
        None => Ok(()),
    }
}

/// How many events are read at once.
const AT_ONCE: Limit = Limit::MAX;

fn go_on(watched: ControlFlow<()>) -> Result<(), IncompleteCopy> {
    match watched {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(IncompleteCopy::Stopped),
    }
}
