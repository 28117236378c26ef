//! `DataAPI` over HTTP: serves a [`DialogStore`] on a listener until it is shut down.
//!
//! ```no_run
//! use std::sync::Arc;
//! use dataapi_core::{DialogStore, MemoryStore, RefKey, SystemClock};
//! use dataapi_server::{Config, serve};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main] async fn main() -> std::io::Result<()> {
//! let key = RefKey::from_bytes([7; 32]);
//! let store: Arc<dyn DialogStore> = Arc::new(MemoryStore::new(Arc::new(SystemClock), key));
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let ctrl_c = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//! serve(store, Config::default(), listener, ctrl_c).await;
//! # Ok(()) }
//! ```
//!
//! Once the store has a key, every request needs a key, or a token of the identity provider in [`Config::tokens`]. The
//! exceptions are health, the version, and the API's description. A store without keys is open to anyone who can reach
//! the listener: listen on loopback only.
//!
//! A request goes through `net` (connections and bytes), `service` (request id, time limit, metrics, log), `router`
//! (path, method and role), `auth` (whether the caller may do this), and its handler in `api`. The handler parses the
//! request, calls the store, and answers with JSON or a `problem`.
//!
//! With [`Config::access_log`], the server gives an [`AccessSink`] a line for each request for data, for auditors: the
//! name of the key, the route, the status, and keyed hashes in place of ids.

#![deny(missing_docs)]

mod api;
mod auth;
mod compression;
mod config;
mod description;
mod erasure_watch;
#[cfg(test)]
mod fuzz;
mod metrics;
mod net;
mod openapi;
mod path;
mod problem;
mod readiness;
mod ready_pages;
mod request;
mod retention;
mod router;
mod service;
mod state;
mod work;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{DialogStore, Purge};
use futures_util::FutureExt;
use futures_util::future::{self, Either};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tower_layer::Layer;
use tower_service::Service as _;

pub use crate::auth::access_sink::AccessSink;
pub use crate::auth::tokens::{JwksSource, TokenOptions};
pub use crate::config::Config;
use crate::description::Description;
use crate::metrics::Metrics;
use crate::net::connections::{self, ConnectionLimits};
use crate::net::cors;
pub use crate::net::listeners::Listeners;
use crate::net::places::PlaceLimits;
pub use crate::net::public_url::{NotAPublicUrl, PublicUrl};
use crate::net::standing::Times;
pub use crate::net::tls::{Tls, TlsError, TlsFiles};
pub use crate::net::trusted_proxies::{NotANetwork, TrustedProxy};
use crate::problem::Cut;
use crate::state::State;

/// Serves `store` on one listener or several until `shutdown` is ready. Then it is no longer ready, accepts no more
/// connections, closes the idle ones, answers the requests that only wait, finishes the others within
/// [`Config::grace`], and returns.
///
/// Dropping the future closes all connections.
pub async fn serve(
    store: Arc<dyn DialogStore>,
    config: Config,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = ()>,
) {
    let metrics = Metrics::new(router::routes().iter().map(|route| route.template.as_str()));
    let description = Description::new(openapi::description(), config.public_url.as_ref());
    let connection_metrics = metrics.connections.clone();
    let state = State::new(Arc::clone(&store), &config, metrics, description);
    let state = Arc::new(state);
    let mut shutdown = pin!(shutdown);
    tokio::select! {
        biased;
        () = &mut shutdown => return,
        () = state.keyring.load(&*store) => {}
    }
    let shutdown = async {
        shutdown.await;
        state.stopping.begin();
    };
    let limits = ConnectionLimits {
        places: PlaceLimits {
            all: config.max_connections,
            unauthorised: config.max_unauthorised_connections(),
            per_address: config.max_connections_per_address(),
            bytes: config.max_connection_bytes,
        },
        times: Times {
            head: config.head_timeout,
            idle: config.idle_timeout,
            write: config.write_timeout,
        },
        grace: config.grace,
        proxies: state.trusted_proxies.clone(),
        metrics: connection_metrics,
    };
    let filter = warp::service(service::filter(Arc::clone(&state)));
    let cors = cors::layer(&config.cors_origins).map(|cors| cors.layer(filter.clone()));
    let answering = service_fn(move |request: Request<Incoming>| {
        // CORS answers preflight requests by itself, so it must not see a request that is refused for its host.
        let cors = cors.as_ref().filter(|_| service::names_a_host(&request));
        // Both services are always ready, so this does not wait for them.
        let answer = match cors {
            Some(filter) => Either::Left(filter.clone().call(request)),
            None => Either::Right(filter.clone().call(request)),
        };
        answer.map(|answer| {
            let answer = answer.unwrap_or_else(|never| match never {});
            if answer.extensions().get::<Cut>().is_some() { Err(Cut) } else { Ok(answer) }
        })
    });
    let serving =
        connections::run(listeners.into(), config.tls.clone(), answering, limits, shutdown);
    let reloading = async {
        match config.tls.clone() {
            Some(tls) => tls.run().await,
            None => future::pending().await,
        }
    };
    let purging = |which, after: Option<Duration>| {
        let (store, clock, metrics) = (&store, &config.clock, &state.metrics);
        async move {
            match after {
                Some(after) => retention::run(&**store, &**clock, metrics, which, after).await,
                None => future::pending().await,
            }
        }
    };
    let telling = async {
        match &state.access_log {
            Some(log) => log.run().await,
            None => future::pending().await,
        }
    };
    tokio::select! {
        () = serving => {}
        () = telling => {}
        () = purging(Purge::Pending, config.purge_pending_after) => {}
        () = purging(Purge::Consented, config.retain_consented) => {}
        () = purging(Purge::Tombstones, config.retain_tombstones) => {}
        () = state.keyring.run(&*store) => {}
        () = reloading => {}
        () = erasure_watch::run(&*store, config.erase_within) => {}
    }
    if let Some(log) = &state.access_log {
        log.write_suppressed();
    }
}
