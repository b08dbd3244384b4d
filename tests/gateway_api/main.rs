//! The gateway's HTTP API, version 1, over the embedded store. The gateway runs in the test's
//! process.
//!
//! Not here: the client's use of the API (`tests/behaviour`).
#![cfg(feature = "gateway")]

mod abort;
mod access;
mod batch;
mod begin;
mod chosen_keys;
mod companion;
mod content_types;
mod copies;
mod events;
mod fairness;
mod first_client;
mod gateway;
mod hooks;
mod issuer;
mod jwt;
mod jwt_issuers;
mod ledger_growth;
mod owner_limits;
mod probe;
mod quotas;
mod rates;
mod read_urls;
mod readiness;
mod recovery;
mod removal;
mod request_limits;
mod slow_issuer;
mod streams;
mod sweep;
mod uploads;
mod webhook_receiver;
