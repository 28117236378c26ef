//! `dataapi sync`: what has happened since an export, done to its file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use dataapi::{
    ChainHead, Date, Dialog, DialogId, DialogRef, Filter, LedgerHead, Position, Positions,
};
use serde::Deserialize;

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exchange::export_line;
use crate::exchange::manifest::{Lines, Manifest, ManifestLine};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::source::Source;

/// How many bytes of new texts are kept in memory; more take another turn.
const BYTES_A_TURN: usize = 64 << 20;

/// No line is longer: the longest text, each byte written in six, and the rest.
const LONGEST_LINE: u64 = 128 << 20;

pub(super) async fn run(args: args::Sync, context: &Context) -> Result<Exit, CommandError> {
    let source = Source::open(args.from.as_deref(), context).await?;
    // A killed process would leave the texts that it had begun to write.
    let interrupt = Interrupt::watch(context)?;
    let mut total = Tally::default();
    let head = loop {
        if interrupt.is_requested() {
            context.note("interrupted; the file is whole, and to go on, run the same sync again");
            return Ok(Exit::Interrupted);
        }
        let manifest = check(open(&args.file)?)?;
        let changes = Changes::read(&source, &manifest, BYTES_A_TURN).await?;
        let mut output = Output::to(&args.file)?;
        total += rewrite(open(&args.file)?, &manifest, &changes, &mut output)?;
        output.finish()?;
        if changes.is_all {
            break changes.head;
        }
    };
    let Tally { added, removed } = total;
    context.note(&format!(
        "{added} added, {removed} removed; up to date with event {}",
        head.positions
    ));
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<BufReader<File>, CommandError> {
    Ok(BufReader::with_capacity(64 << 10, File::open(path).map_err(CommandError::Input)?))
}

/// Why a file cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(
        "the file is no export in JSON Lines with its manifest; make one with 'dataapi export -o \
         FILE.jsonl'"
    )]
    NoManifest,

    #[error("the file was changed after it was written; export it anew")]
    Changed,

    #[error(
        "the file is of another store, or of one that has lost its ledger since; export it anew, and \
         delete the old file"
    )]
    OtherLedger,
}

impl From<SyncError> for CommandError {
    fn from(error: SyncError) -> Self {
        Self::NotDone(Box::new(error))
    }
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    added: u64,
    removed: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.added += more.added;
        self.removed += more.removed;
    }
}

/// Reads an export to its manifest, and checks that it is as it was written.
fn check(input: impl BufRead) -> Result<Manifest, CommandError> {
    let mut lines = Lines::default();
    let mut last = Vec::new();
    each_line(input, |line| {
        if !last.is_empty() {
            lines.add(&last);
        }
        last.clear();
        last.extend_from_slice(line);
        Ok(())
    })
    .map_err(CommandError::Input)?;
    let manifest = serde_json::from_slice::<ManifestLine>(&last);
    let manifest = manifest.map_err(|_| SyncError::NoManifest)?.manifest;
    if lines.match_up(&manifest) { Ok(manifest) } else { Err(SyncError::Changed.into()) }
}

fn each_line(
    mut input: impl BufRead,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(&line)?;
    }
}

/// What has happened since, by dialog: what it is now, or that it is gone or does not match.
struct Changes {
    by_dialog: HashMap<DialogRef, Option<Dialog>>,
    head: LedgerHead,
    /// Whether there is no more.
    is_all: bool,
}

impl Changes {
    async fn read(
        source: &Source,
        manifest: &Manifest,
        at_most: usize,
    ) -> Result<Self, CommandError> {
        let strange = |_| CommandError::from(SyncError::Changed);
        let filter = manifest.filter().map_err(strange)?;
        let noted = manifest.head().map_err(strange)?;
        let mut heads = heads_at(source, &noted.positions).await?;
        if LedgerHead::of(heads.values().copied()) != noted {
            return Err(SyncError::OtherLedger.into());
        }
        let mut seen = noted.positions;
        let mut by_dialog = HashMap::new();
        let mut bytes = 0;
        loop {
            let more = source.changes(&seen).await?;
            if more.is_empty() {
                let head = LedgerHead::of(heads.into_values());
                return Ok(Self { by_dialog, head, is_all: true });
            }
            for change in more {
                let event = &change.event;
                let head = heads.entry(event.chain).or_insert(ChainHead::empty(event.chain));
                let follows =
                    head.next(event.reference, event.kind, event.date, event.evidence.clone());
                if follows != *event {
                    return Err(SyncError::OtherLedger.into());
                }
                *head = event.head();
                seen.pass(event);
                let dialog = change.dialog.filter(|dialog| is_in(&filter, dialog));
                bytes += dialog.as_ref().map_or(0, |dialog| dialog.text().as_str().len());
                by_dialog.insert(event.reference, dialog);
            }
            if bytes >= at_most {
                let head = LedgerHead::of(heads.into_values());
                return Ok(Self { by_dialog, head, is_all: false });
            }
        }
    }
}

