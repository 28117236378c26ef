//! Races: when calls compete, exactly the promised ones win.

use dataapi_core::{
    Clock, ConsentState, Decision, DialogStore, Evidence, Filter, Purge, StoreError,
};
use tokio::task::yield_now;

use crate::ManualClock;
use crate::early::HOLD;
use crate::parallel::at_once;
use crate::scene::{
    MICROSECOND, SECOND, assert_refused, customer, decide, dialog, evidence, held, id, insert,
    insert_consented, listed, read, stats, status, withdraw,
};

/// How many calls compete for one thing.
const CROWD: usize = 32;

/// Of concurrent inserts with one id, exactly one wins.
pub async fn of_concurrent_inserts_of_one_id_exactly_one_wins(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    for round in 0..10 {
        let name = format!("d-{round}");
        let answers = at_once((0..CROWD).map(|number| {
            // Each sends its own dialog, except that the last two send the same.
            let sent = dialog(&format!("customer-{}", number.min(CROWD - 2)), &name);
            async move { (number, store.insert(sent).await) }
        }));
        let winners: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_ok()).collect();
        let [(winner, Ok(received))] = winners[..] else {
            panic!("exactly one insert wins, but {} did", winners.len())
        };
        for (number, answer) in &answers {
            let same = number.min(&(CROWD - 2)) == winner.min(&(CROWD - 2));
            match answer {
                Ok(_) => {}
                Err(StoreError::Exists { same_content }) => assert_eq!(
                    *same_content, same,
                    "the losers learn whether the winner sent the same content"
                ),
                other => panic!("the losers learn that the id is taken, not {other:?}"),
            }
        }
        let whose = format!("customer-{}", winner.min(&(CROWD - 2)));
        let held = held(store, &whose).await;
        let won = held.iter().find(|held| held.dialog_id().as_str() == name);
        let won = won.expect("the winner's dialog is the one stored");
        assert_eq!(won.date(), received.date, "the winner's date is the one stored");
    }
    assert_eq!(stats(store).await.pending, 10, "each id is stored once");
}

/// Concurrent calls on different ids all succeed.
pub async fn concurrent_inserts_of_different_ids_all_succeed(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    at_once((0..CROWD).map(|task| async move {
        for number in 0..8 {
            let name = format!("d-{task}-{number}");
            if number % 2 == 0 {
                insert_consented(store, "anna", &name).await;
                assert!(read(store, "anna", &name).await.is_ok(), "later reads see the grant");
            } else {
                insert(store, "anna", &name).await;
                withdraw(store, &name).await;
            }
            clock.advance(MICROSECOND);
            yield_now().await;
        }
    }));
    let counts = stats(store).await;
    let each = CROWD as u64 * 4;
    assert_eq!(
        (counts.pending, counts.consented, counts.withdrawn),
        (0, each, each),
        "none is lost"
    );
    assert_eq!(listed(store, &Filter::default()).await.len(), CROWD * 4, "none is lost");
}

/// Of concurrent decisions, a withdrawal always has the last word. A grant that comes too late is refused with
/// `Conflict`.
pub async fn of_concurrent_decisions_a_withdrawal_has_the_last_word(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    for round in 0..16 {
        let name = &*format!("d-{round}");
        insert(store, "anna", name).await;
        at_once((0..CROWD).map(|number| async move {
            // One withdrawal among the grants, at another place in each round.
            if number == round * 2 {
                withdraw(store, name).await;
                assert_refused!(
                    read(store, "anna", name).await,
                    StoreError::NotFound,
                    "after an acknowledged withdrawal nothing is readable"
                );
                assert_refused!(
                    decide(store, name, Decision::Granted).await,
                    StoreError::Conflict,
                    "after an acknowledged withdrawal every grant is a conflict"
                );
                assert_refused!(
                    store.insert(dialog("anna", name)).await,
                    StoreError::Gone,
                    "after an acknowledged withdrawal the id is gone"
                );
                assert!(
                    !listed(store, &Filter::default()).await.iter().any(|id| id == name),
                    "after an acknowledged withdrawal it is on no page"
                );
            } else {
                match decide(store, name, Decision::Granted).await {
                    Ok(_) | Err(StoreError::Conflict) => {}
                    other => panic!("a grant is recorded or in conflict, not {other:?}"),
                }
            }
        }));
        let state = status(store, name).await.state;
        assert_eq!(state, ConsentState::Withdrawn, "a withdrawal has the last word");
        assert!(held(store, "anna").await.is_empty(), "nothing is held after a withdrawal");
    }
}

/// Concurrent equal decisions all return the same receipt.
pub async fn concurrent_equal_decisions_have_one_receipt(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for round in 0..5 {
        let name = &*format!("d-{round}");
        insert(store, "anna", name).await;
        for decision in [Decision::Granted, Decision::Withdrawn] {
            let receipts = at_once((0..CROWD).map(|number| async move {
                clock.advance(MICROSECOND);
                let shown = evidence(&format!("notice {number}"));
                store.decide(id(name), decision, shown).await
            }));
            let receipts: Vec<_> = receipts
                .into_iter()
                .map(|receipt| receipt.expect("each is answered with a receipt"))
                .collect();
            assert!(
                receipts.iter().all(|receipt| receipt == &receipts[0]),
                "all are answered with the first receipt"
            );
            let date = status(store, name).await.date;
            assert_eq!(date, receipts[0].event.date, "the first receipt is the one kept");
        }
    }
}

