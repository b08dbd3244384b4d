//! A bucket in memory: the part of S3 that gateway and client use, with faults.

mod contents;
mod objects;
mod server;

pub use contents::{BodyDigest, Content, Contents, Multipart, Object, Part};
pub use objects::composite;
pub use server::{Bucket, Disconnected, NAME, RunningRequest};
