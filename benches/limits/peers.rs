//! Peers, which users would run instead, from the package registries: `PocketBase`, and `FastAPI` with asyncpg and
//! `PostgreSQL`.
//!
//! Each runs as its documentation recommends. `PocketBase` has its default settings, and the consent gate is a list
//! rule. Its SQLite commits with `synchronous=NORMAL`, so a power loss can lose what was acknowledged. uvicorn has two
//! workers and no access log. PostgreSQL has shared buffers that hold the whole store, and commits with an fsync, as
//! DataAPI does. All have the same number of dialogs of the same length, and an index in the order of the page.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::bench::Bench;
use crate::data::{self, Space};
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::process::{Process, free_address, wait_until_ready};
use crate::report::{
    FASTAPI_20, FASTAPI_100, FASTAPI_POST, POCKETBASE_20, POCKETBASE_100, POCKETBASE_POST, Report,
};

/// The folder with the peers' application, schema and versions.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/limits/peers");

const POCKETBASE: [&str; 3] = [POCKETBASE_POST, POCKETBASE_100, POCKETBASE_20];
const FASTAPI: [&str; 3] = [FASTAPI_POST, FASTAPI_100, FASTAPI_20];

/// How many dialogs the peers have at most. They count all of them for each page: with a million, `PocketBase` answered
/// none of 64 connections within ten seconds.
const DIALOGS: u64 = 100_000;

/// How long a peer is asked for pages at least, in seconds.
const PAGES_SECONDS: f64 = 5.0;

const POCKETBASE_RECORDS: &str = "/api/collections/dialogs/records";

pub(crate) struct Peers<'b> {
    bench: &'b Bench,
    store: PathBuf,
    pocketbase: Option<PocketBase>,
    fastapi: Option<FastApi>,
    /// The space of new dialogs of the next round. Each round has its own, since a peer keeps the dialogs.
    fresh: Space,
}

fn wanted(bench: &Bench, report: &Report) -> bool {
    bench.args.peers && (report.wants(&POCKETBASE) || report.wants(&FASTAPI))
}

impl<'b> Peers<'b> {
    pub(crate) fn prepare(bench: &'b Bench, report: &Report) -> Outcome<Self> {
        let (mut pocketbase, mut fastapi) = (None, None);
        let store = bench.folder.path().join("same-as-peers.db");
        if wanted(bench, report) {
            let programs = install(&bench.results.join("peers"))?;
            let dialogs = bench.args.dialogs.min(DIALOGS);
            eprintln!("filling the peers with {dialogs} dialogs");
            bench.runtime.block_on(data::build(&store, dialogs, 0))?;
            if report.wants(&POCKETBASE) {
                pocketbase = Some(PocketBase::start(&programs, bench, &store)?);
            }
            if report.wants(&FASTAPI) {
                fastapi = Some(FastApi::start(&programs, dialogs)?);
            }
        }
        Ok(Self { bench, store, pocketbase, fastapi, fresh: Space(100) })
    }

    pub(crate) fn measure(&mut self, report: &mut Report) -> Outcome<()> {
        if self.pocketbase.is_none() && self.fastapi.is_none() {
            return Ok(());
        }
        let product = self.bench.programs.serve(&self.store)?;
        let pages = [100, 20].map(|limit| format!("/data/?limit={limit}"));
        let page = |path: &str| self.per_second(product.address, Requests::Get(path.into()));
        let [page_100, page_20] = [page(&pages[0])?, page(&pages[1])?];
        drop(product);
        let post = self.product_posts()?;
        if let Some(PocketBase { address, .. }) = self.pocketbase {
            let records =
                Requests::Records { path: POCKETBASE_RECORDS.into(), space: self.fresh.0 };
            report.add(POCKETBASE_POST, self.per_second(address, records)?, post);
            let path = |limit| format!("{POCKETBASE_RECORDS}?sort=-created,-id&perPage={limit}");
            report.add(POCKETBASE_100, self.pages(address, &path(100))?, page_100);
            report.add(POCKETBASE_20, self.pages(address, &path(20))?, page_20);
        }
        if let Some(FastApi { address, .. }) = self.fastapi {
            let inserts = Requests::Insert { space: self.fresh.0 };
            report.add(FASTAPI_POST, self.per_second(address, inserts)?, post);
            report.add(FASTAPI_100, self.pages(address, &pages[0])?, page_100);
            report.add(FASTAPI_20, self.pages(address, &pages[1])?, page_20);
        }
        self.fresh = Space(self.fresh.0 + 1);
        Ok(())
    }

