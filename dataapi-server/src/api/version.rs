//! The name and version of the server, for clients and for bug reports.

use std::time::Duration;

use dataapi_core::Role;
use dataapi_wire as wire;
use http::header::AUTHORIZATION;
use tokio::time::timeout;

use crate::api::answer::{Answer, json};
use crate::auth::origin;
use crate::request::{Request, RequestHead};
use crate::state::State;

/// How long the store may take to describe itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Read the version of the server
///
/// Anyone gets the name and the version. With a key for `admin`, or if the server needs no keys, the answer also has
/// the backend, the optional features that are on, and the version of the schema. An invalid key is ignored.
#[utoipa::path(
    get,
    path = "/version",
    tag = "operations",
    operation_id = "readVersion",
    responses((status = 200, description = "The name and version", body = wire::Version))
)]
pub(crate) async fn read_version(mut request: Request<'_>) -> Answer {
    let mut version = wire::Version {
        name: "DataAPI".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        features: None,
        schema: None,
    };
    if is_admin(&mut request) {
        let state = request.state;
        // A store that cannot answer must not hide the rest.
        let store = match request.admit() {
            Ok(store) => timeout(PATIENCE, store.info()).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        version.schema = store.as_ref().and_then(|store| store.schema);
        let features = [
            ("tls", state.is_encrypted),
            ("tokens", state.keyring.tokens.is_some()),
            ("cors", !state.cors_origins.is_empty()),
            ("access-log", state.access_log.is_some()),
            ("early-decisions", state.hold_early_decisions.is_some()),
        ];
        let features = features.into_iter().filter_map(|(name, is_on)| is_on.then_some(name));
        let backend = store.map(|store| store.backend);
        version.features = Some(backend.into_iter().chain(features).map(Into::into).collect());
    }
    json(&version)
}

/// Whether the caller may use routes for `admin`. This route is open to anyone.
fn is_admin(request: &mut Request<'_>) -> bool {
    let State { store, keyring, clock, cors_origins, access_log, .. } = request.state;
    let RequestHead { target, headers, .. } = request.head;
    if headers.contains_key(AUTHORIZATION) {
        // The access log has every attempt to use a key.
        request.access.begin(access_log.is_some());
        request.access.peer(&**store, request.forwarded.client);
    }
    let own = request.state.own_origin(request.forwarded);
    let is_admin = origin::check(target, headers, own, cors_origins).is_ok()
        && keyring.check(headers, Role::Admin, &**clock, request.access).is_ok();
    if is_admin {
        request.access.admit(false);
    }
    is_admin
}
