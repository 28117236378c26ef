//! Copying a whole store into another one, of whatever backend: dialogs in every state, tombstones, the
//! ledger as it was written, each grant that is held, and keys.
//!
//! A backend takes part by two small traits, [`Source`] and [`Target`]; the order of the work, what can be
//! taken up again, and what is verified stand here once, in [`copy_store`].
//!
//! The copy has the store's secret key, so that references stay what they are. Its ledger has the chains of
//! the source under their numbers, to which nothing is added any more, and goes on in chains of its own: a
//! head that was noted earlier still fits, and positions that were read up to still hold.

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

/// What a store is, apart from its rows.
#[derive(Clone, Debug)]
pub struct StoreManifest {
    /// Its secret key.
    pub key: RefKey,
    /// The end of each chain that has events.
    pub heads: Vec<ChainHead>,
    /// How many dialogs there are in each state.
    pub stats: Stats,
    /// The last date that it handed out.
    pub last_date: Date,
}

impl StoreManifest {
    /// The same for as long as no dialog came, was decided on, went, or was forgotten.
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

    /// The last events of all chains, signed off.
    pub fn head(&self) -> LedgerHead {
        LedgerHead::of(self.heads.iter().copied())
    }

    /// The number that the first chain has that is not one of these.
    pub fn next_chain(&self) -> u16 {
        self.heads.iter().map(|head| head.chain + 1).max().unwrap_or(0)
    }

    /// How many rows there are: dialogs, and tombstones of gone ones.
    pub fn rows(&self) -> u64 {
        let Stats { pending, consented, withdrawn, erased, .. } = self.stats;
        pending + consented + withdrawn + erased
    }
}

/// What tells whether a store is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes the bytes that a backend kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a store keeps of one dialog.
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
    /// Whether that is the date of another store's clock, as far as this one knows.
    pub is_imported: bool,
}

/// The event that a row refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEvent {
    /// In which chain it is.
    pub chain: u16,
    /// Its place there.
    pub position: u64,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub date: Date,
}

/// A [`Row`] on its way, of which nothing can be seen: it may be of a dialog that nobody consented to.
///
/// Only a [`Target`] that [`copy_store`] hands it to can open it:
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
    /// What a backend read from its storage.
    pub fn new(row: Row) -> Self {
        Self(row)
    }

    /// The row, for a backend to write.
    pub fn open(self, _: &Permit) -> Row {
        self.0
    }

    /// A sum that is the same whatever the order of the rows.
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

/// What opens a [`SealedRow`]. Nothing but [`copy_store`] has one.
#[derive(Debug)]
pub struct Permit(());

/// A sum over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes the bytes that a backend kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Adds 32 bytes as four numbers, each for itself.
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

/// How far a copy came. A [`Target`] keeps it, in the transaction that writes what it tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Up to where the ledger is there.
    pub positions: Positions,
    /// How many rows are there.
    pub rows: u64,
    /// The sum over these.
    pub digest: Digest,
    /// Where to go on in the source's rows, in its own words: empty at the start.
    pub bookmark: Vec<u8>,
}

/// What follows the rows: little, and read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Each grant that came before its dialog, by reference.
    pub early_grants: Vec<EarlyGrantRow>,
    /// All keys, by name.
    pub keys: Vec<Key>,
}

/// A grant that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyGrantRow {
    /// For which dialog.
    pub reference: DialogRef,
    /// When it came.
    pub date: Date,
    /// Until when it is held.
    pub until: Date,
    /// What it rested on.
    pub evidence: Evidence,
}

/// Rows after a bookmark, and where they end.
#[derive(Debug)]
pub struct Rows {
    /// Some thousand at most; none at the end.
    pub rows: Vec<SealedRow>,
    /// What to ask with for those that follow.
    pub bookmark: Vec<u8>,
}

/// A store that can be read whole.
///
/// While it is there, nobody else writes to the store, in whatever process; reads go on. So all that it
/// tells is of one moment.
#[async_trait]
pub trait Source: Send {
    /// What the store is.
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError>;

    /// The events after those positions, as [`DialogStore::events`](crate::Ledger::events) tells them.
    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError>;

    /// The rows after that bookmark, in an order that stays the same.
    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError>;

    /// What follows the rows.
    async fn rest(&mut self) -> Result<Rest, StoreError>;
}

