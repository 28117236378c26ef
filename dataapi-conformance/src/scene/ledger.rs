//! Reads the ledger to its end and audits it.

use dataapi_core::{Audit, DialogStore, Event, LedgerHead, Limit, Positions, Reach};

/// Returns all events of the ledger after an audit: the chains are intact up to the head of the ledger, and the head
/// that was `noted` earlier, if there is one, is in them.
///
/// # Panics
/// If a chain is broken or does not end at the head.
pub async fn audited(store: &dyn DialogStore, noted: Option<LedgerHead>) -> Vec<Event> {
    let head = store.ledger_head().await.expect("the ledger has a head");
    let mut audit = Audit::new(Some(noted.unwrap_or_else(|| head.clone())));
    let (mut seen, mut all) = (Positions::START, Vec::new());
    loop {
        let events = store
            .events(&seen, Limit::MAX, &Reach::default())
            .await
            .expect("the ledger can be read");
        if events.is_empty() {
            break;
        }
        for event in events {
            audit.check(&event).expect("each event follows the one before");
            seen.pass(&event);
            all.push(event);
        }
    }
    assert_eq!(audit.finish().expect("the chains reach the head"), head);
    all
}
