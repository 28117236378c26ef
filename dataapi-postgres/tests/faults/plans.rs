//! Every page is read straight from an index, in the index's order.

use std::time::Duration;

use dataapi_conformance::scene::{audited, decide, until_told};
use dataapi_core::{
    Date, Decision, Dialogs, Filter, Ledger, Limit, PageRequest, Positions, Purge, Reach, Start,
    SubjectRequest, Upkeep, Window,
};
use postgres_cluster::{Cluster, Settings};

use crate::scene::{customer, dialog, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_sorts_or_walks_through_all_dialogs() {
    postgres_cluster::skip_without_postgres!();
    let cluster = Cluster::start(&Settings::default()).unwrap();
    if cluster.sql("postgres", "LOAD 'auto_explain'").is_err() {
        eprintln!("SKIPPED: PostgreSQL's auto_explain is not installed");
        return;
    }
    let url = cluster.new_database().unwrap();
    let role = "ALTER ROLE postgres SET session_preload_libraries = 'auto_explain'; \
                LOAD 'auto_explain'; ALTER ROLE postgres SET auto_explain.log_min_duration = 0";
    cluster.sql("postgres", role).unwrap();
    let store = open(&url).await;
    for number in 0..20 {
        let name = format!("d-{number}");
        store.insert(dialog(&name)).await.unwrap();
        if number % 2 == 0 {
            decide(&store, &name, Decision::Granted).await.unwrap();
        }
    }
    let before = cluster.log().len();

    let language = || "en".parse().unwrap();
    let bound = Reach::default();
    let bound = bound.only_languages(vec!["en".parse().unwrap(), "de".parse().unwrap()]).unwrap();
    let all = Filter::default;
    let filters = [
        all(),
        all().customer(customer()),
        all().language(language()),
        all().customer(customer()).language(language()),
        all().within(bound.clone()),
        all().customer(customer()).within(bound),
        all().within(Reach::default().only_customers("an".parse().unwrap())),
    ];
    let hour = Duration::from_secs(3_600);
    let mut pages = 0;
    for filter in filters {
        for dated in [false, true] {
            let filter = if dated {
                let (from, to) = (Date::MIN, Date::MAX.saturating_sub(hour));
                filter.clone().between(Some(from), Some(to)).unwrap()
            } else {
                filter.clone()
            };
            let mut start = Start::default();
            for _ in 0..2 {
                let window = Window { limit: Limit::new(3).unwrap(), start, total: true };
                let request = PageRequest::new(filter.clone(), window).unwrap();
                let page = store.query(&request).await.unwrap();
                assert_eq!(page.items.len(), 3);
                start = Start::After(page.next.unwrap());
                pages += 1;
            }
        }
    }
    let mut start = Start::default();
    for _ in 0..2 {
        let window = Window { limit: Limit::new(3).unwrap(), start, total: true };
        let request = SubjectRequest::new(customer(), window).unwrap();
        start = Start::After(store.subject_data(&request).await.unwrap().next.unwrap());
    }
    for which in [Purge::Pending, Purge::Consented, Purge::Tombstones] {
        store.purgeable(which, Date::MAX).await.unwrap();
        store.purge(which, Date::MIN, 3).await.unwrap();
    }
    store.changes(&Positions::START, Limit::MAX, &Reach::default()).await.unwrap();
    audited(&store, None).await;
    until_told(|| store.ready()).await.answer.unwrap();

    let log = cluster.log().split_off(before);
    let scans = log.matches("using consented").count();
    assert!(scans >= pages, "{scans} plans of {pages} pages are in the log");
    for plan in log.split("Query Text:").skip(1).filter(|plan| plan.contains("SELECT")) {
        let is_sorted = plan.contains("Sort  (") && !plan.contains("FROM dataapi.chain");
        let is_walked = plan.contains("Seq Scan on dialog") || plan.contains("Seq Scan on event");
        assert!(!is_sorted && !is_walked, "{plan}");
    }
}
