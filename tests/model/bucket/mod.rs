//! A bucket in memory: the part of S3 that gateway and client use, with faults.

mod contents;
mod server;

pub use contents::{BodyDigest, Content, Contents, Multipart, Object, Part};
pub use server::{Bucket, Disconnected, NAME};
