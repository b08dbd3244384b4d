//! Classifies PostgreSQL's failures: whether the connection is lost, whether a repetition may
//! succeed, and which hint the operator needs.

use tokio_postgres::error::SqlState;

use crate::ledger::sql::SqlError;
use upload_types::error::{Error, Kind};

/// Returns true if a repetition of the transaction may succeed, on this or another connection.
pub(super) fn may_succeed_later(error: &tokio_postgres::Error) -> bool {
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    is_connection_lost(error) || error.code().is_some_and(|code| conflicts.contains(code))
}

/// Returns true if the connection can no longer be used: it is closed, or its server is read-only.
pub(super) fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    let codes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    match error.code() {
        // Class 08: connection exception.
        Some(code) => codes.contains(code) || code.code().starts_with("08"),
        None => true,
    }
}

/// The error for a ledger that cannot be opened. It is temporary if the server does not respond. If
/// the server rejects the connection, the configuration must change.
pub(super) fn cannot_open(error: SqlError) -> Error {
    let code = match &error {
        SqlError::Postgres(error) => error.code().cloned(),
        _ => None,
    };
    let temporary = [
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    // A pooler that assigns a connection to each transaction causes these errors: prepared
    // statements are missing, or left over from another client.
    let pooler = [
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::INVALID_SQL_STATEMENT_NAME,
    ];
    let (kind, hint) = match code {
        Some(code) if pooler.contains(&code) => (
            Kind::Config,
            "let the pooler keep one server connection for each session (PgBouncer: pool_mode = session)",
        ),
        Some(code) if !temporary.contains(&code) => (
            Kind::Config,
            "check the user, password and database in --ledger, and the privileges of that user",
        ),
        None if matches!(error, SqlError::Config(_)) => (
            Kind::Config,
            "name a readable PEM file of certificates with sslrootcert in --ledger",
        ),
        _ => (
            Kind::Temporary,
            "check the host and sslmode in --ledger, and that PostgreSQL runs there; then run the command again",
        ),
    };
    Error::new(kind, "could not open the ledger in PostgreSQL")
        .with_hint(hint)
        .with_source(error)
}
