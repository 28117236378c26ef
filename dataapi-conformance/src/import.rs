//! Imports: dialogs of another store keep their dates, and each has its own answer.

use dataapi_core::{
    Clock, ConsentState, Date, Decision, DialogStore, Evidence, Filter, ImportedDialog, Stats,
    StoreError,
};

use crate::ManualClock;
use crate::scene::{
    Ending, MICROSECOND, SECOND, assert_refused, dialog, evidence, grant, held, id, insert,
    insert_consented, listed, read, stats, status, withdraw, worded,
};

type Answers = Vec<Result<(), StoreError>>;

async fn import(store: &dyn DialogStore, batch: Vec<ImportedDialog>) -> Answers {
    let asked = batch.len();
    let answers = store.import(batch).await.expect("an import is answered");
    assert_eq!(answers.len(), asked, "an import returns one answer for each dialog");
    answers
}

fn pending(whose: &str, name: &str, date: Option<Date>) -> ImportedDialog {
    ImportedDialog { dialog: dialog(whose, name), date, consented: false }
}

fn consented(whose: &str, name: &str, date: Option<Date>) -> ImportedDialog {
    ImportedDialog { consented: true, ..pending(whose, name, date) }
}

/// A given date is kept, to the microsecond, even if it is before 1970.
pub async fn an_import_keeps_the_given_date(store: &dyn DialogStore, clock: &ManualClock) {
    let now = clock.now();
    let dates = [
        Date::MIN,
        "1969-12-31T23:59:59.999999Z".parse().expect("a valid date"),
        now.saturating_sub(MICROSECOND),
        now,
    ];
    for (number, date) in dates.into_iter().enumerate() {
        let (waiting, open) = (format!("p-{number}"), format!("c-{number}"));
        let batch =
            vec![pending("anna", &waiting, Some(date)), consented("anna", &open, Some(date))];
        assert!(import(store, batch).await.iter().all(Result::is_ok), "new dialogs are imported");
        let held = held(store, "anna").await;
        let kept = held.iter().filter(|held| held.date() == date).count();
        assert_eq!(kept, 2, "the given date {date} is kept");
        let waiting = status(store, &waiting).await;
        assert_eq!(waiting.state, ConsentState::Pending, "it is pending");
        assert_eq!(waiting.date, date, "a pending dialog's date is when it was received");
        let read = read(store, "anna", &open).await.expect("it is consented");
        assert_eq!(read.date(), date, "the given date is kept");
    }
    let listed = listed(store, &Filter::default()).await;
    assert_eq!(listed, ["c-3", "c-2", "c-1", "c-0"], "imported dialogs are ordered by their dates");
}

/// A dialog without a date counts as received now.
pub async fn an_import_without_a_date_counts_as_received_now(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let batch = vec![pending("anna", "p", None), consented("anna", "c", None)];
    assert!(import(store, batch).await.iter().all(Result::is_ok), "new dialogs are imported");
    for held in held(store, "anna").await {
        assert_eq!(held.date(), clock.now(), "without a date it counts as received now");
    }
}

/// An imported consent has the date of the import, and evidence that says it was imported.
pub async fn an_import_records_consent_as_of_now(store: &dyn DialogStore, clock: &ManualClock) {
    let now = clock.now();
    let then = now.saturating_sub(SECOND * 3600);
    let batch = vec![consented("anna", "dated", Some(then)), consented("anna", "undated", None)];
    assert!(import(store, batch).await.iter().all(Result::is_ok), "new dialogs are imported");
    clock.advance(SECOND);
    for name in ["dated", "undated"] {
        let status = status(store, name).await;
        assert_eq!((status.state, status.date), (ConsentState::Granted, now), "as of the import");
        assert!(
            read(store, "anna", name).await.is_ok(),
            "an imported consent makes the dialog readable"
        );
        let receipt = store.decide(id(name), Decision::Granted, evidence("later")).await;
        let receipt = receipt.expect("a grant on a consented dialog returns the first receipt");
        assert_eq!(receipt.event.date, now, "the first receipt is that of the import");
        assert_eq!(receipt.event.evidence, Evidence::of_import(), "its evidence says so");
    }
}

/// An imported dialog can be decided on like any other.
pub async fn an_imported_dialog_is_decided_on_like_any_other(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let batch = vec![
        pending("anna", "granted", None),
        pending("anna", "refused", None),
        consented("anna", "withdrawn", None),
    ];
    assert!(import(store, batch).await.iter().all(Result::is_ok), "new dialogs are imported");
    assert_refused!(
        read(store, "anna", "granted").await,
        StoreError::ConsentRequired,
        "an import without consent is pending"
    );
    clock.advance(SECOND);
    let receipt = store.decide(id("granted"), Decision::Granted, evidence("asked")).await;
    let receipt = receipt.expect("a decision is recorded");
    assert_eq!(
        receipt.event.evidence,
        evidence("asked"),
        "its consent has the evidence of the decision"
    );
    assert!(read(store, "anna", "granted").await.is_ok(), "a grant makes it readable");
    for name in ["refused", "withdrawn"] {
        withdraw(store, name).await;
        assert_refused!(
            read(store, "anna", name).await,
            StoreError::NotFound,
            "a withdrawal erases an imported dialog"
        );
    }
}

