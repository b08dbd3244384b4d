//! The expected length, MD5 and checksum of a body, from the headers of its request. Pure.
//!
//! Not here: the comparison with the body, in [`crate::receive_body`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, header};
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::checksums::{Algorithm, Checksum, several_checksums};

/// S3's largest part and largest single PUT.
const MAX_BODY_BYTES: u64 = 5 << 30;
const SDK_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";

/// The expected properties of a body.
#[derive(Debug, Default)]
pub struct BodyHeaders {
    length: Option<u64>,
    expected_md5: Option<[u8; 16]>,
    computes_md5: bool,
    /// The algorithm of the checksum that is sent, or that the upload requires.
    algorithm: Option<Algorithm>,
    /// The checksum that was sent before the body.
    checksum: Option<String>,
    /// The algorithm of the checksum that follows the body.
    trailing: Option<Algorithm>,
    trailers: Option<TrailingHeaders>,
}

impl BodyHeaders {
    /// For a body without such headers, such as a copy.
    pub fn none() -> Self {
        Self {
            computes_md5: true,
            ..Self::default()
        }
    }

    /// Reads the headers of a request with a body of `length` bytes.
    ///
    /// # Errors
    /// `MissingContentLength`; `EntityTooLarge`; `InvalidDigest` for a Content-MD5 that is not
    /// valid (RFC 1864); `BadDigest` for a checksum that is not valid; `InvalidRequest` for several
    /// checksums, or for another than the announced one.
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
        let sent = checksums_in(headers);
        let trailing = trailing_in(headers);
        let algorithm = match (sent.as_slice(), trailing.as_slice()) {
            ([], []) => None,
            ([(algorithm, _)], []) | ([], [algorithm]) => Some(*algorithm),
            _ => return Err(several_checksums()),
        };
        check_announced(headers, algorithm)?;
        if let [(algorithm, value)] = sent.as_slice() {
            check_value(*algorithm, value)?;
        }
        let expected_md5 = md5_in(headers)?;
        Ok(Self {
            length: Some(length),
            expected_md5,
            computes_md5: expected_md5.is_some() || !is_sent_by_own_client(headers, algorithm),
            algorithm,
            checksum: sent.into_iter().next().map(|(_, value)| value),
            trailing: trailing.first().copied(),
            trailers,
        })
    }

    /// Reads the fields of a form: an MD5 in base64, and a checksum.
    ///
    /// # Errors
    /// `InvalidDigest` for an MD5 that is not valid; `BadDigest` for a checksum that is not valid;
    /// `InvalidRequest` for several checksums.
    pub fn of_form(md5: Option<&str>, checksums: &s3s::dto::Checksum) -> S3Result<Self> {
        let checksum = Checksum::from_fields(checksums)?;
        if let Some(checksum) = &checksum {
            check_value(checksum.algorithm, &checksum.value)?;
        }
        Ok(Self {
            expected_md5: md5.map(parse_md5).transpose()?,
            computes_md5: true,
            algorithm: checksum.as_ref().map(|checksum| checksum.algorithm),
            checksum: checksum.map(|checksum| checksum.value),
            ..Self::default()
        })
    }

    /// Also computes the checksum of an upload or copy.
    ///
    /// # Errors
    /// `InvalidRequest` if a checksum of another algorithm is sent.
    pub fn requiring(self, required: Option<Algorithm>) -> S3Result<Self> {
        match (required, self.algorithm) {
            (Some(required), Some(sent)) if required != sent => Err(s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum \
                 Type: {}",
                required.name().to_ascii_lowercase(),
                sent.name().to_ascii_lowercase()
            )),
            _ => Ok(Self {
                algorithm: required.or(self.algorithm),
                ..self
            }),
        }
    }

    /// Computes no MD5 that the request does not need: for parts from a presigned URL, which
    /// browsers and the clients of the gateway send.
    #[must_use]
    pub fn without_md5(self) -> Self {
        Self {
            computes_md5: self.expected_md5.is_some(),
            ..self
        }
    }

    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub fn expected_md5(&self) -> Option<[u8; 16]> {
        self.expected_md5
    }

    pub fn computes_md5(&self) -> bool {
        self.computes_md5
    }

    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Returns true if a checksum is sent, before or after the body.
    pub fn has_checksum(&self) -> bool {
        self.checksum.is_some() || self.trailing.is_some()
    }

    /// The checksum that was sent, before or after the body, in base64. Must be called after the
    /// end of the body.
    ///
    /// # Errors
    /// `InvalidRequest` if an announced checksum did not follow, or is not valid.
    pub fn checksum_after_body(&self) -> S3Result<Option<String>> {
        let Some(trailing) = self.trailing else {
            return Ok(self.checksum.clone());
        };
        let trailers = self
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.read(checksums_in))
            .unwrap_or_default();
        let received = trailers
            .into_iter()
            .find(|(algorithm, _)| *algorithm == trailing);
        let (_, value) = received.ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "A checksum announced in x-amz-trailer is missing"
            )
        })?;
        check_value(trailing, &value)?;
        Ok(Some(value))
    }
}

