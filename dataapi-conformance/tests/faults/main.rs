//! The suite can fail: each fault breaks a promise, and random histories find it too.

mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dataapi_conformance::model::random_histories_match_the_reference_model;
use dataapi_conformance::order::concurrent_histories_have_one_order;
use dataapi_conformance::{
    Fixture, Harness, ManualClock, dates, decisions, early, erasure, gate, import, inserts, keys,
    ledger, meanwhile, pages, races, reach, revision, snapshots, stats, subject, uphold, values,
};
use dataapi_core::DialogStore;
use store::{Fault, Faulty};

fn with(fault: Fault) -> impl Harness {
    move |clock: ManualClock| async move { Fixture::new(Faulty::new(fault, clock)) }
}

fn breaks(fault: Fault, promise: impl AsyncFnOnce(&dyn DialogStore, &ManualClock)) {
    let kept = catch_unwind(AssertUnwindSafe(|| uphold(&with(fault), promise))).is_ok();
    assert!(!kept, "the promise that the fault {fault:?} breaks finds it");
}

#[test]
fn each_fault_breaks_a_promise() {
    breaks(Fault::ForgetsTombstones, inserts::a_gone_id_is_never_taken_again);
    breaks(Fault::ImportsGoneIds, import::an_import_brings_nothing_back);
    breaks(Fault::SecondReceipt, decisions::a_decision_said_twice_returns_the_first_receipt);
    breaks(Fault::LateGrant, decisions::a_late_grant_is_a_conflict);
    breaks(Fault::TellsOfOthers, gate::a_dialog_of_another_customer_is_not_found);
    breaks(Fault::SameContentAlways, inserts::a_taken_id_is_refused_to_other_content);
    breaks(Fault::FollowsTheClockBack, dates::dates_never_go_backwards_when_the_clock_does);
    breaks(Fault::OldestFirst, pages::pages_show_the_newest_first);
    breaks(Fault::EqualDatesAscending, pages::equal_dates_are_ordered_by_id_descending_bytes);
    breaks(Fault::TotalOfThePage, pages::the_total_counts_all_that_match);
    breaks(Fault::TotalBehindTheCursor, pages::the_total_counts_all_that_match);
    breaks(Fault::TotalUnasked, pages::the_total_is_left_out_when_not_asked_for);
    breaks(Fault::ToInclusive, pages::from_is_inclusive_and_to_is_exclusive);
    breaks(Fault::FromExclusive, pages::from_is_inclusive_and_to_is_exclusive);
    breaks(Fault::LanguageByCase, values::languages_are_returned_as_they_were_sent);
    breaks(Fault::LanguageFolded, gate::a_consented_dialog_reads_as_it_was_sent);
    breaks(Fault::TextTrimmed, values::texts_come_back_byte_for_byte);
    breaks(Fault::OffsetWraps, pages::an_offset_beyond_the_end_is_an_empty_page);
    breaks(Fault::NextRepeats, pages::pages_by_cursor_concatenate_to_the_full_list);
    breaks(Fault::NextOfALastFullPage, pages::a_page_has_a_next_one_exactly_if_there_are_more);
    breaks(Fault::SubjectWithoutPending, subject::subject_data_holds_pending_and_consented_dialogs);
    breaks(Fault::ErasesAnybodys, erasure::only_what_is_held_on_the_customer_can_be_erased);
    breaks(
        Fault::CountsErasedTwice,
        erasure::erasing_a_customer_erases_and_counts_all_that_is_held,
    );
    breaks(Fault::PurgesAtTheDate, erasure::a_purge_takes_what_was_received_before_the_date);
    breaks(
        Fault::PurgesNewestFirst,
        erasure::a_purge_takes_the_oldest_first_and_no_more_than_asked,
    );
    breaks(Fault::RacingInserts, races::of_concurrent_inserts_of_one_id_exactly_one_wins);
    breaks(Fault::ImportsWithoutDates, import::an_import_keeps_the_given_date);
    breaks(Fault::ImportsFromTheFuture, import::an_import_from_the_future_is_refused);
    breaks(Fault::AnswersTooEarly, meanwhile::what_was_acknowledged_is_seen_whole);
    breaks(Fault::ImportsOneByOne, snapshots::an_import_and_an_erasure_appear_whole);
    breaks(Fault::CountsNoLanguages, stats::each_dialog_counts_in_its_state);
    breaks(Fault::EvidenceWithoutEmpty, decisions::evidence_is_kept_as_it_was_sent);
    breaks(Fault::EventsOutOfOrder, ledger::events_are_read_on_from_any_position);
    breaks(Fault::ChangesChains, ledger::all_events_of_a_dialog_are_in_one_chain);
    breaks(Fault::ChangesWithoutDialogs, ledger::changes_bring_a_copy_up_to_date);
    breaks(Fault::ForgetsEarlyDecisions, early::an_early_grant_makes_its_dialog_readable_at_once);
    breaks(Fault::HoldsForEver, early::an_early_grant_ends_when_its_time_is_over);
    breaks(Fault::HoldsAnew, early::an_early_decision_said_twice_is_answered_with_the_first);
    breaks(Fault::KeepsTombstones, erasure::a_forgotten_tombstone_frees_its_id);
    breaks(Fault::ForgetsRevocations, keys::a_revoked_key_stays_revoked);
    breaks(Fault::IgnoresReach, reach::a_query_shows_and_counts_only_what_is_within_reach);
    breaks(Fault::IgnoresReach, reach::a_dialog_out_of_reach_is_not_found);
    breaks(Fault::IgnoresReach, reach::what_is_within_reach_is_told_of_held_dialogs_alone);
    breaks(Fault::IgnoresReach, reach::changes_bring_no_dialog_that_is_out_of_reach);
    breaks(Fault::IgnoresReach, reach::events_out_of_reach_hide_their_evidence);
    breaks(Fault::NeverScrubs, erasure::nothing_waits_to_be_scrubbed_after_a_scrub);
    breaks(Fault::RevisionStandsStill, revision::a_revision_ends_when_what_can_be_read_changes);
    breaks(Fault::RevisionStandsStill, revision::an_answer_kept_for_its_revision_is_never_stale);
}

