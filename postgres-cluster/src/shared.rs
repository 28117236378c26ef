//! One cluster for all tests of a process, and what they do on a machine without PostgreSQL.

use std::io::Write;
use std::sync::{Once, OnceLock};

use crate::binaries::Binaries;
use crate::cluster::{Cluster, Settings};

const ADVICE: &str = "PostgreSQL is not installed: install it (on Debian: apt-get install postgresql), \
                      or name the folder of its programs in DATAAPI_POSTGRES_BIN";

/// Returns from a test on a machine without PostgreSQL, which is said once on standard error.
///
/// Stands first in each test that needs PostgreSQL. Where `DATAAPI_REQUIRE_POSTGRES` is 1 the test fails
/// instead.
///
/// ```
/// fn a_test() {
///     postgres_cluster::skip_without_postgres!();
///     let url = postgres_cluster::new_database();
///     assert!(url.starts_with("postgres://postgres@127.0.0.1:"));
/// }
/// # a_test();
/// ```
#[macro_export]
macro_rules! skip_without_postgres {
    () => {
        if !$crate::available() {
            return;
        }
    };
}

/// Whether there is a PostgreSQL to start. That there is none is said once on standard error.
///
/// # Panics
///
/// If there is none and `DATAAPI_REQUIRE_POSTGRES` is 1: where tests must not be skipped.
pub fn available() -> bool {
    static SAID: Once = Once::new();
    if Binaries::find().is_some() {
        return true;
    }
    let required = std::env::var_os("DATAAPI_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
    assert!(!required, "DATAAPI_REQUIRE_POSTGRES is 1, and {ADVICE}");
    SAID.call_once(|| {
        // Not by a macro, whose output the test harness keeps to itself.
        let line = format!("\nSKIPPED: the tests that need PostgreSQL. {ADVICE}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
    false
}

/// The cluster of this process, started when it is first asked for, which keeps nothing through a crash.
///
/// It is everybody's: a test takes a database of its own, and whoever breaks a server starts one.
///
/// # Panics
///
/// If there is no PostgreSQL, or it does not start: a test begins with [`skip_without_postgres!`](crate::skip_without_postgres).
pub fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        Cluster::start(&Settings::default()).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// The url of a new, empty database in the [`shared`] cluster.
///
/// # Panics
///
/// If there is no PostgreSQL, or it makes no database.
pub fn new_database() -> String {
    shared().new_database().unwrap_or_else(|error| panic!("{error}"))
}
