//! The list of all promises, and the macro that makes a test of each.

/// Every promise, by subject. A promise that is missing here makes a test of this crate fail.
#[doc(hidden)]
#[macro_export]
macro_rules! __promises {
    ($then:ident $with:tt) => {
        $crate::__promises_do! { $then $with
            gate {
                a_pending_dialog_cannot_be_read
                a_pending_dialog_is_on_no_page
                a_dialog_of_another_customer_is_not_found
                an_absent_dialog_is_not_found
                a_consented_dialog_reads_as_it_was_sent
                a_gone_dialog_is_in_no_answer
                a_crawl_begun_before_a_withdrawal_does_not_return_the_text
            }
            inserts {
                an_insert_stores_a_pending_dialog_and_returns_its_date
                a_repeated_insert_learns_that_it_is_done
                a_taken_id_is_refused_to_other_content
                a_refused_insert_leaves_the_stored_dialog_alone
                a_gone_id_is_never_taken_again
            }
            decisions {
                a_receipt_proves_what_was_decided_when_and_on_what
                a_withdrawal_erases_a_pending_and_a_consented_dialog
                a_decision_said_twice_returns_the_first_receipt
                a_late_grant_is_a_conflict
                a_withdrawal_after_an_erasure_returns_its_date
                a_decision_on_an_unknown_id_is_not_found
                consent_tells_every_state_and_its_date
                consent_of_an_unknown_id_is_not_found
                evidence_is_kept_as_it_was_sent
            }
            early {
                an_early_grant_makes_its_dialog_readable_at_once
                an_early_withdrawal_is_recorded_and_blocks_its_dialog
                an_early_withdrawal_ends_an_early_grant
                any_withdrawal_ends_an_early_grant
                an_early_decision_said_twice_is_answered_with_the_first
                an_early_grant_ends_when_its_time_is_over
                an_early_grant_after_a_withdrawal_is_a_conflict
                an_early_decision_on_what_is_there_is_recorded
                an_early_grant_holds_for_an_import
                an_early_grant_is_used_once
            }
            erasure {
                an_erased_dialog_leaves_only_a_tombstone
                only_what_is_held_on_the_customer_can_be_erased
                erasing_a_customer_erases_and_counts_all_that_is_held
                erasing_a_customer_with_nothing_is_fine
                a_purge_takes_what_was_received_before_the_date
                a_purge_takes_the_oldest_first_and_no_more_than_asked
                a_purge_leaves_decided_dialogs_alone
                a_purge_spares_what_comes_later
                a_purge_of_consented_dialogs_takes_the_oldest_and_spares_the_pending
                what_is_purgeable_is_what_a_purge_takes
                a_forgotten_tombstone_frees_its_id
                tombstones_are_forgotten_oldest_first_and_their_events_stay
                nothing_waits_to_be_scrubbed_after_a_scrub
            }
            dates {
                dates_follow_the_clock
                dates_never_go_backwards_when_the_clock_does
                a_date_never_changes
            }
            values {
                the_longest_ids_are_kept_whole
                the_longest_text_is_kept_whole
                texts_come_back_byte_for_byte
                odd_dialog_ids_are_told_apart
                odd_customer_ids_are_told_apart
                similar_ids_are_different_dialogs
                a_tombstone_is_of_the_very_id
                languages_are_returned_as_they_were_sent
            }
            pages {
                pages_show_the_newest_first
                equal_dates_are_ordered_by_id_descending_bytes
                filters_return_what_matches_every_condition
                a_range_of_languages_matches_its_tag_and_what_begins_with_it
                ranges_that_match_too_many_languages_are_refused
                a_range_within_bounds_tells_nothing_of_what_lies_beyond
                from_is_inclusive_and_to_is_exclusive
                the_total_counts_all_that_match
                the_total_is_left_out_when_not_asked_for
                a_page_has_a_next_one_exactly_if_there_are_more
                an_offset_beyond_the_end_is_an_empty_page
                a_page_holds_up_to_a_thousand
                a_read_ends_when_it_may_hold_no_more
                pages_by_offset_concatenate_to_the_full_list
                pages_by_cursor_concatenate_to_the_full_list
                a_cursor_goes_on_from_any_place
                a_cursor_outlives_the_dialog_it_points_at
            }
            crawl {
                a_crawl_meets_each_dialog_that_stays_exactly_once
                a_crawl_of_a_customer_meets_all_that_stays_held_exactly_once
            }
            subject {
                subject_data_holds_pending_and_consented_dialogs
                subject_data_is_of_that_customer_only
                subject_data_has_nothing_of_what_is_gone
                subject_data_of_an_unknown_customer_is_empty
                subject_data_is_paged_like_a_query
            }
            import {
                an_import_keeps_the_given_date
                an_import_without_a_date_counts_as_received_now
                an_import_records_consent_as_of_now
                an_imported_dialog_is_decided_on_like_any_other
                an_import_from_the_future_is_refused
                an_import_of_a_taken_id_is_refused
                an_import_brings_nothing_back
                a_refused_import_keeps_no_other_out
                a_repeated_id_in_one_batch_is_taken_by_the_first
                imported_dates_do_not_move_the_stores_dates
                an_empty_import_is_fine
            }
            ledger {
                a_new_store_has_an_empty_ledger
                each_end_of_a_dialog_is_an_event
                a_receipt_is_an_event_of_the_ledger
                what_changes_nothing_is_no_event
                an_imported_consent_is_an_event
                events_are_read_on_from_any_position
                erasing_a_customer_is_an_event_for_each_dialog
                all_events_of_a_dialog_are_in_one_chain
                concurrent_decisions_make_one_chain
                changes_are_the_events_with_what_is_readable_by_them
                changes_bring_a_copy_up_to_date
                a_dialog_has_the_reference_of_its_events
            }
            reach {
                a_query_shows_and_counts_only_what_is_within_reach
                a_dialog_out_of_reach_is_not_found
                what_is_within_reach_is_told_of_held_dialogs_alone
                changes_bring_no_dialog_that_is_out_of_reach
                events_out_of_reach_hide_their_evidence
            }
            keys {
                a_new_store_has_no_keys
                a_key_is_kept_as_it_was_made
                a_key_with_an_unknown_role_is_kept_and_allows_nothing
                a_name_is_given_to_one_key_for_ever
                a_revoked_key_stays_revoked
                the_use_of_keys_is_noted_and_never_goes_back
            }
            stats {
                an_empty_store_counts_nothing
                each_dialog_counts_in_its_state
                languages_are_counted_without_regard_to_case
                the_counts_agree_with_the_totals
            }
            revision {
                a_revision_ends_when_what_can_be_read_changes
                an_answer_kept_for_its_revision_is_never_stale
            }
            whole {
                a_refused_call_changes_nothing
                reading_changes_nothing
                a_dropped_call_happens_whole_or_not_at_all
                a_store_that_serves_is_ready
                an_idle_store_has_no_write_waiting
            }
            races {
                of_concurrent_inserts_of_one_id_exactly_one_wins
                concurrent_inserts_of_different_ids_all_succeed
                of_concurrent_decisions_a_withdrawal_has_the_last_word
                concurrent_equal_decisions_have_one_receipt
                an_early_decision_races_fairly_with_its_dialog
                concurrent_erasures_count_each_dialog_once
                a_purge_races_fairly_with_consent
                an_erasure_catches_what_was_stored_before_it
            }
            meanwhile {
                a_crawl_under_changes_meets_each_dialog_that_stays_once
                no_read_that_starts_after_a_withdrawal_returns_the_text
                dates_of_concurrent_calls_never_go_backwards
                what_was_acknowledged_is_seen_whole
            }
            [if commits_are_seen_whole]
            snapshots {
                items_and_total_of_a_page_are_of_one_moment
                an_import_and_an_erasure_appear_whole
                a_dropped_call_appears_whole_or_not_at_all
            }
        }
    };
}