/// A date in the future is refused with `Invalid`. The future begins one microsecond from now.
pub async fn an_import_from_the_future_is_refused(store: &dyn DialogStore, clock: &ManualClock) {
    let now = clock.now();
    for (number, future) in [now.saturating_add(MICROSECOND), Date::MAX].into_iter().enumerate() {
        for consent in [false, true] {
            let name = format!("d-{number}");
            let item =
                ImportedDialog { consented: consent, ..pending("anna", &name, Some(future)) };
            let answer = import(store, vec![item]).await.remove(0);
            assert_refused!(
                answer,
                StoreError::Invalid { field: "date", .. },
                "a date in the future is refused"
            );
            assert_refused!(
                store.consent(&id(&name)).await,
                StoreError::NotFound,
                "a refused dialog is not stored"
            );
        }
    }
    // The store's own time never goes backwards, so a date that it has handed out is never in the future.
    let date = insert(store, "anna", "seen").await;
    clock.jump_back(SECOND);
    let answers = import(store, vec![pending("anna", "then", Some(date))]).await;
    assert!(answers[0].is_ok(), "a date that the store has handed out is not in the future");
}

/// An import of a taken id is refused with `Exists`, like an insert.
pub async fn an_import_of_a_taken_id_is_refused(store: &dyn DialogStore, clock: &ManualClock) {
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    clock.advance(SECOND);
    for name in ["pending", "consented"] {
        let before = status(store, name).await;
        let same = worded("anna", name, "EN", "Where is my parcel?");
        let batch = vec![
            ImportedDialog { dialog: same, date: Some(Date::MIN), consented: true },
            consented("ben", name, None),
            // A taken id is checked before the date, so that a retry learns that it is done.
            pending("anna", name, Some(Date::MAX)),
        ];
        let answers = import(store, batch).await;
        assert!(
            matches!(
                answers[..],
                [
                    Err(StoreError::Exists { same_content: true }),
                    Err(StoreError::Exists { same_content: false }),
                    Err(StoreError::Exists { same_content: true }),
                ]
            ),
            "a taken id is refused, with whether the content is the same; got {answers:?}"
        );
        assert_eq!(status(store, name).await, before, "a refused import changes no consent");
    }
}

/// An import of an id that was withdrawn or erased is refused with `Gone`, like an insert.
pub async fn an_import_brings_nothing_back(store: &dyn DialogStore, clock: &ManualClock) {
    for ending in Ending::ALL {
        ending.bring(store, clock, "anna", &format!("{ending:?}")).await;
    }
    let before = stats(store).await;
    for ending in Ending::ALL {
        let name = format!("{ending:?}");
        let batch = vec![
            consented("anna", &name, Some(Date::MIN)),
            pending("ben", &name, None),
            pending("anna", &name, Some(Date::MAX)),
        ];
        for answer in import(store, batch).await {
            assert_refused!(answer, StoreError::Gone, "after {ending:?} an import is refused");
        }
    }
    assert_eq!(stats(store).await, before, "refused imports change no count");
    assert!(listed(store, &Filter::default()).await.is_empty(), "no dialog is brought back");
}

/// A refused dialog does not keep the others out. Answers are in the order of the batch.
pub async fn a_refused_import_keeps_no_other_out(store: &dyn DialogStore, clock: &ManualClock) {
    insert(store, "anna", "taken").await;
    Ending::RefusedAtOnce.bring(store, clock, "ben", "gone").await;
    let batch = vec![
        consented("carl", "first", None),
        consented("carl", "taken", None),
        consented("carl", "second", None),
        consented("carl", "gone", None),
        consented("carl", "third", Some(Date::MAX)),
        consented("carl", "fourth", None),
    ];
    let answers = import(store, batch).await;
    assert!(
        matches!(
            answers[..],
            [
                Ok(()),
                Err(StoreError::Exists { same_content: false }),
                Ok(()),
                Err(StoreError::Gone),
                Err(StoreError::Invalid { field: "date", .. }),
                Ok(()),
            ]
        ),
        "answers are in the order of the dialogs; got {answers:?}"
    );
    let listed = listed(store, &Filter::default()).await;
    assert_eq!(listed, ["second", "fourth", "first"], "the other dialogs are stored");
}

/// If an id is repeated within one batch, the first dialog takes it.
pub async fn a_repeated_id_in_one_batch_is_taken_by_the_first(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let batch = vec![
        pending("anna", "d-1", Some(Date::MIN)),
        consented("anna", "d-1", None),
        pending("ben", "d-1", None),
        // A refused dialog does not take its id.
        pending("anna", "d-2", Some(Date::MAX)),
        consented("ben", "d-2", None),
    ];
    let answers = import(store, batch).await;
    assert!(
        matches!(
            answers[..],
            [
                Ok(()),
                Err(StoreError::Exists { same_content: true }),
                Err(StoreError::Exists { same_content: false }),
                Err(StoreError::Invalid { field: "date", .. }),
                Ok(()),
            ]
        ),
        "an id is taken by the first that is not refused; got {answers:?}"
    );
    let first = status(store, "d-1").await;
    assert_eq!((first.state, first.date), (ConsentState::Pending, Date::MIN), "the first is kept");
    assert!(read(store, "ben", "d-2").await.is_ok(), "a refused dialog does not take its id");
}

/// Imported dates do not move the dates that the store hands out.
pub async fn imported_dates_do_not_move_the_stores_dates(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let start = insert(store, "anna", "before").await;
    clock.advance(SECOND * 10);
    let imported = pending("anna", "imported", Some(clock.now()));
    assert!(import(store, vec![imported]).await[0].is_ok(), "a new dialog is imported");
    clock.set(start.saturating_add(SECOND));
    let date = insert(store, "anna", "after").await;
    assert_eq!(date, clock.now(), "an imported date does not count as handed out");
    let granted = grant(store, "imported").await.event.date;
    assert_eq!(granted, clock.now(), "an imported date does not move the dates of decisions");
}

/// An empty import succeeds.
pub async fn an_empty_import_is_fine(store: &dyn DialogStore, _: &ManualClock) {
    assert!(import(store, Vec::new()).await.is_empty(), "there are no answers");
    assert_eq!(stats(store).await, Stats::default(), "nothing is stored");
}
