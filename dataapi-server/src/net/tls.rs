//! TLS: a certificate and its key, read from files, and again when these change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// By which a client says that it speaks HTTP/2.
pub(crate) const HTTP_2: &[u8] = b"h2";

/// The files that TLS is made of, all of them PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that lead up to its authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities of clients: with it a client must show a certificate of one of them (mTLS).
    pub client_authorities: Option<PathBuf>,
}

/// What a server shows its clients: TLS 1.2 and 1.3 for HTTP/1.1 and HTTP/2.
///
/// A server looks at the files every few seconds, and takes what they hold for the connections that come
/// after; those that are there go on. What it cannot read it does not take: the last good certificate
/// stays, and the log warns.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Current>,
}

struct Current {
    contents: Contents,
    config: Arc<ServerConfig>,
}

/// Why TLS is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the file '{}' cannot be read", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// A file holds no PEM of the kind that it should.
    #[error("the file '{}' holds no {what} in PEM", path.display())]
    NotPem {
        /// Which one.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },

    /// The pieces do not go together.
    #[error("the certificate and its key cannot be used together")]
    Unusable(#[source] rustls::Error),

    /// The clients' authorities cannot be used.
    #[error("the clients' authorities cannot be used")]
    Authorities(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or the key is not that of the certificate.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let config = Arc::new(contents.config(&files)?);
        Ok(Self { files, current: RwLock::new(Current { contents, config }) })
    }

    /// Reads the files again, and tells whether they have changed. After an error all is as before.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        if self.current.read().unwrap_or_else(PoisonError::into_inner).contents == contents {
            return Ok(false);
        }
        let config = Arc::new(contents.config(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Current { contents, config };
        Ok(true)
    }

    /// Takes the connections that come next.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.config).into()
    }

    /// Keeps up with the files. Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut warned = None;
        loop {
            tokio::time::sleep(PERIOD).await;
            let tls = Arc::clone(&self);
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else {
                continue;
            };
            match reloaded {
                Ok(true) => tracing::info!("took a new certificate"),
                Ok(false) => {}
                Err(error) => {
                    // Once for each thing that is wrong, not every few seconds.
                    let said = Some(error.to_string());
                    if warned != said {
                        tracing::warn!(%error, "the old certificate stays");
                        warned = said;
                    }
                    continue;
                }
            }
            warned = None;
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
            std::fs::read(path).map_err(unreadable)
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_authorities: files.client_authorities.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate, &files.certificate)?;
        let not_pem = |_| TlsError::NotPem { path: files.key.clone(), what: "private key" };
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(not_pem)?;
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let config = match (&self.client_authorities, &files.client_authorities) {
            (Some(authorities), Some(path)) => {
                let authorities = certificates(authorities, path)?;
                config.with_client_cert_verifier(client_verifier(authorities, provider)?)
            }
            _ => config.with_no_client_auth(),
        };
        let mut config = config.with_single_cert(chain, key).map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let not_pem = || TlsError::NotPem { path: path.to_owned(), what: "certificate" };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| not_pem())?;
    if certificates.is_empty() { Err(not_pem()) } else { Ok(certificates) }
}

fn client_verifier(
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| TlsError::Authorities(error.into()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::Authorities(error.into()))
}
