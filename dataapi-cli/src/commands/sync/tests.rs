//! An updated export is the same as a new one, and a changed file is refused.

use std::ops::ControlFlow;
use std::sync::Arc;

use dataapi::{
    Clock, Date, Decision, DialogStore, Evidence, Filter, ImportedDialog, MemoryStore, NewDialog,
    Purge, RefKey, SystemClock,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::change_source::ChangeSource;
use super::changes::ChangesSinceExport;
use super::export_file::{check, rewrite};
use crate::commands::export::write_all;
use crate::formats::{DialogWriter, FileFormat};

/// What happens to a store between two exports.
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
    let store = (select(&CUSTOMERS[..]), 0..40_u8, select(&["en", "EN", "de"][..]), any::<bool>());
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
    // A refused step changes nothing.
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
    let mut writer =
        DialogWriter::new(FileFormat::Jsonl, Vec::new(), false, true).expect("a writer");
    let go_on = |_| ControlFlow::Continue(());
    assert!(write_all(store, filter, &mut writer, go_on).await.expect("is exported"));
    writer.into_inner().expect("is written")
}

async fn sync(old: Vec<u8>, source: &ChangeSource, bytes_a_turn: usize) -> Vec<u8> {
    let mut copy = old;
    loop {
        let manifest = check(&copy[..]).expect("it is as it was written");
        let changes =
            ChangesSinceExport::read(source, &manifest, bytes_a_turn).await.expect("changes");
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
            let source = ChangeSource::Store(Arc::clone(&store));
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
