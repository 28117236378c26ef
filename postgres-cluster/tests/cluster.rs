//! Real clusters, broken in every way that this crate offers.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postgres_cluster::{Cluster, Proxy, Settings, shared, skip_without_postgres};

fn becomes(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}, within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a client that runs statements.
fn ask(cluster: &Cluster, url: &str, statements: &str) -> Child {
    let mut psql = Command::new(cluster.binaries().folder().join("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-d", url, "-c", statements]);
    psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    psql.spawn().expect("psql starts")
}

fn answer(client: Child) -> Output {
    client.wait_with_output().expect("psql ends")
}

fn runs(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn each_database_is_new_and_empty() {
    skip_without_postgres!();
    let cluster = shared();
    let (first, second) = (cluster.new_database().unwrap(), cluster.new_database().unwrap());
    assert_ne!(first, second);
    cluster.sql(&first, "CREATE TABLE t (i int)").unwrap();
    let tables = "SELECT count(*) FROM pg_class WHERE relname = 't'";
    assert_eq!(cluster.sql(&first, tables).unwrap(), "1");
    assert_eq!(cluster.sql(&second, tables).unwrap(), "0");
    let encoding = "SELECT getdatabaseencoding(), datcollate FROM pg_database \
                    WHERE datname = current_database()";
    assert_eq!(cluster.sql(&second, encoding).unwrap(), "UTF8|C");
}

#[test]
fn many_take_databases_of_the_shared_cluster_at_once() {
    skip_without_postgres!();
    let cluster = shared();
    let make = || cluster.new_database().unwrap();
    let mut urls: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a url")).collect()
    });
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), 8);
}

#[test]
fn what_the_server_refuses_is_an_error_with_its_answer() {
    skip_without_postgres!();
    let cluster = shared();
    let error = cluster.sql("postgres", "SELECT nonsense").unwrap_err().to_string();
    assert!(error.contains("\"nonsense\" does not exist"), "{error}");
}

#[test]
fn a_cluster_that_does_not_start_says_why() {
    skip_without_postgres!();
    let settings = Settings::default().with(&[("nonsense", "1")]);
    let error = Cluster::start(&settings).unwrap_err().to_string();
    assert!(error.contains("unrecognized configuration parameter \"nonsense\""), "{error}");
}

#[test]
fn killed_and_started_again_a_durable_one_has_what_it_committed() {
    skip_without_postgres!();
    let mut cluster = Cluster::start(&Settings::durable()).unwrap();
    assert_eq!(cluster.sql("postgres", "SHOW fsync").unwrap(), "on");
    assert_eq!(cluster.sql("postgres", "SHOW synchronous_commit").unwrap(), "on");
    let url = cluster.new_database().unwrap();
    for round in 1..4 {
        let write = format!("CREATE TABLE t{round} AS SELECT generate_series(1, 1000) AS i");
        cluster.sql(&url, &write).unwrap();
        let client = ask(&cluster, &url, "SELECT pg_sleep(100)");
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(100)' \
                      AND state = 'active' AND pid <> pg_backend_pid()";
        becomes("it sleeps", || cluster.sql("postgres", sleeps).unwrap() == "1");

        let postmaster = cluster.postmaster().expect("it runs");
        cluster.kill().unwrap();
        assert!(!runs(postmaster));
        assert_eq!(cluster.postmaster(), None);
        assert!(!answer(client).status.success(), "its connection is gone");
        cluster.sql("postgres", "SELECT 1").unwrap_err();
        cluster.new_database().unwrap_err();

        cluster.start_again().unwrap();
        let rows = format!("SELECT count(*) FROM t{round}");
        assert_eq!(cluster.sql(&url, &rows).unwrap(), "1000");
        cluster.new_database().unwrap();
    }
    assert!(cluster.log().contains("automatic recovery in progress"), "{}", cluster.log());
}

#[test]
fn stopped_fast_it_ends_in_good_order_and_starts_again() {
    skip_without_postgres!();
    let mut cluster = Cluster::start(&Settings::default()).unwrap();
    let url = cluster.new_database().unwrap();
    let address = cluster.address();
    cluster.freeze().unwrap();
    cluster.stop_fast().unwrap();
    assert!(cluster.log().contains("database system is shut down"), "{}", cluster.log());
    cluster.start_again().unwrap();
    cluster.start_again().unwrap();
    assert_eq!(cluster.address(), address);
    assert_eq!(cluster.sql(&url, "SELECT 1").unwrap(), "1");
    assert!(!cluster.log().contains("automatic recovery"), "{}", cluster.log());
}

