//! The arguments of one attempt to send a part.
//!
//! Not here: sending it (`client`), and retries (`transfer/retry`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use bytes::Bytes;
use upload_types::wire::SignedPut;
use upload_types::{ByteRange, Sha256};

use crate::source::SourceFile;

/// The bytes that parts are read from.
#[derive(Debug, Clone)]
pub enum PartSource {
    File(SourceFile),
    /// The bytes of one part.
    Memory(Bytes),
}

/// The part and the presigned request that sends it.
#[derive(Debug, Clone)]
pub struct PartUpload {
    pub signed: SignedPut,
    pub signed_at: Instant,
    pub source: PartSource,
    /// The bytes of the part in the source.
    pub range: ByteRange,
    pub sha256: Sha256,
    /// Counts the bytes that the network accepted.
    pub sent: Arc<AtomicU64>,
}
