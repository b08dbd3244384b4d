//! An Uppy Companion as a backend: its S3 routes, versions 4 to 7.
//!
//! A Companion signs URLs, but records no uploads. The journal keeps the state of an upload instead
//! ([`Companion::opaque_state`], [`Companion::restore_state`]).
//!
//! Every file becomes a multipart upload: a small file has a single part, an empty file a single
//! empty part. That takes more requests than the form of `/s3/params`, but works with every store:
//! some accept no forms, no tested store rejects an empty part, and a form stores the same metadata
//! in another encoding.
//!
//! | file | |
//! |---|---|
//! | `cookies` | the cookies of a Companion |
//! | `saved_upload`, `known_uploads` | the state of an upload, in the journal and in this process |
//! | `response` | the meaning of a response |
//! | `client` | [`Companion`]: the requests |

mod client;
mod cookies;
mod known_uploads;
mod response;
#[cfg(test)]
mod response_tests;
mod saved_upload;

pub use client::Companion;
