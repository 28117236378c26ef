//! The way to PostgreSQL: what stands in a URL, TLS, and the settings of each connection.

use std::future::pending;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use futures_util::future::BoxFuture;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::OpenError;
use crate::failure::Failure;

/// How long it may take to connect to one host.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a request waits for a connection of the pool before it is refused as overloaded.
const WAIT_AT_MOST: Duration = Duration::from_secs(2);

/// The settings of each session, whatever the database or the role says.
const SESSION: &str = "
    SET application_name = 'dataapi';
    SET client_min_messages = 'error';
    SET lock_timeout = '10s';
    SET statement_timeout = '30s';
    SET idle_in_transaction_session_timeout = '30s';
    -- Each statement was written for its index. A plan of its own for each call takes longer than most calls.
    SET plan_cache_mode = 'force_generic_plan';
    SET enable_seqscan = off;
    SET enable_sort = off;
    SET enable_bitmapscan = off;
    -- What is off counts as dear, and what is dear would be compiled: for 40 ms.
    SET jit = off;
    -- Acknowledged means on disk; what waits for replicas as well is left as it is.
    SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// What a URL says, with the password in it: never shown.
pub(crate) struct Address {
    /// One for each host.
    configs: Vec<Config>,
    root_certificates: Option<PathBuf>,
    /// The host that took writes last, for all pools.
    primary: Arc<AtomicUsize>,
}

