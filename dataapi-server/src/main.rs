//! The server as a program: arguments, log, store, listener and signals.

mod args;
#[cfg(test)]
#[path = "../../tests/documents/flag_tables.rs"]
mod flag_tables;
mod secrets;

use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use args::{Args, LogFormat, Settings, StoreUrl, may_listen};
use dataapi::OpenOptions;
use dataapi_server::{ACCESS_TARGET, Tls};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Rows, texts and answers are many short-lived allocations that one thread makes and another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dataapi-server: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    keep_out_of_crash_files()?;
    allow_connections();
    let settings = Args::read()?.resolve()?;
    let Settings { listen, insecure_plaintext, store: url, log, log_format, .. } = settings;
    let mut config = settings.config;
    start_log(log, log_format, settings.access_log.as_deref())?;
    // The handlers are set before the first request, so that no signal is missed.
    let stop = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    config.tls = settings.tls.map(Tls::load).transpose()?.map(Arc::new);

    let read_replicas = settings.read_replicas.iter().map(|url| url.as_str().to_owned()).collect();
    let store = OpenOptions::default()
        .cache_bytes(settings.store_cache_bytes)
        .erase_within(settings.erase_within)
        .read_replicas(read_replicas)
        .open(url.as_str())
        .await
        .map_err(|error| format!("cannot open the store '{url}': {}", with_causes(&error)))?;
    let has_keys = !store.keys().await?.is_empty() || config.tokens.is_some();
    may_listen(listen, has_keys, config.tls.is_some(), insecure_plaintext)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    if let Some(tls) = &config.tls {
        tokio::spawn(reload_at_each(signal(SignalKind::hangup())?, Arc::clone(tls)));
    }
    announce(listener.local_addr()?, config.tls.is_some(), &url, log_format);

    dataapi_server::serve(store, config, listener, first_of(stop)).await;
    tracing::info!("stopped");
    Ok(())
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

fn start_log(filter: Targets, format: LogFormat, access: Option<&Path>) -> io::Result<()> {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let log = match format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    let of_access = |metadata: &Metadata<'_>| metadata.target() == ACCESS_TARGET;
    let log = log.with_filter(filter.and(filter_fn(move |it| !of_access(it))));
    let access = access.map(open_access_log).transpose()?.map(|file| {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
        lines.with_writer(Mutex::new(file)).with_filter(filter_fn(of_access))
    });
    tracing_subscriber::registry().with(log).with(access).init();
    // The message of a panic can contain stored data, so only the location is logged.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        tracing::error!(location, "panicked");
    }));
    Ok(())
}

/// Opens the access log to append to. Only the file's owner can read it.
fn open_access_log(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(path)
}

/// Prints the start line, the only one on standard output, for people and for scripts that need the port.
fn announce(address: SocketAddr, is_encrypted: bool, store: &StoreUrl, format: LogFormat) {
    let store = store.to_string();
    let version = env!("CARGO_PKG_VERSION");
    let scheme = if is_encrypted { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let line = match format {
        LogFormat::Text => {
            format!("DataAPI {version} serves {store} on {url}; try it at {url}/docs/")
        }
        LogFormat::Json => {
            let docs = format!("{url}/docs/");
            json!({"version": version, "store": store, "url": url, "docs": docs}).to_string()
        }
    };
    // Standard output can be closed; the server runs all the same.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Reads the certificate again at each signal, without waiting for the next regular check of its file.
async fn reload_at_each(mut signal: Signal, tls: Arc<Tls>) {
    while signal.recv().await.is_some() {
        let tls = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => tracing::info!("loaded a new certificate"),
            Ok(Ok(false)) => tracing::info!("the certificate has not changed"),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "cannot load the new certificate; still using the old one"
                );
            }
            Err(error) => tracing::error!(%error, "the check of the certificate failed"),
        }
    }
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

/// Shows an error with its chain of causes, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
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
