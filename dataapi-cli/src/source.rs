//! Where changes come from: a store that is opened here, or a server.

use std::sync::Arc;
use std::time::Duration;

use dataapi::{
    Change, Dialog, DialogStore, Limit, NewDialog, OpenOptions, Positions, Reach, StoredDialog,
    Text,
};
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::context::Context;
use crate::error::CommandError;
use crate::events::EventLine;

/// How many changes are asked for at once: with the longest texts some 25 MB.
const AT_ONCE: u64 = 250;

/// More than they can be.
const LONGEST_ANSWER: u64 = 512 << 20;

/// A server that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(30);

/// What tells the changes.
pub(crate) enum Source {
    Store(Arc<dyn DialogStore>),
    Server(Server),
}

/// A server, by its address.
#[derive(Clone)]
pub(crate) struct Server {
    agent: Agent,
    base: String,
    /// For the header that brings the key.
    authorization: Option<String>,
}

/// Why a server told nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(
        "the server cannot be asked; check its address, that it runs, and the key in DATAAPI_KEY"
    )]
    Unreachable(#[source] Box<ureq::Error>),

    #[error("the answer is not one of a DataAPI server; check the address")]
    Strange,
}

impl From<ServerError> for CommandError {
    fn from(error: ServerError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Source {
    /// The server or store at `url`, else the store of the command line.
    pub(crate) async fn open(url: Option<&str>, context: &Context) -> Result<Self, CommandError> {
        match url {
            None => Ok(Self::Store(context.open_existing().await?)),
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                Ok(Self::Server(Server::new(url)))
            }
            Some(url) => Ok(Self::Store(OpenOptions::default().create(false).open(url).await?)),
        }
    }

    /// The changes after some positions, some at a time.
    pub(crate) async fn changes(&self, after: &Positions) -> Result<Vec<Change>, CommandError> {
        match self {
            Self::Store(store) => {
                Ok(store.changes(after, Limit::new(AT_ONCE)?, &Reach::default()).await?)
            }
            Self::Server(server) => {
                let (server, after) = (server.clone(), after.clone());
                let asked = tokio::task::spawn_blocking(move || server.changes(&after));
                Ok(asked.await.map_err(|_| ServerError::Strange)??)
            }
        }
    }
}

impl Server {
    fn new(url: &str) -> Self {
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
        Self { agent, base, authorization }
    }

    fn changes(&self, after: &Positions) -> Result<Vec<Change>, ServerError> {
        let url = format!("{}/v1/changes?dialogs=true&limit={AT_ONCE}&after={after}", self.base);
        let unreachable = |error| ServerError::Unreachable(Box::new(error));
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = request.call().map_err(unreachable)?;
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let answer: Answer = serde_json::from_slice(&body.map_err(unreachable)?)
            .map_err(|_| ServerError::Strange)?;
        answer.events.into_iter().map(|line| line.change().ok_or(ServerError::Strange)).collect()
    }
}

#[derive(Deserialize)]
struct Answer {
    events: Vec<ChangeLine>,
}

#[derive(Deserialize)]
struct ChangeLine {
    #[serde(flatten)]
    event: EventLine<'static>,
    dialog: Option<DialogMembers>,
}

#[derive(Deserialize)]
struct DialogMembers {
    dialog_id: String,
    customer_id: String,
    text: String,
    language: String,
    consent_received: bool,
    date: String,
}

impl ChangeLine {
    fn change(self) -> Option<Change> {
        let dialog = match self.dialog {
            Some(members) => Some(members.dialog()?),
            None => None,
        };
        Some(Change { event: self.event.into_event()?, dialog })
    }
}

impl DialogMembers {
    fn dialog(self) -> Option<Dialog> {
        let dialog = NewDialog {
            dialog_id: self.dialog_id.try_into().ok()?,
            customer_id: self.customer_id.try_into().ok()?,
            language: self.language.try_into().ok()?,
            // The limit on a text is the server's.
            text: Text::parse(self.text, usize::MAX).ok()?,
        };
        let date = self.date.parse().ok()?;
        StoredDialog::new(dialog, date, self.consent_received).readable().ok()
    }
}
