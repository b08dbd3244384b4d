//! A ledger in PostgreSQL, for any number of gateways: a pool of a few connections, and one
//! transaction for each operation.
//!
//! - An operation that was not committed is repeated, for example if its connection was lost, or if
//!   PostgreSQL ended it to resolve a deadlock. If the response to COMMIT was lost, the outcome is
//!   unknown. That is an error: the client repeats its request, and each operation tolerates the
//!   repetition.
//! - While no connection can be made, operations fail at once. While the database only rejects
//!   further connections, operations wait for an existing one.
//!
//! Not here: the operations themselves, which run on a [`PgTransaction`].

mod address;
mod connector;
#[cfg(test)]
mod failover_tests;
mod failure;
mod hosts;
mod migrate;
mod pool;
mod pooler;
mod session;
mod target;
#[cfg(test)]
pub(super) mod tests;
mod tls;
mod transaction;

pub use address::{AddressOrigin, PostgresAddress};
pub(super) use failure::reason;
pub(super) use pool::Pool;
pub(super) use transaction::PgTransaction;
