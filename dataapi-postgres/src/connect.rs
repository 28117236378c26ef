//! Connections to PostgreSQL: the URL, TLS, and the choice between several hosts.

use std::future::pending;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
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

use crate::error::OpenError;
use crate::passwords::Passwords;

/// How long connecting to one host can take.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A parsed URL. It contains the password and must never be shown.
pub(crate) struct Address {
    /// One for each host.
    configs: Vec<Config>,
    root_certificates: Option<PathBuf>,
    /// The index of the host that last accepted writes, shared by all pools.
    primary: Arc<AtomicUsize>,
}

impl Address {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?…`.
    ///
    /// A server on another machine must prove its identity by its certificate. A server on this machine is used without
    /// TLS unless `sslmode` says otherwise.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut kept, mut root_certificates, mut mode) = (Vec::new(), None, None);
        let mut password_file = None;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", path)) => root_certificates = Some(decoded_path(path)?),
                Some(("passfile", path)) => password_file = Some(decoded_path(path)?),
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
            // If there is TLS, the certificate is always verified.
            Some("prefer" | "allow") => SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => return Err(OpenError::Url),
            None if configs.iter().flat_map(Config::get_hosts).all(is_here) => SslMode::Disable,
            None => SslMode::Require,
        };
        add_passwords(&mut configs, password_file.as_deref());
        for config in &mut configs {
            config.ssl_mode(mode);
            config.keepalives_idle(Duration::from_secs(15));
            config.keepalives_interval(Duration::from_secs(5));
            config.keepalives_retries(3);
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        Ok(Self { configs, root_certificates, primary: Arc::default() })
    }

    /// Returns a connector to these hosts: to the one that accepts writes, or to each in turn.
    pub(crate) fn hosts(&self, target: TargetSessionAttrs) -> Result<Hosts, OpenError> {
        let mut configs = self.configs.clone();
        for config in &mut configs {
            config.target_session_attrs(target);
        }
        let is_spread = target == TargetSessionAttrs::Any;
        let next = if is_spread { Arc::default() } else { Arc::clone(&self.primary) };
        Ok(Hosts { configs, tls: self.tls()?, next, is_spread })
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

/// A path in a parameter of a URL.
fn decoded_path(encoded: &str) -> Result<PathBuf, OpenError> {
    let decoded = percent_decode_str(encoded).decode_utf8().map_err(|_| OpenError::Url)?;
    Ok(PathBuf::from(decoded.into_owned()))
}

/// Finds a password for each host, unless the URL has one.
fn add_passwords(configs: &mut [Config], file: Option<&Path>) {
    let has_one = |config: &Config| config.get_password().is_some_and(|it| !it.is_empty());
    if configs.iter().all(has_one) {
        return;
    }
    let passwords = Passwords::of_process(file);
    for config in configs {
        let user = config.get_user().map(str::to_owned).or_else(|| std::env::var("USER").ok());
        let user = user.unwrap_or_default();
        let database = config.get_dbname().unwrap_or(&user);
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => continue,
        };
        if let Some(password) = passwords.find(&host, port, database, &user).map(str::to_owned) {
            config.password(password);
        }
    }
}

/// Splits a URL into the part before its hosts, the hosts, and the part after them.
fn hosts(url: &str) -> (&str, &str, &str) {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let begin = url.rfind('@').map_or(begin, |at| begin.max(at + 1));
    let end = url[begin..].find('/').map_or(url.len(), |at| begin + at);
    (&url[..begin], &url[begin..end], &url[end..])
}

/// Connects to one of several hosts. Each host has a time limit, so that one which accepts connections and never
/// answers does not block the hosts after it.
pub(crate) struct Hosts {
    configs: Vec<Config>,
    tls: MakeRustlsConnect,
    /// The host to begin with: the one that was found last.
    next: Arc<AtomicUsize>,
    /// Whether to begin with another host each time.
    is_spread: bool,
}

impl Hosts {
    pub(crate) fn count(&self) -> usize {
        self.configs.len()
    }

    pub(crate) fn first(&self) -> Option<&Config> {
        self.configs.first()
    }
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
                        // Each request on this connection gets the error itself.
                        let task = tokio::spawn(async move { drop(connection.await) });
                        return Ok((client, task));
                    }
                    Ok(Err(refusal)) => error = Some(refusal),
                    Err(_) => {}
                }
            }
            match error {
                Some(error) => Err(error),
                // No host has answered. The timeout of the pool ends this wait.
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
    fn a_password_file_in_the_url_serves_the_hosts_it_names_and_the_url_comes_first() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pass file");
        std::fs::write(&file, "one:1:d:u:first\ntwo:*:*:*:second\n").expect("a file");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("its mode");
        let file = file.display().to_string().replace(' ', "%20");
        let passwords = |url: &str| {
            let configs = Address::parse(&format!("{url}?passfile={file}")).expect("a URL").configs;
            let passwords = configs.iter().map(|config| config.get_password().map(<[u8]>::to_vec));
            passwords.collect::<Vec<_>>()
        };
        let both = [Some(b"first".to_vec()), Some(b"second".to_vec())];
        assert_eq!(passwords("postgres://u@one:1,two/d"), both);
        assert_eq!(passwords("postgres://u:own@one:1/d"), [Some(b"own".to_vec())]);
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
        assert!(matches!(address.hosts(TargetSessionAttrs::Any), Err(OpenError::RootCertificates)));
    }
}
