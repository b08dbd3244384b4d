//! `/openapi.json`: the whole of the HTTP API, for whoever writes another client.
//!
//! Border: serves the file at the top of the repository. The tests here make that file, from the wire's types, the table of
//! errors and a table of calls, and hold it to the routes; so the program carries nothing to make it with.

use axum::http::header;
use axum::response::IntoResponse;

/// As it was when the program was built.
const DOCUMENT: &str = include_str!("../../../openapi.json");

pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests;
