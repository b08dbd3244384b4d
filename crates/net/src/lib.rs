//! The class of a network address, and the set-up of HTTP clients (TLS roots, proxies, time-outs),
//! for every part of the program that connects to another machine.
//!
//! Not here: the content of requests, and the meaning of responses.
//!
//! | file | |
//! |---|---|
//! | `address` | [`AddressClass`]: loopback, private, public or special |
//! | `client` | [`builder`], [`Roots`] and [`HttpClient`] |

mod address;
mod client;

pub use address::AddressClass;
pub use client::{HttpClient, Response, Roots, Unreachable, build_plain, builder, no_response};
