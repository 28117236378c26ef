//! A client for a server's HTTP API.

use std::sync::Arc;
use std::time::Duration;

use dataapi::{Change, Positions};
use dataapi_wire::{Changes, Event};
use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::error::CommandError;

/// The longest answer to read, in bytes; no real answer is longer.
const LONGEST_ANSWER: u64 = 512 << 20;

/// How long to wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server at a known address.
#[derive(Clone)]
pub(crate) struct RemoteServer {
    agent: Agent,
    base: String,
    /// The value of the `Authorization` header, which holds the key.
    authorization: Option<String>,
}

/// Why a server gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(
        "the request to the server failed (check its address, that it runs, and the key in DATAAPI_KEY)"
    )]
    Unreachable(#[source] Box<ureq::Error>),

    #[error("the answer is not from a DataAPI server of this version; check the address")]
    Strange,
}

impl From<ServerError> for CommandError {
    fn from(error: ServerError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl RemoteServer {
    /// Makes a client for the server at `url`; `None` if `url` is not an HTTP address.
    pub(crate) fn at(url: &str) -> Option<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return None;
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .build()
            .into();
        let base = url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let authorization = std::env::var("DATAAPI_KEY").ok().map(|key| format!("Bearer {key}"));
        Some(Self { agent, base, authorization })
    }

    /// Requests at most `limit` changes after the positions `after`. Blocks until the answer is complete.
    pub(crate) fn changes(
        &self,
        after: &Positions,
        limit: u64,
    ) -> Result<Vec<Change>, ServerError> {
        let url = format!("{}/v1/changes?dialogs=true&limit={limit}&after={after}", self.base);
        let unreachable = |error| ServerError::Unreachable(Box::new(error));
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = request.call().map_err(unreachable)?;
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        parse_changes(&body.map_err(unreachable)?).ok_or(ServerError::Strange)
    }
}

/// Parses the changes of an answer; `None` if it is not one of a DataAPI server.
fn parse_changes(body: &[u8]) -> Option<Vec<Change>> {
    let answer: Changes<'_> = serde_json::from_slice(body).ok()?;
    answer.events.into_iter().map(|event| Event::into_domain(event).ok()).collect()
}
