//! Two servers on one SQLite file.

use std::time::Instant;

use tokio::time::sleep;

use super::recording::{duration, record};
use super::servers::{Servers, millis};
use crate::load::Choices;
use crate::program::store_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_file_have_one_order() {
    two_servers(&[], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_keep_no_pages_and_hold_early_decisions_have_one_order() {
    two_servers(&["--page-cache-bytes", "0", "--hold-early-decisions", "1h"], true).await;
}

async fn two_servers(arguments: &[&str], early: bool) {
    let mut choices = Choices::seeded("DATAAPI_ORDER_SEED");
    let seed = choices.0;
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let mut servers = Servers::start(&store, arguments);
    let (addresses, until) = (servers.addresses(), Instant::now() + duration());
    let breaks = async {
        while Instant::now() < until {
            sleep(millis(&mut choices, 300)).await;
            servers.harm(&mut choices).await;
        }
    };
    record(&addresses, seed, early, until, breaks).await;
    drop(servers);
    assert_eq!(dataapi::check(&store).await.expect("a store"), []);
}