#[test]
fn frozen_it_answers_nobody_until_it_is_thawed() {
    skip_without_postgres!();
    let mut cluster = Cluster::start(&Settings::default()).unwrap();
    let busy = ask(&cluster, &cluster.url("postgres"), "SELECT pg_sleep(0.2)");
    cluster.freeze().unwrap();
    let mut clients = [busy, ask(&cluster, &cluster.url("postgres"), "SELECT 1")];
    std::thread::sleep(Duration::from_millis(500));
    for client in &mut clients {
        assert!(client.try_wait().expect("its status").is_none(), "it waits");
    }
    cluster.thaw().unwrap();
    for client in clients {
        assert!(answer(client).status.success());
    }
    // A frozen cluster ends quickly too.
    cluster.freeze().unwrap();
    let (postmaster, begun) = (cluster.postmaster().expect("it runs"), Instant::now());
    drop(cluster);
    assert!(!runs(postmaster));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_replica_follows_survives_its_primary_and_takes_its_place() {
    skip_without_postgres!();
    let mut primary = Cluster::start(&Settings::durable()).unwrap();
    let url = primary.new_database().unwrap();
    primary.sql(&url, "CREATE TABLE t AS SELECT 1 AS i").unwrap();
    let mut replica = primary.replica().unwrap();
    let rows = || replica.sql(&url, "SELECT count(*) FROM t").unwrap();
    assert_eq!(rows(), "1");
    primary.sql(&url, "INSERT INTO t VALUES (2)").unwrap();
    becomes("it follows", || rows() == "2");

    replica.freeze().unwrap();
    primary.sql(&url, "INSERT INTO t VALUES (3)").unwrap();
    replica.thaw().unwrap();
    let rows = || replica.sql(&url, "SELECT count(*) FROM t").unwrap();
    becomes("it follows again", || rows() == "3");

    replica.kill().unwrap();
    primary.sql(&url, "INSERT INTO t VALUES (4)").unwrap();
    replica.start_again().unwrap();
    let rows = || replica.sql(&url, "SELECT count(*) FROM t").unwrap();
    becomes("it finds what it missed", || rows() == "4");

    replica.sql(&url, "INSERT INTO t VALUES (5)").unwrap_err();
    primary.kill().unwrap();
    replica.promote().unwrap();
    replica.sql(&url, "INSERT INTO t VALUES (5)").unwrap();
    replica.new_database().unwrap();
    drop(primary);
    assert_eq!(replica.sql(&url, "SELECT count(*) FROM t").unwrap(), "5");
}

#[test]
fn dropped_it_leaves_nothing() {
    skip_without_postgres!();
    for killed in [false, true] {
        let mut cluster = Cluster::start(&Settings::default()).unwrap();
        cluster.new_database().unwrap();
        let (postmaster, folder) = (cluster.postmaster().expect("it runs"), folder_of(&cluster));
        let memory = shared_memory(&folder);
        assert!(exists(memory));
        if killed {
            cluster.kill().unwrap();
        }
        drop(cluster);
        assert!(!runs(postmaster));
        assert!(!folder.exists());
        assert!(!exists(memory), "shared memory {memory} is left");
    }
}

fn folder_of(cluster: &Cluster) -> PathBuf {
    assert!(cluster.folder().join("data").is_dir());
    cluster.folder().to_owned()
}

/// Returns the id of the shared memory by which PostgreSQL notices a second server on the same folder.
fn shared_memory(folder: &Path) -> u32 {
    let file = std::fs::read_to_string(folder.join("data/postmaster.pid")).expect("its file");
    let line = file.lines().nth(6).expect("its seventh line");
    line.split_whitespace().nth(1).expect("an id").parse().expect("a number")
}

fn exists(memory: u32) -> bool {
    let all = std::fs::read_to_string("/proc/sysvipc/shm").expect("all of them");
    all.lines().any(|line| line.split_whitespace().nth(1) == Some(&memory.to_string()))
}

/// Set in a child process that ends without dropping its cluster. The value says how it ends.
const ENDS: &str = "POSTGRES_CLUSTER_TEST_ENDS";

#[test]
fn a_process_that_ends_in_whatever_way_takes_its_cluster_along() {
    const TEST: &str = "a_process_that_ends_in_whatever_way_takes_its_cluster_along";
    if let Ok(ends) = std::env::var(ENDS) {
        return end(&ends);
    }
    skip_without_postgres!();
    for ends in ["killed", "killed frozen", "by itself", "aborted"] {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", TEST, "--nocapture"])
            .env(ENDS, ends)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let told = output.lines().find_map(|line| {
            let (_, told) = line.expect("a line").split_once("cluster: ").map(own)?;
            Some(told)
        });
        let told = told.expect("its cluster");
        let (pid, folder) = told.split_once(' ').expect("a process and a folder");
        let (pid, folder) = (pid.parse().expect("a process"), Path::new(folder));
        if ends.starts_with("killed") {
            assert!(runs(pid));
            assert!(folder.exists());
            child.kill().expect("it can be killed");
        }
        drop(child.stdin.take());
        child.wait().expect("it ended");
        becomes("it ends", || !runs(pid));
        becomes("nothing is left", || !folder.exists());
    }
}

fn own((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

fn end(how: &str) {
    let mut own = None;
    let cluster = if how == "killed frozen" {
        let mut cluster = Cluster::start(&Settings::default()).unwrap();
        cluster.freeze().unwrap();
        &*own.insert(cluster)
    } else {
        shared()
    };
    if how != "killed frozen" {
        cluster.new_database().unwrap();
    }
    let pid = cluster.postmaster().expect("it runs");
    println!("\ncluster: {pid} {}", cluster.folder().display());
    // The parent tells it when to end.
    std::io::stdin().read_line(&mut String::new()).expect("a pipe");
    if how == "aborted" {
        std::process::abort();
    }
}

#[test]
fn through_a_cut_proxy_nobody_comes_and_through_a_stalled_one_nobody_is_answered() {
    skip_without_postgres!();
    let cluster = shared();
    let proxy = Proxy::to(cluster.address()).unwrap();
    let url = proxy.url(&cluster.new_database().unwrap());
    let ask = |statements| ask(cluster, &url, statements);
    assert_eq!(answer(ask("SELECT 1")).stdout, b"1\n");

    let begun = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(99%' \
                 AND state = 'active'";
    let busy = ask("SELECT pg_sleep(99)");
    becomes("it sleeps", || cluster.sql("postgres", begun).unwrap() == "1");
    proxy.cut();
    assert!(!answer(busy).status.success());
    assert!(!answer(ask("SELECT 1")).status.success());

    proxy.stall();
    let mut waits = ask("SELECT 1");
    std::thread::sleep(Duration::from_millis(300));
    assert!(waits.try_wait().expect("its status").is_none(), "it waits");
    proxy.mend();
    assert_eq!(answer(waits).stdout, b"1\n");
    assert_eq!(answer(ask("SELECT 1")).stdout, b"1\n");
}

#[test]
fn what_became_of_a_commit_is_not_known_to_who_gets_no_answer() {
    skip_without_postgres!();
    let cluster = shared();
    let proxy = Proxy::to(cluster.address()).unwrap();
    let url = cluster.new_database().unwrap();
    cluster.sql(&url, "CREATE TABLE t (i int)").unwrap();
    let insert = |number: u32| {
        let mut psql = Command::new(cluster.binaries().folder().join("psql"));
        psql.args(["-X", "-q", "-d", &proxy.url(&url), "-v", "ON_ERROR_STOP=1", "-c", "BEGIN"]);
        psql.args(["-c", &format!("INSERT INTO t VALUES ({number})"), "-c", "COMMIT"]);
        psql.output().expect("psql runs").status.success()
    };
    let rows = || cluster.sql(&url, "SELECT i FROM t ORDER BY i").unwrap();
    assert!(insert(1));
    assert_eq!(rows(), "1");

    proxy.lose_request(b"COMMIT");
    assert!(!proxy.has_lost());
    assert!(!insert(2));
    assert!(proxy.has_lost());
    assert_eq!(rows(), "1");

    proxy.lose_answer(b"COMMIT");
    assert!(!insert(3));
    assert!(proxy.has_lost());
    assert_eq!(rows(), "1\n3");
    assert!(insert(4));
    assert_eq!(rows(), "1\n3\n4");
}

#[test]
fn its_port_is_not_one_that_the_kernel_gives_to_others() {
    skip_without_postgres!();
    let cluster = shared();
    let own = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let own: SocketAddr = own.expect("a port");
    assert!(cluster.address().port() < own.port(), "{} {own}", cluster.address());
}

#[test]
fn without_postgresql_tests_are_skipped_aloud_or_fail_where_they_must_not_be() {
    let without = |required: &str| {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["each_database_is_new_and_empty", "frozen_it_answers"])
            .env("DATAAPI_POSTGRES_BIN", "/nonexistent")
            .env("DATAAPI_REQUIRE_POSTGRES", required)
            .output()
            .expect("it runs")
    };
    let skipped = without("");
    assert!(skipped.status.success(), "{skipped:?}");
    let told = String::from_utf8(skipped.stderr).expect("UTF-8");
    assert_eq!(told.matches("SKIPPED: the tests that need PostgreSQL").count(), 1, "{told}");
    assert!(told.contains("DATAAPI_POSTGRES_BIN"), "{told}");
    assert!(!without("1").status.success());
}
