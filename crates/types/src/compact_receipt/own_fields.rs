//! The bytes of the own fields of a receipt: a number of bits that say which fields follow in which
//! form, and these fields.

use crate::checked_text::Invalid;
use crate::digest::{Checksum, Sha256};
use crate::saturating;
use crate::wire::Receipt;

// The bits of the first number.
pub(super) const OTHER_ID: u64 = 1;
pub(super) const OTHER_NAME: u64 = 1 << 1;
pub(super) const OTHER_KEY: u64 = 1 << 2;
pub(super) const OTHER_LOCATION: u64 = 1 << 3;
pub(super) const VERSION: u64 = 1 << 4;
pub(super) const DOUBLE_AFTER: u64 = 1 << 5;
/// The `ETag` is 32 hexadecimal digits, and `-N` with the next bit.
pub(super) const HEX_ETAG: u64 = 1 << 6;
pub(super) const HEX_ETAG_PARTS: u64 = 1 << 7;
pub(super) const WHOLE_CHECKSUM: u64 = 1 << 8;
pub(super) const COMPOSITE_CHECKSUM: u64 = 1 << 9;
pub(super) const OTHER_CHECKSUM: u64 = 1 << 10;
pub(super) const SHA256: u64 = 1 << 11;
/// The SHA-256 is that of the checksum.
pub(super) const SAME_SHA256: u64 = 1 << 12;
/// The text after the id in the key: the extensions of many files differ.
pub(super) const KEY_END: u64 = 1 << 13;

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// The bytes of 32 lower-case hexadecimal digits.
fn from_hex(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok()?;
    let bytes = number.to_be_bytes();
    (hex(&bytes) == text).then_some(bytes)
}

/// Writes the own fields of a receipt.
#[derive(Default)]
pub(super) struct Own {
    pub(super) flags: u64,
    bytes: Vec<u8>,
}

impl Own {
    /// Seven bits in each byte, the lowest first; the last byte has no highest bit.
    pub(super) fn number(&mut self, number: u64) {
        write_number(&mut self.bytes, number);
    }

    /// The difference of two times, so that a small one of either sign takes few bytes.
    pub(super) fn difference(&mut self, from: i64, to: i64) {
        let difference = to.wrapping_sub(from);
        self.number(((difference << 1) ^ (difference >> 63)).cast_unsigned());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(saturating::to_u64(text.len()));
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn etag(&mut self, etag: &str) {
        if let Some(bytes) = from_hex(etag) {
            self.flags |= HEX_ETAG;
            self.bytes.extend_from_slice(&bytes);
            return;
        }
        if let Some((digest, parts)) = etag.rsplit_once('-')
            && let Some(bytes) = from_hex(digest)
            && let Some(parts) = number_of_parts(parts)
        {
            self.flags |= HEX_ETAG | HEX_ETAG_PARTS;
            self.bytes.extend_from_slice(&bytes);
            self.number(parts.into());
            return;
        }
        self.text(etag);
    }

    pub(super) fn checksums(&mut self, receipt: &Receipt) {
        let mut of_checksum = None;
        if let Some(checksum) = &receipt.checksum {
            let text = checksum.as_str();
            let (digest, parts) = text
                .rsplit_once('-')
                .map_or((text, None), |(digest, parts)| (digest, Some(parts)));
            of_checksum = Sha256::from_base64(digest).ok();
            match (of_checksum, parts, parts.and_then(number_of_parts)) {
                (Some(digest), None, _) if digest.base64() == text => {
                    self.flags |= WHOLE_CHECKSUM;
                    self.bytes.extend_from_slice(digest.bytes());
                }
                (Some(sha256), Some(_), Some(parts)) if sha256.base64() == digest => {
                    self.flags |= COMPOSITE_CHECKSUM;
                    self.bytes.extend_from_slice(sha256.bytes());
                    self.number(parts.into());
                }
                _ => {
                    of_checksum = None;
                    self.flags |= OTHER_CHECKSUM;
                    self.text(text);
                }
            }
        }
        if let Some(sha256) = receipt.sha256 {
            if of_checksum == Some(sha256) {
                self.flags |= SAME_SHA256;
            } else {
                self.flags |= SHA256;
                self.bytes.extend_from_slice(sha256.bytes());
            }
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 2);
        write_number(&mut bytes, self.flags);
        bytes.extend_from_slice(&self.bytes);
        bytes
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// The number of parts at the end of a checksum or an `ETag`, if it has its shortest form.
fn number_of_parts(text: &str) -> Option<u32> {
    let parts: u32 = text.parse().ok()?;
    (parts.to_string() == text).then_some(parts)
}

/// Reads what [`Own`] has written.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(own: &'a [u8]) -> Self {
        Self(own)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Invalid> {
        let cut = self.0.split_at_checked(len);
        let (bytes, rest) = cut.ok_or(Invalid("it ends too early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let bytes = self.bytes(N)?.try_into();
        bytes.map_err(|_| Invalid("it ends too early"))
    }

    pub(super) fn number(&mut self) -> Result<u64, Invalid> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Invalid("a number has more than 64 bits"))
    }

    pub(super) fn small_number(&mut self) -> Result<u32, Invalid> {
        let number = self.number()?.try_into();
        number.map_err(|_| Invalid("a number has more than 32 bits"))
    }

    pub(super) fn later_than(&mut self, time: i64) -> Result<i64, Invalid> {
        let bits = self.number()?;
        let difference = (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed();
        Ok(time.wrapping_add(difference))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Invalid> {
        let len = saturating::to_usize(self.number()?);
        std::str::from_utf8(self.bytes(len)?).map_err(|_| Invalid("a text is not UTF-8"))
    }

    pub(super) fn etag(&mut self, flags: u64) -> Result<String, Invalid> {
        if flags & HEX_ETAG == 0 {
            return Ok(self.text()?.to_owned());
        }
        let digest = hex(&self.array::<16>()?);
        Ok(if flags & HEX_ETAG_PARTS == 0 {
            digest
        } else {
            format!("{digest}-{}", self.small_number()?)
        })
    }

    pub(super) fn checksums(
        &mut self,
        flags: u64,
    ) -> Result<(Option<Checksum>, Option<Sha256>), Invalid> {
        let mut digest = None;
        let mut checksum = None;
        if flags & (WHOLE_CHECKSUM | COMPOSITE_CHECKSUM) != 0 {
            let sha256 = Sha256::new(self.array()?);
            digest = Some(sha256);
            checksum = Some(if flags & COMPOSITE_CHECKSUM == 0 {
                Checksum::whole(&sha256)
            } else {
                format!("{}-{}", sha256.base64(), self.small_number()?).parse()?
            });
        } else if flags & OTHER_CHECKSUM != 0 {
            checksum = Some(self.text()?.parse()?);
        }
        if flags & SHA256 != 0 {
            digest = Some(Sha256::new(self.array()?));
        } else if flags & SAME_SHA256 == 0 {
            digest = None;
        }
        Ok((checksum, digest))
    }
}