/// What the list can be turned into.
#[doc(hidden)]
#[macro_export]
macro_rules! __promises_do {
    (tests ($harness:ident) $($subject:ident { $($promise:ident)* })*
        [if $ability:ident] $($of_some:ident { $($promise_of_some:ident)* })*) => {
        $(
            mod $subject {
                $(
                    #[test]
                    fn $promise() {
                        $crate::uphold(&super::$harness(), $crate::$subject::$promise);
                    }
                )*
            }
        )*
        $(
            mod $of_some {
                $(
                    #[test]
                    fn $promise_of_some() {
                        let harness = super::$harness();
                        if $crate::Harness::$ability(&harness) {
                            $crate::uphold(&harness, $crate::$of_some::$promise_of_some);
                        }
                    }
                )*
            }
        )*
    };
    (names () $($subject:ident { $($promise:ident)* })* [if $ability:ident] $($rest:tt)*) => {
        $crate::__promises_do! { names () $($subject { $($promise)* })* $($rest)* }
    };
    (names () $($subject:ident { $($promise:ident)* })*) => {
        &[$($(concat!(stringify!($subject), "::", stringify!($promise))),*),*]
    };
}

/// Runs every promise on a backend. Each promise becomes a test with its name.
///
/// Takes an expression that makes a [`Harness`](crate::Harness), such as the name of an `async fn(ManualClock) ->
/// Fixture`. It is evaluated once for each test. Expands to one module of tests for each subject, so invoke it once in
/// a module or test file. The tests make their own runtime; the backend's crate does not need one for them.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        fn __conformance_harness() -> impl $crate::Harness {
            $harness
        }

        $crate::__promises! { tests (__conformance_harness) }

        mod model {
            #[test]
            fn random_histories_match_the_reference_model() {
                $crate::model::random_histories_match_the_reference_model(
                    &super::__conformance_harness(),
                );
            }
        }

        mod order {
            #[test]
            fn concurrent_histories_have_one_order() {
                $crate::order::concurrent_histories_have_one_order(&super::__conformance_harness());
            }
        }
    };
}

/// The names of all promises, as `subject::promise`, except those of the random and of the concurrent histories.
pub const PROMISES: &[&str] = crate::__promises! { names () };
