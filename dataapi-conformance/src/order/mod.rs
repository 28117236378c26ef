//! One order: concurrent calls behave as if they ran one after the other, each between its start and its end.
//!
//! Clients make random calls on a few dialogs at once, and record what they were told and when. Then [`check`] searches
//! for an order of these calls that explains every answer. A backend whose stores are used by several processes records
//! histories of its own: a [`Plan`] has the calls, a [`Recorder`] keeps what they were told.

mod ask;
mod call;
mod history;
mod model;
mod plan;
mod search;

pub use ask::ask;
pub use call::{Answer, Call, Group, Notice, Recorded, Refusal, Shown};
pub use history::{Operation, Recorder};
pub use plan::{Abilities, Plan};
pub use search::check;

use std::pin::pin;

use dataapi_core::DialogStore;
use futures_util::future::{Either, select};
use tokio::task::yield_now;

use crate::ManualClock;
use crate::harness::{Harness, runtime};
use crate::parallel::at_once;
use crate::scene::{MICROSECOND, SECOND};
use crate::settings::{self, number_from_env};

/// The number of operations unless `DATAAPI_ORDER_OPERATIONS` sets another one.
pub const DEFAULT_OPERATIONS: u64 = 2_000;

/// How many groups of clients are at work on one store at the same time.
const AT_ONCE: u64 = 2;

/// How many histories one store has.
const OF_ONE_STORE: u64 = 40;

/// Records histories of concurrent clients on stores of `harness`, and checks that each is in one order.
///
/// All clients of a history work on the same five dialogs of two customers. They insert, import, decide, read, list and
/// erase. Some of them stop waiting for a call; such a call may happen at any later time, or never.
///
/// Stores whose commits are not [seen whole](Harness::commits_are_seen_whole) are not checked: what a page shows of
/// several dialogs need not be of one moment there.
///
/// Two environment variables control the test:
///
/// - `DATAAPI_ORDER_OPERATIONS` is the smallest number of operations: 2,000 if it is not set.
/// - `DATAAPI_CONFORMANCE_SEED` determines what the clients ask, but not how their calls are interleaved. The test
///   prints it.
///
/// # Panics
/// If no order explains the answers. The message contains the history and the seed. Also if one of the environment
/// variables is not a number, and inside a tokio runtime.
pub fn concurrent_histories_have_one_order(harness: &dyn Harness) {
    if !harness.is_available() || !harness.commits_are_seen_whole() {
        return;
    }
    let seed = settings::seed();
    let wanted = number_from_env("DATAAPI_ORDER_OPERATIONS").unwrap_or(DEFAULT_OPERATIONS);
    let runtime = runtime();
    let _context = runtime.enter();
    let (mut operations, mut number) = (0, 0_u64);
    while operations < wanted {
        let clock = ManualClock::default();
        let fixture = runtime.block_on(harness.fresh(clock.clone()));
        let last = number + OF_ONE_STORE;
        while operations < wanted && number < last {
            let plans: Vec<_> = (number..number + AT_ONCE)
                .map(|number| {
                    let can = Abilities { early: number.is_multiple_of(3), imports: true };
                    Plan::random(seed, number, can)
                })
                .collect();
            number += AT_ONCE;
            for history in runtime.block_on(recorded(fixture.store(), &clock, &plans)) {
                let checked = check(&history, Plan::DIALOGS).and_then(|checked| {
                    dates_go_on(&history)?;
                    Ok(checked)
                });
                match checked {
                    Ok(checked) => operations += checked as u64,
                    Err(difference) => panic!(
                        "these calls have no order that explains their answers; {difference}\nto repeat \
                         them, set DATAAPI_CONFORMANCE_SEED={seed}"
                    ),
                }
            }
        }
    }
    println!("{operations} operations in {number} histories, all in one order");
}

/// Checks that no dialog has an earlier date than one that was received before its call started.
fn dates_go_on(history: &[Operation]) -> Result<(), String> {
    let received = |operation: &Operation| match operation.answer {
        Answer::Received { date, .. } => Some((operation.start, operation.end, date)),
        _ => None,
    };
    for (_, end, before) in history.iter().filter_map(received) {
        for (start, _, after) in history.iter().filter_map(received) {
            if end < start && after < before {
                return Err(format!("the call at {start} has an earlier date than one before it"));
            }
        }
    }
    Ok(())
}

/// Carries out the plans at the same time, and returns a history of each.
async fn recorded(
    store: &dyn DialogStore,
    clock: &ManualClock,
    plans: &[Plan],
) -> Vec<Vec<Operation>> {
    let histories: Vec<_> = plans.iter().map(|plan| (plan, Recorder::default())).collect();
    let clients = histories.iter().flat_map(|(plan, recorder)| {
        plan.clients.iter().enumerate().map(move |(client, calls)| async move {
            for (number, call) in calls.iter().enumerate() {
                let turns = plan.gives_up_after(client, number).filter(|_| call.writes());
                recorder.record(client, call, within(turns, ask(store, plan.group, call))).await;
                match number % 5 {
                    0 => clock.advance(MICROSECOND),
                    3 if client == 0 => clock.jump_back(SECOND),
                    _ => {}
                }
                yield_now().await;
            }
        })
    });
    at_once(clients);
    for (plan, recorder) in &histories {
        for call in &plan.last {
            recorder.record(Plan::CLIENTS, call, ask(store, plan.group, call)).await;
        }
    }
    histories.into_iter().map(|(_, recorder)| recorder.history()).collect()
}

/// Drops a call after this many turns, if any, unless it is ready by then. Its outcome is unknown from then on.
async fn within(
    turns: Option<usize>,
    asked: impl Future<Output = Option<Answer>>,
) -> Option<Answer> {
    let Some(turns) = turns else { return asked.await };
    let waiting = async {
        for _ in 0..turns {
            yield_now().await;
        }
    };
    match select(pin!(asked), pin!(waiting)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Some(Answer::Unknown),
    }
}
