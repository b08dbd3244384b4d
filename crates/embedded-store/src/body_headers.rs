//! The expected length, MD5 and checksums of a body, from the headers of its request. Pure.
//!
//! Not here: the comparison with the body, in [`crate::receive_body`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use s3s::{S3Result, TrailingHeaders, s3_error};

use upload_types::Sha256;

/// S3's largest part and largest single PUT.
const MAX_BODY_BYTES: u64 = 5 << 30;

pub const SHA256: &str = "x-amz-checksum-sha256";
pub const CRC32: &str = "x-amz-checksum-crc32";
pub const CRC32C: &str = "x-amz-checksum-crc32c";
pub const CRC64NVME: &str = "x-amz-checksum-crc64nvme";
pub const SHA1: &str = "x-amz-checksum-sha1";
/// The checksums that are verified if they are sent.
pub const CHECKSUMS: [&str; 5] = [SHA256, CRC32, CRC32C, CRC64NVME, SHA1];

/// Names of headers in [`CHECKSUMS`], and their values.
pub type Checksums = Vec<(&'static str, String)>;

/// The expected properties of a body.
#[derive(Debug, Default)]
pub struct BodyHeaders {
    length: Option<u64>,
    md5: Option<[u8; 16]>,
    checksums: Checksums,
    /// Names of the checksums that follow the body.
    trailing: Vec<&'static str>,
    trailers: Option<TrailingHeaders>,
}

impl BodyHeaders {
    /// For a body without such headers, such as a copy or the file of a form.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the headers of a request with a body of `length` bytes.
    ///
    /// # Errors
    /// `MissingContentLength`; `EntityTooLarge`; `InvalidDigest` for a Content-MD5 that is not
    /// valid (RFC 1864); `InvalidRequest` for a SHA-256 that is not valid.
    pub fn read(
        length: Option<i64>,
        headers: &HeaderMap,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<Self> {
        let length = length
            .and_then(|length| u64::try_from(length).ok())
            .ok_or_else(|| s3_error!(MissingContentLength))?;
        if length > MAX_BODY_BYTES {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed size"
            ));
        }
        let checksums = checksums_in(headers);
        let is_invalid =
            |(name, value): &(&str, String)| *name == SHA256 && Sha256::from_base64(value).is_err();
        if checksums.iter().any(is_invalid) {
            return Err(s3_error!(
                InvalidRequest,
                "Value for x-amz-checksum-sha256 header is invalid."
            ));
        }
        Ok(Self {
            length: Some(length),
            md5: md5_in(headers)?,
            checksums,
            trailing: trailing_in(headers),
            trailers,
        })
    }

    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub fn md5(&self) -> Option<[u8; 16]> {
        self.md5
    }

    /// Returns true if this checksum is sent, before or after the body.
    pub fn has(&self, name: &str) -> bool {
        self.trailing.contains(&name) || self.checksums.iter().any(|(other, _)| *other == name)
    }

    /// All checksums, including those that followed the body. Must be called after the end of the
    /// body.
    ///
    /// # Errors
    /// `InvalidRequest` if an announced checksum did not follow.
    pub fn checksums_after_body(&self) -> S3Result<Checksums> {
        let trailers = self
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.read(checksums_in))
            .unwrap_or_default();
        let is_missing = |name: &&str| !trailers.iter().any(|(received, _)| received == name);
        if self.trailing.iter().any(is_missing) {
            return Err(s3_error!(
                InvalidRequest,
                "A checksum announced in x-amz-trailer is missing"
            ));
        }
        Ok([self.checksums.as_slice(), trailers.as_slice()].concat())
    }
}

fn md5_in(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let bytes = BASE64.decode(value).ok();
    match bytes.and_then(|bytes| bytes.try_into().ok()) {
        Some(md5) => Ok(Some(md5)),
        None => Err(s3_error!(
            InvalidDigest,
            "The Content-MD5 you specified is not valid"
        )),
    }
}

/// The checksums among headers or trailers.
fn checksums_in(headers: &HeaderMap) -> Checksums {
    let value = |name| {
        let value = headers.get(name)?;
        Some((name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    CHECKSUMS.into_iter().filter_map(value).collect()
}

/// The checksums that `x-amz-trailer` announces.
fn trailing_in(headers: &HeaderMap) -> Vec<&'static str> {
    let announced: Vec<&str> = headers
        .get_all("x-amz-trailer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let is_announced = |name: &&str| {
        announced
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
    };
    CHECKSUMS.into_iter().filter(is_announced).collect()
}
