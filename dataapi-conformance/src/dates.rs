//! Dates: they follow the clock and never go backwards.

use dataapi_core::{
    Clock, Date, Decision, DialogStore, Evidence, HeldDialog, ImportedDialog, Purge,
};

use crate::ManualClock;
use crate::scene::{
    MICROSECOND, SECOND, customer, dialog, grant, held, id, insert, status, withdraw,
};

/// Makes every kind of call that hands out a date, and returns the dates. `between` runs between the calls.
async fn dates_of_all_calls(
    store: &dyn DialogStore,
    round: u32,
    mut between: impl FnMut(),
) -> Vec<Date> {
    let name = |kind: &str| format!("{kind}-{round}");
    let mut dates = Vec::new();

    dates.push(insert(store, "anna", &name("granted")).await);
    between();
    dates.push(grant(store, &name("granted")).await.event.date);
    between();
    dates.push(insert(store, "anna", &name("withdrawn")).await);
    between();
    dates.push(withdraw(store, &name("withdrawn")).await.event.date);
    between();
    dates.push(insert(store, "anna", &name("erased")).await);
    between();
    let erased = store.erase_dialog(&customer("anna"), &id(&name("erased"))).await;
    erased.expect("a held dialog can be erased");
    dates.push(status(store, &name("erased")).await.date);
    between();
    dates.push(insert(store, "ben", &name("customer")).await);
    between();
    store.erase_customer(&customer("ben")).await.expect("a customer can be erased");
    dates.push(status(store, &name("customer")).await.date);
    between();
    dates.push(insert(store, "anna", &name("expired")).await);
    between();
    store.purge(Purge::Pending, Date::MAX, 1).await.expect("a purge succeeds");
    dates.push(status(store, &name("expired")).await.date);
    between();
    for consented in [false, true] {
        let whose = format!("carl-{consented}-{round}");
        let dialog = dialog(&whose, &name(&whose));
        let batch = vec![ImportedDialog { dialog, date: None, consented }];
        store.import(batch).await.expect("an import is answered");
        dates.push(held(store, &whose).await[0].date());
        dates.push(status(store, &name(&whose)).await.date);
        // The next round purges and must find nothing of this one.
        store.erase_customer(&customer(&whose)).await.expect("a customer can be erased");
        between();
    }
    dates
}

/// While the clock moves forward, the date of every call is that of the clock, to the microsecond.
pub async fn dates_follow_the_clock(store: &dyn DialogStore, clock: &ManualClock) {
    for round in 0..2 {
        let expected = clock.now();
        let dates = dates_of_all_calls(store, round, || ()).await;
        assert!(
            dates.iter().all(|date| *date == expected),
            "every date is that of the clock: {dates:?} at {expected}"
        );
        clock.advance(MICROSECOND);
    }
}

/// Dates that the store hands out never go backwards, even if its clock does.
pub async fn dates_never_go_backwards_when_the_clock_does(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let start = clock.now();
    let highest = insert(store, "zoë", "first").await;
    grant(store, "first").await;
    clock.jump_back(SECOND * 3600);
    let dates = dates_of_all_calls(store, 0, || clock.jump_back(SECOND)).await;
    assert!(dates.iter().all(|date| *date == highest), "dates stay the same: {dates:?}");

    clock.set(start.saturating_add(SECOND));
    let mut jump = 0;
    let jumping = || {
        jump += 1;
        if jump % 2 == 0 { clock.jump_back(SECOND * 5) } else { clock.advance(SECOND * 6) }
    };
    let dates = dates_of_all_calls(store, 1, jumping).await;
    assert!(dates.is_sorted(), "dates never go backwards: {dates:?}");
    assert!(dates[0] > highest, "dates move on as soon as the clock has caught up");
}

/// A date that was handed out stays: no later call changes it.
pub async fn a_date_never_changes(store: &dyn DialogStore, clock: &ManualClock) {
    let received = insert(store, "anna", "d-1").await;
    clock.advance(SECOND);
    grant(store, "d-1").await;
    clock.jump_back(SECOND * 60);
    let again = store.decide(id("d-1"), Decision::Granted, Evidence::default());
    again.await.expect("the same decision again succeeds");
    insert(store, "anna", "d-2").await;
    let held = held(store, "anna").await;
    let first = held.iter().find(|held| held.dialog_id() == &id("d-1"));
    assert_eq!(first.map(HeldDialog::date), Some(received), "the date stays");
}
