//! Where changes come from: a store that is opened here, or a server.

use std::sync::Arc;

use dataapi::{Change, DialogStore, Limit, OpenOptions, Positions, Reach};

use crate::context::Context;
use crate::error::CommandError;
use crate::remote::{RemoteServer, ServerError};

/// How many changes are asked for at once: with the longest texts some 25 MB.
const AT_ONCE: u64 = 250;

/// What tells the changes.
pub(super) enum ChangeSource {
    Store(Arc<dyn DialogStore>),
    Server(RemoteServer),
}

impl ChangeSource {
    /// The server or store at `url`, else the store of the command line.
    pub(super) async fn open(url: Option<&str>, context: &Context) -> Result<Self, CommandError> {
        let Some(url) = url else {
            return Ok(Self::Store(context.open_existing().await?));
        };
        if let Some(server) = RemoteServer::at(url) {
            return Ok(Self::Server(server));
        }
        Ok(Self::Store(OpenOptions::default().create(false).open(url).await?))
    }

    /// The changes after some positions, some at a time.
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
