//! The gateway: begins, signs, lists, completes and aborts uploads for clients that hold no storage
//! credentials.
//!
//! Not here: the bytes of files. Clients send them to the store. The embedded store, which receives
//! them in this process, is a store like any other for the gateway.
//!
//! Modules by layer; each imports lower layers only:
//!
//! | layer | modules |
//! |---|---|
//! | processes | `server`, `sweep_once`, `store_check`, `bootstrap`, `store_credentials`, `config` |
//! | HTTP | `companion`, `routes`, `openapi` |
//! | operations | `events`, `service` |
//! | requests | `auth`, `cors`, `json_body`, `validation`, `problem` |
//! | state | `ledger` |
//! | ground | `hooks`, `lease`, `limits`, `listener`, `connection_limiter`, `metrics`, `background_task`, `time` |

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
mod lease;
mod ledger;
mod limits;
mod listener;
mod metrics;
mod openapi;
mod problem;
mod routes;
mod server;
mod service;
mod store_check;
mod store_credentials;
mod sweep_once;
mod time;
pub mod validation;

pub use auth::{Algorithm, Auth, Issuer};
pub use config::{Config, EventSource, ProbePolicy, StoreConfig};
pub use hooks::{Hook, HookKind, OnReject};
pub use ledger::{ApiToken, Ledger, LedgerConfig, PostgresAddress, Upload};
pub use limits::{Quota, Rate};
pub use server::{Running, STOP_TIMEOUT, start};
pub use service::{StoreLeftovers, SweepAction, SweptItem};
pub use store_check::{ProbeReport, probe_store};
pub use sweep_once::{SweepMode, sweep_once};
