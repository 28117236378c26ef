//! The attackers: a separate process with one thread, which gives way to the server on the processors.
//!
//! In earnest they have machines of their own. So they sleep rather than spin, and their processor time is reported.

mod connections;
mod pages;
mod polls;
mod tally;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::attack::{Kind, Spec, Transport};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::process::processor_time;
use connections::Greeting;
use tally::Tally;

/// How much less than others the attackers get of a processor that others want as well.
const NICENESS: i32 = 10;

/// How many file descriptors they need: one for each connection, and some more.
const DESCRIPTORS: u64 = 12_000;

/// What all attackers need to know.
#[derive(Clone)]
pub(crate) struct Plan {
    client: Client,
    tally: Tally,
    key: String,
    end: Instant,
}

/// Attacks, in the separate process, and prints what was seen.
pub(crate) fn main(runtime: &Runtime, spec: &str) -> Outcome<()> {
    let spec: Spec = serde_json::from_str(spec)?;
    nice(NICENESS)?;
    raise_descriptors()?;
    let tally = Tally::default();
    runtime.block_on(attack(&spec, &tally))?;
    println!("{}", serde_json::to_string(&tally.seen(processor_time("self").unwrap_or_default()))?);
    Ok(())
}

async fn attack(spec: &Spec, tally: &Tally) -> Outcome<()> {
    let client = Client::new(spec.address, spec.transport, &spec.certificate)?;
    let end = Instant::now() + Duration::from_secs(spec.seconds);
    let plan = Plan { client, tally: tally.clone(), key: spec.reader.clone(), end };
    let h2 = spec.transport == Transport::H2;
    match spec.kind {
        Kind::Nothing => tokio::time::sleep_until(end).await,
        Kind::Idle { connections, from } => {
            connections::hold(plan, Greeting::Nothing, connections, from).await;
        }
        Kind::HalfHeads { connections, from } => {
            let greeting = if h2 { Greeting::HalfHeaderBlock } else { Greeting::HalfHead };
            connections::hold(plan, greeting, connections, from).await;
        }
        Kind::HalfHandshakes { connections, from } => {
            connections::hold(plan, Greeting::HalfHandshake, connections, from).await;
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
