//! The nouns of the field, each a type that can only hold what its name says.
//!
//! Border: no I/O and no policy. What a part's size should be is `plan`, what a status means is `error`; secrets
//! ([`SignedUrl`], [`Token`]) are redacted here, by type, so that no caller has to remember it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256 as Sha256Hasher};
use uuid::Uuid;

/// Why a text is not the name it was taken for; a lower-case fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub &'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Invalid {}

/// Text that is checked by [`FromStr`] on its way in, also through serde.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:expr, $why:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(Invalid($why)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

text! {
    /// What the backend calls an upload: 1..128 of `[A-Za-z0-9._-]`. The gateway's own are UUIDs.
    UploadId,
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
    "an upload id is 1 to 128 letters, digits, dots, dashes or underscores"
}

/// A new upload id or idempotency key: a `UUIDv7` (RFC 9562). Ids of about the same time are
/// neighbours in every index, so a commit of many of them writes few pages. Its 74 random bits are
/// drawn anew each time, without a counter, because ids are part of object keys: one id must not
/// reveal the next.
#[must_use]
pub fn new_id() -> String {
    Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)).to_string()
}

text! {
    /// The object's name in the store, made by the backend: 1..1024 bytes, no control character.
    Key,
    |text| (1..=1024).contains(&text.len()) && !text.chars().any(char::is_control),
    "a key is 1 to 1024 bytes without control characters"
}

text! {
    /// The store's opaque tag of a part or an object, without quotes: 1..128 visible ASCII characters. It is
    /// never read as an MD5.
    ETag,
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"'),
    "an ETag is 1 to 128 visible ASCII characters without quotes"
}

impl ETag {
    /// Reads an `ETag` as a header carries it: quoted, bare, or weak (`W/"…"`).
    ///
    /// # Errors
    /// [`Invalid`] for an empty, overlong or non-ASCII tag.
    pub fn from_header(value: &str) -> Result<Self, Invalid> {
        let value = value.trim();
        let value = value.strip_prefix("W/").unwrap_or(value);
        value.trim_matches('"').parse()
    }

    /// The form HTTP and S3's XML carry: in quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// S3's part number: 1 or more. The upper end is the store's (`Limits::max_parts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PartNumber(u32);

impl PartNumber {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for PartNumber {
    type Error = Invalid;
    fn try_from(number: u32) -> Result<Self, Invalid> {
        if number == 0 {
            Err(Invalid("part numbers begin at 1"))
        } else {
            Ok(Self(number))
        }
    }
}

impl From<PartNumber> for u32 {
    fn from(number: PartNumber) -> Self {
        number.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Our SHA-256 of a part. Lower-case hex on the wire, base64 in S3's checksum header.
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

text! {
    /// What S3 says of a whole object: base64 of a SHA-256, with `-N` behind it when it is the composite of N parts.
    Checksum,
    |text| {
        let (digest, parts) = text.rsplit_once('-').map_or((text, None), |(digest, parts)| (digest, Some(parts)));
        Sha256::from_base64(digest).is_ok() && parts.is_none_or(|n| n.parse::<u32>().is_ok_and(|n| n > 0))
    },
    "a checksum is base64 of 32 bytes, with -N behind it for N parts"
}

impl Checksum {
    /// The checksum of an object sent by one plain PUT.
    #[must_use]
    pub fn whole(part: &Sha256) -> Self {
        Self(part.base64())
    }

    /// The composite of a multipart upload: SHA-256 over the parts' raw SHA-256 values in order, `-N` behind it.
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
}

/// MD5 of a part, only for stores that can be held to nothing better; base64 as in `Content-MD5` (RFC 1864).
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

    /// The `ETag` that many stores give these bytes.
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

/// Where a part lies in its source: `start..start + len`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    pub start: u64,
    pub len: u64,
}

impl ByteRange {
    #[must_use]
    pub fn end(self) -> u64 {
        self.start + self.len
    }
}

/// What tells one generation of a file from another: where it is, how large, when touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub dev: u64,
    pub ino: u64,
    /// In bytes.
    pub size: u64,
    /// Nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Nanoseconds since the epoch.
    pub ctime_ns: i64,
}

/// A presigned URL: a bearer secret. `Debug` shows where it leads, never its query.
#[derive(Clone)]
pub struct SignedUrl(SecretString);

impl SignedUrl {
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url.into())
    }