/// What stands at those positions, by chain.
async fn heads_at(
    source: &Source,
    noted: &Positions,
) -> Result<BTreeMap<u16, ChainHead>, CommandError> {
    let mut heads = BTreeMap::new();
    let mut before = Positions::START;
    for (chain, position) in noted.chains() {
        before.set(chain, position - 1);
        let there = source.changes(&before).await?;
        heads.extend(there.first().map(|change| (chain, change.event.head())));
        // Of the chains before the next one nothing more is asked.
        before.set(chain, u64::MAX);
    }
    Ok(heads)
}

fn is_in(filter: &Filter, dialog: &Dialog) -> bool {
    filter.matches(dialog.customer_id(), dialog.language(), dialog.date())
}

/// What of an old line says where it stands, and whose it is.
#[derive(Deserialize)]
struct OldLine {
    dialog_id: String,
    date: String,
    #[serde(rename = "ref")]
    reference: String,
}

impl OldLine {
    fn parse(line: &[u8]) -> Option<(Position, DialogRef)> {
        let Self { dialog_id, date, reference } = serde_json::from_slice(line).ok()?;
        let (dialog_id, date): (DialogId, Date) = (dialog_id.parse().ok()?, date.parse().ok()?);
        Some((Position { date, dialog_id }, reference.parse().ok()?))
    }
}

/// Writes the lines of an export that stay and those that are new, in order, and the manifest.
fn rewrite(
    old: impl BufRead,
    manifest: &Manifest,
    changes: &Changes,
    out: &mut impl Write,
) -> Result<Tally, CommandError> {
    let filter = manifest.filter().map_err(|_| SyncError::Changed)?;
    let mut new: Vec<_> = changes
        .by_dialog
        .iter()
        .filter_map(|(reference, dialog)| Some((reference, dialog.as_ref()?)))
        .map(|(reference, dialog)| (position(dialog), reference, dialog))
        .collect();
    new.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut tally = Tally { added: new.len() as u64, removed: 0 };
    let mut new = new.into_iter().peekable();
    let mut lines = Lines::default();
    let mut left = manifest.count;
    let mut write = |out: &mut _, line: &[u8]| {
        lines.add(line);
        Write::write_all(out, line)
    };
    let stale = || io::Error::other(SyncError::Changed);
    each_line(old, |line| {
        // After the last one the old manifest follows.
        let Some(rest) = left.checked_sub(1) else { return Ok(()) };
        left = rest;
        let (place, reference) = OldLine::parse(line).ok_or_else(stale)?;
        match changes.by_dialog.get(&reference) {
            None => {}
            Some(None) => {
                tally.removed += 1;
                return Ok(());
            }
            // It was consented to while the export was written.
            Some(Some(_)) => {
                tally.added -= 1;
                return Ok(());
            }
        }
        while let Some((_, reference, dialog)) = new.next_if(|(new, ..)| *new < place) {
            write(out, &export_line(dialog, reference)?)?;
        }
        write(out, line)
    })?;
    for (_, reference, dialog) in new {
        write(out, &export_line(dialog, reference)?)?;
    }
    lines.finish(out, &filter, &changes.head)?;
    Ok(tally)
}

