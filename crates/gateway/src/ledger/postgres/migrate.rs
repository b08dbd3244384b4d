//! Migrations of a ledger in PostgreSQL.
//!
//! Not here: their SQL (`ledger/schema`).

use uuid::Uuid;

use super::transaction::PgTransaction;
use crate::ledger::schema::{APPLICATION_ID, UNRELEASED_VERSIONS};
use crate::ledger::sql::{Result, SqlError, values};
use upload_types::saturating;

/// Why tables cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongVersion {
    /// A newer version of the program has migrated them.
    Newer,
    /// A build before the first release has made them.
    Unreleased,
}

/// Runs the migrations that the database lacks, and returns the ledger's instance id, which is
/// chosen once.
pub(super) fn migrate(
    tx: &PgTransaction<'_>,
    migrations: &[&str],
) -> Result<std::result::Result<String, WrongVersion>> {
    // Gateways that start at the same time migrate one after the other.
    tx.query(
        "SELECT 1 FROM pg_advisory_xact_lock(?1)",
        values![i64::from(APPLICATION_ID)],
        |_| Ok(()),
    )?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let version = tx
        .query("SELECT version FROM schema_version", &[], |row| {
            row.number(0)
        })?
        .pop();
    let missing = match missing(migrations, version.unwrap_or(0)) {
        Ok(missing) => missing,
        Err(wrong) => return Ok(Err(wrong)),
    };
    for migration in missing {
        tx.execute_batch(migration)?;
    }
    if version.is_none() {
        tx.execute("INSERT INTO schema_version (version) VALUES (0)", &[])?;
    }
    let current = saturating::to_u64(UNRELEASED_VERSIONS + migrations.len());
    tx.execute(
        "UPDATE schema_version SET version = ?1 WHERE version <> ?1",
        values![current],
    )?;
    let insert =
        "INSERT INTO instance (instance_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM instance)";
    tx.execute(insert, values![&Uuid::new_v4().to_string()])?;
    let instance_id = tx
        .query("SELECT instance_id FROM instance", &[], |row| row.text(0))?
        .pop();
    instance_id.map(Ok).ok_or(SqlError::MissingRow)
}

/// The migrations after `version`, which is 0 without tables.
fn missing<'a>(
    migrations: &'a [&'a str],
    version: u64,
) -> std::result::Result<&'a [&'a str], WrongVersion> {
    let version = saturating::to_usize(version);
    if (1..=UNRELEASED_VERSIONS).contains(&version) {
        return Err(WrongVersion::Unreleased);
    }
    let done = version.saturating_sub(UNRELEASED_VERSIONS);
    migrations.get(done..).ok_or(WrongVersion::Newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_beyond_the_migrations_is_recognized() {
        let all = ["1", "2"];
        assert_eq!(missing(&all, 0), Ok(&all[..]));
        assert_eq!(missing(&all, 1), Err(WrongVersion::Unreleased));
        assert_eq!(missing(&all, 2), Ok(&all[1..]));
        assert_eq!(missing(&all, 3), Ok(&[][..]));
        assert_eq!(missing(&all, 4), Err(WrongVersion::Newer));
        assert_eq!(missing(&all, u64::MAX), Err(WrongVersion::Newer));
    }
}
