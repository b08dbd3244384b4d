//! Finds out whether a connection pooler gives each transaction another connection to the server
//! (`PgBouncer` with `pool_mode = transaction`).
//!
//! A statement that was prepared on one such connection is missing on the next one, or is a
//! different statement that another gateway has prepared under the same name.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// A session that has a connection of its own responds sooner.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns true if the sessions of two clients do not each have a connection to the server. No
/// other call may use the clients meanwhile.
pub(super) async fn shares_connections(one: &Client, other: &Client) -> Result<bool, Error> {
    let first = backend(one).await?;
    // Some poolers take the connections in turn.
    for _ in 0..2 {
        if backend(one).await? != first {
            return Ok(true);
        }
    }
    // Others take the connection that became free last: that of the first client.
    other.batch_execute("BEGIN").await?;
    let second = backend(other).await?;
    let third = match timeout(RESPONSE_TIMEOUT, backend(one)).await {
        Ok(third) => third?,
        // All connections are taken.
        Err(_) => None,
    };
    other.batch_execute("ROLLBACK").await?;
    Ok(second == first || third != first)
}

/// The process of the server that runs the statements of a client.
async fn backend(client: &Client) -> Result<Option<String>, Error> {
    let messages = client.simple_query("SELECT pg_backend_pid()").await?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