impl Address {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?…`.
    ///
    /// A server elsewhere must prove by its certificate that it is who it should be; one on this machine is
    /// spoken to as it is, unless `sslmode` says otherwise.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut kept, mut root_certificates, mut mode) = (Vec::new(), None, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", path)) => root_certificates = Some(PathBuf::from(path)),
                Some(("sslmode", value)) => mode = Some(value),
                _ => kept.push(parameter),
            }
        }
        let (front, hosts, back) = hosts(base);
        let config = |host| format!("{front}{host}{back}?{}", kept.join("&")).parse::<Config>();
        let mut configs = hosts
            .split(',')
            .map(config)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| OpenError::Url)?;
        if configs.iter().any(|config| config.get_hosts().is_empty()) {
            return Err(OpenError::Url);
        }
        let mode = match mode {
            Some("disable") => SslMode::Disable,
            // A certificate is verified whenever there is one.
            Some("prefer" | "allow") => SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => return Err(OpenError::Url),
            None if configs.iter().flat_map(Config::get_hosts).all(is_here) => SslMode::Disable,
            None => SslMode::Require,
        };
        for config in &mut configs {
            config.ssl_mode(mode);
            config.keepalives_idle(Duration::from_secs(15));
            config.keepalives_interval(Duration::from_secs(5));
            config.keepalives_retries(3);
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        Ok(Self { configs, root_certificates, primary: Arc::default() })
    }

    /// A pool of connections to whichever host takes writes.
    pub(crate) fn primary(&self, connections: usize) -> Result<Pool, OpenError> {
        self.pool(TargetSessionAttrs::ReadWrite, connections)
    }

    /// A pool of connections that only read, to whichever host answers.
    pub(crate) fn replica(&self, connections: usize) -> Result<Pool, OpenError> {
        self.pool(TargetSessionAttrs::Any, connections)
    }

    fn pool(&self, target: TargetSessionAttrs, connections: usize) -> Result<Pool, OpenError> {
        let mut configs = self.configs.clone();
        for config in &mut configs {
            config.target_session_attrs(target);
        }
        let give_up_after = CONNECT_WITHIN * u32::try_from(configs.len() + 1).unwrap_or(u32::MAX);
        let first = configs.first().cloned().ok_or(OpenError::Url)?;
        let is_spread = target == TargetSessionAttrs::Any;
        let next = if is_spread { Arc::default() } else { Arc::clone(&self.primary) };
        let hosts = Hosts { configs, tls: self.tls()?, next, is_spread };
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_connect(first, hosts, ManagerConfig { recycling_method });
        let settings = Hook::async_fn(|client, _| {
            Box::pin(async move {
                match timeout(CONNECT_WITHIN, client.batch_execute(SESSION)).await {
                    Ok(set) => set.map_err(HookError::Backend),
                    Err(_) => Err(HookError::message("the server hangs")),
                }
            })
        });
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_AT_MOST))
            .create_timeout(Some(give_up_after))
            .post_create(settings)
            .build()
            .map_err(|_| OpenError::Url)
    }

    fn tls(&self) -> Result<MakeRustlsConnect, OpenError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(OpenError::Tls)?;
        let config = match &self.root_certificates {
            Some(path) => {
                let certificates = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|_| OpenError::RootCertificates)?;
                let mut roots = RootCertStore::empty();
                let (added, _) = roots.add_parsable_certificates(certificates);
                if added == 0 {
                    return Err(OpenError::RootCertificates);
                }
                builder.with_root_certificates(roots)
            }
            None if self.configs.iter().all(|it| it.get_ssl_mode() == SslMode::Disable) => {
                builder.with_root_certificates(RootCertStore::empty())
            }
            None => builder.with_platform_verifier().map_err(OpenError::Tls)?,
        };
        Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
    }
}

/// The hosts of a URL, between what stands before and behind them.
fn hosts(url: &str) -> (&str, &str, &str) {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let begin = url.rfind('@').map_or(begin, |at| begin.max(at + 1));
    let end = url[begin..].find('/').map_or(url.len(), |at| begin + at);
    (&url[..begin], &url[begin..end], &url[end..])
}

/// Connects to one host after the other: one that takes connections and never answers must not keep from
/// those behind it.
struct Hosts {
    configs: Vec<Config>,
    tls: MakeRustlsConnect,
    /// Where to begin: with the one that was found last.
    next: Arc<AtomicUsize>,
    /// Whether to begin with another one each time.
    is_spread: bool,
}

impl Connect for Hosts {
    fn connect(
        &self,
        _: &Config,
    ) -> BoxFuture<'_, Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>>
    {
        Box::pin(async move {
            let count = self.configs.len();
            let begin = self.next.fetch_add(usize::from(self.is_spread), Ordering::Relaxed);
            let mut error = None;
            for host in (0..count).map(|number| (begin + number) % count) {
                let connected = self.configs[host].connect(self.tls.clone());
                match timeout(CONNECT_WITHIN, connected).await {
                    Ok(Ok((client, connection))) => {
                        if !self.is_spread {
                            self.next.store(host, Ordering::Relaxed);
                        }
                        // Whoever waits for an answer is told how it ended.
                        let task = tokio::spawn(async move { drop(connection.await) });
                        return Ok((client, task));
                    }
                    Ok(Err(refusal)) => error = Some(refusal),
                    Err(_) => {}
                }
            }
            match error {
                Some(error) => Err(error),
                // None has answered: the pool gives up.
                None => pending().await,
            }
        })
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// A connection of a pool, which goes back there only if its work came to its end: one that was left in
/// the middle of a transaction is closed.
pub(crate) struct Lent(Option<Object>);

impl Lent {
    pub(crate) async fn from(pool: &Pool) -> Result<Self, Failure> {
        Ok(Self(Some(pool.get().await?)))
    }

    pub(crate) fn client(&self) -> Result<&deadpool_postgres::Client, Failure> {
        self.0.as_ref().ok_or(Failure::Lost)
    }

    pub(crate) fn client_mut(&mut self) -> Result<&mut deadpool_postgres::Client, Failure> {
        self.0.as_mut().ok_or(Failure::Lost)
    }

    /// Gives it back for the next one.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        Address::parse(url).expect("a URL").configs[0].get_ssl_mode()
    }

    #[test]
    fn only_what_stays_on_this_machine_goes_without_tls() {
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@localhost:1,[::1]:2/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@db.example/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@localhost,db.example/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://u@localhost/d?sslmode=verify-full"), SslMode::Require);
    }

    #[test]
    fn each_host_is_found_with_what_holds_for_all() {
        let url = "postgres://u:a%40b@h:1,[::1]:2,g/d?connect_timeout=9";
        let configs = Address::parse(url).expect("a URL").configs;
        let ports: Vec<_> = configs.iter().map(Config::get_ports).collect();
        assert_eq!(ports, [&[1], &[2], &[5432]]);
        for config in &configs {
            assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")));
            assert_eq!(config.get_password(), Some(&b"a@b"[..]));
        }
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused() {
        for url in ["postgres://", "postgres://u@h:x/d", "postgres://u@h/d?sslmode=none"] {
            assert!(matches!(Address::parse(url), Err(OpenError::Url)), "{url}");
        }
    }

    #[test]
    fn root_certificates_are_read_from_their_file() {
        let address = Address::parse("postgres://h/d?sslrootcert=/nowhere.pem").expect("one");
        assert!(matches!(address.primary(1), Err(OpenError::RootCertificates)));
    }
}
