//! `/openapi.json`: the description of the HTTP API, for authors of other clients.
//!
//! Serves the file at the top of the repository. The tests generate this file from the types of the
//! wire format, the table of errors and a table of calls, and compare it with the routes. The
//! program contains no code that generates it.

mod document;
#[cfg(test)]
mod tests;

pub use document::openapi;
