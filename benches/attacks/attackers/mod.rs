//! The attackers: a separate process with one thread.
//!
//! Other attackers have machines of their own; these share one with the server. So they sleep rather than spin, and
//! their processor time is reported.

mod connections;
mod pages;
mod plan;
mod polls;
mod tally;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::attack::{Kind, Spec, Transport};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::process::processor_time;
use connections::Greeting;
use plan::Plan;
use tally::Tally;

/// How many file descriptors they need: one for each connection, and some more.
const DESCRIPTORS: u64 = 12_000;

/// Attacks, in the separate process, and prints what was seen.
pub(crate) fn main(runtime: &Runtime, spec: &str) -> Outcome<()> {
    let spec: Spec = serde_json::from_str(spec)?;
    raise_descriptors()?;
    let tally = Tally::default();
    runtime.block_on(attack(&spec, &tally))?;
    println!("{}", serde_json::to_string(&tally.seen(processor_time("self").unwrap_or_default()))?);
    Ok(())
}

async fn attack(spec: &Spec, tally: &Tally) -> Outcome<()> {
    let client = Client::new(spec.address, spec.transport, &spec.certificate)?;
    let end = Instant::now() + spec.kind.building() + Duration::from_secs(spec.seconds);
    let plan = Plan { client, tally: tally.clone(), key: spec.reader.clone(), end };
    let h2 = spec.transport == Transport::H2;
    match spec.kind {
        Kind::Nothing => tokio::time::sleep_until(end).await,
        Kind::Idle { connections, source } => {
            connections::hold(plan, Greeting::Nothing, connections, source).await;
        }
        Kind::HalfHeads { connections, source } => {
            let greeting = if h2 { Greeting::HalfHeaderBlock } else { Greeting::HalfHead };
            connections::hold(plan, greeting, connections, source).await;
        }
        Kind::HalfHandshakes { connections, source } => {
            connections::hold(plan, Greeting::HalfHandshake, connections, source).await;
        }
        Kind::SlowPages { readers } if h2 => pages::hold_streams(plan, readers, 120).await,
        Kind::SlowPages { readers } => pages::read_slowly(plan, readers).await,
        Kind::EmptyPages { pages } => pages::ask_for_empty_ones(plan, pages).await,
        Kind::Reads { callers, compressed } => pages::read(plan, callers, compressed).await,
        Kind::Unread { clients } if h2 => {
            pages::hold_streams(plan, clients * pages::STREAMS, 1_000).await;
        }
        Kind::Unread { clients } => pages::read_nothing(plan, clients).await,
        Kind::Abandoned { a_second } => pages::abandon(plan, a_second).await,
        Kind::HungUp { a_second } => polls::hang_up(plan, a_second).await?,
        Kind::Followers { clients, end: key_end } => {
            polls::follow(plan, spec, clients, key_end).await?;
        }
    }
    Ok(())
}

/// Allows this process as many file descriptors as it needs.
fn raise_descriptors() -> Outcome<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < DESCRIPTORS) {
        let maximum = maximum.map(|most| most.max(DESCRIPTORS));
        setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum })
            .map_err(|error| format!("{DESCRIPTORS} file descriptors are needed: {error}"))?;
    }
    Ok(())
}
