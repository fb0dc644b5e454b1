//! The contract suite: test cases that hold on every host.
//!
//! A test target provides a host as `crate::host` and includes this module. Each case below becomes
//! one test with its own service, mock Gemini server and data folder. Cases that depend on one host
//! belong in that host's test target.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

pub mod answer;
pub mod events;
pub mod harness;
mod secret_scan;

mod access_control;
mod audit;
mod bad_input;
mod billing;
mod chat;
mod client_keys;
mod copies;
mod counting;
mod embeddings;
mod failures;
mod families;
mod key_states;
mod keys;
mod master_key;
mod media;
mod model_limits;
mod models;
mod page;
mod pass_through;
mod pools;
mod privacy;
mod probes;
mod requests;
mod retries;
mod sessions;
mod state;
mod streams;
mod tokens;
mod translation;
mod upgrades;
mod verdicts;

/// Defines a test for every case. A case that is not listed is reported as dead code.
macro_rules! suite {
    ($($area:ident: $($case:ident)+;)+) => {
        $(mod $area {
            $(#[tokio::test]
            async fn $case() {
                super::super::$area::$case(&mut super::super::harness::Harness::start().await).await;
            })+
        })+
    };
}

mod suite {
    suite! {
        sessions:
            the_password_gives_a_token_that_says_who_it_is
            a_wrong_password_gives_nothing
            a_login_that_makes_no_sense_is_told_why
            a_token_expires
            logout_ends_a_token_at_once
            guesses_are_slowed_down_and_a_restart_does_not_help
            a_browser_s_session_is_good_for_the_own_page_until_it_ends;
        pools:
            a_pool_is_found_by_id_and_by_name
            a_change_touches_only_what_it_names
            edits_at_the_same_time_all_survive
            a_taken_name_is_refused
            names_that_look_alike_are_one_name
            a_token_of_one_pool_learns_no_name_of_another
            an_unknown_pool_is_answered_with_the_nearest_name
            a_deleted_pool_is_closed_at_once
            a_pool_that_is_off_refuses_its_callers
            a_pool_that_makes_no_sense_is_refused
            edits_of_different_fields_at_once_all_survive;
        keys:
            an_import_reports_every_line_and_loses_none
            importing_again_adds_nothing
            an_import_tells_of_keys_that_are_in_other_pools_too
            keys_are_listed_in_pages_in_their_order
            keys_are_searched_and_filtered
            a_batch_changes_what_is_there_and_names_what_is_missing
            a_removed_key_is_gone
            a_disabled_key_is_not_used
            weight_zero_is_the_last_resort;
        key_states:
            what_gemini_said_of_keys_is_shown
            keys_are_filtered_by_state_and_tag
            keys_are_tried_now
            an_operator_ends_whatever_was_learnt
            a_spend_limit_holds_for_the_whole_billing_account
            an_error_of_gemini_s_own_is_told_from_a_gemini_that_cannot_be_reached
            a_healthy_key_whose_attempts_all_fail_says_so
            a_quota_of_a_key_holds_for_the_same_key_in_another_pool
            candidates_are_tried_and_nothing_is_kept
            a_check_that_makes_no_sense_is_refused;
        model_limits:
            limits_that_errors_name_are_shown
            limits_that_are_set_hold;
        client_keys:
            a_client_key_works_until_it_is_revoked
            a_client_key_is_kept_to_its_limits
            when_a_client_key_was_last_used_is_told
            a_client_key_is_kept_to_its_models
            a_client_key_is_kept_to_its_networks
            a_client_key_is_changed_field_by_field
            keys_of_another_system_go_on_working
            client_keys_come_back_by_their_hashes
            guessing_client_keys_slows_down_and_harms_no_known_key
            requests_without_a_body_draw_on_the_limits
            client_keys_that_make_no_sense_are_refused
            a_client_key_is_rotated_without_a_gap
            a_client_key_stops_at_its_end;
        master_key:
            everything_goes_over_to_a_new_master_key
            pools_go_over_to_new_data_keys
            another_master_key_opens_nothing
            a_previous_master_key_that_encrypted_nothing_changes_nothing;
        tokens:
            a_token_is_shown_once_listed_and_revoked
            a_token_is_rotated_without_a_gap
            a_token_does_not_outlive_itself_by_others
            a_token_that_makes_no_sense_is_refused
            every_route_wants_its_scope
            a_token_of_one_pool_opens_no_other
            nobody_gives_away_more_than_he_has;
        audit:
            every_change_is_noted_and_nothing_else
            a_change_of_several_keys_notes_what_they_were
            a_change_that_changes_nothing_says_so_and_is_not_noted
            a_trial_is_one_entry
            equal_actions_are_one_entry
            the_audit_is_filtered_and_paged;
        copies:
            a_copy_has_all_but_the_client_keys
            a_copy_of_many_keys_goes_in_steps
            exported_keys_are_what_was_imported
            a_pool_s_models_are_what_gemini_offers;
        access_control:
            no_admin_route_opens_for_who_may_not
            the_api_describes_itself
            a_query_parameter_is_given_once
            every_answer_of_the_admin_api_tells_browsers_to_keep_out
            no_route_of_the_data_plane_opens_without_a_client_key
            unknown_paths_and_wrong_methods
            a_browser_may_ask
            a_client_key_is_taken_wherever_clients_put_it
            every_base_url_leads_to_the_same_routes;
        page:
            the_page_and_all_that_it_loads_are_files_of_the_service
            a_copy_of_a_file_is_good_until_the_file_changes
            the_bare_address_leads_to_the_page
            other_files_and_methods_are_refused;
        bad_input:
            a_body_that_is_no_json
            a_field_that_is_missing
            a_body_over_the_limit
            a_large_body_of_an_unknown_caller
            a_request_that_is_too_large_in_another_way;
        models:
            a_pool_s_models_are_listed_and_shown
            a_name_that_is_no_model_is_asked_for_once_a_minute
            a_pool_s_allowed_models_are_kept_to
            aliases_are_models_too
            a_list_of_several_pages_is_read_to_its_end;
        media:
            a_url_is_never_fetched_from_a_private_network;
        chat:
            a_chat_is_answered
            a_system_message_is_an_instruction
            open_webui_s_notice_is_taken;
        families:
            an_effort_reaches_each_family_as_it_takes_it
            a_level_that_a_model_lacks_gives_way_to_the_next
            a_routed_name_is_asked_as_what_answers
            a_refusal_of_another_family_is_healed_in_both_directions
            explicit_caches_are_refused_where_there_are_none
            thoughts_that_use_up_a_response_are_told_and_not_retried;
        billing:
            a_spent_account_rests_for_every_model_and_project
            projects_that_fall_together_are_learnt_to_share_an_account
            a_project_without_an_account_rests_alone
            missing_credits_are_the_accounts_and_end_with_it;
        embeddings:
            texts_become_vectors_in_both_formats
            many_texts_travel_in_batches
            the_batches_before_a_refusal_are_counted;
        translation:
            a_pool_s_translation_is_set_field_by_field
            a_change_of_the_translation_is_heeded_at_once
            a_blocked_prompt_is_an_answer_unless_the_pool_wishes_an_error
            several_choices_come_of_several_calls;
        streams:
            a_stream_has_its_parts_in_order
            usage_comes_only_when_asked_for
            an_answer_that_breaks_off_ends_in_an_error
            a_refusal_before_the_first_event_is_an_ordinary_error
            a_client_that_leaves_ends_the_upstream_call
            a_refused_place_is_gone_around
            a_paced_stream_says_the_same_in_more_pieces
            a_client_that_leaves_a_paced_stream_ends_the_upstream_call;
        retries:
            a_key_that_does_not_work_is_passed_over
            an_overloaded_model_is_asked_once_more
            an_empty_response_is_retried_on_another_key
            a_caller_s_mistake_goes_back_at_once
            when_all_keys_are_limited_the_caller_is_told_until_when
            when_no_key_works_the_caller_is_told
            a_pool_without_keys_says_so
            four_attempts_are_made_and_none_on_the_same_key
            a_model_that_keeps_failing_is_left_alone_and_its_stand_in_answers
            an_upstream_that_cannot_be_reached_blames_no_key;
        verdicts:
            a_client_s_words_in_an_error_change_no_key
            words_that_probes_disprove_are_believed_a_few_times_a_minute
            a_pool_of_leaked_keys_serves_and_learns
            a_403_of_google_s_is_the_key_s_and_a_page_is_nobody_s
            a_model_that_one_key_lacks_is_asked_for_with_another
            a_403_for_one_model_excludes_the_key_for_that_model_only
            a_method_that_a_model_lacks_is_no_fault_of_a_key
            an_error_in_a_success_is_judged_as_an_error
            events_tell_the_quota_and_unknown_texts_once;
        pass_through:
            what_goes_in_and_out_is_not_touched
            it_is_off_until_it_is_switched_on
            keys_fail_over_in_either_language
            a_caller_s_mistake_is_told_in_gemini_s_own_words
            a_key_that_is_refused_as_a_bearer_goes_in_the_other_header
            what_the_service_refuses_is_told_in_the_caller_s_language
            models_are_listed_as_gemini_does
            a_list_of_models_is_read_once_an_hour
            attempts_are_counted_and_tokens_are_not
            an_answer_that_breaks_off_is_not_made_whole
            a_client_that_leaves_ends_the_upstream_call;
        privacy:
            one_credential_and_nothing_of_the_client_s_goes_upstream
            nothing_stored_or_logged_holds_a_secret
            what_is_moved_to_another_row_does_not_open
            each_request_is_one_line_in_the_log;
        counting:
            the_ledger_equals_what_gemini_counted
            statistics_are_kept_by_pool
            statistics_tell_what_became_of_attempts_and_when
            a_report_writes_at_most_two_rows
            models_that_callers_think_up_are_counted_as_one
            others_hear_of_a_change_without_another_request;
        probes:
            probes_are_open_and_tell_nothing
            metrics_are_those_of_the_ledger;
        requests:
            an_outage_is_as_loud_as_its_requests
            every_request_is_counted_once_however_it_ends
            streams_are_counted_as_they_end
            a_pool_that_cannot_serve_fails_its_requests
            models_that_clients_make_up_are_counted_as_one;
        state:
            a_healthy_service_says_so
            a_restart_keeps_everything;
        failures:
            a_store_that_fails_is_never_a_verdict_on_the_caller
            a_change_that_cannot_be_noted_is_not_made;
        upgrades:
            what_an_earlier_version_stored_works_on
            a_database_of_a_later_version_is_refused;
    }
}
