//! What is counted: how much memory a read says that it needs, and how many requests share a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dataapi_core::{
    Allowance, BatchSizes, ChainHead, Change, CustomerId, Date, Decision, Dialogs, EventKind,
    Evidence, Ledger, Limit, MemoryStore, NewDialog, PageRequest, Positions, Reach, RefKey,
    StoreError, StoredDialog, SubjectRequest, SystemClock, Window,
};

/// What each value has beside its texts, in bytes: more than nothing, and little.
const BESIDE: std::ops::Range<usize> = 1..1_024;

/// A dialog whose parts all have many bytes, and how many bytes they have together.
fn long_dialog(id: &str) -> (NewDialog, usize) {
    let id = format!("{id}{}", "i".repeat(200));
    let language = format!("x{}", "-aaaaaaaa".repeat(25));
    let (customer, text) = ("c".repeat(250), "t".repeat(3_000));
    let bytes = customer.len() + id.len() + language.len() + text.len();
    (NewDialog::parse(&customer, &id, &language, &text).expect("it is valid"), bytes)
}

#[test]
fn a_dialog_needs_about_as_much_memory_as_its_parts() {
    let (dialog, bytes) = long_dialog("d-1");
    let needed = dialog.bytes_in_memory();
    assert!(BESIDE.contains(&(needed - bytes)), "{needed} for {bytes}");
    let stored = StoredDialog::new(dialog.clone(), Date::MIN, true);
    assert_eq!(stored.bytes_in_memory(), needed);
    let held = stored.clone().for_subject(&dialog.customer_id).expect("it is the customer's");
    assert_eq!(held.bytes_in_memory(), needed);
    assert_eq!(stored.readable().expect("it is consented").bytes_in_memory(), needed);
}

#[test]
fn a_change_needs_about_as_much_memory_as_its_evidence_and_its_dialog() {
    let (dialog, _) = long_dialog("d-1");
    let piece = |byte: &str| Some(byte.repeat(255));
    let evidence = Evidence::parse(piece("n"), piece("m"), piece("l")).expect("it is valid");
    let reference = RefKey::from_bytes([7; 32]).reference(&dialog.dialog_id);
    let event = ChainHead::EMPTY.next(reference, EventKind::Granted, Date::MIN, evidence);
    let dialog = StoredDialog::new(dialog, Date::MIN, true).readable().expect("it is consented");
    let of_dialog = dialog.bytes_in_memory();
    let needed = |dialog| Change { event: event.clone(), dialog }.bytes_in_memory();
    let (alone, both) = (needed(None), needed(Some(dialog)));
    assert!(BESIDE.contains(&(alone - 3 * 255)), "{alone}");
    assert_eq!(both, alone + of_dialog);
}

/// Allows so many bytes, and remembers how many were asked for.
#[derive(Debug)]
struct Bounded {
    most: usize,
    asked: AtomicUsize,
}

impl Allowance for Bounded {
    fn allows(&self, bytes: usize) -> bool {
        self.asked.fetch_max(bytes, Ordering::SeqCst);
        bytes <= self.most
    }
}

fn bounded(most: usize) -> Arc<Bounded> {
    Arc::new(Bounded { most, asked: AtomicUsize::new(0) })
}

/// A store that cannot ask while it reads asks once for all, and then gives everything or nothing.
#[tokio::test]
async fn a_read_that_needs_more_than_it_is_allowed_is_refused() {
    let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
    let (mut bytes, mut customer): (usize, Option<CustomerId>) = (0, None);
    for id in ["d-1", "d-2"] {
        let (dialog, _) = long_dialog(id);
        bytes += dialog.bytes_in_memory();
        customer = Some(dialog.customer_id.clone());
        let id = dialog.dialog_id.clone();
        store.insert(dialog).await.expect("a new dialog is stored");
        let granted = store.decide(id, Decision::Granted, Evidence::default()).await;
        granted.expect("a decision on a pending dialog");
    }
    let pages = PageRequest::default();
    let customer = customer.expect("there are dialogs");
    let own = SubjectRequest::new(customer, Window::default()).expect("no cursor");
    let changes = store.changes(&Positions::START, Limit::MAX, &Reach::default()).await;
    let of_changes = changes.expect("changes").iter().map(Change::bytes_in_memory).sum();
    for (needed, read) in [(bytes, 0), (bytes, 1), (of_changes, 2)] {
        for most in [0, needed - 1, needed, needed + 1] {
            let allowance = bounded(most);
            let given: Arc<dyn Allowance> = allowance.clone();
            let found = match read {
                0 => store.query_within(&pages, given).await.map(|page| page.items.len()),
                1 => store.subject_data_within(&own, given).await.map(|page| page.items.len()),
                _ => {
                    let (start, all) = (Positions::START, Reach::default());
                    let read = store.changes_within(&start, Limit::MAX, &all, given).await;
                    read.map(|changes| changes.len())
                }
            };
            assert_eq!(allowance.asked.load(Ordering::SeqCst), needed);
            match found {
                Ok(found) => assert!(found == 2 && most >= needed, "{read}: {found} of {most}"),
                Err(StoreError::Overloaded { retry_after }) => {
                    assert!(most < needed && retry_after > Duration::ZERO, "{read}: {most}");
                }
                Err(other) => panic!("{read}: {other}"),
            }
        }
    }
}

#[test]
fn a_commit_is_counted_under_the_smallest_bound_that_it_does_not_exceed() {
    let bounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
    assert_eq!(BatchSizes::BOUNDS, bounds);
    for (place, bound) in bounds.into_iter().enumerate() {
        assert_eq!(BatchSizes::bucket(bound), place);
        assert_eq!(BatchSizes::bucket(bound + 1), place + 1);
    }
    let last = BatchSizes::default().counts.len() - 1;
    assert_eq!((BatchSizes::bucket(0), BatchSizes::bucket(u64::MAX)), (0, last));
}
