//! The checksums of S3: their algorithms, and the checksum of an object from those of its parts.
//! Pure.
//!
//! Not here: the headers in which they are sent, in [`crate::body_headers`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{self, ChecksumAlgorithm, ChecksumType};
use s3s::{S3Error, S3Result, s3_error};

/// An algorithm of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// How the checksum of an object depends on its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// The checksum of all bytes.
    FullObject,
    /// The checksum of the checksums of the parts, followed by `-` and their number.
    Composite,
}

/// A checksum in base64, of a part or of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: Algorithm,
    /// A composite of N parts ends with `-N`.
    pub value: String,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => ChecksumAlgorithm::CRC32,
            Self::Crc32c => ChecksumAlgorithm::CRC32C,
            Self::Crc64Nvme => ChecksumAlgorithm::CRC64NVME,
            Self::Sha1 => ChecksumAlgorithm::SHA1,
            Self::Sha256 => ChecksumAlgorithm::SHA256,
        }
    }

    /// The header with a checksum of this algorithm.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Returns true for the header with a checksum of any algorithm. `name` is in lower case.
    pub fn is_header(name: &str) -> bool {
        Self::ALL
            .into_iter()
            .any(|algorithm| algorithm.header() == name)
    }

    /// The algorithm with this name, in any case.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn parse(name: &str) -> S3Result<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                s3_error!(
                    InvalidRequest,
                    "Checksum algorithm provided is unsupported. Please try again with any of the \
                     valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
                )
            })
    }

    /// The size of a checksum in bytes.
    fn size(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Returns true for the base64 of a checksum of this algorithm.
    pub fn is_checksum(self, base64: &str) -> bool {
        BASE64
            .decode(base64)
            .is_ok_and(|bytes| bytes.len() == self.size())
    }

    pub fn hasher(self) -> ChecksumHasher {
        ChecksumHasher {
            crc32: (self == Self::Crc32).then(Crc32::new),
            crc32c: (self == Self::Crc32c).then(Crc32c::new),
            crc64nvme: (self == Self::Crc64Nvme).then(Crc64Nvme::new),
            sha1: (self == Self::Sha1).then(Sha1::new),
            sha256: (self == Self::Sha256).then(Sha256::new),
        }
    }

    /// The base64 of the checksum of `bytes`.
    pub fn of(self, bytes: &[u8]) -> String {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        self.finish(hasher)
    }

    /// The base64 of the checksum of the bytes that went into [`Self::hasher`].
    pub fn finish(self, hasher: ChecksumHasher) -> String {
        self.value_in(hasher.finalize()).unwrap_or_default()
    }

    /// The checksum of this algorithm among those of an input or output of s3s.
    pub fn value_in(self, checksums: dto::Checksum) -> Option<String> {
        match self {
            Self::Crc32 => checksums.checksum_crc32,
            Self::Crc32c => checksums.checksum_crc32c,
            Self::Crc64Nvme => checksums.checksum_crc64nvme,
            Self::Sha1 => checksums.checksum_sha1,
            Self::Sha256 => checksums.checksum_sha256,
        }
    }

    pub fn as_dto(self) -> ChecksumAlgorithm {
        ChecksumAlgorithm::from_static(self.name())
    }

    /// The coverage of an upload with this algorithm, as requested or the default of S3.
    ///
    /// # Errors
    /// `InvalidRequest` for a combination that S3 does not have.
    pub fn coverage(self, requested: Option<&ChecksumType>) -> S3Result<Coverage> {
        let default = match self {
            Self::Crc64Nvme => Coverage::FullObject,
            _ => Coverage::Composite,
        };
        let coverage = match requested.map(ChecksumType::as_str) {
            None => default,
            Some(ChecksumType::COMPOSITE) => Coverage::Composite,
            Some(ChecksumType::FULL_OBJECT) => Coverage::FullObject,
            Some(_) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "Value for x-amz-checksum-type header is invalid."
                ));
            }
        };
        match (self, coverage) {
            (Self::Crc64Nvme, Coverage::Composite)
            | (Self::Sha1 | Self::Sha256, Coverage::FullObject) => Err(s3_error!(
                InvalidRequest,
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                coverage.name(),
                self.name().to_ascii_lowercase()
            )),
            _ => Ok(coverage),
        }
    }

    /// The checksum of an object from the checksums and sizes of its parts. Returns `None` for
    /// checksums of another algorithm.
    pub fn assemble<'p>(
        self,
        coverage: Coverage,
        parts: impl ExactSizeIterator<Item = (&'p str, u64)>,
    ) -> Option<Checksum> {
        let value = match coverage {
            Coverage::Composite => {
                let count = parts.len();
                let mut hasher = self.hasher();
                for (checksum, _) in parts {
                    hasher.update(&BASE64.decode(checksum).ok()?);
                }
                format!("{}-{count}", self.finish(hasher))
            }
            Coverage::FullObject => {
                let mut combined = 0;
                for (checksum, size) in parts {
                    let bytes = BASE64.decode(checksum).ok()?;
                    let crc = bytes
                        .iter()
                        .fold(0, |crc, byte| crc << 8 | u64::from(*byte));
                    combined =
                        crc_fast::checksum_combine(self.crc_algorithm()?, combined, crc, size);
                }
                let bytes = combined.to_be_bytes();
                BASE64.encode(bytes.get(bytes.len() - self.size()..)?)
            }
        };
        Some(Checksum {
            algorithm: self,
            value,
        })
    }

    fn crc_algorithm(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

impl Coverage {
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => ChecksumType::FULL_OBJECT,
            Self::Composite => ChecksumType::COMPOSITE,
        }
    }

    pub fn as_dto(self) -> ChecksumType {
        ChecksumType::from_static(self.name())
    }
}

