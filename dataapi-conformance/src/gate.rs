//! The consent gate: no text can be read before consent, or after consent ended.

use dataapi_core::{DialogStore, Filter, StoreError};

use crate::ManualClock;
use crate::scene::{
    Ending, SECOND, after, assert_refused, customer, grant, held, ids, insert, insert_consented,
    language, largest, listed, newest, page, read, subject_page, withdraw, worded,
};

/// Reading a pending dialog is refused with `ConsentRequired`.
pub async fn a_pending_dialog_cannot_be_read(store: &dyn DialogStore, _: &ManualClock) {
    insert(store, "anna", "d-1").await;
    assert_refused!(
        read(store, "anna", "d-1").await,
        StoreError::ConsentRequired,
        "a pending dialog requires consent before it is read"
    );
}

/// A pending dialog is on no page and counts in no total, whatever the filter.
pub async fn a_pending_dialog_is_on_no_page(store: &dyn DialogStore, _: &ManualClock) {
    let date = insert(store, "anna", "d-1").await;
    let all = Filter::default();
    let received = all.clone().between(Some(date), None).expect("an open range is in order");
    let filters = [
        all.clone().customer(customer("anna")),
        all.clone().language(language("en")),
        received,
        all,
    ];
    for filter in filters {
        let page = page(store, &filter, largest()).await;
        assert!(page.items.is_empty(), "a pending dialog is on no page");
        assert_eq!(page.total, Some(0), "a pending dialog counts in no total");
    }
}

/// A dialog of another customer is `NotFound`, pending or not: the answer does not reveal that it exists.
pub async fn a_dialog_of_another_customer_is_not_found(store: &dyn DialogStore, _: &ManualClock) {
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    for whose in ["ben", "Anna", "ann", "anna "] {
        for dialog in ["pending", "consented"] {
            assert_refused!(
                read(store, whose, dialog).await,
                StoreError::NotFound,
                "the {dialog} dialog of another customer is not found"
            );
        }
    }
}

/// An absent dialog is `NotFound`.
pub async fn an_absent_dialog_is_not_found(store: &dyn DialogStore, _: &ManualClock) {
    insert_consented(store, "anna", "d-1").await;
    for absent in ["d-2", "D-1", "d-", "d-11", "d%", "d__"] {
        assert_refused!(
            read(store, "anna", absent).await,
            StoreError::NotFound,
            "an id that was never used is not found"
        );
    }
}

/// A grant makes the dialog readable, with every value as it was sent and the date that was handed out.
pub async fn a_consented_dialog_reads_as_it_was_sent(store: &dyn DialogStore, clock: &ManualClock) {
    let sent = worded("anna", "d-1", "PT-br", "Onde está?\n\"Aqui\" 🙂");
    let date = store.insert(sent.clone()).await.expect("a new dialog is stored").date;
    clock.advance(SECOND);
    grant(store, "d-1").await;

    let one = read(store, "anna", "d-1").await.expect("a consented dialog can be read");
    let all = page(store, &Filter::default(), largest()).await.items;
    assert_eq!(all, std::slice::from_ref(&one), "a page contains the same dialog as a look-up");
    assert_eq!(one.customer_id(), &sent.customer_id, "the customer is as it was sent");
    assert_eq!(one.dialog_id(), &sent.dialog_id, "the id is as it was sent");
    assert_eq!(one.language().as_str(), "PT-br", "the language is as it was sent, case included");
    assert_eq!(one.text().as_str(), sent.text.as_str(), "the text is as it was sent");
    assert_eq!(one.date(), date, "the date is when the dialog was received, not consented to");
}

/// After a withdrawal or an erasure no call returns the text.
pub async fn a_gone_dialog_is_in_no_answer(store: &dyn DialogStore, clock: &ManualClock) {
    for ending in Ending::ALL {
        ending.bring(store, clock, "anna", &format!("{ending:?}")).await;
    }
    for ending in Ending::ALL {
        assert_refused!(
            read(store, "anna", &format!("{ending:?}")).await,
            StoreError::NotFound,
            "after {ending:?} a dialog is not found"
        );
    }
    assert!(
        listed(store, &Filter::default()).await.is_empty(),
        "no page contains an erased dialog"
    );
    assert!(held(store, "anna").await.is_empty(), "nothing of an erased dialog is held");
}

/// The next page of a crawl that began before a withdrawal does not return the text.
pub async fn a_crawl_begun_before_a_withdrawal_does_not_return_the_text(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for dialog in ["d-1", "d-2", "d-3"] {
        insert_consented(store, "anna", dialog).await;
        clock.advance(SECOND);
    }
    let all = Filter::default();
    let crawl = page(store, &all, newest(1)).await.next.expect("two more pages follow");
    let subject = subject_page(store, "anna", newest(1)).await.next.expect("two more pages follow");
    withdraw(store, "d-2").await;

    let rest = page(store, &all, after(&crawl, 2)).await;
    assert_eq!(ids(&rest), ["d-1"], "a crawl skips a dialog that was withdrawn meanwhile");
    let rest = subject_page(store, "anna", after(&subject, 2)).await;
    assert_eq!(ids(&rest), ["d-1"], "a crawl skips a dialog that was withdrawn meanwhile");
}
