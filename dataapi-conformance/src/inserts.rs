//! Inserts: each id is taken once, and a retry learns that it is done.

use dataapi_core::{Clock, ConsentState, DialogStore, StoreError};

use crate::ManualClock;
use crate::scene::{
    Ending, SECOND, assert_refused, dialog, grant, held, insert, read, stats, status, worded,
};

/// An insert stores a pending dialog and returns the date when it was received.
pub async fn an_insert_stores_a_pending_dialog_and_returns_its_date(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let date = insert(store, "anna", "d-1").await;
    assert_eq!(date, clock.now(), "the date is that of the clock, to the microsecond");
    clock.advance(SECOND);
    let status = status(store, "d-1").await;
    assert_eq!(status.state, ConsentState::Pending, "a new dialog is pending");
    assert_eq!(status.date, date, "a pending dialog's date is when it was received");
    let [held] = &held(store, "anna").await[..] else { panic!("one dialog is held") };
    assert_eq!(held.date(), date, "the returned date is the stored date");
    assert!(!held.consent_received(), "a new dialog is not consented");
}

/// Repeating an insert is refused with `Exists`. `same_content` is true if customer, text and language are the stored
/// ones.
pub async fn a_repeated_insert_learns_that_it_is_done(store: &dyn DialogStore, _: &ManualClock) {
    let sent = worded("anna", "d-1", "pt-BR", "Onde está?");
    store.insert(sent.clone()).await.expect("a new dialog is stored");
    for consented in [false, true] {
        if consented {
            grant(store, "d-1").await;
        }
        for language in ["pt-BR", "PT-br"] {
            assert_refused!(
                store.insert(worded("anna", "d-1", language, "Onde está?")).await,
                StoreError::Exists { same_content: true },
                "the same dialog has the same content, whatever the case of its language"
            );
        }
    }
}

/// An insert of a taken id with other content is refused with `Exists`, for every customer.
pub async fn a_taken_id_is_refused_to_other_content(store: &dyn DialogStore, _: &ManualClock) {
    store.insert(worded("anna", "d-1", "en", "Hello")).await.expect("a new dialog is stored");
    for consented in [false, true] {
        if consented {
            grant(store, "d-1").await;
        }
        for other in [
            worded("ben", "d-1", "en", "Hello"),
            worded("Anna", "d-1", "en", "Hello"),
            worded("anna", "d-1", "de", "Hello"),
            worded("anna", "d-1", "en-GB", "Hello"),
            worded("anna", "d-1", "en", "Hello "),
            worded("anna", "d-1", "en", "hello"),
            worded("ben", "d-1", "de", "Hallo"),
        ] {
            assert_refused!(
                store.insert(other).await,
                StoreError::Exists { same_content: false },
                "an id is unique in the whole store, and other content is recognised"
            );
        }
    }
}

/// A refused insert changes nothing: the dialog that has the id stays as it is.
pub async fn a_refused_insert_leaves_the_stored_dialog_alone(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let sent = worded("anna", "d-1", "en", "Hello");
    let date = store.insert(sent).await.expect("a new dialog is stored").date;
    clock.advance(SECOND);
    let _ = store.insert(worded("ben", "d-1", "de", "Hallo")).await;
    let _ = store.insert(worded("anna", "d-1", "EN", "Hello")).await;
    grant(store, "d-1").await;
    let stored = read(store, "anna", "d-1").await.expect("the first dialog is still there");
    assert_eq!(stored.text().as_str(), "Hello", "the text is that of the first insert");
    assert_eq!(stored.language().as_str(), "en", "the language is that of the first insert");
    assert_eq!(stored.date(), date, "the date is that of the first insert");
    assert!(held(store, "ben").await.is_empty(), "a refused insert stores nothing");
}

/// An id that was withdrawn or erased is refused with `Gone`: no call ever brings the dialog back.
pub async fn a_gone_id_is_never_taken_again(store: &dyn DialogStore, clock: &ManualClock) {
    for ending in Ending::ALL {
        ending.bring(store, clock, "anna", &format!("{ending:?}")).await;
    }
    let before = stats(store).await;
    for _ in 0..2 {
        for ending in Ending::ALL {
            for whose in ["anna", "ben"] {
                assert_refused!(
                    store.insert(dialog(whose, &format!("{ending:?}"))).await,
                    StoreError::Gone,
                    "after {ending:?} the id is gone to {whose}"
                );
            }
            let state = status(store, &format!("{ending:?}")).await.state;
            assert_eq!(state, ending.state(), "a refused insert leaves the tombstone as it is");
        }
        clock.advance(SECOND * 1_000_000);
    }
    assert_eq!(stats(store).await, before, "refused inserts change no count");
}
