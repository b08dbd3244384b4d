//! What every part of the program that speaks to another machine shares: the class of an address, and the set-up of HTTP
//! clients (TLS roots, proxies, time-outs).
//!
//! Not here: what a request asks for, and what a response means.

pub mod address;
pub mod client;

pub use address::AddressClass;
pub use client::{HttpClient, Response, Roots, Unreachable, builder};
