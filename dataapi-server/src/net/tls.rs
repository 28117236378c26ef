//! TLS: a certificate and its key, read from files and read again when the files change.

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

/// How often the files are checked for changes.
const PERIOD: Duration = Duration::from_secs(5);

/// The ALPN name of HTTP/2.
pub(crate) const HTTP_2: &[u8] = b"h2";

/// The files for TLS, all of them PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities that issue client certificates (mTLS): every client needs a certificate of one of them. `None`
    /// to ask for no certificate.
    pub client_authorities: Option<PathBuf>,
}

/// The server's certificate and key: TLS 1.2 and 1.3, for HTTP/1.1 and HTTP/2.
///
/// A running server checks the files every 5 seconds. Changed files apply to new connections; open ones continue. If
/// the files cannot be used, the last good certificate stays in use and the log has a warning.
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
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },

    /// A file has no PEM block of the expected kind.
    #[error("the file '{}' has no {what} in PEM", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What the file should have.
        what: &'static str,
    },

    /// The certificate and the key do not match, or one of them is invalid.
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
    /// If a file cannot be read or used, or the key does not belong to the certificate.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let config = Arc::new(contents.config(&files)?);
        Ok(Self { files, current: RwLock::new(Current { contents, config }) })
    }

    /// Reads the files again and returns whether they have changed. After an error, the old certificate stays in use.
    ///
    /// # Errors
    /// The same as for [`load`](Self::load).
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

    /// Returns an acceptor with the current certificate, for new connections.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.config).into()
    }

    /// Reloads the files when they change. Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut warned = None;
        loop {
            tokio::time::sleep(PERIOD).await;
            let tls = Arc::clone(&self);
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else {
                continue;
            };
            match reloaded {
                Ok(true) => tracing::info!("loaded a new certificate"),
                Ok(false) => {}
                Err(error) => {
                    // The same error is logged once, not every few seconds.
                    let said = Some(error.to_string());
                    if warned != said {
                        tracing::warn!(%error, "cannot load the new certificate; still using the old one");
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

/// The contents of the files.
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
