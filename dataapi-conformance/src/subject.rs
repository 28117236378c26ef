//! The data of one customer: everything held on that customer, and nothing of others.

use dataapi_core::{DialogStore, Positioned, Start, Window};

use crate::ManualClock;
use crate::scene::{
    Ending, MICROSECOND, Met, SECOND, after, grant, held, ids, insert, insert_consented, largest,
    limit, newest, subject_page, withdraw, worded,
};

/// Subject data contains everything held on one customer, including pending dialogs.
pub async fn subject_data_holds_pending_and_consented_dialogs(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let text = "naïve \"words\" 🙂\n";
    let date = store.insert(worded("anna", "d-1", "PT-br", text)).await;
    let date = date.expect("a new dialog is stored").date;
    for consented in [false, true] {
        if consented {
            clock.advance(SECOND);
            grant(store, "d-1").await;
        }
        let [held] = &held(store, "anna").await[..] else { panic!("one dialog is held") };
        assert_eq!(held.consent_received(), consented, "it says whether consent was received");
        assert_eq!(held.text().as_str(), text, "the customer's own copy contains the text");
        assert_eq!(held.language().as_str(), "PT-br", "the language is as it was sent");
        assert_eq!(held.customer_id().as_str(), "anna", "it belongs to the customer");
        assert_eq!(held.dialog_id().as_str(), "d-1", "the id is as it was sent");
        assert_eq!(held.date(), date, "the date is when it was received");
    }
}

/// Subject data contains no dialog of another customer.
pub async fn subject_data_is_of_that_customer_only(store: &dyn DialogStore, _: &ManualClock) {
    let customers = ["anna", "Anna", "ann", "anna ", "an%", "ann_", "zoë", "zoe\u{308}"];
    for (number, whose) in customers.into_iter().enumerate() {
        insert(store, whose, &format!("p-{number}")).await;
        insert_consented(store, whose, &format!("c-{number}")).await;
    }
    for (number, whose) in customers.into_iter().enumerate() {
        let page = subject_page(store, whose, largest()).await;
        let expected = [format!("p-{number}"), format!("c-{number}")];
        assert_eq!(ids(&page), expected, "only what is held on exactly this customer");
        assert_eq!(page.total, Some(2), "only what is held on exactly this customer counts");
    }
}

/// Subject data contains nothing of a dialog that was withdrawn or erased.
pub async fn subject_data_has_nothing_of_what_is_gone(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for ending in Ending::ALL {
        ending.bring(store, clock, "anna", &format!("{ending:?}")).await;
        let page = subject_page(store, "anna", largest()).await;
        assert!(page.items.is_empty(), "nothing is held after {ending:?}");
        assert_eq!(page.total, Some(0), "nothing counts after {ending:?}");
    }
}

/// Subject data of an unknown customer is an empty page, not an error.
pub async fn subject_data_of_an_unknown_customer_is_empty(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let page = subject_page(store, "nobody", largest()).await;
    assert!(page.items.is_empty(), "nothing is held on an unknown customer");
    assert_eq!((page.total, page.next), (Some(0), None), "there is no total and no next page");
}

/// Subject data is paged like a query: in the same order, by offset and by cursor, with and without a total.
pub async fn subject_data_is_paged_like_a_query(store: &dyn DialogStore, clock: &ManualClock) {
    for number in 0..24_usize {
        let name = format!("{}-{number}", ["d", "D", "é", "🙂", "～"][number * 3 % 5]);
        insert(store, ["anna", "ben"][usize::from(number % 4 == 3)], &name).await;
        match number % 3 {
            0 => {
                grant(store, &name).await;
            }
            1 if number % 2 == 0 => {
                withdraw(store, &name).await;
            }
            _ => clock.advance(MICROSECOND),
        }
    }
    let full = held(store, "anna").await;
    assert!(full.len() > 10, "the test needs several pages");
    assert!(
        full.is_sorted_by(|one, other| {
            let (one, other) = (one.position(), other.position());
            (one.date, one.dialog_id.as_str().as_bytes())
                > (other.date, other.dialog_id.as_str().as_bytes())
        }),
        "newest date first, equal dates by id, descending bytes"
    );
    let total = full.len() as u64;
    for size in [1, 2, 5, 1000] {
        for first in [0, 1, 4, full.len(), full.len() + 1] {
            let start = Start::Offset(first as u64);
            let mut page = subject_page(store, "anna", Window { start, ..newest(size) }).await;
            let mut met = Met::default();
            met.add(&page);
            let mut found = page.items;
            assert_eq!(page.total, Some(total), "the total counts everything that is held");
            while let Some(cursor) = page.next {
                page = subject_page(store, "anna", after(&cursor, size)).await;
                assert_eq!(page.total, Some(total), "the total counts everything that is held");
                assert!(page.items.len() <= size, "a page has no more than its limit");
                met.add(&page);
                found.extend(page.items);
            }
            assert_eq!(found, full[first.min(full.len())..], "pages concatenate to the full list");

            let start = Start::Offset(first as u64);
            let window = Window { limit: limit(size), start, total: false };
            let page = subject_page(store, "anna", window).await;
            assert_eq!(page.total, None, "there is no total unless it is asked for");
        }
    }
    for offset in [i64::MAX.unsigned_abs(), i64::MAX.unsigned_abs() + 1, u64::MAX] {
        let start = Start::Offset(offset);
        let page = subject_page(store, "anna", Window { start, ..largest() }).await;
        assert!(page.items.is_empty(), "there is nothing after the end");
        assert_eq!(page.total, Some(total), "the total is the same after the end");
    }
}
