//! The address that connections are made to, with its TLS settings: read again for each connection
//! if it came from a file, because its password may have changed.

use std::sync::{Arc, Mutex};

use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::PostgresAddress;
use super::tls;
use crate::ledger::sql::Result;
use upload_types::error::error_chain;
use upload_types::sync::lock;

/// An address, and how to encrypt connections to it.
pub(super) struct Target {
    address: PostgresAddress,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    fn new(address: PostgresAddress) -> Result<Self> {
        let tls = if address.requires_tls() {
            Some(MakeRustlsConnect::new(tls::client_config(&address)?))
        } else {
            None
        };
        Ok(Self { address, tls })
    }

    pub(super) fn address(&self) -> &PostgresAddress {
        &self.address
    }

    pub(super) fn tls(&self) -> Option<&MakeRustlsConnect> {
        self.tls.as_ref()
    }
}

/// The address that was read last.
pub(super) struct CurrentTarget(Mutex<Arc<Target>>);

impl CurrentTarget {
    /// # Errors
    /// [`SqlError::Config`](crate::ledger::sql::SqlError::Config) if TLS is required and cannot be
    /// set up.
    pub(super) fn new(address: &PostgresAddress) -> Result<Self> {
        Ok(Self(Mutex::new(Arc::new(Target::new(address.clone())?))))
    }

    pub(super) fn get(&self) -> Arc<Target> {
        Arc::clone(&lock(&self.0))
    }

    /// Reads the address again. The previous one stays if that fails, for example because the file
    /// is being replaced.
    pub(super) async fn read_again(&self) -> Arc<Target> {
        let current = self.get();
        let Some(origin) = current.address.origin().cloned() else {
            return current;
        };
        let again = Arc::clone(&origin);
        let read = tokio::task::spawn_blocking(move || again()).await;
        let address = match read {
            Ok(Ok(address)) => address.with_origin(origin),
            Ok(Err(error)) => {
                let reason = error_chain(&error);
                tracing::warn!(%reason, "could not read the URL of the ledger again");
                return current;
            }
            Err(_) => return current,
        };
        if address.is_same(&current.address) {
            return current;
        }
        match Target::new(address) {
            Ok(target) => {
                tracing::info!("the URL of the ledger has changed");
                let target = Arc::new(target);
                *lock(&self.0) = Arc::clone(&target);
                target
            }
            Err(error) => {
                tracing::warn!(%error, "could not use the changed URL of the ledger");
                current
            }
        }
    }
}