impl Checksum {
    /// Parses the text of `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once('=')?;
        Some(Self {
            algorithm: Algorithm::parse(name).ok()?,
            value: value.to_owned(),
        })
    }

    /// The checksum in the fields of an input.
    ///
    /// # Errors
    /// `InvalidRequest` for several.
    pub fn from_fields(fields: &dto::Checksum) -> S3Result<Option<Self>> {
        let mut found = Algorithm::ALL.into_iter().filter_map(|algorithm| {
            let value = algorithm.value_in(fields.clone())?;
            Some(Self { algorithm, value })
        });
        let checksum = found.next();
        if found.next().is_some() {
            return Err(several_checksums());
        }
        Ok(checksum)
    }

    pub fn coverage(&self) -> Coverage {
        // Base64 has no hyphen.
        if self.value.contains('-') {
            Coverage::Composite
        } else {
            Coverage::FullObject
        }
    }

    /// The checksum in the field of its algorithm.
    pub fn to_dto(&self) -> dto::Checksum {
        let value = |algorithm| (self.algorithm == algorithm).then(|| self.value.clone());
        dto::Checksum {
            checksum_crc32: value(Algorithm::Crc32),
            checksum_crc32c: value(Algorithm::Crc32c),
            checksum_crc64nvme: value(Algorithm::Crc64Nvme),
            checksum_sha1: value(Algorithm::Sha1),
            checksum_sha256: value(Algorithm::Sha256),
            checksum_type: Some(self.coverage().as_dto()),
        }
    }
}

/// The error for a request with more than one checksum.
pub fn several_checksums() -> S3Error {
    s3_error!(
        InvalidRequest,
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )
}

/// `ALGORITHM=VALUE`
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.algorithm.name(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_object_checksum_is_that_of_all_bytes() {
        let parts: [&[u8]; 4] = [b"hello ", b"", b"wor", b"ld"];
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let of_parts: Vec<(String, u64)> = parts
                .iter()
                .map(|part| (algorithm.of(part), part.len() as u64))
                .collect();
            let iterator = of_parts.iter().map(|(value, size)| (value.as_str(), *size));
            let assembled = algorithm.assemble(Coverage::FullObject, iterator).unwrap();
            assert_eq!(assembled.value, algorithm.of(b"hello world"));
            assert_eq!(assembled.coverage(), Coverage::FullObject);
            assert_eq!(Checksum::parse(&assembled.to_string()), Some(assembled));
        }
        // `printf hello | gzip -c | tail -c8 | head -c4`, reversed, in base64.
        assert_eq!(Algorithm::Crc32.of(b"hello"), "NhCmhg==");
    }

    #[test]
    fn composite_is_the_checksum_of_the_checksums() {
        let parts: [&[u8]; 2] = [b"one", b"two"];
        for algorithm in Algorithm::ALL {
            let of_parts: Vec<String> = parts.iter().map(|part| algorithm.of(part)).collect();
            let bytes: Vec<u8> = of_parts
                .iter()
                .flat_map(|value| BASE64.decode(value).unwrap())
                .collect();
            let iterator = of_parts.iter().map(|value| (value.as_str(), 3));
            let assembled = algorithm.assemble(Coverage::Composite, iterator).unwrap();
            assert_eq!(assembled.value, format!("{}-2", algorithm.of(&bytes)));
            assert_eq!(assembled.coverage(), Coverage::Composite);
        }
    }

    #[test]
    fn coverage_is_the_default_of_s3_or_must_fit_the_algorithm() {
        let coverage = |algorithm: Algorithm, requested: Option<&'static str>| {
            let requested = requested.map(ChecksumType::from_static);
            algorithm.coverage(requested.as_ref()).ok()
        };
        let (composite, full) = (Coverage::Composite, Coverage::FullObject);
        for (algorithm, by_default, with_composite, with_full) in [
            (Algorithm::Crc32, composite, Some(composite), Some(full)),
            (Algorithm::Crc32c, composite, Some(composite), Some(full)),
            (Algorithm::Crc64Nvme, full, None, Some(full)),
            (Algorithm::Sha1, composite, Some(composite), None),
            (Algorithm::Sha256, composite, Some(composite), None),
        ] {
            assert_eq!(coverage(algorithm, None), Some(by_default));
            assert_eq!(coverage(algorithm, Some("COMPOSITE")), with_composite);
            assert_eq!(coverage(algorithm, Some("FULL_OBJECT")), with_full);
            assert_eq!(coverage(algorithm, Some("OTHER")), None);
        }
    }
}
