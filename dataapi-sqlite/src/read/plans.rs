//! Checks that every query uses an index and none sorts.

use dataapi_core::{
    Cursor, CustomerId, Date, Filter, PageRequest, Position, Purge, Reach, Start, SubjectRequest,
    Window,
};
use rusqlite::params_from_iter;

use crate::read::counts::dialogs_before;
use crate::read::dialogs::by_id;
use crate::read::pages::{page_items, page_total_in};
use crate::read::select::Select;
use crate::read::subject::{subject_items, subject_pending};
use crate::rows::dialogs::{DIALOG_COLUMNS, due};
use crate::rows::ledger::EVENT_COLUMNS;
use crate::rows::tombstones;

/// The statements of pages, counts and purges, each with its purpose.
fn statements() -> Vec<(String, Select)> {
    let date = Date::from_micros(0).unwrap();
    let position = Position { date, dialog_id: "d".parse().unwrap() };
    let customer: CustomerId = "c".parse().unwrap();
    let mut statements = Vec::new();
    let some = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        Reach::default().only_languages(tags).unwrap()
    };
    let prefix = || "c".parse().unwrap();
    let reaches = [
        Reach::default(),
        some(&["en"]),
        some(&["de", "en", "fr"]),
        Reach::default().only_customers(prefix()),
        some(&["de", "en"]).only_customers(prefix()),
    ];
    for (bits, reach) in (0..32).flat_map(|bits| reaches.iter().map(move |it| (bits, it))) {
        let set = |bit: u32| bits >> bit & 1 == 1;
        let mut filter = Filter::default().within(reach.clone());
        if set(0) {
            filter = filter.customer(customer.clone());
        }
        if set(1) {
            filter = filter.language("en".parse().unwrap());
        }
        if set(4) {
            let tags = (0..32).map(|n| format!("x-{n}").parse().unwrap());
            filter = filter.languages(tags.collect()).unwrap().within(Reach::default());
        }
        filter = filter.between(set(2).then_some(date), set(3).then_some(date)).unwrap();
        let wanted = filter.wanted_languages(&[]).unwrap();
        let wanted = wanted.as_deref();
        statements.push((format!("total of {filter:?}"), page_total_in(&filter, wanted)));
        let cursor = Cursor::in_filter(&filter, position.clone());
        for start in [Start::Offset(10), Start::After(cursor)] {
            let window = Window { start, ..Window::default() };
            let request = PageRequest::new(filter.clone(), window).unwrap();
            statements.push((format!("page of {request:?}"), page_items(&request, wanted)));
        }
    }
    let cursor = Cursor::in_subject(&customer, position);
    for start in [Start::Offset(10), Start::After(cursor)] {
        let window = Window { start, ..Window::default() };
        let request = SubjectRequest::new(customer.clone(), window).unwrap();
        statements.push((format!("{request:?}"), subject_items(&request)));
    }
    for reach in &reaches {
        let mut query = by_id(DIALOG_COLUMNS, &"d".parse().unwrap());
        query.within(reach);
        statements.push((format!("a dialog within {reach:?}"), query));
    }
    statements.push(("pending of a customer".into(), subject_pending(&customer)));
    for columns in ["count(*)", EVENT_COLUMNS] {
        let mut query = Select::new(format!(
            "SELECT {columns} FROM event WHERE {}",
            tombstones::WITH_TOMBSTONE
        ));
        query.parameters = vec![1.into(), 7.into()];
        statements.push((format!("{columns} of tombstones"), query));
    }
    for which in [Purge::Pending, Purge::Consented].into_iter().filter_map(due) {
        statements.push((format!("count of {which:?}"), dialogs_before(which, date)));
        let mut rows = Select::new(format!("SELECT seq FROM dialog {which}"));
        rows.and("date < ?", [0.into()]);
        rows.sql.push_str(" ORDER BY date, dialog_id LIMIT 5");
        statements.push((format!("purge of {which:?}"), rows));
    }
    statements
}

#[test]
fn every_query_is_answered_from_an_index_without_sorting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dialogs.db");
    let connection = crate::open::open_for_writing(&path, true, 1 << 20).unwrap();
    for (purpose, Select { sql, parameters }) in statements() {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map(params_from_iter(&parameters), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let whole = plan.join("\n");
        // The places of a customer's pending dialogs are sorted, and nothing else.
        let sorted = usize::from(purpose.starts_with("SubjectRequest"));
        assert_eq!(whole.matches("TEMP B-TREE").count(), sorted, "{purpose} sorts:\n{whole}");
        for step in plan.iter().filter(|step| step.starts_with("SCAN")) {
            let along_index = step == "SCAN CONSTANT ROW"
                || step == "SCAN block"
                || step.starts_with("SCAN (subquery")
                || step.contains("USING INDEX consented")
                || step.contains("USING COVERING INDEX consented");
            assert!(along_index, "{purpose} scans:\n{whole}");
        }
        let searched = |bound: &str| whole.contains(bound);
        if sql.contains("(date, dialog_id) <") {
            assert!(searched("(date,dialog_id)<"), "{purpose} filters its cursor:\n{whole}");
        }
        if sql.contains("date >=") {
            assert!(searched("date>?"), "{purpose} filters its start:\n{whole}");
        }
    }
}
