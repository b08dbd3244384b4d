//! Connects to the server of an address that accepts writes.
//!
//! An address may name several servers, of which one accepts writes at a time, and a name may have
//! several addresses. They are tried one after the other, each within a time limit. The server that
//! was connected to last is tried first, and one that did not respond is tried last: a server that
//! is off delays no further connection.
//!
//! Not here: reading the address again (`target`), and pauses after failures (`connector`).

use std::sync::Mutex;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Socket};

use super::address::{PostgresAddress, Server};
use super::failure::is_login_rejected;
use super::target::Target;
use crate::ledger::sql::{Result, SqlError};
use upload_types::sync::lock;

/// The results of earlier attempts.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The server that was connected to last.
    connected: Option<Server>,
    /// The server that did not respond at the last attempt, even if that attempt was ended early.
    silent: Option<Server>,
}

impl Known {
    /// The servers in the order in which to try them.
    fn order(&self, servers: &mut [Server]) {
        servers.sort_by_key(|server| {
            let is = |known: &Option<Server>| known.as_ref() == Some(server);
            (is(&self.silent), !is(&self.connected))
        });
    }
}

impl Hosts {
    /// # Errors
    /// The most informative failure, if no server of `target` can be used.
    pub(super) async fn connect(&self, target: &Target) -> Result<ClientWrapper> {
        let limit = target.address().connect_timeout();
        let (mut servers, mut failure) = resolve(target.address(), limit).await;
        lock(&self.0).order(&mut servers);
        for server in servers {
            // The caller may give up before there is a result.
            lock(&self.0).silent = Some(server.clone());
            let Ok(connected) = timeout(limit, connect_to(&server, target)).await else {
                failure = more_informative(failure, SqlError::NoResponse);
                continue;
            };
            let mut known = lock(&self.0);
            known.silent = None;
            match connected {
                Ok(client) => {
                    known.connected = Some(server);
                    return Ok(client);
                }
                Err(error) => failure = more_informative(failure, error),
            }
        }
        Err(failure.unwrap_or(SqlError::NoResponse))
    }
}

/// All servers with their addresses, and the failure to find some of them.
async fn resolve(address: &PostgresAddress, limit: Duration) -> (Vec<Server>, Option<SqlError>) {
    let (mut servers, mut failure) = (Vec::new(), None);
    for server in address.servers() {
        let (Some(Host::Tcp(name)), None) = (&server.host, server.ip) else {
            servers.push(server);
            continue;
        };
        match timeout(limit, tokio::net::lookup_host((name.as_str(), server.port))).await {
            Ok(Ok(found)) => servers.extend(found.map(|found| Server {
                ip: Some(found.ip()),
                ..server.clone()
            })),
            Ok(Err(error)) => failure = more_informative(failure, SqlError::Resolve(error)),
            Err(_) => failure = more_informative(failure, SqlError::NoResponse),
        }
    }
    (servers, failure)
}

async fn connect_to(server: &Server, target: &Target) -> Result<ClientWrapper> {
    let config = target.address().config_of(server);
    let (client, task) = match target.tls() {
        Some(tls) => start(&config, tls.clone()).await?,
        None => start(&config, NoTls).await?,
    };
    // Ends the task if the server is not used.
    let client = ClientWrapper::new(client, task);
    for message in client.simple_query("SHOW transaction_read_only").await? {
        if let SimpleQueryMessage::Row(row) = message
            && row.get(0) == Some("on")
        {
            return Err(SqlError::ReadOnly);
        }
    }
    Ok(client)
}

async fn start<T>(
    config: &Config,
    tls: T,
) -> std::result::Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the ledger's database has ended");
        }
    });
    Ok((client, task))
}

/// The failure that helps the operator more; the later one if both help as much.
fn more_informative(before: Option<SqlError>, error: SqlError) -> Option<SqlError> {
    let rank = |error: &SqlError| match error {
        error if is_login_rejected(error) => 3,
        SqlError::ReadOnly => 2,
        SqlError::Postgres(error) if error.as_db_error().is_some() => 1,
        _ => 0,
    };
    before
        .filter(|before| rank(before) > rank(&error))
        .or(Some(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_server_is_tried_first_and_a_silent_one_last() {
        let [one, two, three] = [1, 2, 3].map(|port| Server {
            host: Some(Host::Tcp("db".to_owned())),
            ip: None,
            port,
        });
        let order = |connected: Option<&Server>, silent: Option<&Server>| {
            let mut servers = [one.clone(), two.clone(), three.clone()];
            let (connected, silent) = (connected.cloned(), silent.cloned());
            Known { connected, silent }.order(&mut servers);
            servers.map(|server| server.port)
        };
        assert_eq!(order(None, None), [1, 2, 3]);
        assert_eq!(order(Some(&two), None), [2, 1, 3]);
        assert_eq!(order(Some(&one), Some(&one)), [2, 3, 1]);
        assert_eq!(order(Some(&three), Some(&one)), [3, 2, 1]);
    }
}
