//! Two servers on one PostgreSQL database: alone, with a standby that pages come from, and with a failover.

use std::time::{Duration, Instant};

use postgres_cluster::{Cluster, Proxy, Settings};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::recording::{duration, record};
use super::servers::{Servers, millis};
use crate::load::Choices;

/// The bytes of a commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// A cluster that keeps acknowledged writes when it is killed: only the server is, so the operating system still writes
/// what it was given.
fn durable() -> Cluster {
    Cluster::start(&Settings::durable().with(&[("fsync", "off")])).expect("a cluster")
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().expect("a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_postgresql_have_one_order() {
    postgres_cluster::skip_without_postgres!();
    let mut choices = Choices::seeded("DATAAPI_ORDER_SEED");
    let seed = choices.0;
    let mut cluster = durable();
    let network = Proxy::to(cluster.address()).expect("a proxy");
    let store = network.url(&cluster.new_database().expect("a database"));
    let mut servers = Servers::start(&store, &["--hold-early-decisions", "1h"]);
    let (addresses, until) = (servers.addresses(), Instant::now() + duration());
    let breaks = async {
        while Instant::now() < until {
            sleep(millis(&mut choices, 300)).await;
            match choices.below(10) {
                0 => network.lose_request(COMMIT),
                1 => network.lose_answer(COMMIT),
                2 => {
                    network.cut();
                    sleep(millis(&mut choices, 20)).await;
                    network.mend();
                }
                3 => {
                    block_in_place(|| cluster.freeze()).expect("it stands still");
                    sleep(millis(&mut choices, 300)).await;
                    cluster.thaw().expect("it goes on");
                }
                4 => block_in_place(|| cluster.kill().and_then(|()| cluster.start_again()))
                    .expect("it starts again"),
                _ => servers.harm(&mut choices).await,
            }
        }
    };
    record(&addresses, seed, true, until, breaks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_read_pages_from_a_standby_have_one_order() {
    postgres_cluster::skip_without_postgres!();
    let mut choices = Choices::seeded("DATAAPI_ORDER_SEED");
    let seed = choices.0;
    let primary = durable();
    let store = primary.new_database().expect("a database");
    let mut standby = primary.replica().expect("a standby");
    let replica = standby.url(name(&store));
    let mut servers = Servers::start(&store, &["--read-replica", &replica]);
    let (addresses, until) = (servers.addresses(), Instant::now() + duration());
    let waits_for = |whom: &str| {
        let setting = format!("ALTER SYSTEM SET synchronous_standby_names = '{whom}'");
        primary.sql("postgres", &setting).expect("a setting");
        primary.sql("postgres", "SELECT pg_reload_conf()").expect("it is read");
    };
    let breaks = async {
        while Instant::now() < until {
            sleep(millis(&mut choices, 200)).await;
            match choices.below(10) {
                0..=2 => {
                    // Meanwhile the standby shows what the primary does not show yet.
                    block_in_place(|| waits_for("elsewhere"));
                    sleep(millis(&mut choices, 300)).await;
                    block_in_place(|| waits_for(""));
                }
                3 | 4 => {
                    let paused = |verb: &str| {
                        let statement = format!("SELECT pg_wal_replay_{verb}()");
                        block_in_place(|| standby.sql("postgres", &statement)).expect("it is done");
                    };
                    paused("pause");
                    sleep(millis(&mut choices, 200)).await;
                    paused("resume");
                }
                5 => {
                    block_in_place(|| standby.freeze()).expect("it stands still");
                    sleep(millis(&mut choices, 200)).await;
                    standby.thaw().expect("it goes on");
                }
                6 => block_in_place(|| standby.kill().and_then(|()| standby.start_again()))
                    .expect("it starts again"),
                _ => servers.harm(&mut choices).await,
            }
        }
    };
    record(&addresses, seed, false, until, breaks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_synchronous_standby_has_one_order() {
    postgres_cluster::skip_without_postgres!();
    let mut choices = Choices::seeded("DATAAPI_ORDER_SEED");
    let seed = choices.0;
    let end = Instant::now() + duration();
    // One failover after the other: each needs servers of its own.
    loop {
        one_failover(&mut choices, seed).await;
        if Instant::now() >= end {
            break;
        }
    }
}

async fn one_failover(choices: &mut Choices, seed: u64) {
    let mut primary = durable();
    let store = primary.new_database().expect("a database");
    let mut standby = primary.replica().expect("a standby");
    for statement in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"]
    {
        primary.sql("postgres", statement).expect("a setting");
    }
    let hosts = format!("{},{}", primary.address(), standby.address());
    let both = store.replacen(&primary.address().to_string(), &hosts, 1);
    // Pages come from the standby as well, before and after.
    let replica = standby.url(name(&store));
    let mut servers = Servers::start(&both, &["--read-replica", &replica]);
    let addresses = servers.addresses();
    let until = Instant::now() + Duration::from_secs(4);
    let breaks = async {
        sleep(millis(choices, 1_000)).await;
        servers.harm(choices).await;
        sleep(millis(choices, 300)).await;
        block_in_place(|| {
            primary.kill().expect("it dies");
            standby.promote().expect("it takes over");
        });
        while Instant::now() < until {
            sleep(millis(choices, 500)).await;
            servers.harm(choices).await;
        }
    };
    record(&addresses, seed, false, until, breaks).await;
}
