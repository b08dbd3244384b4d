//! Verifies the XML body of a request before s3s parses it.
//!
//! s3s responds with an internal error, which clients repeat, to a body that is too large or does
//! not have its digest, and it ignores `Content-MD5`.
//!
//! Not here: the bodies of objects and parts, in [`crate::receive_body`].

use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::request::Parts;
use http::{Method, StatusCode, header};
use md5::{Digest as _, Md5};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use upload_types::Sha256;
use upload_types::sync::lock;

use crate::body_headers::{checksums_in, md5_in};
use crate::checksums::Algorithm;

/// The largest XML body: a list of 10,000 parts with their checksums has less than 4 MiB.
pub const MAX_XML_BYTES: usize = 8 << 20;

/// The expected digests of an XML body.
pub struct ExpectedXml {
    md5: Option<[u8; 16]>,
    /// The digest in hexadecimal.
    sha256: Option<String>,
    checksums: Vec<(Algorithm, String)>,
}

/// The reason for which a body was rejected, if it was read and rejected.
#[derive(Clone, Default)]
pub struct XmlRejection(Arc<Mutex<Option<S3Error>>>);

impl XmlRejection {
    pub fn take(&self) -> Option<S3Error> {
        lock(&self.0).take()
    }
}

impl ExpectedXml {
    /// Returns `None` for a request without an XML body.
    ///
    /// # Errors
    /// `MalformedXML` for a body that is too large; `InvalidDigest`.
    pub fn of_request(request: &Parts, query: &[(String, String)]) -> S3Result<Option<Self>> {
        let has = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
        let is_complete = has("uploadId");
        let has_xml = match request.method {
            Method::POST => is_complete || has("delete"),
            Method::PUT => has("acl"),
            _ => false,
        };
        if !has_xml {
            return Ok(None);
        }
        let headers = &request.headers;
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > MAX_XML_BYTES) {
            return Err(too_large());
        }
        let hash = headers.get("x-amz-content-sha256");
        let hash = hash.and_then(|hash| hash.to_str().ok());
        // The checksum of a complete is that of its object.
        let checksums = if is_complete {
            Vec::new()
        } else {
            checksums_in(headers)
        };
        Ok(Some(Self {
            md5: md5_in(headers)?,
            sha256: hash.filter(|hash| hash.len() == 64).map(str::to_owned),
            checksums,
        }))
    }

    /// Replaces a body by one that ends with an error, and fills `rejection`, if it is not as
    /// expected. Nothing is read before s3s reads, which is after it has checked the signature.
    pub fn verified(self, body: Body, rejection: XmlRejection) -> Body {
        Body::from_stream(futures_util::stream::once(async move {
            let verified = match read(body).await {
                Ok(bytes) => self.check(&bytes).map(|()| bytes),
                Err(error) => Err(error),
            };
            verified.map_err(|error| {
                lock(&rejection.0).replace(error);
                std::io::Error::other("the body was rejected")
            })
        }))
    }

    fn check(&self, bytes: &[u8]) -> S3Result<()> {
        let sha256 = self.sha256.as_ref();
        if sha256.is_some_and(|expected| *expected != Sha256::of(bytes).to_string()) {
            return Err(payload_hash_mismatch());
        }
        let md5: [u8; 16] = Md5::digest(bytes).into();
        if self.md5.is_some_and(|expected| expected != md5) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        for (algorithm, expected) in &self.checksums {
            if algorithm.of(bytes) != *expected {
                return Err(s3_error!(
                    BadDigest,
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                ));
            }
        }
        Ok(())
    }
}

/// The error for a body that does not have the hash of its signature.
pub fn payload_hash_mismatch() -> S3Error {
    let mut mismatch = S3Error::with_message(
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
    mismatch.set_status_code(StatusCode::BAD_REQUEST);
    mismatch
}

fn too_large() -> S3Error {
    s3_error!(MalformedXML, "The XML has at most {MAX_XML_BYTES} bytes")
}

async fn read(body: Body) -> S3Result<Bytes> {
    let mut frames = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| s3_error!(IncompleteBody))?;
        if bytes.len() + frame.len() > MAX_XML_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes.into())
}
