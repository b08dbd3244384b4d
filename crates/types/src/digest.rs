//! Digests of parts and objects.
//!
//! Not here: hashing files. `source` reads them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256 as Sha256Hasher};

use crate::checked_text::Invalid;

/// The SHA-256 of a part or of a whole source. Lower-case hexadecimal in JSON, base64 in S3's
/// checksum header.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 of bytes that are already in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256Hasher::digest(bytes).into())
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The value of `x-amz-checksum-sha256` for the same bytes.
    #[must_use]
    pub fn base64(&self) -> String {
        BASE64.encode(self.0)
    }

    /// Reads the value of an `x-amz-checksum-sha256` header of one part.
    ///
    /// # Errors
    /// [`Invalid`] unless it is base64 of exactly 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("a SHA-256 checksum is base64 of 32 bytes");
        BASE64
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(wrong)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("a SHA-256 is 64 lower-case hexadecimal digits");
        let digits = text.as_bytes();
        if digits.len() != 64
            || !digits
                .iter()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
        {
            return Err(wrong);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong.clone())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong.clone())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

checked_text! {
    /// S3's checksum of a whole object: base64 of a SHA-256, followed by `-N` if it is the
    /// composite checksum of N parts.
    Checksum,
    |text| {
        let (digest, parts) = text
            .rsplit_once('-')
            .map_or((text, None), |(digest, parts)| (digest, Some(parts)));
        Sha256::from_base64(digest).is_ok()
            && parts.is_none_or(|n| n.parse::<u32>().is_ok_and(|n| n > 0))
    },
    "a checksum is base64 of 32 bytes, followed by -N for N parts"
}

impl Checksum {
    /// The number of parts that a composite checksum covers. `None` for the checksum of a whole
    /// object.
    #[must_use]
    pub fn part_count(&self) -> Option<u32> {
        let (_, parts) = self.0.rsplit_once('-')?;
        parts.parse().ok()
    }

    /// The checksum of an object that was sent in one PUT.
    #[must_use]
    pub fn whole(part: &Sha256) -> Self {
        Self(part.base64())
    }

    /// The checksum of a multipart object: the SHA-256 of the parts' raw SHA-256 values in order,
    /// followed by `-N`.
    ///
    /// Follows "Checking object integrity" of the Amazon S3 user guide (composite checksums).
    #[must_use]
    pub fn composite<'a>(parts: impl IntoIterator<Item = &'a Sha256>) -> Self {
        let mut all = Sha256Hasher::new();
        let mut count = 0_u32;
        for part in parts {
            all.update(part.bytes());
            count += 1;
        }
        Self(format!("{}-{count}", BASE64.encode(all.finalize())))
    }

    /// Whether the object has the same bytes as one with the checksum `other`. An object of one
    /// part has another checksum if it was sent in one PUT than as a multipart upload.
    #[must_use]
    pub fn has_content_of(&self, other: &Self) -> bool {
        let only_part = |checksum: &Self| {
            let part = Sha256::from_base64(checksum.as_str()).ok();
            part.map(|part| Self::composite([&part]))
        };
        self == other
            || only_part(other).as_ref() == Some(self)
            || only_part(self).as_ref() == Some(other)
    }
}

/// The MD5 of a part, for stores that check nothing else; base64 as in `Content-MD5` (RFC 1864).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5([u8; 16]);

impl Md5 {
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The value of `Content-MD5`.
    #[must_use]
    pub fn base64(&self) -> String {
        BASE64.encode(self.0)
    }

    /// The text that many stores use as the `ETag` of these bytes.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}

impl FromStr for Md5 {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("an MD5 is base64 of 16 bytes");
        BASE64
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(wrong)
    }
}

impl Serialize for Md5 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.base64())
    }
}

impl<'de> Deserialize<'de> for Md5 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_parsed_from_its_own_text() {
        let sha256 = Sha256::of(b"upload");
        assert_eq!(sha256.to_string().parse(), Ok(sha256));
        assert_eq!(Sha256::from_base64(&sha256.base64()), Ok(sha256));
        assert!(sha256.to_string().to_uppercase().parse::<Sha256>().is_err());
    }

    /// The expected value was made with `sha256sum`, `xxd -r -p` and `base64`.
    #[test]
    fn composite_checksum_is_the_hash_of_the_hashes_of_the_parts() {
        let parts = [Sha256::of(b"hello "), Sha256::of(b"world")];
        let checksum = Checksum::composite(&parts);
        assert_eq!(
            checksum.as_str(),
            "Zhie15keHg/OBlOZxcoF/BXCgYZaeimRvdZnwUZqkaQ=-2"
        );
        assert_eq!(checksum.part_count(), Some(2));
        assert_eq!(Checksum::whole(&parts[0]).part_count(), None);
        assert_eq!(checksum.as_str().parse(), Ok(checksum));
        assert!("abc-2".parse::<Checksum>().is_err());
    }
}
