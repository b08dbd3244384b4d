//! The routes of Uppy Companion for uploads to S3, over the same operations: Uppy in a browser
//! uploads through this gateway.
//!
//! Not here: other routes of Companion (providers, remote files, `/s3/sts`), and the operations
//! (`service`).

mod format;
mod routes;

pub use routes::router;
