//! A store on a disk that loses its power, at any moment and repeatedly: nothing acknowledged is lost, nothing
//! withdrawn comes back, and every file opens or is refused with a clear error.
//!
//! `DATAAPI_POWER_LOSSES` sets how often the power is lost, `DATAAPI_POWER_SEED` fixes what the load does and what is
//! left, but not how its calls are interleaved. What was left when a test fails is kept, in the folder that it names.

#![cfg(target_os = "linux")]

mod checker;
mod journal;
mod load;
mod run;
#[path = "../scene/mod.rs"]
mod scene;

use std::collections::BTreeMap;

use power_loss::{Ignored, may_mount_disk};
use rand_chacha::rand_core::Rng;

use crate::load::Load;
use crate::run::{Run, Start};
use crate::scene::{choices, from_env};

/// How many losses of power one run of the load goes through.
const EACH_RUN: u64 = 25;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_withdrawn_comes_back() {
    if !may_mount_disk("nothing_acknowledged_is_lost_and_nothing_withdrawn_comes_back") {
        return;
    }
    lose_power(Run::begin, from_env("DATAAPI_POWER_LOSSES").unwrap_or(600));
}

#[test]
fn writes_and_syncs_that_fail_lose_nothing_either() {
    if !may_mount_disk("writes_and_syncs_that_fail_lose_nothing_either") {
        return;
    }
    let losses = from_env("DATAAPI_POWER_LOSSES").unwrap_or(600) / 2;
    lose_power(Run::begin_on_failing, losses);
}

fn lose_power(begin: impl Fn(&Start, u64) -> Run, losses: u64) {
    let mut random = choices("DATAAPI_POWER_SEED");
    let (mut done, mut start, mut during) = (0, Start::default(), BTreeMap::new());
    while done < losses {
        let run = begin(&start, random.next_u64());
        let outcome = run.lose_power(EACH_RUN.min(losses - done));
        done += outcome.losses;
        for (work, losses) in outcome.during {
            *during.entry(work).or_insert(0) += losses;
        }
        if let Some(wrong) = outcome.wrong {
            panic!("{wrong}");
        }
        // Every second run goes on with what the last loss of the one before has left.
        start = if random.next_u64().is_multiple_of(2) { outcome.last } else { Start::default() };
    }
    println!("{done} losses of power, of them during other work: {during:?}");
}

/// Whether the checks above find what is lost.
#[test]
fn a_disk_that_ignores_syncs_is_found_out() {
    if !may_mount_disk("a_disk_that_ignores_syncs_is_found_out") {
        return;
    }
    let mut random = choices("DATAAPI_POWER_SEED");
    for ignored in [Ignored::Files, Ignored::Folder] {
        let run = Run::begin(&Start::default(), random.next_u64());
        run.ignore_syncs(ignored);
        let wrong = run.lose_power(400).wrong;
        println!("{ignored:?}: {}", wrong.expect("something is lost"));
    }
}

#[tokio::test]
#[ignore = "the load, for a process that uses the disk of the other tests"]
async fn the_load() {
    if let Some(load) = Load::from_env() {
        load.run().await;
    }
}
