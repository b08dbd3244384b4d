//! An Uppy Companion as a backend: its S3 routes, versions 4 to 7.
//!
//! A Companion signs, and remembers nothing. The journal keeps what a Companion would have to know
//! of an upload ([`Companion::opaque_state`]), and gives it back ([`Companion::restore_state`]).
//!
//! Every file becomes a multipart upload: a small file one of a single part, an empty file one of a
//! single empty part. That takes more requests than the form of `/s3/params`, but works with every
//! store: some accept no forms, none that was tried rejects an empty part, and a form stores the
//! same metadata in another encoding.

mod client;
mod cookies;
mod known_uploads;
mod response;
#[cfg(test)]
mod response_tests;
mod saved_upload;

pub use client::Companion;
