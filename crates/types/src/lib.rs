//! The types, the wire format and the errors that client and gateway share.
//!
//! Not here: I/O. A file, a socket or a database is another crate's.

pub mod backoff;
pub mod crash;
pub mod error;
pub mod names;
pub mod plan;
#[cfg(feature = "schema")]
mod schema;
pub mod sync;
pub mod wire;
