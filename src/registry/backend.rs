//! What a backend can do with a whole store that a URL names.

#[cfg(feature = "sqlite")]
use std::ops::ControlFlow;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;
use dataapi_core::copy::{Source, Target};
#[cfg(feature = "sqlite")]
use dataapi_sqlite::{Backup, Damage, Restored, Since};

#[cfg(feature = "sqlite")]
use crate::errors::BackupError;
use crate::errors::OpenError;
use crate::options::OpenOptions;

/// Called now and then with the number of dialogs done since the last call. A break stops the work.
#[cfg(feature = "sqlite")]
pub(crate) type OnProgress = Box<dyn FnMut(u64) -> ControlFlow<()> + Send>;

/// A kind of store. Operations that it does not override are unsupported.
#[async_trait]
pub(crate) trait Backend: Sync {
    /// See [`OpenOptions::open`].
    async fn open(
        &self,
        url: &str,
        options: &OpenOptions,
    ) -> Result<Arc<dyn DialogStore>, OpenError>;

    /// The error for operations that this kind of store does not support.
    fn unsupported(&self) -> OpenError;

    /// See [`files`](crate::files).
    fn files(&self, _url: &str) -> Result<Vec<PathBuf>, OpenError> {
        Err(self.unsupported())
    }

    /// See [`backup`](crate::backup).
    #[cfg(feature = "sqlite")]
    async fn back_up(
        &self,
        _url: &str,
        _place: &Path,
        _on_progress: OnProgress,
    ) -> Result<Backup, BackupError> {
        Err(self.unsupported().into())
    }

    /// See [`restore`](crate::restore).
    #[cfg(feature = "sqlite")]
    async fn restore(
        &self,
        _url: &str,
        _backup: &Path,
        _since: Since,
        _on_progress: OnProgress,
    ) -> Result<Restored, BackupError> {
        Err(self.unsupported().into())
    }

    /// See [`check`](crate::check).
    #[cfg(feature = "sqlite")]
    async fn check(&self, _url: &str) -> Result<Vec<Damage>, OpenError> {
        Err(self.unsupported())
    }

    /// The store to copy from.
    async fn copy_source(&self, _url: &str) -> Result<Box<dyn Source>, OpenError> {
        Err(self.unsupported())
    }

    /// A new store to copy to.
    async fn copy_target(&self, _url: &str, _shards: u16) -> Result<Box<dyn Target>, OpenError> {
        Err(self.unsupported())
    }

    /// See [`shown`](crate::shown).
    fn shown(&self, url: &str) -> String {
        url.to_owned()
    }
}

/// Replaces the parts of a URL that could contain a password.
pub(crate) const REDACTED: &str = "[redacted]";

/// A URL without its password and its parameters. If it is unclear which part is the password, everything after the
/// scheme is hidden.
pub(crate) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return REDACTED.to_owned() };
    let (base, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    match base.rsplit_once('@') {
        // The question mark could be part of the password.
        _ if parameters.contains('@') => format!("{scheme}://{REDACTED}"),
        Some((credentials, place)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            format!("{scheme}://{user}@{place}")
        }
        None if has_hosts_alone(base) => format!("{scheme}://{base}"),
        None => format!("{scheme}://{REDACTED}"),
    }
}

/// Whether everything after a colon is a port, rather than the password in a URL that lacks its host.
fn has_hosts_alone(base: &str) -> bool {
    let hosts = base.split_once('/').map_or(base, |(hosts, _)| hosts);
    hosts.split(',').all(|host| {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        host.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_is_shown_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://u:secret@db:5432/d?sslmode=require", "postgres://u@db:5432/d"),
            ("postgres://u:sec@ret@db/d", "postgres://u@db/d"),
            ("postgres://u:sec/ret@db/d", "postgres://u@db/d"),
            ("postgres://u:sec?ret@db/d", "postgres://[redacted]"),
            ("postgres://u:s@e?c@ret@db/d", "postgres://[redacted]"),
            ("postgres://u:secret", "postgres://[redacted]"),
            ("postgres://u:secret/d", "postgres://[redacted]"),
            ("postgres:u:secret@db", "[redacted]"),
            ("postgres://[::1],one,two:5433/d?password=secret", "postgres://[::1],one,two:5433/d"),
            ("postgres:///d?host=/run", "postgres:///d"),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
    }
}
