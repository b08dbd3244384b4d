//! Migrations of a ledger in PostgreSQL.
//!
//! Not here: their SQL (`ledger/schema`).

use uuid::Uuid;

use super::transaction::PgTransaction;
use crate::ledger::schema::APPLICATION_ID;
use crate::ledger::sql::{Result, SqlError, values};

/// Runs the migrations that the database lacks, and returns the ledger's instance id, which is
/// chosen once. Returns `None` if a newer version of the program has migrated the tables.
pub(super) fn migrate(tx: &PgTransaction<'_>, migrations: &[&str]) -> Result<Option<String>> {
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
    let Some(missing) = missing(migrations, version.unwrap_or(0)) else {
        return Ok(None);
    };
    for migration in missing {
        tx.execute_batch(migration)?;
    }
    if version.is_none() {
        tx.execute("INSERT INTO schema_version (version) VALUES (0)", &[])?;
    }
    let current = u64::try_from(migrations.len()).unwrap_or(u64::MAX);
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
    instance_id.map(Some).ok_or(SqlError::MissingRow)
}

/// The migrations after `version`. Returns `None` if there are fewer than `version`.
fn missing<'a>(migrations: &'a [&'a str], version: u64) -> Option<&'a [&'a str]> {
    usize::try_from(version)
        .ok()
        .and_then(|done| migrations.get(done..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_beyond_the_migrations_is_recognized() {
        let all = ["1", "2"];
        assert_eq!(missing(&all, 0), Some(&all[..]));
        assert_eq!(missing(&all, 1), Some(&all[1..]));
        assert_eq!(missing(&all, 2), Some(&[][..]));
        assert_eq!(missing(&all, 3), None);
        assert_eq!(missing(&all, u64::MAX), None);
    }
}
