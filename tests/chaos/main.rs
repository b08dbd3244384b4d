//! What network, gateway and store do wrong, and what it costs: time and a few bytes, never the file.
//!
//! Border: the true binary, through the proxy that fails on purpose (`support/proxy`); each file is one place where things go
//! wrong, `trial` holds what must be true after each run. What engine, journal and crashes do is tested elsewhere.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod calls;
mod connections;
mod http2;
mod library;
mod lists;
mod numbers;
mod once;
mod refusals;
mod stillness;
mod store;
mod tls;
mod trial;
