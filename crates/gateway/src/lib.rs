//! The gateway: begins, signs, lists, completes and aborts uploads for clients that hold no storage
//! credentials.
//!
//! Not here: the bytes of files. Clients send them to the store. The embedded store, which receives
//! them in this process, is a store like any other for the gateway.
//!
//! A process calls [`start`] to serve a [`Config`], [`sweep_once`] to clean up once, or
//! [`probe_store`] to learn the proof and the limits of a store. A [`Ledger`] creates the tokens of
//! clients.
//!
//! # From a request to its response
//!
//! 1. `listener` accepts a connection within the limits of `connection_limiter`.
//! 2. `routes` (or `companion`, for Uppy) authenticates the request with `auth`, receives its body
//!    with `request_body`, and parses it with `json_body`.
//! 3. `service` checks the request with `validation`, and runs the operation: it changes rows of
//!    the `ledger` in transactions, and calls the store between them. `service/lifecycle.rs` has
//!    the table of an upload's states.
//! 4. A refused request gets a `problem` as its response.
//!
//! Besides requests, `events` of the store, hooks and the sweep drive uploads through the same
//! operations.
//!
//! # Layers
//!
//! Each module imports modules of its own layer and of lower layers only (`tests/architecture.rs`
//! checks it):
//!
//! 1. processes: `server`, `reload`, `sweep_once`, `removal`, `store_check`, `bootstrap`,
//!    `store_credentials`, `config`
//! 2. HTTP: `companion`, `routes`, `openapi`
//! 3. operations: `events`, `service`
//! 4. requests: `auth`, `cors`, `json_body`, `request_body`, `validation`, `problem`
//! 5. state: `ledger`
//! 6. base: `hooks`, `key_patterns`, `lease`, `limits`, `listener`, `connection_limiter`,
//!    `metrics`, `tracked_stream`, `transfer_progress`, `background_task`, `time`

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod auth;
mod background_task;
mod bootstrap;
mod companion;
mod config;
mod connection_limiter;
mod cors;
mod events;
mod hooks;
mod json_body;
mod key_patterns;
mod lease;
mod ledger;
mod limits;
mod listener;
mod metrics;
mod openapi;
mod problem;
mod reload;
mod removal;
mod request_body;
mod routes;
mod server;
mod service;
mod store_check;
mod store_credentials;
mod sweep_once;
mod time;
mod tracked_stream;
mod transfer_progress;
pub mod validation;

pub use auth::{Algorithm, Auth, Issuer, LimitRule};
pub use config::{Config, ProbePolicy, StoreConfig, SubjectUse};
pub use events::EventSource;
pub use hooks::{Hook, HookKind, OnReject};
pub use key_patterns::ClientKeys;
pub use ledger::{
    AddressOrigin, Amount, ApiToken, Ledger, LedgerConfig, ListedUpload, OwnerUsage,
    PostgresAddress, PruneScope, PrunedUploads, Upload, UploadFilter, write_log_into_file,
};
pub use limits::{OwnerLimits, Quota, Rate, RateLimit};
pub use reload::Reloaded;
pub use removal::remove_uploads;
pub use server::{Running, STOP_TIMEOUT, start};
pub use service::{StoreLeftovers, SweepAction, SweptItem};
pub use store_check::{ProbeReport, probe_store};
pub use sweep_once::{SweepMode, sweep_once};