/// Returns true for a presigned URL with a SHA-256. The clients of the gateway compare checksums,
/// not ETags, so the store need not compute an MD5, which other clients expect in an ETag.
fn is_sent_by_own_client(headers: &HeaderMap, algorithm: Option<Algorithm>) -> bool {
    !headers.contains_key(header::AUTHORIZATION) && algorithm == Some(Algorithm::Sha256)
}

/// # Errors
/// `InvalidRequest` if the algorithm that an SDK announces is not that of the checksum.
fn check_announced(headers: &HeaderMap, sent: Option<Algorithm>) -> S3Result<()> {
    let Some(announced) = headers.get(SDK_ALGORITHM) else {
        return Ok(());
    };
    let announced = Algorithm::parse(announced.to_str().unwrap_or_default())?;
    match sent {
        Some(sent) if sent == announced => Ok(()),
        Some(_) => Err(s3_error!(
            InvalidRequest,
            "Value for x-amz-sdk-checksum-algorithm header is invalid."
        )),
        None => Err(s3_error!(
            InvalidRequest,
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
             x-amz-trailer headers were found."
        )),
    }
}

/// # Errors
/// `BadDigest` for a value that no body has.
fn check_value(algorithm: Algorithm, value: &str) -> S3Result<()> {
    if algorithm.is_checksum(value) {
        Ok(())
    } else {
        let name = algorithm.header();
        Err(s3_error!(BadDigest, "Value for {name} header is invalid."))
    }
}

/// The `Content-MD5` of a request.
///
/// # Errors
/// `InvalidDigest`.
pub fn md5_in(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let value = headers.get("content-md5");
    value
        .map(|value| parse_md5(value.to_str().unwrap_or_default()))
        .transpose()
}

fn parse_md5(value: &str) -> S3Result<[u8; 16]> {
    let bytes = BASE64.decode(value).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid"))
}

/// The checksums among headers or trailers, in base64.
pub fn checksums_in(headers: &HeaderMap) -> Vec<(Algorithm, String)> {
    let value = |algorithm: Algorithm| {
        let value = headers.get(algorithm.header())?;
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        Some((algorithm, value))
    };
    Algorithm::ALL.into_iter().filter_map(value).collect()
}

/// The algorithms of the checksums that `x-amz-trailer` announces.
fn trailing_in(headers: &HeaderMap) -> Vec<Algorithm> {
    let announced: Vec<&str> = headers
        .get_all("x-amz-trailer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let is_announced = |algorithm: &Algorithm| {
        announced
            .iter()
            .any(|other| other.eq_ignore_ascii_case(algorithm.header()))
    };
    Algorithm::ALL.into_iter().filter(is_announced).collect()
}
