//! A presigned URL.

use std::collections::BTreeMap;

use upload_types::wire::SignedPut;
use upload_types::{PartNumber, SignedUrl};

/// A URL that permits one request, with the headers that the request must have in addition to
/// `host`.
#[derive(Debug)]
pub(crate) struct Presigned {
    pub(crate) url: SignedUrl,
    pub(crate) headers: BTreeMap<String, String>,
    /// Seconds from now.
    pub(crate) expires_in: u64,
}

impl Presigned {
    pub(crate) fn into_signed_put(self, number: PartNumber) -> SignedPut {
        SignedPut {
            number,
            url: self.url,
            method: "PUT".into(),
            headers: self.headers,
            expires_in: self.expires_in,
        }
    }
}
