//! The store that presigned URLs name: parts are sent to it, and objects are read from it.

mod buffer_pool;
mod client;
#[cfg(test)]
mod client_tests;
mod part_body;
mod part_upload;
mod response;
#[cfg(test)]
mod response_tests;

pub use client::{ObjectReader, StoreClient};
pub use part_upload::{PartSource, PartUpload};
pub use response::{PutOutcome, UrlLifetime, put_outcome, store_error};