    fn product_posts(&self) -> Outcome<f64> {
        let store = self.bench.folder.path().join("beside-peers.db");
        self.bench.runtime.block_on(data::build(&store, 0, 0))?;
        let server = self.bench.programs.serve(&store)?;
        let posts = self.per_second(server.address, Requests::Insert { space: self.fresh.0 })?;
        drop(server);
        data::remove(&store)?;
        Ok(posts)
    }

    fn pages(&self, peer: SocketAddr, path: &str) -> Outcome<f64> {
        let seconds = self.bench.args.seconds.max(PAGES_SECONDS);
        Ok(Spec::new(peer, seconds, Requests::Get(path.into())).run()?.per_second)
    }

    fn per_second(&self, address: SocketAddr, requests: Requests) -> Outcome<f64> {
        Ok(Spec::new(address, self.bench.args.seconds, requests).run()?.per_second)
    }
}

/// Installs the peers that the Python registry has, unless they are installed. Returns the folder of their programs.
fn install(folder: &Path) -> Outcome<PathBuf> {
    let programs = folder.join("bin");
    if !programs.join("pocketbase").exists() {
        eprintln!("installing the peers");
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let requirements = Path::new(SOURCES).join("requirements.txt");
        let mut pip = Command::new(programs.join("pip"));
        run(pip.args(["install", "--quiet", "--requirement"]).arg(requirements))?;
    }
    Ok(programs)
}

