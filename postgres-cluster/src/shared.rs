//! One cluster for all tests of a process, and skipping tests on a machine without PostgreSQL.

use std::io::Write;
use std::sync::{Once, OnceLock};

use crate::binaries::Binaries;
use crate::cluster::{Cluster, Settings};

const ADVICE: &str = "PostgreSQL is not installed: install it (on Debian: apt-get install postgresql), \
                      or set DATAAPI_POSTGRES_BIN to the folder of its programs";

/// Returns from a test on a machine without PostgreSQL, and says so once on standard error.
///
/// Each test that needs PostgreSQL begins with it. If `DATAAPI_REQUIRE_POSTGRES` is 1, the test fails instead.
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

/// Whether PostgreSQL is installed. If not, says so once on standard error.
///
/// # Panics
///
/// If PostgreSQL is not installed and `DATAAPI_REQUIRE_POSTGRES` is 1, which means that tests must not be skipped.
pub fn available() -> bool {
    static SAID: Once = Once::new();
    if Binaries::find().is_some() {
        return true;
    }
    let required = std::env::var_os("DATAAPI_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
    assert!(!required, "DATAAPI_REQUIRE_POSTGRES is 1, but {ADVICE}");
    SAID.call_once(|| {
        // Not by a macro, because the test harness captures the output of macros.
        let line = format!("\nSKIPPED: the tests that need PostgreSQL. {ADVICE}.\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
    false
}

/// Returns the cluster of this process, and starts it on the first call. It is not durable.
///
/// All tests of the process share it: each makes its own database, and a test that breaks a server starts its own
/// cluster.
///
/// # Panics
///
/// If PostgreSQL is not installed or does not start. A test should begin with
/// [`skip_without_postgres!`](crate::skip_without_postgres).
pub fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        Cluster::start(&Settings::default()).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Makes a new, empty database in the [`shared`] cluster. Returns its URL.
///
/// # Panics
///
/// If PostgreSQL is not installed or does not make the database.
pub fn new_database() -> String {
    shared().new_database().unwrap_or_else(|error| panic!("{error}"))
}
