//! Records histories over HTTP until the time is over, and checks each.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dataapi_conformance::order::{Abilities, Answer, Operation, Plan, Recorder, check};
use futures_util::future::join_all;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::{ask, client};
use super::servers::Addresses;
use crate::load::from_env;

/// How many histories are recorded at the same time.
const AT_ONCE: usize = 3;

/// After how many calls without an answer a client gives up.
const MOST_LOST: usize = 2;

/// How long a test records.
pub(super) fn duration() -> Duration {
    Duration::from_secs(from_env("DATAAPI_ORDER_SECONDS").unwrap_or(5))
}

/// What the recorders of a test share.
struct Recording {
    client: Client,
    addresses: Addresses,
    seed: u64,
    early: bool,
    until: Instant,
    histories: AtomicU64,
    known: AtomicUsize,
    unknown: AtomicUsize,
}

/// Records histories of servers on one store while `breaks` breaks them until that moment. Checks that each history has
/// one order.
pub(super) async fn record(
    addresses: &Addresses,
    seed: u64,
    early: bool,
    until: Instant,
    breaks: impl Future<Output = ()>,
) {
    let (client, addresses) = (client(), addresses.clone());
    let (histories, known, unknown) = Default::default();
    let recording = Recording { client, addresses, seed, early, until, histories, known, unknown };
    let recording = Arc::new(recording);
    let mut recorders = JoinSet::new();
    for _ in 0..AT_ONCE {
        recorders.spawn(Arc::clone(&recording).run());
    }
    breaks.await;
    while let Some(ended) = recorders.join_next().await {
        if let Err(failure) = ended {
            resume_unwind(failure.into_panic());
        }
    }
    let [known, unknown] =
        [&recording.known, &recording.unknown].map(|count| count.load(Ordering::SeqCst));
    assert!(known > 0, "the servers answer");
    println!(
        "{known} operations in {} histories, all in one order; {unknown} calls without an answer; \
         DATAAPI_ORDER_SEED={seed}",
        recording.histories.load(Ordering::SeqCst)
    );
}

impl Recording {
    async fn run(self: Arc<Self>) {
        let Self { client, addresses, seed, early, .. } = &*self;
        while Instant::now() < self.until {
            let number = self.histories.fetch_add(1, Ordering::SeqCst);
            let plan = Plan::random(*seed, number, Abilities { early: *early, imports: false });
            let history = history(client, addresses, &plan).await;
            let lost = history.iter().filter(|call| call.answer == Answer::Unknown).count();
            self.unknown.fetch_add(lost, Ordering::SeqCst);
            match check(&history, Plan::DIALOGS) {
                Ok(checked) => self.known.fetch_add(checked, Ordering::SeqCst),
                Err(difference) => panic!(
                    "these calls have no order that explains their answers; {difference}\nto repeat \
                     them, set DATAAPI_ORDER_SEED={seed}"
                ),
            };
        }
    }
}

/// Carries out a plan: each call goes to another server than the one before.
async fn history(client: &Client, addresses: &Addresses, plan: &Plan) -> Vec<Operation> {
    let recorder = Recorder::default();
    let clients = plan.clients.iter().enumerate().map(|(number, calls)| {
        let recorder = &recorder;
        async move {
            let mut lost = 0;
            for (step, call) in calls.iter().enumerate() {
                let base = addresses.of(number + step);
                let asked = async {
                    let answer = ask(client, &base, plan.group, call).await;
                    lost += usize::from(answer == Some(Answer::Unknown));
                    answer
                };
                recorder.record(number, call, asked).await;
                // Each call that may happen at any later time doubles the possible orders.
                if lost == MOST_LOST {
                    sleep(Duration::from_millis(50)).await;
                    break;
                }
            }
        }
    });
    join_all(clients).await;
    for (step, call) in plan.last.iter().enumerate() {
        let base = addresses.of(step);
        recorder.record(Plan::CLIENTS, call, ask(client, &base, plan.group, call)).await;
    }
    recorder.history()
}