/// A grant makes its dialog readable and a withdrawal blocks it, whether the decision or the dialog comes first.
pub async fn an_early_decision_races_fairly_with_its_dialog(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    const DIALOGS: usize = 48;
    let early = |number: usize, decision| {
        let name = id(&format!("d-{number}"));
        store.decide_early(name, decision, Evidence::default(), HOLD)
    };
    at_once((0..DIALOGS * 3).map(|task| async move {
        let number = task / 3;
        match task % 3 {
            0 => drop(store.insert(dialog("anna", &format!("d-{number}"))).await),
            1 => drop(early(number, Decision::Granted).await),
            _ if number % 2 == 0 => drop(early(number, Decision::Withdrawn).await),
            _ => {}
        }
    }));
    for number in 0..DIALOGS {
        let name = format!("d-{number}");
        let state = status(store, &name).await.state;
        if number % 2 == 0 {
            assert_eq!(state, ConsentState::Withdrawn, "a withdrawal always has the last word");
        } else {
            assert_eq!(
                state,
                ConsentState::Granted,
                "a grant and its dialog can come in any order"
            );
            assert!(read(store, "anna", &name).await.is_ok());
        }
    }
    let counts = stats(store).await;
    let half = DIALOGS as u64 / 2;
    assert_eq!((counts.pending, counts.consented, counts.withdrawn), (0, half, half));
}

/// Of concurrent erasures of one dialog one succeeds, and each erased dialog counts once.
pub async fn concurrent_erasures_count_each_dialog_once(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let one_customer = &customer("anna");
    for round in 0..5 {
        let name = &id(&format!("single-{round}"));
        insert(store, "anna", name.as_str()).await;
        let erased = at_once(
            (0..CROWD).map(|_| async move { store.erase_dialog(one_customer, name).await }),
        );
        assert_eq!(erased.iter().filter(|answer| answer.is_ok()).count(), 1, "one erases it");
        let others = erased.iter().all(|it| matches!(it, Ok(()) | Err(StoreError::NotFound)));
        assert!(others, "the others do not find it; got {erased:?}");

        for number in 0..20 {
            insert(store, "anna", &format!("all-{round}-{number}")).await;
        }
        let erased =
            at_once((0..CROWD).map(|_| async move { store.erase_customer(one_customer).await }));
        let erased: Vec<_> =
            erased.into_iter().map(|count| count.expect("a customer can be erased")).collect();
        let mut expected = vec![0; CROWD - 1];
        expected.push(20);
        let mut sorted = erased;
        sorted.sort_unstable();
        assert_eq!(sorted, expected, "one call erases everything at once, the others nothing");

        for number in 0..20 {
            insert(store, "anna", &format!("purge-{round}-{number}")).await;
        }
        clock.advance(SECOND);
        let now = clock.now();
        let purged =
            at_once((0..CROWD).map(|_| async move { store.purge(Purge::Pending, now, 3).await }));
        let purged: Vec<_> =
            purged.into_iter().map(|count| count.expect("a purge succeeds")).collect();
        assert_eq!(purged.iter().sum::<u64>(), 20, "each is purged once");
        assert!(purged.iter().all(|count| *count <= 3), "no purge takes more than asked");
    }
    let counts = stats(store).await;
    assert_eq!((counts.pending, counts.erased), (0, 5 * 41), "each is erased once");
}

/// A purge leaves a dialog alone that is decided on first. If the purge comes first, the grant is a conflict.
pub async fn a_purge_races_fairly_with_consent(store: &dyn DialogStore, clock: &ManualClock) {
    const DIALOGS: usize = 48;
    for number in 0..DIALOGS {
        insert(store, "anna", &format!("d-{number}")).await;
    }
    clock.advance(SECOND);
    let now = clock.now();
    // Each task returns how many dialogs it purged and how many of its grants came too late.
    let answers = at_once((0..DIALOGS).map(|number| async move {
        if number % 4 == 0 {
            let purged = store.purge(Purge::Pending, now, 2).await.expect("a purge succeeds");
            yield_now().await;
            let more = store.purge(Purge::Pending, now, 1).await.expect("a purge succeeds");
            (purged + more, 0)
        } else {
            let name = format!("d-{number}");
            match decide(store, &name, Decision::Granted).await {
                Ok(_) => {
                    let readable = read(store, "anna", &name).await.is_ok();
                    assert!(readable, "a purge leaves a dialog alone that is decided on first");
                    (0, 0)
                }
                Err(StoreError::Conflict) => (0, 1),
                other => panic!("a grant is recorded or in conflict, not {other:?}"),
            }
        }
    }));
    let purged: u64 = answers.iter().map(|(purged, _)| purged).sum();
    let late: u64 = answers.iter().map(|(_, late)| late).sum();
    let counts = stats(store).await;
    assert_eq!(counts.erased, purged, "purged dialogs are erased");
    assert_eq!(counts.consented, DIALOGS as u64 / 4 * 3 - late, "a grant in time is kept");
    assert_eq!(counts.pending + counts.consented + counts.erased, DIALOGS as u64, "none is lost");
}

/// Erasing a customer erases everything that was stored before it, even while more dialogs come in.
pub async fn an_erasure_catches_what_was_stored_before_it(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let erased = at_once((0..CROWD).map(|task| async move {
        let mut erased = 0;
        for number in 0..6 {
            let name = format!("d-{task}-{number}");
            insert(store, "anna", &name).await;
            if task % 4 == 0 {
                let count = store.erase_customer(&customer("anna")).await;
                erased += count.expect("a customer can be erased");
                let state = status(store, &name).await.state;
                assert_eq!(
                    state,
                    ConsentState::Erased,
                    "a dialog that was stored before is erased"
                );
            }
            yield_now().await;
        }
        erased
    }));
    let counts = stats(store).await;
    assert_eq!(counts.erased, erased.iter().sum::<u64>(), "each erased dialog counts once");
    assert_eq!(counts.erased + counts.pending, CROWD as u64 * 6, "none is lost");
    assert_eq!(held(store, "anna").await.len() as u64, counts.pending, "the rest is still held");
}