fn position(dialog: &Dialog) -> Position {
    Position { date: dialog.date(), dialog_id: dialog.dialog_id().clone() }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use dataapi::{
        Clock, Decision, DialogStore, Evidence, ImportedDialog, MemoryStore, NewDialog, Purge,
        RefKey, SystemClock,
    };
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::commands::export::write_all;
    use crate::exchange::{Format, Writer};

    /// What happens to a store between an export and the next.
    #[derive(Clone, Debug)]
    enum Step {
        Store { customer: &'static str, dialog: u8, language: &'static str, consented: bool },
        Decide { dialog: u8, granted: bool },
        EraseCustomer { customer: &'static str },
        PurgeConsented { at_most: u32 },
        ForgetTombstones,
    }

    const CUSTOMERS: [&str; 3] = ["anna", "Anna", "zoë \"'\u{2028}"];

    fn step() -> impl Strategy<Value = Step> {
        let store =
            (select(&CUSTOMERS[..]), 0..40_u8, select(&["en", "EN", "de"][..]), any::<bool>());
        prop_oneof![
            8 => store.prop_map(|(customer, dialog, language, consented)| {
                Step::Store { customer, dialog, language, consented }
            }),
            8 => (0..40_u8, prop::bool::weighted(0.6))
                .prop_map(|(dialog, granted)| Step::Decide { dialog, granted }),
            1 => select(&CUSTOMERS[..]).prop_map(|customer| Step::EraseCustomer { customer }),
            1 => (0..4_u32).prop_map(|at_most| Step::PurgeConsented { at_most }),
            1 => Just(Step::ForgetTombstones),
        ]
    }

    async fn take(store: &dyn DialogStore, step: &Step) {
        // Whatever is refused changes nothing.
        match *step {
            Step::Store { customer, dialog, language, consented } => {
                let text = format!("{dialog} 🙂\n\u{202e}\"");
                let dialog = NewDialog::parse(customer, &format!("d/{dialog}"), language, &text);
                let dialog = dialog.expect("it is valid");
                let batch = vec![ImportedDialog { dialog, date: None, consented }];
                drop(store.import(batch).await);
            }
            Step::Decide { dialog, granted } => {
                let id = format!("d/{dialog}").parse().expect("it is an id");
                let decision = if granted { Decision::Granted } else { Decision::Withdrawn };
                drop(store.decide(id, decision, Evidence::default()).await);
            }
            Step::EraseCustomer { customer } => {
                drop(store.erase_customer(&customer.parse().expect("an id")).await);
            }
            Step::PurgeConsented { at_most } => {
                drop(store.purge(Purge::Consented, Date::MAX, at_most).await);
            }
            Step::ForgetTombstones => {
                drop(store.purge(Purge::Tombstones, Date::MAX, 100).await);
            }
        }
    }

    async fn export(store: &Arc<dyn DialogStore>, filter: &Filter) -> Vec<u8> {
        let mut writer = Writer::new(Format::Jsonl, Vec::new(), false, true).expect("a writer");
        let go_on = |_| ControlFlow::Continue(());
        assert!(write_all(store, filter, &mut writer, go_on).await.expect("is exported"));
        writer.into_inner().expect("is written")
    }

    async fn sync(old: Vec<u8>, source: &Source, bytes_a_turn: usize) -> Vec<u8> {
        let mut copy = old;
        loop {
            let manifest = check(&copy[..]).expect("it is as it was written");
            let changes = Changes::read(source, &manifest, bytes_a_turn).await.expect("changes");
            let mut new = Vec::new();
            rewrite(&copy[..], &manifest, &changes, &mut new).expect("is written");
            copy = new;
            if changes.is_all {
                return copy;
            }
        }
    }

    fn filter() -> impl Strategy<Value = Filter> {
        let customer = prop::option::weighted(0.3, select(&CUSTOMERS[..]));
        let language = prop::option::weighted(0.3, select(&["en", "de"][..]));
        (customer, language, prop::option::weighted(0.2, Just(SystemClock.now()))).prop_map(
            |(customer, language, from)| {
                let mut filter = Filter::default();
                if let Some(customer) = customer {
                    filter = filter.customer(customer.parse().expect("an id"));
                }
                if let Some(language) = language {
                    filter = filter.language(language.parse().expect("a tag"));
                }
                filter.between(from, None).expect("a range")
            },
        )
    }

    proptest! {
        #[test]
        fn an_old_copy_with_its_changes_is_a_fresh_export(
            before in prop::collection::vec(step(), 0..60),
            between in prop::collection::vec(step(), 0..60),
            filter in filter(),
            bytes_a_turn in select(vec![1_usize, 40, 1 << 20]),
        ) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
            runtime.block_on(async {
                let key = RefKey::from_bytes([7; 32]);
                let store: Arc<dyn DialogStore> =
                    Arc::new(MemoryStore::new(Arc::new(SystemClock), key));
                for step in &before {
                    take(&*store, step).await;
                }
                let old = export(&store, &filter).await;
                for step in &between {
                    take(&*store, step).await;
                }
                let fresh = export(&store, &filter).await;
                let source = Source::Store(Arc::clone(&store));
                let synced = sync(old, &source, bytes_a_turn).await;
                prop_assert_eq!(String::from_utf8_lossy(&synced), String::from_utf8_lossy(&fresh));
                Ok(())
            })?;
        }

        #[test]
        fn a_copy_that_was_changed_is_refused(
            steps in prop::collection::vec(step(), 1..30),
            place: prop::sample::Index,
            byte: u8,
        ) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
            let mut copy = runtime.block_on(async {
                let key = RefKey::from_bytes([7; 32]);
                let store: Arc<dyn DialogStore> =
                    Arc::new(MemoryStore::new(Arc::new(SystemClock), key));
                for step in &steps {
                    take(&*store, step).await;
                }
                export(&store, &Filter::default()).await
            });
            let lines = copy.len() - copy.rsplit(|byte| *byte == b'\n').nth(1).map_or(0, <[u8]>::len);
            let at = place.index(lines);
            prop_assume!(lines > 1 && at + 1 < lines && copy[at] != byte);
            copy[at] = byte;
            prop_assert!(check(&copy[..]).is_err());
            prop_assert!(check(&b""[..]).is_err());
        }
    }
}