    /// The URL itself, for the one request it was made for.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.expose().split(['?', '#']).next().unwrap_or_default();
        // What stands before an `@` may be a password.
        let place = place.split_once("://").map_or(place, |(_, rest)| rest);
        write!(
            f,
            "{}?REDACTED",
            place.rsplit_once('@').map_or(place, |(_, rest)| rest)
        )
    }
}

impl Serialize for SignedUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SignedUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

/// An API token: a secret that shows itself to no formatter.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::iter;

    use super::*;

    /// Random names had every commit of many uploads write a page of each index for each of them.
    #[test]
    fn what_is_drawn_later_lies_behind_what_was_drawn_before() {
        let mut last = new_id();
        for _ in 0..20 {
            // The time is the first 48 bits: 12 digits and a dash.
            let next = iter::repeat_with(new_id)
                .find(|name| name[..13] != last[..13])
                .unwrap();
            assert!(last < next, "{last} {next}");
            last = next;
        }
    }

    #[test]
    fn of_what_is_drawn_only_the_time_can_be_guessed() {
        let names: Vec<Uuid> = (0..1000).map(|_| new_id().parse().unwrap()).collect();
        assert!(names.iter().all(
            |name| name.get_version_num() == 7 && name.get_variant() == uuid::Variant::RFC4122
        ));
        // Each bit behind the time that is not laid down is now 0, now 1, and no two names share the last 64.
        let differ = names
            .iter()
            .fold(0, |bits, name| bits | (name.as_u128() ^ names[0].as_u128()));
        assert_eq!((differ & ((1 << 80) - 1)).count_ones(), 74);
        let halves: BTreeSet<u64> = names.iter().map(|name| name.as_u64_pair().1).collect();
        assert_eq!(halves.len(), names.len());
    }

    #[test]
    fn an_etag_is_the_same_quoted_bare_or_weak() {
        for header in ["\"abc-3\"", "abc-3", "W/\"abc-3\"", " \"abc-3\" "] {
            assert_eq!(ETag::from_header(header).unwrap().as_str(), "abc-3");
        }
        for header in ["", "\"\"", "a\nb", "é", &"x".repeat(129)] {
            assert!(ETag::from_header(header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn a_fingerprint_reads_back_what_it_writes() {
        let sha256 = Sha256::of(b"upload");
        assert_eq!(sha256.to_string().parse(), Ok(sha256));
        assert_eq!(Sha256::from_base64(&sha256.base64()), Ok(sha256));
        assert!(sha256.to_string().to_uppercase().parse::<Sha256>().is_err());
    }

    /// The composite of "hello " and "world", by `sha256sum`, `xxd -r -p` and `base64`.
    #[test]
    fn a_composite_is_the_hash_of_the_parts_hashes() {
        let parts = [Sha256::of(b"hello "), Sha256::of(b"world")];
        let mut all = Sha256Hasher::new();
        all.update(parts[0].bytes());
        all.update(parts[1].bytes());
        assert_eq!(
            Checksum::composite(&parts).as_str(),
            format!("{}-2", BASE64.encode(all.finalize()))
        );
        assert!(
            Checksum::composite(&parts)
                .as_str()
                .parse::<Checksum>()
                .is_ok()
        );
        assert!("abc-2".parse::<Checksum>().is_err());
    }

    #[test]
    fn secrets_do_not_show() {
        let url = SignedUrl::new("https://user:pw@store.example/b/k?X-Amz-Signature=canary".into());
        assert_eq!(format!("{url:?}"), "store.example/b/k?REDACTED");
        assert_eq!(format!("{:?}", Token::new("canary".into())), "REDACTED");
    }
}
