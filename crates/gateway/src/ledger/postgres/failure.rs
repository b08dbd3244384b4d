//! Classifies PostgreSQL's failures: whether the connection is lost, whether a repetition may
//! succeed, and which hint the operator needs.

use tokio_postgres::error::SqlState;

use crate::ledger::sql::SqlError;
use upload_types::error::{Error, Kind};

/// Returns true if a repetition of the transaction may succeed, on this or another connection.
pub(super) fn may_succeed_later(error: &SqlError) -> bool {
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    // A request has waited for a missing response already.
    !matches!(error, SqlError::NoResponse)
        && (is_connection_lost(error)
            || is_statement_lost(error)
            || code(error).is_some_and(|code| conflicts.contains(code)))
}

/// Returns true if the connection can no longer be used: it is closed, or its server is not usable.
pub(super) fn is_connection_lost(error: &SqlError) -> bool {
    let codes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    match (error, code(error)) {
        _ if is_server_unusable(error) => true,
        // Class 08: connection exception.
        (_, Some(code)) => codes.contains(code) || code.code().starts_with("08"),
        (SqlError::Postgres(_), None) => true,
        _ => false,
    }
}

/// Returns true if other connections to the same server have become unusable too: it accepts no
/// writes, for example because it became a standby, or it does not respond.
pub(super) fn is_server_unusable(error: &SqlError) -> bool {
    let codes = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        // BEGIN READ WRITE on a standby. No statement of the ledger causes this code otherwise.
        SqlState::FEATURE_NOT_SUPPORTED,
    ];
    matches!(error, SqlError::NoResponse) || code(error).is_some_and(|code| codes.contains(code))
}

/// Returns true if the connection lacks a statement that was prepared, or has another one of this
/// name: a pooler has exchanged the connection to the server.
pub(super) fn is_statement_lost(error: &SqlError) -> bool {
    let codes = [
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::INVALID_SQL_STATEMENT_NAME,
    ];
    code(error).is_some_and(|code| codes.contains(code))
}

/// Returns true if the server or a pooler rejects the user or the password.
pub(super) fn is_login_rejected(error: &SqlError) -> bool {
    let codes = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    ];
    code(error).is_some_and(|code| codes.contains(code))
}

/// Why no connection can be made, for the operator. Returns `None` if the server does not respond.
pub(in crate::ledger) fn reason(error: &SqlError) -> Option<&'static str> {
    match error {
        SqlError::Backoff(reason) => *reason,
        SqlError::ReadOnly => Some("no server of the ledger accepts writes"),
        _ if is_login_rejected(error) => Some("the ledger's database refuses the login"),
        _ => None,
    }
}

fn code(error: &SqlError) -> Option<&SqlState> {
    match error {
        SqlError::Postgres(error) => error.code(),
        _ => None,
    }
}

/// The error for a ledger that cannot be opened. It is temporary if the server does not respond. If
/// the server rejects the connection, the configuration must change.
pub(super) fn cannot_open(error: SqlError) -> Error {
    let code = code(&error).cloned();
    let temporary = [
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    let (kind, hint) = match code {
        // PgBouncer with `pool_mode = statement` closes a session that begins a transaction.
        Some(SqlState::PROTOCOL_VIOLATION) => (
            Kind::Config,
            "let the pooler keep a connection for each session or transaction (PgBouncer: pool_mode = session or transaction)",
        ),
        Some(code) if !temporary.contains(&code) => (
            Kind::Config,
            "check the user, password and database in --ledger, and the privileges of that user",
        ),
        None if matches!(error, SqlError::Config(_)) => (
            Kind::Config,
            "name a readable PEM file of certificates with sslrootcert in --ledger",
        ),
        None if matches!(error, SqlError::ReadOnly) => (
            Kind::Temporary,
            "name the primary server in --ledger, or all servers: postgres://USER@HOST,HOST/DATABASE",
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
