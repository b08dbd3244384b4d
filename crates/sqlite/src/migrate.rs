//! Migrations: brings the tables of an open file up to date.

use rusqlite::{Connection, TransactionBehavior};

use crate::schema::Schema;
use upload_types::crash;

/// Runs the migrations that the file lacks, in one transaction.
pub(crate) fn migrate(connection: &mut Connection, schema: &Schema) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = usize::try_from(int_pragma(&transaction, "user_version")?);
    let done = version
        .unwrap_or(usize::MAX)
        .saturating_sub(schema.unreleased_versions);
    let missing = schema.migrations.get(done..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    crash::point("sqlite.migrate.executed");
    transaction.pragma_update(None, "application_id", schema.application_id)?;
    let version = schema.unreleased_versions + schema.migrations.len();
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// The value of a pragma that is an integer.
pub(crate) fn int_pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