/// A store in the making. Nobody can open it as a store before [`release`](Self::release).
///
/// Each call that returns `Ok` is durable, and one that returns `Err` has changed nothing.
#[async_trait]
pub trait Target: Source {
    /// Makes the store, or goes on with it where it was begun before.
    ///
    /// # Errors
    /// [`IncompleteCopy::Changed`] where it was begun as a copy of something else;
    /// [`IncompleteCopy::Chains`] where there is no number left for a chain of its own.
    async fn begin(&mut self, manifest: &StoreManifest) -> Result<Progress, IncompleteCopy>;

    /// Adds events, as they were written.
    async fn add_events(&mut self, events: &[Event], progress: &Progress)
    -> Result<(), StoreError>;

    /// Adds rows.
    async fn add_rows(
        &mut self,
        rows: Vec<SealedRow>,
        progress: &Progress,
        permit: &Permit,
    ) -> Result<(), StoreError>;

    /// Puts the rest in the place of what there is of it, and counts what is there.
    async fn complete(&mut self, manifest: &StoreManifest, rest: &Rest) -> Result<(), StoreError>;

    /// From now on it is a store like any other.
    async fn release(&mut self) -> Result<(), StoreError>;
}

/// What a copy is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Copies events of the ledger.
    Ledger,
    /// Copies dialogs and tombstones.
    Rows,
    /// Reads the copy, and compares.
    Verification,
}

/// Told after each step: how much is done of how much, in events or rows, those of an earlier run included. A
/// break ends the work, which can be taken up again.
pub type Watch<'w> = &'w mut (dyn FnMut(Stage, u64, u64) -> ControlFlow<()> + Send);

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many dialogs there are in each state.
    pub stats: Stats,
    /// The last events of the ledger, now and from the source.
    pub head: LedgerHead,
    /// How many keys there are.
    pub keys: u64,
}

/// Why a store was not copied to its end. What was copied so far stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncompleteCopy {
    /// The source could not be read.
    #[error("the store that is copied cannot be read")]
    Source(#[source] StoreError),

    /// The target could not be written.
    #[error("the new store cannot be written")]
    Target(#[from] StoreError),

    /// What was copied so far is not of the store as it is.
    #[error(
        "the copy that was begun there is of another store, or this one has changed since; remove what \
         was begun, stop all servers of the store, and copy it anew"
    )]
    Changed,

    /// Ledgers of several copies one after the other have too many chains.
    #[error(
        "the ledger has no room for the chains of the new store: {past} of its own, {new} new ones, and {} \
         at most; choose fewer shards",
        Positions::MAX_CHAINS
    )]
    Chains {
        /// How many numbers are taken.
        past: u16,
        /// How many the new store needs.
        new: u16,
    },

    /// The source's ledger is not what it was, and is not passed on as if it were.
    #[error("the ledger of the store that is copied is damaged")]
    Ledger(#[from] BrokenChain),

    /// What is in the copy is not what was read.
    #[error(
        "the copy is not what was copied, in its {0}; it was not released. Remove it and copy anew"
    )]
    Differs(&'static str),

    /// It was asked to stop.
    #[error("it was stopped before its end; the same command goes on where it was")]
    Stopped,
}

/// Copies all of `source` into `target`, compares the two, and releases the target as a store.
///
/// It can be stopped, or killed, and begun again: it goes on after the last step that the target kept, for as
/// long as nothing was written to the source. Events are copied first, then dialogs and tombstones, some
/// thousand at a time, then what is left. Then all is read back: each chain of the ledger is followed from
/// its first event, and the rows must sum up to what was read. Memory: one step, each *yes* that is held, and
/// the keys.
///
/// # Errors
/// See [`IncompleteCopy`]; after each of them the target is not released, unless the release itself was not
/// answered: then it happened or did not.
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
    // Whatever kept others from writing may have been lost on the way.
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

/// Reads the copy as it would be read as a source, and compares it with what was read from that one.
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
        ("key of references", found.key.as_bytes() == manifest.key.as_bytes()),
        ("dates", found.last_date >= manifest.last_date),
        ("held decisions or keys", target.rest().await? == *rest),
    ];
    match is_same.iter().find(|(_, is_same)| !is_same) {
        Some((what, _)) => Err(IncompleteCopy::Differs(what)),
        None => Ok(()),
    }
}

/// As many events are read at once.
const AT_ONCE: Limit = Limit::MAX;

fn go_on(watched: ControlFlow<()>) -> Result<(), IncompleteCopy> {
    match watched {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(IncompleteCopy::Stopped),
    }
}
