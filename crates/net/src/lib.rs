//! The class of a network address, and the set-up of HTTP clients (TLS roots, proxies, time-outs),
//! for every part of the program that connects to another machine.
//!
//! Not here: the content of requests, and the meaning of responses.
//!
//! # Invariants
//!
//! - One type decides the class of an address. Only that class determines whether plain HTTP,
//!   missing TLS and missing authentication are allowed.
//! - No client follows a redirect or sends a referrer.
//! - Requests to this machine and to instance metadata bypass every proxy.
//! - The size of a response and the time for it are limited.
//! - No error text contains a URL, which may be presigned.
//!
//! # Files
//!
//! | file | |
//! |---|---|
//! | `address` | [`AddressClass`]: loopback, private, public or special |
//! | `roots` | [`Roots`]: trusted certificate authorities |
//! | `network` | [`Network`]: authorities and proxy of a process; [`PROXY_VARIABLES`] |
//! | `client` | [`builder`] and [`HttpClient`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod address;
mod client;
mod network;
mod roots;

pub use address::AddressClass;
pub use client::{
    HttpClient, PROXY_LOGIN_HINT, PROXY_LOGIN_REASON, Response, Unreachable, builder, no_response,
};
pub use network::{Network, PROXY_VARIABLES};
pub use roots::Roots;
