//! Operations while the store fails: a real store behind a proxy that drops, refuses or delays
//! requests.
//!
//! Not here: the API over a store without failures (`tests/gateway_api`).

mod browser_upload;
mod chosen_key_fixture;
mod chosen_key_leftovers;
mod chosen_keys;
mod complete;
mod confirm;
mod fixture;
mod hooks;
mod late_objects;
mod lifecycle;
mod races;
mod sweep;
