//! Tests of the ledger. Each runs on SQLite and on PostgreSQL.
//!
//! Two ledgers on one database represent two gateways. The tests need the PostgreSQL server that
//! `scripts/test` starts and names in the environment.

mod chosen_keys;
mod counts;
mod ended_uploads;
mod fixture;
mod leases;
mod owners;
mod parts;
mod receipts;
mod survey;
mod sweep;
mod transitions;
mod uploads;
mod verify;

pub use fixture::{execute_sql, postgres_config};

/// Defines each test once for each database.
macro_rules! test_on_both {
    ($($module:ident::$name:ident)*) => {
        mod sqlite {
            use super::fixture::Fixture;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$module::$name(Fixture::on_sqlite().await).await; })*
        }
        mod postgres {
            use super::fixture::Fixture;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$module::$name(Fixture::on_postgres().await).await; })*
        }
    };
}

test_on_both! {
    owners::instance_id_is_shared_and_stable
    owners::owner_gets_one_segment
    owners::token_is_revoked_once
    uploads::repeated_begin_returns_the_first_upload
    uploads::concurrent_begins_create_one_upload
    uploads::upload_is_invisible_to_other_owners
    uploads::pages_of_uploads_are_complete_and_ordered
    receipts::receipt_is_read_as_it_was_recorded
    receipts::metadata_is_read_as_it_was_recorded
    receipts::first_receipts_of_two_gateways_share_their_fields
    uploads::recorded_objects_are_those_of_ready_uploads_of_the_owner
    chosen_keys::one_upload_is_unfinished_at_each_chosen_key
    chosen_keys::key_is_taken_over_once_after_the_lease
    chosen_keys::verified_upload_replaces_earlier_ones_at_its_key
    chosen_keys::finished_upload_is_not_removed_while_its_key_is_in_use
    chosen_keys::page_of_the_survey_has_all_uploads_of_its_last_key
    parts::begin_writes_no_row_for_a_part_that_is_not_pinned
    parts::rows_of_parts_are_deleted_with_the_end_of_their_upload
    parts::parts_are_pinned_all_or_none
    parts::repeated_complete_keeps_its_epoch
    parts::old_epoch_is_rejected
    parts::stored_parts_are_recorded
    leases::concurrent_claims_grant_one_lease
    leases::renewed_lease_cannot_be_taken
    transitions::each_transition_succeeds_once
    sweep::abandoned_uploads_are_taken_once
    sweep::renewed_upload_is_not_swept
    sweep::ended_upload_is_cleaned_up_when_due
    parts::thousands_of_parts_complete_quickly
    counts::quota_holds_under_concurrent_begins
    counts::completing_and_aborting_uploads_count_as_open
    counts::unknown_keys_are_recorded
    verify::single_part_is_verified_in_one_step
    verify::due_hooks_are_taken_by_one_gateway
    counts::store_profile_is_shared_by_gateways
    survey::survey_continues_after_the_last_page
    survey::held_bytes_are_freed_once
    survey::removed_upload_is_counted_as_open_until_it_has_ended
    ended_uploads::ended_uploads_are_deleted_after_the_retention_time
    ended_uploads::upload_with_an_object_in_the_store_is_kept
    ended_uploads::pruned_ready_uploads_stay_in_the_quota
    ended_uploads::readiness_check_writes_one_row_for_each_gateway
}