/// All faults except those that show only with concurrent calls or with values that histories do not use.
const SEEN_ONE_BY_ONE: [Fault; 34] = [
    Fault::ForgetsTombstones,
    Fault::ImportsGoneIds,
    Fault::SecondReceipt,
    Fault::LateGrant,
    Fault::TellsOfOthers,
    Fault::SameContentAlways,
    Fault::FollowsTheClockBack,
    Fault::OldestFirst,
    Fault::EqualDatesAscending,
    Fault::TotalOfThePage,
    Fault::TotalBehindTheCursor,
    Fault::TotalUnasked,
    Fault::ToInclusive,
    Fault::FromExclusive,
    Fault::LanguageByCase,
    Fault::LanguageFolded,
    Fault::OffsetWraps,
    Fault::NextRepeats,
    Fault::NextOfALastFullPage,
    Fault::SubjectWithoutPending,
    Fault::ErasesAnybodys,
    Fault::CountsErasedTwice,
    Fault::PurgesAtTheDate,
    Fault::PurgesNewestFirst,
    Fault::ImportsWithoutDates,
    Fault::ImportsFromTheFuture,
    Fault::CountsNoLanguages,
    Fault::EvidenceWithoutEmpty,
    Fault::ChangesWithoutDialogs,
    Fault::ForgetsEarlyDecisions,
    Fault::HoldsForEver,
    Fault::HoldsAnew,
    Fault::KeepsTombstones,
    Fault::IgnoresReach,
];

#[test]
fn random_histories_find_each_fault() {
    for fault in SEEN_ONE_BY_ONE {
        let matched = || random_histories_match_the_reference_model(&with(fault));
        // A single random run can miss the fault.
        let panic = (0..10)
            .find_map(|_| catch_unwind(AssertUnwindSafe(matched)).err())
            .expect("a store with a fault does not match");
        let report = panic.downcast::<String>().expect("a report is a string");
        println!("{fault:?}: {report}");
        assert!(report.contains("DATAAPI_CONFORMANCE_SEED="), "the report says how to repeat it");
        let steps =
            report.lines().filter(|line| line.starts_with("  ") && line.contains(". ")).count();
        assert!(steps < 20, "the report of {fault:?} has a short history, not {steps} steps");
    }
}

/// The faults that show in the order of concurrent calls. A store with one of the last five answers each call alone as
/// it should.
const OUT_OF_ORDER: [Fault; 11] = [
    Fault::StalePages,
    Fault::LosesDecisions,
    Fault::BringsBack,
    Fault::SecondReceipt,
    Fault::LateGrant,
    Fault::CountsErasedTwice,
    Fault::RacingInserts,
    Fault::AnswersTooEarly,
    Fault::ImportsOneByOne,
    Fault::ErasesOneByOne,
    Fault::TotalOfAnotherMoment,
];

#[test]
fn concurrent_histories_find_each_fault_of_order() {
    for fault in OUT_OF_ORDER {
        let ordered = || concurrent_histories_have_one_order(&with(fault));
        // A single random run can miss the fault.
        let panic = (0..10)
            .find_map(|_| catch_unwind(AssertUnwindSafe(ordered)).err())
            .unwrap_or_else(|| panic!("the histories of a store with {fault:?} have no order"));
        let report = panic.downcast::<String>().expect("a report is a string");
        println!("{fault:?}: {report}");
        assert!(report.contains("DATAAPI_CONFORMANCE_SEED="), "the report says how to repeat it");
        assert!(report.contains("client 0: "), "the report has the calls");
    }
}
