//! The server as a program: arguments, log, store, listener and signals.

mod access_file;
mod args;
mod causes;
#[cfg(test)]
#[path = "../../tests/documents/flag_tables.rs"]
mod flag_tables;
mod hangup;
mod listen;
mod secrets;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use access_file::AccessFile;
use args::{Args, LogFormat, Settings, StoreUrl, may_be_public, may_listen};
use causes::with_causes;
use dataapi::OpenOptions;
use dataapi_core::DialogStore;
use dataapi_server::{AccessSink, Config, Tls};
use hangup::Hangups;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Rows, texts and answers are many short-lived allocations that one thread makes and another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // Without a handler the signal ends the process, so this comes before anything else.
    let hangups = Hangups::handle();
    match run(hangups).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dataapi-server: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(hangups: io::Result<Hangups>) -> Result<(), Box<dyn Error>> {
    keep_out_of_crash_files()?;
    allow_connections();
    let settings = Args::read()?.resolve()?;
    start_log(settings.log.clone(), settings.log_format);
    // The handlers are set before the first request, so that no signal is missed.
    let mut stop = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let log_format = settings.log_format;
    let [terminate, interrupt] = &mut stop;
    let Opened { store, config, listeners, url } = tokio::select! {
        opened = open(settings, hangups?) => opened?,
        _ = either(terminate, interrupt) => {
            tracing::info!("stopped before the store was open");
            // What waits for the store, on a thread of its own, would hold up an ordinary end.
            std::process::exit(0);
        }
    };
    let addresses: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    announce(&addresses?, config.tls.is_some(), &url, log_format);

    dataapi_server::serve(store, config, listeners, first_of(stop)).await;
    tracing::info!("stopped");
    Ok(())
}

/// What a server needs to serve.
struct Opened {
    store: Arc<dyn DialogStore>,
    config: Config,
    listeners: Vec<TcpListener>,
    url: StoreUrl,
}

/// Opens the access log, the certificate, the store and the listeners.
async fn open(settings: Settings, hangups: Hangups) -> Result<Opened, Box<dyn Error>> {
    let Settings { listen, insecure_plaintext, store: url, mut config, .. } = settings;
    let access_log = settings.access_log.map(|path| {
        let shown = path.display().to_string();
        let file = AccessFile::open(path);
        file.map(Arc::new).map_err(|error| format!("cannot open the access log '{shown}': {error}"))
    });
    let access_log = access_log.transpose()?;
    config.access_log = access_log.clone().map(|file| file as Arc<dyn AccessSink>);
    config.tls = settings.tls.map(Tls::load).transpose()?.map(Arc::new);
    tokio::spawn(hangups.obey(access_log, config.tls.clone()));

    let read_replicas = settings.read_replicas.iter().map(|url| url.as_str().to_owned()).collect();
    let store = OpenOptions::default()
        .cache_bytes(settings.store_cache_bytes)
        .erase_within(settings.erase_within)
        .read_replicas(read_replicas)
        .open(url.as_str())
        .await
        .map_err(|error| format!("cannot open the store '{url}': {}", with_causes(&error)))?;
    let has_keys = !store.keys().await?.is_empty() || config.tokens.is_some();
    may_be_public(config.public_url.as_ref(), has_keys)?;
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut taken: Vec<SocketAddr> = Vec::new();
    for at in listen {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("cannot listen on {at}: another program uses it, or another --listen")
            }
            _ => format!("cannot listen on {at}: {error}"),
        };
        let mut addresses = at.addresses().await.map_err(refused)?;
        // The same address twice is no mistake: a name can stand for it.
        addresses.retain(|address| address.port() == 0 || !taken.contains(address));
        taken.extend(&addresses);
        for address in &addresses {
            may_listen(*address, has_keys, config.tls.is_some(), insecure_plaintext)?;
        }
        listeners.extend(at.bind(&addresses).await.map_err(refused)?);
    }
    Ok(Opened { store, config, listeners, url })
}

/// Keeps the memory of the process, which holds texts, out of core dumps and away from other programs.
fn keep_out_of_crash_files() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Raises the limit on file descriptors to its maximum. Each connection needs one, and the default limit is far lower.
fn allow_connections() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        // If that is not allowed, the default limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

fn start_log(filter: Targets, format: LogFormat) {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let log = match format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(filter)).init();
    // The message of a panic can contain stored data, so only the location is logged.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        tracing::error!(location, "panicked");
    }));
}

/// Prints the start line, the only one on standard output, for people and for scripts that need the port.
fn announce(addresses: &[SocketAddr], is_encrypted: bool, store: &StoreUrl, format: LogFormat) {
    let store = store.to_string();
    let version = env!("CARGO_PKG_VERSION");
    let scheme = if is_encrypted { "https" } else { "http" };
    let urls: Vec<_> = addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
    let Some(url) = urls.first() else { return };
    let docs = format!("{url}/docs/");
    let line = match format {
        LogFormat::Text => {
            let urls = urls.join(" and ");
            format!("DataAPI {version} serves {store} on {urls}; try it at {docs}")
        }
        LogFormat::Json => {
            let mut line = json!({"version": version, "store": store, "url": url, "docs": docs});
            if urls.len() > 1 {
                line["urls"] = json!(urls);
            }
            line.to_string()
        }
    };
    // Standard output can be closed; the server runs all the same.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Waits for the first signal. A second one ends the process at once.
async fn first_of([mut terminate, mut interrupt]: [Signal; 2]) {
    either(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping: finishing the running requests; a second signal stops at once");
    tokio::spawn(async move {
        let signal = either(&mut terminate, &mut interrupt).await;
        std::process::exit(128 + signal.as_raw_value());
    });
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_is_in_the_documents_as_defined() {
        flag_tables::check(Args::command(), "docs/operating.md");
    }
}
