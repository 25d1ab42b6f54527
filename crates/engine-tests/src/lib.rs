//! The conformance suite of engines: every promise of the ports (`cloister_model::Backend`) as a test, without a word about
//! how an engine keeps it.
//!
//! An engine's crate implements [`Fixture`] and writes, in a test of its own:
//!
//! ```text
//! // tests/conformance.rs
//! fn fixture() -> MyFixture { ... }
//! cloister_engine_tests::conformance_tests!(fixture);
//! ```
//!
//! That makes one test of every case, in one module for each file of [`cases`]. A case gets an engine of its own with an
//! empty store, observes it through the ports only, and waits for what an engine does by itself: no case measures time.
//! Cases may run at the same time.

#![forbid(unsafe_code)]

pub mod cases;
mod fixture;
mod trial;

pub use fixture::{Conditions, Fixture, FixtureFuture};
pub use trial::{ALL, Trial};

/// Makes one test of every case. The first argument names a function without arguments that returns a [`Fixture`]; it stands
/// in the module that calls the macro. That crate needs `tokio` with a runtime of several threads.
///
/// An engine whose tests need more than `cargo test` gives them says so with an attribute of all tests, and an engine that does
/// not keep every promise yet lists the cases that it leaves out:
///
/// ```text
/// conformance_tests!(fixture, #[ignore = "needs an API server"], except {
///     // Why it cannot hold yet.
///     outputs::a_log_has_a_length_and_an_end
/// });
/// ```
///
/// This is the list of all cases. A test of this crate fails if a case is missing from it.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:ident $(, #[$attribute:meta])* $(, except { $($module:ident::$case:ident),* $(,)? })?) => {
        $crate::conformance_tests! { @select ($) $($($module::$case)*)? }
        $crate::conformance_tests! {
            @modules $fixture { $(#[$attribute])* }
            audit {
                records_are_a_chain_across_restarts
                an_event_is_kept_letter_for_letter
                records_are_read_page_after_page
                many_writers_make_one_chain
                what_is_archived_leaves_the_log_and_the_rest_is_one_chain
                releases_and_refusals_are_on_record
            }
            claims {
                a_nonce_counts_once
                of_many_claims_at_once_one_is_granted
                a_claim_lasts_as_long_as_it_says
                a_claim_keeps_jobs_out
                a_job_keeps_its_claims_from_others
            }
            deadlines {
                a_job_that_waits_too_long_for_its_turn_expires
                a_deadline_passes_while_the_engine_is_away
                a_running_job_ends_when_its_time_is_over
                a_review_that_takes_too_long_expires
            }
            environments {
                an_open_engine_is_ready
                an_environment_says_what_it_offers
                jobs_are_counted_by_phase
                every_job_says_why_it_is_where_it_is
            }
            failures {
                a_failing_source_is_its_publishers_fault_and_stays_theirs_to_know
            }
            following {
                a_follower_who_has_seen_another_state_gets_the_present_one
                what_was_seen_is_the_same_wherever_it_is_read
                a_change_wakes_the_followers_of_its_job
                a_follower_of_a_job_that_does_not_change_is_answered
                every_follower_sees_the_end
                a_job_that_is_not_there_cannot_be_followed
            }
            inspections {
                files_are_described_in_their_order
                a_source_that_cannot_be_read_is_a_failure
                an_inspection_goes_on_when_it_is_asked_for_again
                stalled_inspections_delay_no_job
                a_file_that_was_not_inspected_is_missing
            }
            keyring {
                a_key_is_made_once
                a_key_is_revoked_once
                a_key_that_is_not_there_cannot_be_revoked
                the_newest_key_is_listed_first
            }
            listing {
                the_newest_job_comes_first
                pages_give_every_job_once
                all_labels_of_a_query_must_be_there
                phases_select_jobs
                no_more_jobs_are_listed_than_were_asked_for
            }
            logs {
                a_withheld_log_is_kept_for_the_publishers
                a_withheld_log_is_released_once
                a_log_is_released_by_all_who_withhold_it
                a_log_that_is_not_withheld_cannot_be_released
            }
            outputs {
                a_log_has_a_length_and_an_end
                a_log_is_empty_before_the_algorithm_begins
                a_log_is_no_longer_than_the_contract_allows
                a_report_is_there_when_the_run_has_ended
                released_results_do_not_change
                results_are_read_in_parts
                the_results_of_an_account_are_added_up
                a_job_that_does_not_finish_has_no_results
                a_log_is_held_until_every_check_agrees
            }
            permission {
                a_waiting_job_does_not_run_once_its_dataset_is_withdrawn
                a_waiting_job_runs_by_the_rules_of_its_turn
                nothing_is_released_once_the_permission_is_taken_back
                results_are_released_if_only_other_things_changed
            }
            publishing {
                results_that_do_not_wait_for_the_store_are_not_stored_again
            }
            receipts {
                there_is_none_before_the_end
                of_a_finished_job
                of_a_job_without_parameters
                equal_values_of_two_jobs_cannot_be_recognised
                of_a_job_whose_algorithm_fails
                of_a_job_that_never_ran
                of_a_job_that_is_stopped_or_expires
                of_a_job_whose_outputs_are_refused
                a_receipt_never_changes
            }
            recovery {
                a_queued_job_runs_after_a_restart
                a_job_that_was_fetching_goes_on
                an_algorithm_is_begun_once
                a_review_goes_on
                an_ended_job_is_as_it_was
            }
            registry {
                an_asset_is_read_as_it_was_stored
                revisions_follow_each_other
                of_many_changes_at_once_one_counts
                a_name_is_unique_for_owner_and_kind
                a_withdrawn_asset_stays_readable
                lists_are_sorted_by_did
                the_last_look_at_sources_is_kept
                assets_are_counted
                many_assets_at_once_stay_within_the_limit
                jobs_that_register_results_stay_within_the_limit
                a_job_holds_the_name_of_its_asset_until_it_fails
                the_name_of_an_asset_cannot_be_claimed
                a_finished_job_registers_its_results
                results_stay_for_every_asset_that_names_them
            }
            removal {
                a_job_that_was_never_submitted_is_not_there
                a_removed_job_leaves_its_receipt_only
                only_an_ended_job_can_be_removed
                of_many_removals_one_is_recorded
                a_job_goes_when_its_time_is_over_and_leaves_its_receipt
                the_id_of_a_removed_job_stays_taken
            }
            review {
                outputs_and_log_wait_for_the_reviewer
                an_approval_releases_what_was_reviewed
                a_refusal_lets_nothing_out
                the_first_decision_counts
                of_two_decisions_at_once_one_counts
                two_accounts_approve_where_two_have_to
                one_refusal_is_enough_where_two_have_to_approve
                a_job_that_is_not_in_review_cannot_be_reviewed
            }
            stopping {
                a_queued_job_stops
                a_job_stops_while_its_inputs_are_fetched
                a_running_job_stops
                a_job_stops_while_its_outputs_are_checked
                a_job_in_review_stops
                an_ended_job_stays_as_it_is
                of_many_requests_to_stop_one_is_recorded
                a_request_to_stop_outlives_the_engine
                a_job_that_is_not_there_cannot_be_stopped
            }
            submission {
                a_job_is_stored_with_its_record_and_its_card
                an_identical_job_again_changes_nothing
                a_different_job_of_the_same_id_is_refused
                a_full_queue_takes_no_more_jobs_and_no_claims
                an_account_has_so_many_waiting_jobs_and_no_more
                a_job_whose_claim_is_taken_leaves_nothing
                of_many_jobs_with_one_claim_one_is_taken_in
                claims_are_free_when_their_job_has_ended
                a_job_that_never_fits_ends_and_says_why
                the_parameters_of_a_job_can_be_read
            }
            uploads {
                an_upload_is_its_parts_in_their_order
                the_same_file_again_costs_nothing
                an_empty_file_is_a_file
                an_upload_that_is_over_is_missing
                an_account_has_so_many_bytes
                an_upload_is_known_to_every_process
                many_uploads_at_once_stay_within_the_limit
                strangers_together_have_so_many_bytes
                uploads_are_listed_and_deleted
                a_deleted_upload_makes_room_and_can_be_sent_again
                what_was_sent_again_stays
            }
        }
    };
    // Makes the macro that leaves cases out. `$dollar` is the token, for the variables of that macro.
    (@select ($dollar:tt) $($module:ident::$case:ident)*) => {
        /// A case that is left out has to exist.
        #[expect(dead_code, reason = "the compiler looks at the names")]
        fn left_out_of_the_suite() {
            $(let _ = $crate::cases::$module::$case;)*
        }
        macro_rules! unless_left_out {
            $(($module $case $dollar($dollar test:tt)*) => {};)*
            ($dollar module:ident $dollar case:ident $dollar($dollar test:tt)*) => { $dollar($dollar test)* };
        }
    };
    (@modules $fixture:ident $attributes:tt $($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            $($crate::conformance_tests! { @test $fixture $attributes $module $case })*
        })*
    };
    (@test $fixture:ident { $($attribute:tt)* } $module:ident $case:ident) => {
        unless_left_out! {
            $module $case
            $($attribute)*
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::cases::$module::$case(&mut $crate::Trial::start(super::$fixture()).await).await;
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    /// A case that is not in the list would never run.
    #[test]
    fn every_case_is_listed() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let text = fs::read_to_string(source.join("lib.rs")).expect("this file");
        let list = text
            .split_once("@modules $fixture { $(#[$attribute])* }\n")
            .expect("the list")
            .1
            .split_once("\n        }\n")
            .expect("its end")
            .0;
        let mut listed = BTreeSet::new();
        let mut module = "";
        for word in list.split_whitespace() {
            match word {
                "{" | "}" => {}
                _ if list.contains(&format!("{word} {{")) => module = word,
                case => assert!(listed.insert(format!("{module}::{case}")), "twice: {case}"),
            }
        }
        let mut written = BTreeSet::new();
        for entry in fs::read_dir(source.join("cases")).expect("the cases") {
            let path = entry.expect("a file").path();
            let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            for line in fs::read_to_string(&path).expect("a file").lines() {
                if let Some(rest) = line.strip_prefix("pub async fn ") {
                    written.insert(format!("{module}::{}", rest.split('(').next().expect("a name")));
                }
            }
        }
        assert_eq!(listed, written);
        assert!(written.len() > 80, "{}", written.len());
    }
}
