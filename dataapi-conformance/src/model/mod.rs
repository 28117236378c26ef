//! Random histories: a store must answer like the reference model, whatever happens.

mod answer;
mod step;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataapi_core::{MemoryStore, RefKey};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::harness::{CopyHarness, Harness, runtime};
use crate::settings::{self, number_from_env};
use crate::{Fixture, ManualClock};
use step::{Next, Step};

/// The number of steps unless `DATAAPI_CONFORMANCE_STEPS` sets another one.
pub const DEFAULT_STEPS: u64 = 10_000;

/// The longest history. Each history needs a new store, and making stores should not take most of the time.
const LONGEST: usize = 200;

/// Takes thousands of random steps on stores of `harness` and on [`MemoryStore`], and compares every answer.
///
/// A step calls a method that stores, imports, decides on, reads, lists, erases, purges or counts dialogs or reads the
/// ledger, or it moves the clock forwards or back. No step calls a method for keys, `is_within`, `reference`, `info`,
/// `ready`, `scrub`, `revision` or `activity`. There are few ids, languages and dates, so that steps meet the same ones
/// again.
///
/// Answers must be equal in every part, including the case of languages and the text of cursors. Errors must have the
/// same variant and fields; their reasons can differ. Where the contract leaves a choice, such as which of two pending
/// dialogs of one date is purged first, the store must choose like the reference model.
///
/// Two environment variables control the test:
///
/// - `DATAAPI_CONFORMANCE_STEPS` is the smallest number of steps: 10,000 if it is not set.
/// - `DATAAPI_CONFORMANCE_SEED` is a number that determines all steps: random if it is not set. The test prints it.
///
/// # Panics
/// If an answer differs. The message contains the seed and the shortest history found that shows the difference. Also
/// if one of the environment variables is not a number, and inside a tokio runtime.
pub fn random_histories_match_the_reference_model(harness: &dyn Harness) {
    compare(harness, None, DEFAULT_STEPS);
}

/// Does the same as [`random_histories_match_the_reference_model`] with stores that are copied. Somewhere in the middle
/// of each history, [`CopyHarness::copied`] copies the store, and the history continues on the copy.
///
/// `DATAAPI_CONFORMANCE_STEPS` is 2,000 if it is not set.
///
/// # Panics
/// In the same cases as [`random_histories_match_the_reference_model`].
pub fn copied_stores_go_on_like_the_reference_model(harness: &dyn CopyHarness) {
    compare(harness.harness(), Some(harness), DEFAULT_STEPS / 5);
}

fn compare(harness: &dyn Harness, copying: Option<&dyn CopyHarness>, steps: u64) {
    if !harness.is_available() {
        return;
    }
    let seed = settings::seed();
    let wanted = number_from_env("DATAAPI_CONFORMANCE_STEPS").unwrap_or(steps);

    let runtime = runtime();
    let _context = runtime.enter();
    let taken = AtomicU64::new(0);
    let mut runner = runner(seed);
    let histories = (vec(step::any_step(), 1..=LONGEST), any::<Index>());
    while taken.load(Ordering::Relaxed) < wanted {
        let history = histories.new_tree(&mut runner).expect("a history can be generated");
        let outcome = runner.run_one(history, |(history, at)| {
            taken.fetch_add(history.len() as u64, Ordering::Relaxed);
            let clock = ManualClock::default();
            let fixture = runtime.block_on(harness.fresh(clock.clone()));
            let copied = copying.map(|copying| (copying, at.index(history.len())));
            runtime.block_on(replay(fixture, &clock, &history, copied)).map_err(TestCaseError::fail)
        });
        match outcome {
            Ok(_) => {}
            Err(TestError::Fail(difference, (history, at))) => {
                let copied = copying.map(|_| at.index(history.len()));
                panic!("{}", report(seed, &history, copied, difference.message()))
            }
            Err(TestError::Abort(reason)) => panic!("no history could be generated: {reason}"),
        }
    }
}

/// Takes every step on both stores, until an answer differs. Copies the first store before the step with the given
/// number.
async fn replay(
    mut subject: Fixture,
    clock: &ManualClock,
    history: &[Step],
    copied: Option<(&dyn CopyHarness, usize)>,
) -> Result<(), String> {
    let reference = MemoryStore::new(Arc::new(clock.clone()), RefKey::from_bytes([7; 32]));
    let start = step::start(clock);
    let mut nexts: Vec<Next> = Vec::new();
    for (number, step) in history.iter().cloned().chain(Step::audit()).enumerate() {
        if let Some((copying, at)) = copied
            && at == number
        {
            subject = copying.copied(subject, clock.clone()).await;
        }
        step.move_clock(clock);
        let next = match step {
            Step::Follow { back, .. } if !nexts.is_empty() => {
                nexts.get(nexts.len() - 1 - back % nexts.len())
            }
            _ => None,
        };
        let answer = step.ask(subject.store(), start, next).await;
        let expected = step.ask(&reference, start, next).await;
        if answer != expected {
            return Err(format!(
                "step {}, {step:?}{}\n  the store answered {answer:?}\n  the reference model \
                 answered {expected:?}",
                number + 1,
                next.map_or_else(String::new, |next| format!(" with {next:?}")),
            ));
        }
        if let (Some(pages), Some(cursor)) = (step.pages(next), expected.next()) {
            let (pages, cursor) = (pages.clone(), cursor.to_owned());
            nexts.push(Next { pages, cursor });
        }
    }
    Ok(())
}

fn runner(seed: u64) -> TestRunner {
    let config = Config { failure_persistence: None, max_shrink_iters: 8192, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn report(seed: u64, history: &[Step], copied: Option<usize>, difference: &str) -> String {
    let mut report = String::from("this random history does not match the reference model:");
    for (number, step) in history.iter().enumerate() {
        // Writing to a string never fails.
        if copied == Some(number) {
            report.push_str("\n      the store is copied");
        }
        let _ = write!(report, "\n{:4}. {step:?}", number + 1);
    }
    let _ = write!(report, "\n{difference}\nto repeat it, set DATAAPI_CONFORMANCE_SEED={seed}");
    report
}
