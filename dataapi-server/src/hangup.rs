//! SIGHUP: opens the access log again and loads the certificate again. It never ends the server.

use std::io;
use std::sync::Arc;

use dataapi_server::Tls;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::access_file::AccessFile;
use crate::causes::with_causes;

/// The SIGHUPs that the process gets.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Handles the signal from now on. One that comes before [`obey`](Self::obey) is obeyed then.
    pub(crate) fn handle() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Does at each signal what it asks for.
    pub(crate) async fn obey(mut self, access_log: Option<Arc<AccessFile>>, tls: Option<Arc<Tls>>) {
        while self.0.recv().await.is_some() {
            let (access_log, tls) = (access_log.clone(), tls.clone());
            let obeyed = spawn_blocking(move || {
                if let Some(access_log) = access_log {
                    reopen(&access_log);
                }
                if let Some(tls) = tls {
                    reload(&tls);
                }
            });
            if let Err(error) = obeyed.await {
                tracing::error!(%error, "SIGHUP could not be obeyed");
            }
        }
    }
}

fn reopen(access_log: &AccessFile) {
    match access_log.reopen() {
        Ok(()) => tracing::info!("opened the access log again"),
        Err(error) => {
            tracing::warn!(%error, "cannot open the access log again; still writing to the old file");
        }
    }
}

/// Loads the certificate without waiting for the next regular check of its file.
fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(true) => tracing::info!("loaded a new certificate"),
        Ok(false) => tracing::info!("the certificate has not changed"),
        Err(error) => {
            tracing::warn!(
                error = with_causes(&error),
                "cannot load the new certificate; still using the old one"
            );
        }
    }
}
