//! Checks whether SQLite was built with options that slow a store down.

use std::sync::Once;

use rusqlite::Connection;

/// A build option of SQLite that slows down reads on several threads, and the flag that corrects it.
#[derive(Debug, PartialEq, Eq)]
struct Costly {
    option: &'static str,
    costs: &'static str,
    flag: &'static str,
}

const SHARED_CACHE_LOCK: Costly = Costly {
    option: "ENABLE_MEMORY_MANAGEMENT",
    costs: "all connections share one page cache behind one lock",
    flag: "-USQLITE_ENABLE_MEMORY_MANAGEMENT",
};

const MEMORY_STATISTICS: Costly = Costly {
    option: "DEFAULT_MEMSTATUS=0",
    costs: "each allocation takes a lock to be counted",
    flag: "-DSQLITE_DEFAULT_MEMSTATUS=0",
};

/// Logs at debug level what a slower build of SQLite costs and how to change it, once per process. Cargo does not apply
/// the settings of a library's workspace to programs that embed the library.
pub(crate) fn log_once(connection: &Connection) {
    static LOGGED: Once = Once::new();
    LOGGED.call_once(|| {
        // If the options cannot be read, nothing is logged: they affect only the speed.
        for Costly { option, costs, flag } in costly(&options(connection).unwrap_or_default()) {
            tracing::debug!(
                option,
                flag,
                "SQLite was built so that {costs}: set LIBSQLITE3_FLAGS in the [env] of .cargo/config.toml"
            );
        }
    });
}

fn options(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("PRAGMA compile_options")?.query_map((), |row| row.get(0))?.collect()
}

fn costly(options: &[String]) -> Vec<Costly> {
    let has = |option: &str| options.iter().any(|it| it == option);
    // The list is empty if SQLite was built without it.
    if options.is_empty() {
        return Vec::new();
    }
    let shared = has(SHARED_CACHE_LOCK.option).then_some(SHARED_CACHE_LOCK);
    let counted = (!has(MEMORY_STATISTICS.option)).then_some(MEMORY_STATISTICS);
    shared.into_iter().chain(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_with(options: &[&str]) -> Vec<String> {
        options.iter().map(|&option| option.to_owned()).collect()
    }

    #[test]
    fn the_sqlite_of_this_workspace_is_built_as_the_store_wants_it() {
        let options = options(&Connection::open_in_memory().unwrap()).unwrap();
        assert_eq!(costly(&options), []);
    }

    #[test]
    fn a_build_without_the_workspaces_flags_is_noticed() {
        let usual = built_with(&["ENABLE_FTS5", "ENABLE_MEMORY_MANAGEMENT", "THREADSAFE=1"]);
        assert_eq!(costly(&usual), [SHARED_CACHE_LOCK, MEMORY_STATISTICS]);
        let half = built_with(&["DEFAULT_MEMSTATUS=0", "ENABLE_MEMORY_MANAGEMENT"]);
        assert_eq!(costly(&half), [SHARED_CACHE_LOCK]);
        assert_eq!(costly(&[]), []);
    }
}
