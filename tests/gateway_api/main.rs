//! The gateway's HTTP API, version 1, over the embedded store: a real gateway in this process, asked by a plain HTTP client.
//!
//! Border: the wire contract; what the client makes of it is tested from the outside, by the command.
#![cfg(feature = "gateway")]

mod access;
mod batch;
mod bounds;
mod companion;
mod crashes;
mod events;
mod fences;
mod hooks;
mod issuer;
mod jwt;
mod limits;
mod probe;
mod reading;
mod sweep;
mod uploads;
mod world;
