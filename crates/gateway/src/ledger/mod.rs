//! The ledger: the gateway's database of uploads, owners, tokens and store profiles, in SQLite or
//! PostgreSQL.
//!
//! Not here: decisions and calls to the store (`service`). All SQL of the gateway is in this
//! folder.
//!
//! `sql` has the types that both databases share; `sqlite`, `postgres` and `schema` are the two
//! databases; `transaction` and `database` give them one interface. Each other file adds the
//! operations of one subject to [`Ledger`]. An operation fails only if the database fails or has
//! damaged rows.

mod abort;
mod api_tokens;
mod browser_uploads;
mod chosen_key;
mod database;
mod ended_uploads;
mod error;
mod hooks;
mod key_usage;
mod last_use;
mod open_state;
mod owners;
mod parts;
mod postgres;
mod quota;
mod readiness;
mod receipts;
mod recorded_objects;
mod rejection;
mod schema;
mod space;
mod sql;
mod sqlite;
mod store_profiles;
mod stored_bytes;
mod streamed_uploads;
mod survey;
mod sweep;
#[cfg(test)]
pub(super) mod tests;
mod transaction;
mod transition;
mod unknown_keys;
mod upload_kind;
mod upload_listing;
mod uploads;
mod usage;
mod verify;

pub use api_tokens::{ApiToken, NewToken};
pub use chosen_key::ChosenKey;
pub use database::{Ledger, LedgerConfig};
pub use ended_uploads::{PruneScope, PrunedUploads};
pub use error::LedgerError;
pub use hooks::PendingHooks;
pub use last_use::Used;
pub use parts::LedgerPart;
pub use postgres::{AddressOrigin, PostgresAddress};
pub use quota::BeginRefusal;
pub use recorded_objects::RecordedObject;
pub use rejection::Rejection;
pub use space::write_log_into_file;
pub use survey::{SurveyPage, SurveyedKeys, SurveyedUpload};
pub use sweep::{Ending, KeyStatus, Remainder, SWEEP_BATCH_ROWS, SweepTask};
pub use transition::TransitionOutcome;
pub use upload_kind::UploadKind;
pub use upload_listing::{ListedUpload, UploadFilter};
pub use uploads::{NewUpload, Upload, UploadSpec};
pub use usage::{Amount, OwnerUsage};
