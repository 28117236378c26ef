//! A store is refused while somebody else's triggers or rules, which could copy texts, are on its tables.

use dataapi_postgres::{OpenError, Options, PostgresStore};
use postgres_cluster::shared;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_a_trigger_or_a_rule_is_refused_until_it_is_dropped() {
    postgres_cluster::skip_without_postgres!();
    let cluster = shared();
    let url = cluster.new_database().unwrap();
    let open = || PostgresStore::open(&url, Options::default());
    drop(open().await.unwrap());
    let table = "CREATE TABLE public.copies (id text, text text);
        CREATE FUNCTION public.copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.copies VALUES (NEW.dialog_id, NEW.text);
            RETURN NULL;
        END $$";
    cluster.sql(&url, table).unwrap();
    for (add, drop_it) in [
        (
            "CREATE TRIGGER spy AFTER INSERT ON dataapi.dialog
             FOR EACH ROW EXECUTE FUNCTION public.copy()",
            "DROP TRIGGER spy ON dataapi.dialog",
        ),
        (
            "CREATE RULE spy AS ON INSERT TO dataapi.dialog
             DO ALSO INSERT INTO public.copies VALUES (NEW.dialog_id, NEW.text)",
            "DROP RULE spy ON dataapi.dialog",
        ),
    ] {
        cluster.sql(&url, add).unwrap();
        assert!(matches!(open().await, Err(OpenError::Trigger)), "{add}");
        cluster.sql(&url, drop_it).unwrap();
        drop(open().await.unwrap());
    }
}
