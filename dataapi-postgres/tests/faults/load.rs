//! Clients that bring dialogs to an end while things break, and remember the answers they got.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataapi_conformance::scene::{self, Told, audited, id, is_for_later, until_told};
use dataapi_core::{
    ConsentState, Decision, DialogStore, EventKind, Filter, Limit, PageRequest, Start, StoreError,
    Window,
};
use futures_util::future::{join, join_all};
use tokio::time::timeout;

use crate::scene::{customer, dialog, read};

/// How long a load can take before the test fails.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How a dialog ends. Each client uses the endings in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ending {
    Pending,
    Granted,
    Refused,
    Withdrawn,
    Erased,
}

impl Ending {
    const ALL: [Self; 5] =
        [Self::Pending, Self::Granted, Self::Refused, Self::Withdrawn, Self::Erased];

    fn state(self) -> ConsentState {
        match self {
            Self::Pending => ConsentState::Pending,
            Self::Granted => ConsentState::Granted,
            Self::Refused | Self::Withdrawn => ConsentState::Withdrawn,
            Self::Erased => ConsentState::Erased,
        }
    }

    /// Returns its events, in order.
    fn kinds(self) -> &'static [EventKind] {
        match self {
            Self::Pending => &[],
            Self::Granted => &[EventKind::Granted],
            Self::Refused => &[EventKind::Withdrawn],
            Self::Withdrawn => &[EventKind::Granted, EventKind::Withdrawn],
            Self::Erased => &[EventKind::Granted, EventKind::Erased],
        }
    }

    /// Brings a dialog to this end, and tries again whenever the store asks for it.
    async fn bring(self, store: &dyn DialogStore, name: &str) {
        let Told { answer, again } = until_told(|| store.insert(dialog(name))).await;
        match answer {
            Ok(received) => assert!(!received.is_consented, "{name}: nobody has consented"),
            // The answer to the first try was lost, and the store said so.
            Err(StoreError::Exists { same_content: true }) if again => {}
            other => panic!("inserting the new id {name} returned {other:?}"),
        }
        if matches!(self, Self::Granted | Self::Withdrawn | Self::Erased) {
            decide(store, name, Decision::Granted).await;
            match until_told(|| read(store, name)).await.answer {
                Ok(dialog) => assert_eq!(dialog.text().as_str(), format!("The text of {name}")),
                Err(error) => panic!("{name} was consented to, but reading it returned {error:?}"),
            }
        }
        match self {
            Self::Refused | Self::Withdrawn => decide(store, name, Decision::Withdrawn).await,
            Self::Erased => {
                let (customer, id) = (customer(), id(name));
                let Told { answer, again } =
                    until_told(|| store.erase_dialog(&customer, &id)).await;
                match answer {
                    Ok(()) => {}
                    Err(StoreError::NotFound) if again => {}
                    other => panic!("erasing {name} returned {other:?}"),
                }
            }
            Self::Pending | Self::Granted => return,
        }
        let gone = read(store, name).await;
        assert!(
            is_for_later(&gone) || matches!(gone, Err(StoreError::NotFound)),
            "{name} is gone, but reading it returned {gone:?}"
        );
    }
}

/// Records a decision, and checks that its receipt is right.
async fn decide(store: &dyn DialogStore, name: &str, decision: Decision) {
    match until_told(|| scene::decide(store, name, decision)).await.answer {
        Ok(receipt) => {
            assert_eq!(receipt.decision, decision);
            assert_eq!(receipt.event.reference, store.reference(&id(name)));
            assert_eq!(receipt.event.kind == EventKind::Granted, decision == Decision::Granted);
        }
        other => panic!("{decision:?} on {name} returned {other:?}"),
    }
}

/// This many clients, each with this many dialogs.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) dialogs: usize,
}

impl Load {
    /// Runs the load on stores that share a database while `breaks` breaks it again and again. Checks everything at the
    /// end.
    ///
    /// When `breaks` ends, it must have repaired everything. The clients continue until then.
    pub(crate) async fn run(self, stores: &[&dyn DialogStore], breaks: impl Future<Output = ()>) {
        let is_over = AtomicBool::new(false);
        let client = |client: usize| {
            let (store, is_over) = (stores[client % stores.len()], &is_over);
            async move {
                let mut brought = Vec::new();
                for number in 0.. {
                    if number >= self.dialogs && is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let ending = Ending::ALL[(client + number) % Ending::ALL.len()];
                    let name = format!("{client}-{number}");
                    ending.bring(store, &name).await;
                    brought.push((name, ending));
                }
                brought
            }
        };
        let work = async {
            let broken = async {
                breaks.await;
                let noted = until_told(|| stores[0].ledger_head()).await.answer.unwrap();
                is_over.store(true, Ordering::SeqCst);
                noted
            };
            join(join_all((0..self.clients).map(client)), broken).await
        };
        let (brought, noted) = timeout(PATIENCE, work).await.expect("the load ends in time");
        let brought: HashMap<_, _> = brought.into_iter().flatten().collect();
        println!("{} dialogs", brought.len());
        for store in stores {
            look(*store, &brought).await;
            audited(*store, Some(noted.clone())).await;
        }
    }
}

/// Checks that the store contains exactly what its clients were told.
async fn look(store: &dyn DialogStore, brought: &HashMap<String, Ending>) {
    let mut kinds: HashMap<_, Vec<EventKind>> = HashMap::new();
    for event in audited(store, None).await {
        kinds.entry(event.reference).or_default().push(event.kind);
    }
    for (name, ending) in brought {
        let status = store.consent(&id(name)).await.unwrap();
        assert_eq!(status.state, ending.state(), "{name}");
        let recorded = kinds.remove(&store.reference(&id(name))).unwrap_or_default();
        assert_eq!(recorded, ending.kinds(), "{name}: each step is an event once");
    }
    assert!(kinds.is_empty(), "there are no other events");

    let of = |ending| brought.values().filter(|of| **of == ending).count() as u64;
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.pending, of(Ending::Pending));
    assert_eq!(stats.consented, of(Ending::Granted));
    assert_eq!(stats.withdrawn, of(Ending::Refused) + of(Ending::Withdrawn));
    assert_eq!(stats.erased, of(Ending::Erased));

    let (mut listed, mut start) = (0, Start::default());
    loop {
        let window = Window { limit: Limit::MAX, start, total: true };
        let request = PageRequest::new(Filter::default(), window).unwrap();
        let page = store.query(&request).await.unwrap();
        assert_eq!(page.total, Some(of(Ending::Granted)));
        for dialog in &page.items {
            assert_eq!(brought[dialog.dialog_id().as_str()], Ending::Granted);
        }
        listed += page.items.len() as u64;
        match page.next {
            Some(cursor) => start = Start::After(cursor),
            None => break,
        }
    }
    assert_eq!(listed, of(Ending::Granted));
    // After an acknowledged withdrawal or erasure the dialog stays gone.
    for (name, _) in brought.iter().filter(|(_, ending)| ending.kinds().len() == 2) {
        let again = scene::decide(store, name, Decision::Granted).await;
        assert!(matches!(again, Err(StoreError::Conflict)), "{name}: {again:?}");
    }
}
