//! Routes of Uppy Companion over the embedded store, with the requests of each version of Uppy.
//!
//! Not here: a browser (`scripts/uppy`); states, leases and recovery, which are the same for all
//! uploads.

mod client;
mod forms;
mod limits;
mod multipart;
mod requests;
