//! `/openapi.json`: the description of the HTTP API, for authors of other clients.
//!
//! Serves the file at the top of the repository. The tests here generate that file from the types
//! of the wire format, the table of errors and a table of calls, and compare it with the routes. So
//! the program contains no code that generates it.

use axum::http::header;
use axum::response::IntoResponse;

const DOCUMENT: &str = include_str!("../../../../openapi.json");

pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests;
