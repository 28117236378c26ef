//! Random histories: whatever happens, a store answers as the reference model does.

mod answer;
mod step;

use std::env;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataapi_core::{MemoryStore, RefKey};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::harness::{CopyHarness, Harness, runtime};
use crate::{Fixture, ManualClock};
use step::{Next, Step};

/// How many steps are taken unless `DATAAPI_CONFORMANCE_STEPS` says otherwise.
pub const DEFAULT_STEPS: u64 = 10_000;

/// The longest history. Each needs a store of its own, which should not be what takes the time.
const LONGEST: usize = 200;

/// Takes thousands of random steps on stores of `harness` and on [`MemoryStore`], and compares
/// every answer.
///
/// A step is any call of [`DialogStore`](dataapi_core::DialogStore) but `ready`, `scrub`, `revision`
/// and `activity`, or the clock moving on or jumping back. Ids, languages and dates are few, so that steps meet the
/// same ones again. Answers must be equal: values in every part, languages in the very case, cursors as texts, errors by
/// variant and fields, reasons left aside. Where the contract leaves a choice, such as which of two
/// pending dialogs of one date is purged first, the reference model's is the right one.
///
/// The environment may set `DATAAPI_CONFORMANCE_STEPS` (at least so many steps, 10,000 if left
/// out) and `DATAAPI_CONFORMANCE_SEED` (a number that fixes all steps, random if left out). The
/// seed is printed.
///
/// # Panics
/// When an answer differs; with the seed and the shortest history found that shows it. Also when
/// one of the environment variables is not a number, and inside a tokio runtime.
pub fn random_histories_match_the_reference_model(harness: &dyn Harness) {
    compare(harness, None, DEFAULT_STEPS);
}

/// The same on stores that are copied into another one somewhere in the middle of each history, by
/// [`CopyHarness::copied`]: that one goes on where the first has stopped.
///
/// `DATAAPI_CONFORMANCE_STEPS` is 2,000 if left out.
///
/// # Panics
/// As [`random_histories_match_the_reference_model`].
pub fn copied_stores_go_on_like_the_reference_model(harness: &dyn CopyHarness) {
    compare(harness.harness(), Some(harness), DEFAULT_STEPS / 5);
}

fn compare(harness: &dyn Harness, copying: Option<&dyn CopyHarness>, steps: u64) {
    if !harness.is_available() {
        return;
    }
    let seed = number_from_env("DATAAPI_CONFORMANCE_SEED").unwrap_or_else(random_seed);
    let wanted = number_from_env("DATAAPI_CONFORMANCE_STEPS").unwrap_or(steps);
    println!("DATAAPI_CONFORMANCE_SEED={seed}");

    let runtime = runtime();
    let _context = runtime.enter();
    let taken = AtomicU64::new(0);
    let mut runner = runner(seed);
    let histories = (vec(step::any_step(), 1..=LONGEST), any::<Index>());
    while taken.load(Ordering::Relaxed) < wanted {
        let history = histories.new_tree(&mut runner).expect("every draw makes a history");
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
            Err(TestError::Abort(reason)) => panic!("no history could be made: {reason}"),
        }
    }
}

/// Takes every step on both stores; the first answer that differs ends it. Before the step of that number, the
/// first store is copied.
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
                 {expected:?}",
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
    let mut report = String::from("random histories match the reference model; this one does not:");
    for (number, step) in history.iter().enumerate() {
        // Writing to a string never fails.
        if copied == Some(number) {
            report.push_str("\n      the store is copied");
        }
        let _ = write!(report, "\n{:4}. {step:?}", number + 1);
    }
    let _ = write!(report, "\n{difference}\nagain with DATAAPI_CONFORMANCE_SEED={seed}");
    report
}

fn number_from_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

/// The standard library draws the keys of its hash maps from the operating system.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
