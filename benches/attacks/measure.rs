//! Measures the server during and after each attack.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::args::Args;
use crate::attack::{ATTACKS, Attack, Seen, Spec, Transport};
use crate::outcome::Outcome;
use crate::probe::{Callers, Probe};
use crate::process::Process;
use crate::programs::{Programs, target_folder};
use crate::report::{Memory, Others, Row, lines, table, write_json};
use crate::stage::{Server, Stage};

/// How long the attackers may go on beyond the seconds that were asked for.
const MOST_BEYOND: Duration = Duration::from_secs(240);

/// Measures all attacks that the arguments ask for, and fails if one of them shows a failure.
pub(crate) async fn rows(args: Args) -> Outcome<()> {
    let results = target_folder()?.join("attacks");
    std::fs::create_dir_all(&results)?;
    let server = match &args.server {
        Some(server) => server.clone(),
        None => Programs::build(&args.profile, &["dataapi-server"])?.path("dataapi-server")?,
    };
    let asked: Vec<_> = asked(&args).collect();
    if asked.is_empty() {
        let names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        return Err(format!("no such attack over this transport; there are {names:?}").into());
    }
    let stage = Stage::set(server, &results).await?;
    let mut rows = Vec::new();
    for (attack, transport) in asked {
        eprintln!("{} over {transport}", attack.name);
        let row = row(&stage, attack, transport, &args).await?;
        eprintln!("  {}", lines(&row));
        rows.push(row);
        // Each row is kept at once: the next one can take minutes.
        write_json(&results.join("attacks.json"), &rows)?;
    }
    println!("{}", table(&rows));
    println!("written: attacks.json in {}", results.display());
    match rows.iter().filter(|row| !row.failures().is_empty()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} attacks show a failure", rows.len()).into()),
    }
}

fn asked(args: &Args) -> impl Iterator<Item = (&'static Attack, Transport)> {
    let named = |attack: &&Attack| match &args.attack {
        // `reads` means all whose names begin with it, but `idle` is a name by itself.
        Some(name) if ATTACKS.iter().any(|attack| attack.name == *name) => attack.name == *name,
        Some(name) => attack.name.starts_with(name.as_str()),
        None => true,
    };
    let transports = |attack: &'static Attack| {
        attack.transports.iter().map(move |transport| (attack, *transport))
    };
    ATTACKS
        .iter()
        .filter(named)
        .flat_map(transports)
        .filter(|(_, transport)| args.transport.is_none_or(|asked| asked == *transport))
}

async fn row(
    stage: &Stage,
    attack: &'static Attack,
    transport: Transport,
    args: &Args,
) -> Outcome<Row> {
    let load = machine_load()?;
    let mut server = stage.serve(attack, transport).await?;
    // Whatever takes memory once, took it before the attack.
    others(stage, attack, &server, Duration::from_secs(1)).await?;
    let (start, _) = server.resident();
    let processor_before = server.process.processor_time().unwrap_or_default();
    let started = Instant::now();
    let attackers = attackers(stage, attack, transport, &server, args)?;
    let building = match attack.kind.building() {
        Duration::ZERO => None,
        building => Some(others(stage, attack, &server, building).await?),
    };
    let callers = Callers::start(probes(stage, attack, &server));
    let attackers = end_of(attackers, args).await;
    let during = figures(callers).await?;
    let mut attackers = attackers?;
    let seconds = started.elapsed().as_secs_f64();
    let processor_after = server.process.processor_time().unwrap_or_default();
    let (_, peak) = server.resident();

    sleep(args.rest()).await;
    let after = others(stage, attack, &server, args.afterwards()).await?;
    let (resident, peak_at_end) = server.resident();
    if let Some(status) = server.process.ended()? {
        attackers.broken.push(format!("the server ended, with {status}"));
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    Ok(Row {
        attack: attack.name,
        transport,
        load,
        seconds,
        memory: Memory {
            start: megabytes(start),
            peak: megabytes(peak.max(peak_at_end)),
            after: megabytes(resident),
            bound: megabytes(stage.bound(attack)?),
            most_growth: attack.most_growth,
        },
        building,
        during,
        after,
        attackers,
        server_processor_seconds: processor_after.saturating_sub(processor_before).as_secs_f64(),
    })
}

/// Measures the other callers for some time.
async fn others(
    stage: &Stage,
    attack: &Attack,
    server: &Server,
    time: Duration,
) -> Outcome<Others> {
    let callers = Callers::start(probes(stage, attack, server));
    sleep(time).await;
    figures(callers).await
}

fn probes(stage: &Stage, attack: &Attack, server: &Server) -> Vec<Probe> {
    let page = Probe {
        period: Duration::from_millis(50),
        client: server.client.clone(),
        path: "/data/?limit=10".to_owned(),
        key: Some(stage.caller.clone()),
        keeps_connection: false,
    };
    let kept = Probe { keeps_connection: true, ..page.clone() };
    let health = Probe { path: "/health/live".to_owned(), key: None, ..page.clone() };
    // They are larger than the page cache.
    let large = Probe {
        period: Duration::from_millis(500),
        path: "/data/?language=de&limit=150&from=".to_owned(),
        ..page.clone()
    };
    let large = attack.wants_large_pages.then_some(large);
    [page, kept, health].into_iter().chain(large).collect()
}

async fn figures(callers: Callers) -> Outcome<Others> {
    let mut figures = callers.stop().await?.into_iter();
    let mut next = || figures.next().ok_or("a caller has no figures");
    Ok(Others { page: next()?, page_kept: next()?, health: next()?, large: next().ok() })
}

/// How many threads wanted a processor in the last minute, as the machine says.
fn machine_load() -> Outcome<f64> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(load.split_whitespace().next().ok_or("the machine does not say its load")?.parse()?)
}

/// Starts the attackers.
fn attackers(
    stage: &Stage,
    attack: &Attack,
    transport: Transport,
    server: &Server,
    args: &Args,
) -> Outcome<Process> {
    let spec = Spec {
        kind: attack.kind,
        transport,
        address: server.address,
        certificate: stage.certificate(),
        seconds: args.seconds(),
        store: stage.store(),
        reader: stage.reader.clone(),
        chatbot: stage.chatbot.clone(),
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("attack").arg(serde_json::to_string(&spec)?).stdout(Stdio::piped());
    Process::start(&mut command)
}

/// Waits until the attackers have ended, and returns what they saw.
async fn end_of(mut attackers: Process, args: &Args) -> Outcome<Seen> {
    let started = Instant::now();
    let most = Duration::from_secs(args.seconds()) + MOST_BEYOND;
    while attackers.ended()?.is_none() {
        if started.elapsed() > most {
            return Err(format!("the attackers did not end within {} s", most.as_secs()).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(serde_json::from_str(&attackers.output()?)?)
}
