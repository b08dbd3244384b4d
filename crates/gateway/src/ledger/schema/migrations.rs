//! The lists of migrations. To change the tables, add `2.sqlite.sql` and `2.postgres.sql` to the
//! lists. A released file is never edited.

use upload_sqlite::Schema;

/// Spells "UPLG" in ASCII.
pub(in crate::ledger) const APPLICATION_ID: i32 = 0x5550_4C47;

pub(in crate::ledger) const SQLITE: Schema = Schema {
    name: "ledger",
    application_id: APPLICATION_ID,
    migrations: &[include_str!("1.sqlite.sql")],
    unreleased_versions: 0,
    incremental_vacuum: true,
    hint: "name another file for the ledger with --ledger sqlite:FILE",
};

pub(in crate::ledger) const POSTGRES_MIGRATIONS: &[&str] = &[include_str!("1.postgres.sql")];

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits SQL into statements, without comments. Runs of white space become one space.
    fn statements(sql: &str) -> Vec<String> {
        let code: Vec<&str> = sql
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect();
        code.join(" ")
            .split(';')
            .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|statement| !statement.is_empty())
            .collect()
    }

    /// Translates a statement from SQLite to PostgreSQL: only the types of columns and the options
    /// of tables differ.
    fn to_postgres(statement: &str) -> String {
        let statement = statement
            .strip_suffix(" STRICT, WITHOUT ROWID")
            .or(statement.strip_suffix(" STRICT"))
            .unwrap_or(statement);
        statement
            .split(' ')
            .map(|word| match word.trim_end_matches(',') {
                "INTEGER" => word.replace("INTEGER", "BIGINT"),
                "BLOB" => word.replace("BLOB", "BYTEA"),
                "TEXT" => word.replace("TEXT", "TEXT COLLATE \"C\""),
                _ => word.to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn both_databases_have_the_same_tables_and_indexes() {
        assert_eq!(SQLITE.migrations.len(), POSTGRES_MIGRATIONS.len());
        for (sqlite, postgres) in SQLITE.migrations.iter().zip(POSTGRES_MIGRATIONS) {
            let sqlite: Vec<String> = statements(sqlite)
                .iter()
                .map(|statement| to_postgres(statement))
                .collect();
            assert_eq!(sqlite, statements(postgres));
        }
    }

    #[test]
    fn sqlite_tables_are_strict() {
        for statement in SQLITE.migrations.iter().flat_map(|sql| statements(sql)) {
            let is_table = statement.starts_with("CREATE TABLE");
            assert!(
                !is_table || statement.contains(") STRICT"),
                "{statement} is not strict"
            );
        }
    }
}
