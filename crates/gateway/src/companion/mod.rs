//! The routes of Uppy Companion for uploads to S3, so that Uppy in a browser can upload through
//! this gateway. They call the same operations as the API.
//!
//! Not here: other routes of Companion (providers, remote files, `/s3/sts`), and the operations
//! (`service`).

mod format;
mod routes;

pub use routes::router;
