//! The source of changes: a store that is opened here, or a server.

use std::sync::Arc;

use dataapi::{Change, DialogStore, Limit, OpenOptions, Positions, Reach};

use crate::context::Context;
use crate::error::CommandError;
use crate::remote::{RemoteOptions, RemoteServer, ServerError};

/// How many changes to request at once: about 7 MB with texts of 64 KiB.
const AT_ONCE: u64 = 100;

/// A source of changes.
pub(super) enum ChangeSource {
    Store(Arc<dyn DialogStore>),
    Server(RemoteServer),
}

impl ChangeSource {
    /// Opens the server or store at `url`, or the store of `--store` if there is no `url`.
    pub(super) async fn open(
        url: Option<&str>,
        options: &RemoteOptions<'_>,
        context: &Context,
    ) -> Result<Self, CommandError> {
        let Some(url) = url else {
            return Ok(Self::Store(context.open_existing().await?));
        };
        if let Some(server) = RemoteServer::at(url, options)? {
            return Ok(Self::Server(server));
        }
        Ok(Self::Store(OpenOptions::default().create(false).open(url).await?))
    }

    /// Returns the next changes after the positions `after`, at most [`AT_ONCE`]; none at the end.
    pub(super) async fn changes(&self, after: &Positions) -> Result<Vec<Change>, CommandError> {
        match self {
            Self::Store(store) => {
                Ok(store.changes(after, Limit::new(AT_ONCE)?, &Reach::default()).await?)
            }
            Self::Server(server) => {
                let (server, after) = (server.clone(), after.clone());
                let asked = tokio::task::spawn_blocking(move || server.changes(&after, AT_ONCE));
                Ok(asked.await.map_err(|_| ServerError::Strange)??)
            }
        }
    }
}
