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
mod pass_through_models;
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
            login_returns_a_token_that_whoami_accepts
            a_wrong_password_is_rejected
            an_invalid_login_request_gets_the_reason
            a_token_expires
            logout_revokes_a_token_immediately
            login_throttling_survives_a_restart
            a_browser_session_works_only_for_its_own_origin_until_it_ends;
        pools:
            a_pool_is_found_by_id_and_by_name
            an_update_changes_only_the_given_fields
            concurrent_updates_are_all_kept
            a_duplicate_name_is_rejected
            names_are_compared_after_unicode_normalisation
            a_pool_scoped_token_sees_no_name_of_another_pool
            an_unknown_pool_error_suggests_the_nearest_name
            a_deleted_pool_rejects_requests_immediately
            a_disabled_pool_rejects_its_clients
            an_invalid_pool_is_rejected
            concurrent_updates_of_different_fields_are_all_kept;
        keys:
            an_import_reports_every_line
            a_repeated_import_adds_nothing
            an_import_reports_keys_that_other_pools_have
            keys_are_listed_in_order_by_pages
            keys_are_searched_and_filtered
            a_batch_update_reports_missing_keys
            a_removed_key_is_gone
            a_disabled_key_is_not_used
            a_reserve_key_is_used_only_when_no_other_is_available;
        key_states:
            key_states_after_upstream_errors_are_shown
            keys_are_filtered_by_state_and_tag
            a_key_check_updates_the_key_states
            a_reset_clears_every_observed_state
            a_spend_limit_holds_for_the_whole_billing_account
            a_check_distinguishes_upstream_errors_from_network_errors
            a_healthy_key_shows_that_all_its_attempts_fail
            a_quota_of_a_key_holds_for_the_same_key_in_another_pool
            checked_candidates_are_not_stored
            an_invalid_check_is_rejected;
        model_limits:
            limits_from_quota_errors_are_shown
            configured_limits_are_enforced;
        client_keys:
            a_client_key_works_until_it_is_revoked
            a_client_key_is_limited_to_its_rates
            the_last_use_of_a_client_key_is_shown
            a_client_key_is_limited_to_its_models
            a_client_key_is_limited_to_its_networks
            a_client_key_update_changes_only_the_given_fields
            imported_client_keys_keep_working
            client_keys_are_restored_from_their_hashes
            unknown_client_keys_are_throttled_without_affecting_known_ones
            requests_without_a_body_count_towards_the_limits
            invalid_client_keys_are_rejected
            client_key_rotation_has_a_grace_period
            a_client_key_expires;
        master_key:
            master_key_rotation_re_encrypts_everything
            pools_get_new_data_keys
            a_different_master_key_decrypts_nothing
            a_previous_master_key_that_encrypted_nothing_changes_nothing;
        tokens:
            a_token_is_created_listed_and_revoked
            token_rotation_has_a_grace_period
            tokens_end_with_the_token_that_created_them
            an_invalid_token_is_rejected
            every_route_requires_its_scope
            a_pool_scoped_token_accesses_no_other_pool
            a_token_grants_only_scopes_that_it_has;
        audit:
            every_change_is_audited_and_nothing_else
            a_batch_update_is_audited_with_previous_values
            a_change_without_effect_is_reported_and_not_audited
            a_check_of_candidates_is_one_entry
            equal_actions_are_merged_into_one_entry
            the_audit_is_filtered_and_paged;
        copies:
            a_copy_has_everything_except_client_keys
            a_copy_of_many_keys_is_paged
            exported_keys_equal_the_imported_ones
            the_models_of_a_pool_are_those_of_gemini;
        access_control:
            every_admin_route_rejects_unauthorised_credentials
            the_api_describes_itself
            a_duplicate_query_parameter_is_rejected
            every_admin_response_has_security_headers
            every_data_plane_route_requires_a_client_key
            unknown_paths_and_wrong_methods
            the_data_plane_allows_cross_origin_requests
            a_client_key_is_accepted_in_every_supported_header
            every_base_url_has_the_same_routes;
        page:
            the_page_and_all_that_it_loads_are_files_of_the_service
            a_copy_of_a_file_is_good_until_the_file_changes
            the_bare_address_leads_to_the_page
            other_files_and_methods_are_refused;
        bad_input:
            an_invalid_json_body_is_rejected
            a_missing_field_is_named
            a_body_over_the_size_limit_is_rejected
            a_large_body_of_an_unauthenticated_client_is_rejected
            every_other_size_limit_is_enforced;
        models:
            a_pool_s_models_are_listed_and_shown
            an_unknown_model_is_requested_once_a_minute
            a_pool_allows_only_its_allowed_models
            aliases_are_listed_as_models
            all_pages_of_a_model_list_are_read;
        media:
            a_url_is_never_fetched_from_a_private_network;
        chat:
            a_chat_returns_a_completion
            a_system_message_becomes_a_system_instruction
            the_completion_notice_of_open_webui_is_accepted;
        families:
            a_reasoning_effort_is_converted_for_each_model_family
            an_unsupported_thinking_level_is_replaced_by_the_next
            a_routed_model_name_is_treated_as_its_target
            errors_of_a_changed_model_family_are_retried_in_both_directions
            explicit_caches_are_rejected_for_models_without_them
            responses_of_only_thoughts_are_reported_and_not_retried;
        billing:
            an_account_over_its_spend_limit_is_in_cooldown_for_every_model_and_project
            projects_that_fail_together_are_observed_to_share_an_account
            a_project_without_an_account_is_in_cooldown_alone
            missing_credits_apply_to_the_whole_account;
        embeddings:
            embeddings_are_returned_in_both_formats
            many_texts_are_embedded_in_batches
            the_batches_before_an_error_are_counted;
        translation:
            a_translation_update_changes_only_the_given_options
            changed_translation_options_apply_immediately
            a_blocked_prompt_is_an_error_only_if_the_pool_is_configured_so
            several_choices_use_several_upstream_requests;
        streams:
            a_stream_has_its_events_in_order
            usage_is_sent_only_on_request
            a_truncated_stream_ends_with_an_error
            an_upstream_error_before_the_first_event_is_an_http_error
            a_client_disconnect_ends_the_upstream_request
            an_unsupported_region_is_avoided
            a_paced_stream_has_the_same_content_in_more_chunks
            a_client_disconnect_during_a_paced_stream_ends_the_upstream_request;
        retries:
            a_failing_key_is_skipped
            an_overloaded_model_is_retried
            an_empty_response_is_retried_on_another_key
            an_invalid_request_is_not_retried
            the_error_of_exhausted_keys_says_when_to_retry
            the_error_of_a_pool_without_working_keys_says_so
            the_error_of_a_pool_without_keys_says_so
            four_attempts_are_made_and_none_on_the_same_key
            a_failing_model_opens_the_circuit_breaker_and_the_fallback_model_responds
            an_unreachable_upstream_changes_no_key_health;
        verdicts:
            client_text_in_an_error_changes_no_key_health
            error_texts_that_probes_disprove_trigger_few_probes_a_minute
            a_pool_with_leaked_keys_serves_and_marks_them
            a_403_of_google_marks_the_key_and_an_html_page_does_not
            a_model_that_one_key_lacks_is_retried_with_another
            a_403_for_one_model_excludes_the_key_for_that_model_only
            an_unsupported_method_of_a_model_changes_no_key_health
            an_error_with_status_200_is_classified_as_an_error
            events_have_the_quota_and_each_unknown_text_once;
        pass_through:
            request_and_response_bodies_are_forwarded_unchanged
            pass_through_is_disabled_by_default
            keys_fail_over_in_both_dialects
            an_invalid_request_gets_the_error_of_gemini_unchanged
            an_auth_key_rejected_as_bearer_token_is_sent_in_the_other_header
            errors_of_the_service_use_the_format_of_the_dialect
            attempts_are_counted_but_tokens_are_not
            a_truncated_response_stays_truncated
            a_client_disconnect_ends_the_upstream_request;
        pass_through_models:
            model_lists_are_those_of_gemini
            a_model_list_is_cached_for_an_hour;
        privacy:
            exactly_one_credential_and_no_client_header_is_sent_upstream
            nothing_stored_or_logged_holds_a_secret
            ciphertext_moved_to_another_row_fails_to_decrypt
            each_request_is_one_log_line;
        counting:
            the_ledger_equals_what_gemini_counted
            statistics_are_kept_by_pool
            statistics_have_the_outcomes_of_attempts_by_time
            a_report_writes_at_most_two_rows
            attempts_for_unknown_models_are_counted_as_one_model
            other_instances_get_a_change_without_another_request;
        probes:
            probes_need_no_token_and_reveal_nothing
            metrics_are_those_of_the_ledger;
        requests:
            every_failed_request_of_an_outage_is_counted
            every_request_is_counted_once_with_its_outcome
            streams_are_counted_with_their_outcome
            a_pool_that_cannot_serve_fails_its_requests
            requests_for_unknown_models_are_counted_as_one_model;
        state:
            the_health_of_a_healthy_service_is_ok
            a_restart_keeps_everything;
        failures:
            a_failing_store_is_never_reported_as_a_client_error
            a_change_that_cannot_be_audited_is_not_made;
        upgrades:
            data_of_an_earlier_version_keeps_working
            a_database_of_a_later_version_is_rejected;
    }
}
