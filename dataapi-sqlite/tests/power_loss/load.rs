//! The process that uses the disk: clients of one store, which is opened, backed up, restored, copied and closed
//! meanwhile, until the process is killed.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dataapi_core::copy::{Stage, copy_store};
use dataapi_core::{Decision, Dialogs, Evidence, Limit, NewDialog, StoreError, Upkeep};
use dataapi_sqlite::{CopySource, CopyTarget, Options, SqliteStore, restore};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::journal::{Journal, Number, State, Work, text};
use crate::scene::{from_env, go_on, ledger, since};

/// What the process is given.
pub(crate) const FOLDER: &str = "POWER_LOSS_FOLDER";
pub(crate) const JOURNAL: &str = "POWER_LOSS_JOURNAL";
pub(crate) const SEED: &str = "POWER_LOSS_SEED";
/// Set if writes and syncs can fail.
pub(crate) const MAY_FAIL: &str = "POWER_LOSS_MAY_FAIL";
/// Distinguishes its dialogs and files from those of others on the same disk.
pub(crate) const NAME: &str = "POWER_LOSS_NAME";

const HOLD: Duration = Duration::from_secs(15 * 60);

/// The name of the store.
pub(crate) const STORE: &str = "dialogs.db";

/// The file that a piece of work makes.
pub(crate) fn file_of(work: Work, number: Number) -> String {
    match work {
        Work::Open => STORE.to_owned(),
        Work::Backup => format!("backup-{number}.db"),
        Work::Restore => format!("restored-{number}.db"),
        Work::Copy => format!("copy-{number}.db"),
        Work::Earlier | Work::Migration => format!("earlier-{number}.db"),
    }
}

/// A store that an earlier version wrote.
pub(crate) fn earlier() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/schema_2/store.db")
}

pub(crate) struct Load {
    folder: PathBuf,
    journal: Arc<Journal>,
    random: ChaCha8Rng,
    name: u64,
    may_fail: bool,
}

