//! A store is refused on a server that can lose what it has acknowledged, and its sessions wait for the disk whatever
//! the role says.

use dataapi_core::{Dialogs, NewDialog};
use dataapi_postgres::{CopyTarget, OpenError, Options, PostgresStore};
use postgres_cluster::{Cluster, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_wait_for_the_disk_is_refused_unless_that_is_accepted() {
    postgres_cluster::skip_without_postgres!();
    let cluster = Cluster::start(&Settings::durable().with(&[("dataapi.durability", "")])).unwrap();
    let url = cluster.new_database().unwrap();
    let open = || PostgresStore::open(&url, Options::default());
    let set = |setting: &str| {
        // One statement each: none of them runs in a transaction.
        cluster.sql("postgres", &format!("ALTER SYSTEM SET {setting}")).unwrap();
        cluster.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    };
    for off in ["fsync", "full_page_writes"] {
        set(&format!("{off} = off"));
        until(|| cluster.sql("postgres", &format!("SHOW {off}")).unwrap() == "off");
        let refused = open().await;
        assert!(matches!(refused, Err(OpenError::Crashes)), "{off}: {refused:?}");
        let refused = CopyTarget::open(&url, 4).await;
        assert!(matches!(refused, Err(OpenError::Crashes)), "{off}: {refused:?}");
        let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'dataapi'";
        assert_eq!(cluster.sql(&url, schemas).unwrap(), "0", "nothing was made");
        set(&format!("{off} = on"));
        until(|| cluster.sql("postgres", &format!("SHOW {off}")).unwrap() == "on");
    }
    drop(open().await.unwrap());
    set("fsync = off");
    set("dataapi.durability = 'unchecked'");
    until(|| cluster.sql("postgres", "SHOW fsync").unwrap() == "off");
    drop(open().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_for_the_disk_whatever_role_and_database_say() {
    postgres_cluster::skip_without_postgres!();
    let cluster = Cluster::start(&Settings::durable()).unwrap();
    for whose in ["ROLE", "DATABASE"] {
        for (setting, expected) in
            [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
        {
            let url = cluster.new_database().unwrap();
            let name = cluster.sql(&url, "SELECT current_database()").unwrap();
            let whom = if whose == "ROLE" { "postgres" } else { &name };
            let change = format!("ALTER {whose} {whom} SET synchronous_commit = '{setting}'");
            cluster.sql("postgres", &change).unwrap();
            let store = PostgresStore::open(&url, Options::default()).await.unwrap();
            // What a session has is visible only to itself: a trigger that PostgreSQL runs in it tells.
            let trigger = "CREATE TABLE public.told (setting text);
                CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    INSERT INTO public.told VALUES (current_setting('synchronous_commit'));
                    RETURN NULL;
                END $$;
                CREATE TRIGGER tell AFTER INSERT ON dataapi.dialog
                    FOR EACH ROW EXECUTE FUNCTION public.tell()";
            cluster.sql(&url, trigger).unwrap();
            let dialog = NewDialog::parse("anna", "d", "en", "text").unwrap();
            store.insert(dialog).await.unwrap();
            let told = cluster.sql(&url, "SELECT DISTINCT setting FROM public.told").unwrap();
            assert_eq!(told, expected, "{whose}: {setting}");
            drop(store);
            cluster
                .sql("postgres", &format!("ALTER {whose} {whom} RESET synchronous_commit"))
                .unwrap();
        }
    }
}

/// Waits for the server to read its settings again.
fn until(is_done: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !is_done() {
        assert!(started.elapsed().as_secs() < 60, "the server has not read its settings");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
