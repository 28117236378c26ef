//! What all attacks share: the store, its keys, the certificate, and the server, started for each attack.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dataapi::{Dialogs, ImportedDialog, Keys, NewDialog, NewKey, Roles, generate_key};
use dataapi_sqlite::{Options, SqliteStore};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::attack::{Attack, Transport};
use crate::client::Client;
use crate::outcome::Outcome;
use crate::process::{Process, free_address};

/// How many dialogs with a text of 64 KiB the store has: three pages of the largest size.
const LARGE: u64 = 3_000;
/// How many dialogs with a short text are newer than these.
const SHORT: u64 = 20;

const TEXT_BYTES: usize = 64 * 1024;

/// How long the server may take to be ready.
const GRACE: Duration = Duration::from_secs(30);

/// The settings that together say how much memory the server may take for its clients.
const BOUNDS: [&str; 4] =
    ["max-buffered-bytes", "max-connection-bytes", "page-cache-bytes", "store-cache-bytes"];

pub(crate) struct Stage {
    server: PathBuf,
    /// What the program says about its settings.
    help: String,
    folder: TempDir,
    /// A key with the role `read`, of the attackers.
    pub(crate) reader: String,
    /// Another one, of another caller.
    pub(crate) caller: String,
    /// A key with the roles `ingest` and `consent`.
    pub(crate) chatbot: String,
}

impl Stage {
    pub(crate) async fn set(server: PathBuf, results: &Path) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("store-").tempdir_in(results)?;
        let help = Command::new(&server).arg("--help").output()?;
        if !help.status.success() {
            return Err(format!("{} does not show its help", server.display()).into());
        }
        let help = String::from_utf8(help.stdout)?;
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        std::fs::write(folder.path().join("server.pem"), certificate.pem())?;
        std::fs::write(folder.path().join("server.key"), key.serialize_pem())?;
        let path = folder.path().join("store.db");
        eprintln!("building a store of {LARGE} large dialogs");
        let store = SqliteStore::open(&path, Options::default())?;
        fill(&store).await?;
        let stage = Self {
            server,
            help,
            folder,
            reader: create_key(&store, "reader", "read").await?,
            caller: create_key(&store, "caller", "read").await?,
            chatbot: create_key(&store, "chatbot", "ingest,consent").await?,
        };
        Ok(stage)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// Starts the server with its defaults, and the few settings that the attack wants.
    pub(crate) async fn serve(&self, attack: &Attack, transport: Transport) -> Outcome<Server> {
        let address = free_address()?;
        let log = self.folder.path().join("server.log");
        let mut command = Command::new(&self.server);
        command
            .args(["--listen", &address.to_string()])
            .args(["--store", &format!("sqlite:{}", self.store().display())]);
        if transport != Transport::Http {
            let key = self.folder.path().join("server.key");
            command.arg("--tls-certificate").arg(self.certificate()).arg("--tls-key").arg(key);
        }
        for (name, value) in attack.settings {
            command.args([&format!("--{name}"), *value]);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DATAAPI_") {
                command.env_remove(name);
            }
        }
        command
            .env("DATAAPI_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let process = Process::start(&mut command)?;
        let callers = if transport == Transport::H2 { Transport::Tls } else { transport };
        let client = Client::new(address, callers, &self.certificate())?;
        let mut server = Server { address, client, process };
        let started = Instant::now();
        while !server.is_ready().await {
            if server.process.ended()?.is_some() || started.elapsed() > GRACE {
                let log = std::fs::read_to_string(log)?;
                return Err(format!("the server is not ready: {log}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// The bytes that the server may take for its clients, as it was started for this attack.
    pub(crate) fn bound(&self, attack: &Attack) -> Outcome<u64> {
        let mut bytes = 0;
        for name in BOUNDS {
            let set = attack.settings.iter().find(|(setting, _)| *setting == name);
            bytes += match set {
                Some((_, value)) => value.parse()?,
                // An older version has no such bound.
                None if !self.help.contains(&format!("--{name} ")) => 0,
                None => self.default_of(name)?,
            };
        }
        Ok(bytes)
    }

    fn default_of(&self, name: &str) -> Outcome<u64> {
        let unknown = || format!("the help of the server has no default of --{name}");
        let (_, rest) = self.help.split_once(&format!("--{name} ")).ok_or_else(unknown)?;
        let (_, rest) = rest.split_once("[default: ").ok_or_else(unknown)?;
        let (value, _) = rest.split_once(']').ok_or_else(unknown)?;
        Ok(value.trim().parse()?)
    }
}

/// A running server. It is stopped by SIGTERM when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// How callers other than the attackers reach it.
    pub(crate) client: Client,
    pub(crate) process: Process,
}

impl Server {
    async fn is_ready(&self) -> bool {
        let Ok(mut session) = self.client.session().await else { return false };
        session.get("/health/ready", None).await.is_ok_and(|answer| answer.status == 200)
    }

    /// The memory that is resident now, and the most that ever was, in bytes.
    pub(crate) fn resident(&self) -> (u64, u64) {
        let figure = |name| self.process.memory(name).unwrap_or(0);
        (figure("VmRSS"), figure("VmHWM"))
    }
}

async fn fill(store: &SqliteStore) -> Outcome<()> {
    for first in (0..LARGE).step_by(100) {
        let large = (first..first + 100).map(|number| dialog(number, "de", &large_text(number)));
        import(store, large.collect::<Outcome<_>>()?).await?;
    }
    let short = (LARGE..LARGE + SHORT).map(|number| {
        dialog(number, "en", "User: Where is my parcel? Bot: It will be with you tomorrow.")
    });
    import(store, short.collect::<Outcome<_>>()?).await
}

async fn import(store: &SqliteStore, dialogs: Vec<ImportedDialog>) -> Outcome<()> {
    for outcome in store.import(dialogs).await? {
        outcome?;
    }
    Ok(())
}

fn dialog(number: u64, language: &str, text: &str) -> Outcome<ImportedDialog> {
    let (customer, id) = (format!("c-{}", number % 100), format!("d-{number}"));
    let dialog = NewDialog::parse(&customer, &id, language, text)?;
    Ok(ImportedDialog { dialog, date: None, consented: true })
}

/// A text of the largest size, of words in an order that is different in each.
fn large_text(mut number: u64) -> String {
    const WORDS: [&str; 8] =
        ["Paket ", "kommt ", "morgen ", "nicht ", "an, ", "sagt ", "der ", "Bot. "];
    let mut text = String::with_capacity(TEXT_BYTES + 8);
    while text.len() < TEXT_BYTES {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[usize::try_from(number >> 61).unwrap_or(0)]);
    }
    text.truncate(TEXT_BYTES);
    text
}

/// Creates a key without an end.
async fn create_key(store: &SqliteStore, name: &str, roles: &str) -> Outcome<String> {
    let secret = generate_key()?;
    let grant = roles.parse::<Roles>()?.into();
    let key = NewKey { name: name.parse()?, grant, hash: secret.hash(), expires: None };
    store.create_key(key).await?;
    Ok(secret.to_string())
}