impl Load {
    pub(crate) fn from_env() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os(FOLDER)?);
        let journal = Arc::new(Journal::open(Path::new(&std::env::var_os(JOURNAL)?)));
        let random = ChaCha8Rng::seed_from_u64(from_env(SEED)?);
        let may_fail = std::env::var_os(MAY_FAIL).is_some();
        Some(Self { folder, journal, random, name: from_env(NAME)?, may_fail })
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn path(&self, work: Work, number: Number) -> PathBuf {
        self.folder.join(file_of(work, number))
    }

    /// Goes on until the process is killed.
    pub(crate) async fn run(mut self) {
        if self.below(3) == 0 {
            self.migrate();
        }
        for session in 0.. {
            let number = self.name * 1_000 + session;
            let Some(store) = self.open(number).await else { continue };
            let clients = Clients::start(3, number, &store, &self.journal, &mut self.random);
            clients.acknowledged(5 + self.below(60)).await;
            match self.below(4) {
                0 | 1 => {
                    let is_made = self.back_up(number, &store).await;
                    clients.acknowledged(self.below(40)).await;
                    clients.end().await;
                    if is_made {
                        self.restore(number, &store).await;
                    }
                }
                2 => {
                    clients.end().await;
                    self.copy(number).await;
                }
                _ => {
                    self.scrub(&store).await;
                    clients.acknowledged(self.below(200)).await;
                    clients.end().await;
                }
            }
        }
    }

    async fn open(&mut self, number: Number) -> Option<Arc<SqliteStore>> {
        let choice = usize::try_from(self.below(4)).expect("small");
        let erase_within = Duration::from_millis([0, 10, 100, 1_000][choice]);
        self.journal.begins(Work::Open, number);
        let options =
            Options { readers: 1, cache_bytes: 1 << 18, erase_within, ..Options::default() };
        let store = self.done(SqliteStore::open(&self.folder.join(STORE), options))?;
        // An empty store is acknowledged as well.
        self.done(store.stats().await)?;
        self.journal.done(Work::Open, number);
        Some(Arc::new(store))
    }

    /// Puts a store of an earlier version on the disk, and opens it.
    fn migrate(&self) -> Option<()> {
        let path = self.path(Work::Earlier, self.name);
        self.done(std::fs::copy(earlier(), &path))?;
        self.done(std::fs::File::open(&path).and_then(|file| file.sync_all()))?;
        self.done(std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()))?;
        self.journal.begins(Work::Earlier, self.name);
        self.journal.done(Work::Earlier, self.name);
        self.journal.begins(Work::Migration, self.name);
        let options = Options { create: false, ..Options::default() };
        drop(self.done(SqliteStore::open(&path, options))?);
        self.journal.done(Work::Migration, self.name);
        Some(())
    }

    /// Returns whether the backup is made.
    async fn back_up(&self, number: Number, store: &Arc<SqliteStore>) -> bool {
        let (store, path) = (Arc::clone(store), self.path(Work::Backup, number));
        self.journal.begins(Work::Backup, number);
        let back_up = move || store.back_up(&path, &mut go_on());
        let is_made = self.done(tokio::task::spawn_blocking(back_up).await.unwrap()).is_some();
        if is_made {
            self.journal.done(Work::Backup, number);
        }
        is_made
    }

    async fn restore(&self, number: Number, store: &SqliteStore) {
        let events = ledger(store, Limit::MAX).await;
        let backup = self.path(Work::Backup, number);
        let path = self.path(Work::Restore, number);
        self.journal.begins(Work::Restore, number);
        if self.done(restore(&backup, &path, since(events), &mut go_on())).is_some() {
            self.journal.done(Work::Restore, number);
        }
    }

    async fn copy(&self, number: Number) -> Option<()> {
        let path = self.path(Work::Copy, number);
        self.journal.begins(Work::Copy, number);
        let mut source = self.done(CopySource::open(&self.folder.join(STORE)))?;
        let mut target = self.done(CopyTarget::open(&path))?;
        let mut go_on = |_: Stage, _: u64, _: u64| ControlFlow::Continue(());
        self.done(copy_store(&mut source, &mut target, &mut go_on).await)?;
        self.journal.done(Work::Copy, number);
        Some(())
    }

    /// Asks for a scrub until nothing is in its way.
    async fn scrub(&self, store: &SqliteStore) {
        while let Err(error) = store.scrub().await {
            if self.may_fail {
                break;
            }
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        }
    }

    /// The result of work, which must succeed if the disk works.
    fn done<T, E: Debug>(&self, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(done) => Some(done),
            Err(_) if self.may_fail => None,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Clients of one store, each with its own dialogs.
struct Clients {
    clients: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    acknowledged: AtomicU64,
    is_over: AtomicBool,
}

impl Clients {
    fn start(
        count: u64,
        number: Number,
        store: &Arc<SqliteStore>,
        journal: &Arc<Journal>,
        random: &mut ChaCha8Rng,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let client = |client| Client {
            name: format!("s{number}c{client}"),
            store: Arc::clone(store),
            journal: Arc::clone(journal),
            random: ChaCha8Rng::seed_from_u64(random.next_u64()),
            shared: Arc::clone(&shared),
        };
        Self { clients: (0..count).map(client).map(Client::run).collect(), shared }
    }

    /// Waits until this many more calls are acknowledged.
    async fn acknowledged(&self, more: u64) {
        let enough = self.shared.acknowledged.load(Ordering::SeqCst) + more;
        while self.shared.acknowledged.load(Ordering::SeqCst) < enough {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Ends each client after its current dialogs.
    async fn end(self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.clients.join_all().await;
    }
}

struct Client {
    name: String,
    store: Arc<SqliteStore>,
    journal: Arc<Journal>,
    random: ChaCha8Rng,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(mut self) {
        for number in 0.. {
            let customer = format!("{}-{number}", self.name);
            let mut ids = Vec::new();
            for dialog in 0..=self.random.next_u64() % 4 {
                let id = format!("{customer}-{dialog}");
                if let Some(state) = self.dialog(&customer, &id).await
                    && state != State::Withdrawn
                {
                    ids.push(id);
                }
            }
            if self.random.next_u64().is_multiple_of(4) {
                let whose = customer.parse().unwrap();
                let store = Arc::clone(&self.store);
                let erased = store.erase_customer(&whose);
                self.call(&ids, State::Erased, async { erased.await.map(|_| ()) }).await;
            }
            if self.shared.is_over.load(Ordering::SeqCst) {
                break;
            }
        }
    }

    /// Stores a dialog and decides about it. Returns its last state.
    async fn dialog(&mut self, customer: &str, id: &str) -> Option<State> {
        let store = Arc::clone(&self.store);
        let ids = [id.to_owned()];
        let (dialog_id, evidence) = (|| id.parse().unwrap(), Evidence::default);
        let decide = |decision| store.decide(dialog_id(), decision, evidence());
        let choice = self.random.next_u64() % 8;
        if choice == 0 {
            let early = store.decide_early(dialog_id(), Decision::Withdrawn, evidence(), HOLD);
            return self.call(&ids, State::Withdrawn, async { early.await.map(|_| ()) }).await;
        }
        let dialog = NewDialog::parse(customer, id, "en", &text(id)).unwrap();
        let mut last = self
            .call(&ids, State::Pending, async { store.insert(dialog).await.map(|_| ()) })
            .await?;
        if matches!(choice, 1..=5) {
            let granted = decide(Decision::Granted);
            last = self
                .call(&ids, State::Granted, async { granted.await.map(|_| ()) })
                .await
                .unwrap_or(last);
        }
        if matches!(choice, 4..=6) {
            let withdrawn = decide(Decision::Withdrawn);
            last = self
                .call(&ids, State::Withdrawn, async { withdrawn.await.map(|_| ()) })
                .await
                .unwrap_or(last);
        }
        Some(last)
    }

    /// Writes down what is asked for, asks, and writes down the answer.
    async fn call(
        &self,
        ids: &[String],
        state: State,
        call: impl Future<Output = Result<(), StoreError>>,
    ) -> Option<State> {
        self.journal.asks(ids, state);
        match call.await {
            Ok(()) => {
                self.journal.acknowledged(ids, state);
                self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                Some(state)
            }
            Err(StoreError::Unavailable { reason, .. }) => {
                // Otherwise the outcome stays open.
                if !reason.contains("ask again") {
                    self.journal.refused(ids);
                }
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}