struct PocketBase {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl PocketBase {
    fn start(programs: &Path, bench: &Bench, store: &Path) -> Outcome<Self> {
        let folder = tempfile::tempdir_in(bench.folder.path())?;
        let migrations = folder.path().join("migrations");
        std::fs::create_dir(&migrations)?;
        std::fs::copy(Path::new(SOURCES).join("1_dialogs.js"), migrations.join("1_dialogs.js"))?;
        let pocketbase = || {
            let mut command = Command::new(programs.join("pocketbase"));
            command.arg("--dir").arg(folder.path().join("data")).stdout(Stdio::null());
            command.arg("--migrationsDir").arg(&migrations).arg("--automigrate=false");
            command
        };
        run(pocketbase().args(["migrate", "up"]))?;
        // Without a superuser, it opens a browser.
        run(pocketbase().args(["superuser", "upsert", "bench@example.com", "not-a-secret"]))?;
        fill_pocketbase(&folder.path().join("data/data.db"), store)?;
        let address = free_address()?;
        let mut serve = pocketbase();
        serve.args(["serve", &format!("--http={address}")]);
        let started = Instant::now();
        let mut process = Process::start(&mut serve)?;
        wait_until_ready(&mut process, address, "/api/health", started)?;
        Ok(Self { address, _process: process, _folder: folder })
    }
}

/// Copies the consented dialogs of the product's store, which takes seconds instead of minutes.
fn fill_pocketbase(database: &Path, store: &Path) -> Outcome<()> {
    let sql = Connection::open(database)?;
    sql.execute("ATTACH ?1 AS product", [store.to_str().ok_or("the path is not UTF-8")?])?;
    sql.execute_batch(
        "INSERT INTO dialogs (id, dialog_id, customer_id, language, text, consented, created)
         SELECT printf('%015d', seq), dialog_id, customer_id, language, text, TRUE,
             strftime('%Y-%m-%d %H:%M:%fZ', date / 1e6, 'unixepoch')
         FROM product.dialog WHERE granted IS NOT NULL;
         ANALYZE main;",
    )?;
    Ok(())
}

// Fields are dropped in this order: the server stops before its database.
struct FastApi {
    address: SocketAddr,
    _process: Process,
    _database: PostgreSql,
}

impl FastApi {
    fn start(programs: &Path, dialogs: u64) -> Outcome<Self> {
        let database = PostgreSql::start()?;
        database.run(&std::fs::read_to_string(Path::new(SOURCES).join("fastapi.sql"))?)?;
        database.run(&format!(
            "INSERT INTO dialog (dialog_id, customer_id, language, text, consented, date)
             SELECT gen_random_uuid(), 'c-' || lpad((n % {})::text, 6, '0'), 'en',
                 rpad('User: Where is my parcel number ' || n || '?', 200, ' Bot: It is near.'),
                 true, to_timestamp(1700000000 + n / 1000.0)
             FROM generate_series(1, {dialogs}) n;",
            data::CUSTOMERS
        ))?;
        database.run("VACUUM ANALYZE dialog;")?;
        let address = free_address()?;
        let mut uvicorn = Command::new(programs.join("uvicorn"));
        uvicorn
            .args(["fastapi_app:app", "--app-dir", SOURCES, "--workers", "2"])
            .args(["--port", &address.port().to_string()])
            .args(["--no-access-log", "--log-level", "warning"])
            .env("PEER_DATABASE", &database.url)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let started = Instant::now();
        let mut process = Process::start(&mut uvicorn)?;
        wait_until_ready(&mut process, address, "/health/ready", started)?;
        Ok(Self { address, _process: process, _database: database })
    }
}

/// A temporary PostgreSQL cluster.
struct PostgreSql {
    url: String,
    programs: PathBuf,
    _process: Process,
    _folder: TempDir,
}

impl PostgreSql {
    fn start() -> Outcome<Self> {
        let programs = postgresql_programs()?;
        let folder = tempfile::Builder::new().prefix("dataapi-limits-").tempdir()?;
        let owner = unprivileged(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = as_user(programs.join("initdb"), owner);
        initdb.args(["--auth=trust", "--username=bench", "--encoding=UTF8", "--no-locale"]);
        run(initdb.arg("--pgdata").arg(&data).stdout(Stdio::null()))?;
        let port = free_address()?.port();
        let mut postgres = as_user(programs.join("postgres"), owner);
        postgres.arg("-D").arg(&data).arg("-k").arg(folder.path());
        postgres.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        // PostgreSQL's documentation recommends a quarter of the memory. This holds 1 million dialogs.
        postgres.args(["-c", "shared_buffers=1GB", "-c", "log_min_messages=fatal"]);
        let process = Process::start(postgres.stderr(Stdio::null()))?;
        let url = format!("postgresql://bench@127.0.0.1:{port}/postgres");
        let database = Self { url, programs, _process: process, _folder: folder };
        let started = Instant::now();
        while started.elapsed().as_secs() < 30 {
            if database.run("SELECT 1;").is_ok() {
                return Ok(database);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err("PostgreSQL was not ready within 30 s".into())
    }

    fn run(&self, sql: &str) -> Outcome<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", sql]);
        run(psql.arg(&self.url).stdout(Stdio::null()).stderr(Stdio::null()))
    }
}

/// The folder of `initdb`. Installs PostgreSQL if it is missing.
fn postgresql_programs() -> Outcome<PathBuf> {
    if let Some(folder) = find_postgresql() {
        return Ok(folder);
    }
    eprintln!("installing PostgreSQL");
    let mut install = Command::new("apt-get");
    run(install.args(["install", "--yes", "--quiet", "postgresql"]))
        .map_err(|error| format!("PostgreSQL is missing; install it, or run as root: {error}"))?;
    find_postgresql().ok_or_else(|| "PostgreSQL was installed, but cannot be found".into())
}

/// Finds the folder of `initdb`. Debian has it outside the path, in a folder for each version.
fn find_postgresql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").exists())
}

/// PostgreSQL refuses to run as root. For root, this gives the folder to the package's user, and returns that user and
/// its group.
fn unprivileged(folder: &Path) -> Outcome<Option<(u32, u32)>> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let id = |which| -> Outcome<u32> {
        let output = Command::new("id").args([which, "postgres"]).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    let (user, group) = (id("-u")?, id("-g")?);
    chown(folder, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

fn as_user(program: PathBuf, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = owner {
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

fn run(command: &mut Command) -> Outcome<()> {
    let name = Path::new(command.get_program()).display().to_string();
    let status = command.status().map_err(|error| format!("cannot start {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}").into()) }
}
