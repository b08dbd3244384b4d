//! The tables in PostgreSQL: the same steps as a SQLite ledger takes, in PostgreSQL's words.
//!
//! Border: one transaction when a gateway starts; what the steps are is `ledger/schema`.

use uuid::Uuid;

use super::super::db::{self, Db, Failed, values};
use super::super::schema::SPEC;
use super::Open;
use upload_types::error::{Error, Kind};

/// "UPLG" in ASCII: gateways that start at the same time come in one after another.
const LOCK: i64 = 0x5550_4C47;

/// Brings the tables up to date, and gives the instance id, which is drawn once.
///
/// # Errors
/// When the database fails; within, [`Kind::Config`] for tables that a newer version made.
pub fn step_up(db: &Db<'_>) -> db::Result<upload_types::error::Result<String>> {
    let Db::Postgres(open) = db else {
        return Err(Failed::Gone);
    };
    db.query(
        "SELECT 1 FROM pg_advisory_xact_lock(?1)",
        values![LOCK],
        |_| Ok(()),
    )?;
    open.run("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let version = db.find("SELECT version FROM schema_version", &[], |row| {
        row.number(0)
    })?;
    let Some(steps) = left(version.unwrap_or(0)) else {
        let what = "a newer version of this program wrote the ledger";
        let hint = "use that version; or name another database with --ledger";
        return Ok(Err(Error::new(Kind::Config, what).with_hint(hint)));
    };
    for step in steps {
        take(open, step)?;
    }
    if version.is_none() {
        db.execute("INSERT INTO schema_version (version) VALUES (0)", &[])?;
    }
    let taken = u64::try_from(SPEC.migrations.len()).unwrap_or(u64::MAX);
    db.execute(
        "UPDATE schema_version SET version = ?1 WHERE version <> ?1",
        values![taken],
    )?;
    let draw =
        "INSERT INTO instance (instance_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM instance)";
    db.execute(draw, values![&Uuid::new_v4().to_string()])?;
    let instance_id = db.find("SELECT instance_id FROM instance", &[], |row| row.text(0))?;
    Ok(Ok(instance_id.ok_or(Failed::Missing)?))
}

/// The steps behind `version`; none when there is no such version yet.
fn left(version: u64) -> Option<&'static [&'static str]> {
    usize::try_from(version)
        .ok()
        .and_then(|taken| SPEC.migrations.get(taken..))
}

fn take(open: &Open<'_>, step: &str) -> db::Result<()> {
    open.run(&translated(step))
}

/// A step in PostgreSQL's words. Texts are compared by their bytes there too.
fn translated(step: &str) -> String {
    let mut words = step
        .replace(") STRICT, WITHOUT ROWID", ")")
        .replace(") STRICT", ")");
    for (sqlite, postgres) in [
        (" INTEGER", " BIGINT"),
        (" BLOB", " BYTEA"),
        (" TEXT", " TEXT COLLATE \"C\""),
    ] {
        words = words.replace(sqlite, postgres);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_means_the_same() {
        let step = "CREATE TABLE t (a TEXT PRIMARY KEY, b BLOB, c INTEGER NOT NULL) STRICT; \
                    CREATE TABLE u (a TEXT) STRICT, WITHOUT ROWID; ALTER TABLE t ADD COLUMN d INTEGER;";
        assert_eq!(
            translated(step),
            "CREATE TABLE t (a TEXT COLLATE \"C\" PRIMARY KEY, b BYTEA, c BIGINT NOT NULL); \
             CREATE TABLE u (a TEXT COLLATE \"C\"); ALTER TABLE t ADD COLUMN d BIGINT;"
        );
        for step in SPEC.migrations {
            let words = translated(step);
            assert!(
                !["INTEGER", "BLOB", "STRICT", "ROWID"]
                    .iter()
                    .any(|word| words.contains(word)),
                "{words}"
            );
        }
    }

    #[test]
    fn what_is_newer_is_known_as_such() {
        let known = u64::try_from(SPEC.migrations.len()).unwrap();
        assert_eq!(left(0), Some(SPEC.migrations));
        assert!(left(known).unwrap().is_empty());
        assert!(left(known + 1).is_none() && left(u64::MAX).is_none());
    }
}
