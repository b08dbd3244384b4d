//! The store as the gateway sees it: a bucket behind the S3 protocol, with control calls and presigned URLs.
//!
//! Border: S3 and nothing else; what an answer means for an upload's state is `gateway/service`. The embedded store is
//! reached the same way, over loopback.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::error::Result;
use crate::names::{Checksum, ETag, Key, PartNumber, SignedUrl};
use crate::wire::{CompletePart, Limits, PartSpec, Proof, SignedPut, StoredPart};

pub mod embedded;

/// Which bucket, where, and what it demands.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bucket: String,
    /// Put before every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// For control calls. None is AWS itself in `region`.
    pub endpoint: Option<Url>,
    /// Named in presigned URLs, where it differs from `endpoint`.
    pub public_endpoint: Option<Url>,
    pub region: Option<String>,
    pub path_style: bool,
    /// Access key and secret; None takes the AWS credential chain.
    pub keys: Option<(String, String)>,
    /// Headers bound into create and single PUT (server-side encryption and what else the bucket demands).
    pub create_headers: BTreeMap<String, String>,
    /// `embedded:` before keys in locations, instead of a URL.
    pub embedded: bool,
}

/// Why a call to the store failed.
#[derive(Debug)]
pub enum Fault {
    /// The multipart upload is unknown: completed, aborted or expired.
    NoSuchUpload,
    /// The parts of a complete are not those the store holds, out of order or too small.
    InvalidPart(String),
    /// A condition did not hold: the object is there already.
    Precondition,
    /// The store refuses these credentials, or this request for good; the text is for the log.
    Refused(String),
    /// It failed for now, or the answer cannot be understood: the outcome is unknown. The text is for the log.
    Unavailable(String),
}

/// An object as HeadObject tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub etag: ETag,
    /// Where the store keeps SHA-256 checksums.
    pub checksum: Option<Checksum>,
    /// The upload token this gateway gave the object when it was begun.
    pub token: Option<String>,
    pub content_type: Option<String>,
    pub modified: Option<Timestamp>,
}

/// One bucket.
#[derive(Debug, Clone)]
pub struct Store {}

impl Store {
    /// Reads the settings and finds credentials; sends nothing yet.
    ///
    /// # Errors
    /// [`Kind::Config`](crate::error::Kind::Config) for an endpoint or a header that cannot be.
    pub fn new(_settings: Settings) -> Result<Self> {
        todo!()
    }

    /// Tries the store with wrong bytes and a wrong length, in a multipart upload that is aborted at the end, and tells what it
    /// can be held to.
    ///
    /// # Errors
    /// [`Fault`] when the store cannot be used at all.
    pub async fn probe(&self) -> Result<Probed, Fault> {
        todo!()
    }

    /// Holds the store to `proof` from now on: it decides how parts are signed.
    #[must_use]
    pub fn with_proof(self, _proof: Proof) -> Self {
        todo!()
    }

    #[must_use]
    pub fn proof(&self) -> Proof {
        todo!()
    }

    #[must_use]
    pub fn limits(&self) -> Limits {
        todo!()
    }

    /// Where an object is, for people: `embedded:KEY` or its URL.
    #[must_use]
    pub fn location(&self, _key: &Key) -> String {
        todo!()
    }

    /// CreateMultipartUpload with SHA-256 checksums, the token as metadata; gives S3's upload id.
    pub async fn create(&self, _key: &Key, _content_type: &str, _token: &str) -> Result<String, Fault> {
        todo!()
    }

    /// The multipart uploads open at exactly this key, oldest first.
    pub async fn find(&self, _key: &Key) -> Result<Vec<String>, Fault> {
        todo!()
    }

    /// Presigns UploadPart for these bytes only: length and checksum (as the proof has it) as signed headers. Sends nothing
    /// but what finding credentials takes.
    pub async fn sign_part(
        &self,
        _key: &Key,
        _upload: &str,
        _part: &PartSpec,
        _life: Duration,
    ) -> Result<SignedPut, Fault> {
        todo!()
    }

    /// Presigns one plain PUT of the whole object, with `If-None-Match: *`, content type and token bound.
    pub async fn sign_put(
        &self,
        _key: &Key,
        _content_type: &str,
        _token: &str,
        _part: &PartSpec,
        _life: Duration,
    ) -> Result<SignedPut, Fault> {
        todo!()
    }

    /// One page (at most 1000) of ListParts behind `after`; the number to go on behind, if there is more.
    pub async fn list(
        &self,
        _key: &Key,
        _upload: &str,
        _after: Option<PartNumber>,
    ) -> Result<(Vec<StoredPart>, Option<PartNumber>), Fault> {
        todo!()
    }

    /// CompleteMultipartUpload, with part checksums, total size and `If-None-Match: *`. Ok means only that the store said so; ask
    /// [`Store::head`]. An answer of 200 with an error in it is that error.
    pub async fn complete(&self, _key: &Key, _upload: &str, _parts: &[CompletePart], _size: u64) -> Result<(), Fault> {
        todo!()
    }

    /// AbortMultipartUpload, until ListParts no longer knows the upload.
    pub async fn abort(&self, _key: &Key, _upload: &str) -> Result<(), Fault> {
        todo!()
    }

    /// HeadObject with checksums; None when there is no such object.
    pub async fn head(&self, _key: &Key) -> Result<Option<Head>, Fault> {
        todo!()
    }

    /// DeleteObject.
    pub async fn delete(&self, _key: &Key) -> Result<(), Fault> {
        todo!()
    }

    /// Presigns GetObject: as an attachment of that name.
    pub async fn sign_get(&self, _key: &Key, _name: &str, _life: Duration) -> Result<SignedUrl, Fault> {
        todo!()
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The strongest thing a wrong body was refused for.
    pub proof: Proof,
    /// A body of another length than the signed one was refused.
    pub length_enforced: bool,
    /// An unsigned `x-amz-copy-source` was refused.
    pub smuggling_refused: bool,
}
