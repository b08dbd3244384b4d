//! The form of a receipt in a database, which takes little space: the fields that many receipts
//! have in common, to be stored once, and the bytes of its own fields. Neither has the fields that
//! the row of its upload has, too.
//!
//! Not here: the tables (`journal`, and the ledger of the gateway).

mod own_fields;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use own_fields::{
    DOUBLE_AFTER, KEY_END, OTHER_ID, OTHER_KEY, OTHER_LOCATION, OTHER_NAME, Own, Reader, VERSION,
    hex,
};

use crate::checked_text::Invalid;
use crate::etag::ETag;
use crate::ids::UploadId;
use crate::wire::{Proof, Receipt};

/// The fields that the row of an upload has besides its receipt. None of them may change once the
/// receipt is stored.
#[derive(Debug, Clone, Copy)]
pub struct RowValues<'a> {
    pub id: Option<&'a UploadId>,
    pub name: &'a str,
    /// The key, or the end of it.
    pub key: Option<&'a str>,
    pub began: Timestamp,
}

/// The fields that many receipts have in common, as JSON in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommonFields {
    backend: String,
    instance_id: String,
    bucket: Option<String>,
    key: Option<Around>,
    location: Option<Around>,
    proof: Proof,
    unproven: Vec<String>,
}

/// A text that contains another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Around {
    before: String,
    of: Inner,
    after: String,
}

/// The text inside of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Inner {
    /// The key of the row for a key, that of the receipt for a location.
    Key,
    /// The same, as in the path of a URL.
    EncodedKey,
    /// The id of the row.
    Id,
}

/// A receipt without the fields that the row of its upload has. Its times are cut to milliseconds,
/// as in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactReceipt {
    pub common: CommonFields,
    pub own: Vec<u8>,
}

impl CompactReceipt {
    #[must_use]
    pub fn new(receipt: &Receipt, row: &RowValues<'_>) -> Self {
        let key = receipt.key.as_str();
        let inner = |of, text| Some((of, text));
        let id = row.id.map(UploadId::as_str);
        let mut key_around = around(
            key,
            [
                row.key.and_then(|key| inner(Inner::Key, key)),
                id.and_then(|id| inner(Inner::Id, id)),
            ],
        );
        let key_end = key_around
            .as_mut()
            .filter(|around| around.of == Inner::Id)
            .map(|around| std::mem::take(&mut around.after));
        let encoded = encoded_path(key);
        let location_around = receipt.location.as_deref().and_then(|location| {
            let key = inner(Inner::Key, key);
            around(location, [key, inner(Inner::EncodedKey, &encoded)])
        });
        let mut own = Own::default();
        if receipt.id.as_ref() != row.id {
            own.flags |= OTHER_ID;
            own.text(receipt.id.as_ref().map_or("", UploadId::as_str));
        }
        if receipt.name != row.name {
            own.flags |= OTHER_NAME;
            own.text(&receipt.name);
        }
        if key_around.is_none() {
            own.flags |= OTHER_KEY;
            own.text(key);
        }
        if let Some(end) = key_end.filter(|end| !end.is_empty()) {
            own.flags |= KEY_END;
            own.text(&end);
        }
        if let Some(location) = receipt
            .location
            .as_ref()
            .filter(|_| location_around.is_none())
        {
            own.flags |= OTHER_LOCATION;
            own.text(location);
        }
        if let Some(version) = &receipt.version_id {
            own.flags |= VERSION;
            own.text(version);
        }
        own.number(receipt.size);
        own.number(receipt.parts.into());
        own.number(receipt.part_size);
        if let Some(parts) = receipt.double_after {
            own.flags |= DOUBLE_AFTER;
            own.number(parts.into());
        }
        own.etag(receipt.etag.as_str());
        own.checksums(receipt);
        let (began, started) = (milliseconds(row.began), milliseconds(receipt.started));
        own.difference(began, started);
        own.difference(started, milliseconds(receipt.finished));
        Self {
            common: CommonFields {
                backend: receipt.backend.clone(),
                instance_id: receipt.instance_id.clone(),
                bucket: receipt.bucket.clone(),
                key: key_around,
                location: location_around,
                proof: receipt.proof,
                unproven: receipt.unproven.clone(),
            },
            own: own.into_bytes(),
        }
    }

    /// The `ETag` of a receipt with these own fields.
    ///
    /// # Errors
    /// [`Invalid`] if they are not those of a receipt.
    pub fn etag(own: &[u8]) -> Result<ETag, Invalid> {
        let mut own = Reader::new(own);
        let flags = own.number()?;
        let has = |flag: u64| flags & flag != 0;
        for text in [
            OTHER_ID,
            OTHER_NAME,
            OTHER_KEY,
            KEY_END,
            OTHER_LOCATION,
            VERSION,
        ] {
            if has(text) {
                own.text()?;
            }
        }
        let numbers = if has(DOUBLE_AFTER) { 4 } else { 3 };
        for _ in 0..numbers {
            own.number()?;
        }
        own.etag(flags)?.parse()
    }

    /// The receipt from which this was made. The row must be the same: another one gives another
    /// receipt.
    ///
    /// # Errors
    /// [`Invalid`] if these are not the bytes of a receipt.
    pub fn receipt(self, row: &RowValues<'_>) -> Result<Receipt, Invalid> {
        let Self { common, own } = self;
        let mut own = Reader::new(&own);
        let flags = own.number()?;
        let has = |flag: u64| flags & flag != 0;
        let id = if has(OTHER_ID) {
            let id = own.text()?;
            Some(id)
                .filter(|id| !id.is_empty())
                .map(str::parse)
                .transpose()?
        } else {
            row.id.cloned()
        };
        let name = if has(OTHER_NAME) {
            own.text()?
        } else {
            row.name
        };
        let key = if has(OTHER_KEY) {
            own.text()?.to_owned()
        } else {
            let mut around = common.key.ok_or(Invalid("it has no key"))?;
            if has(KEY_END) {
                own.text()?.clone_into(&mut around.after);
            }
            let inner = match around.of {
                Inner::Key => row.key,
                Inner::Id => row.id.map(UploadId::as_str),
                Inner::EncodedKey => None,
            };
            around.text(inner.ok_or(Invalid("the row has no such text"))?)
        };
        let location = match common.location {
            _ if has(OTHER_LOCATION) => Some(own.text()?.to_owned()),
            Some(around) => Some(match around.of {
                Inner::Key => around.text(&key),
                Inner::EncodedKey => around.text(&encoded_path(&key)),
                Inner::Id => return Err(Invalid("a location without a key")),
            }),
            None => None,
        };
        let version_id = has(VERSION).then(|| own.text()).transpose()?;
        let (size, parts, part_size) = (own.number()?, own.small_number()?, own.number()?);
        let double_after = has(DOUBLE_AFTER).then(|| own.small_number()).transpose()?;
        let etag = own.etag(flags)?;
        let (checksum, sha256) = own.checksums(flags)?;
        let started = own.later_than(milliseconds(row.began))?;
        let finished = own.later_than(started)?;
        if !own.is_at_end() {
            return Err(Invalid("it has more bytes than a receipt"));
        }
        Ok(Receipt {
            id,
            backend: common.backend,
            instance_id: common.instance_id,
            name: name.to_owned(),
            bucket: common.bucket,
            key: key.parse()?,
            location,
            version_id: version_id.map(str::to_owned),
            size,
            parts,
            part_size,
            double_after,
            etag: etag.parse()?,
            checksum,
            proof: common.proof,
            unproven: common.unproven,
            sha256,
            started: time(started)?,
            finished: time(finished)?,
        })
    }
}

/// The text around the first of these texts that `text` contains.
fn around<const N: usize>(text: &str, inner: [Option<(Inner, &str)>; N]) -> Option<Around> {
    inner.into_iter().flatten().find_map(|(of, inner)| {
        let start = text.rfind(inner).filter(|_| !inner.is_empty())?;
        Some(Around {
            before: text.get(..start)?.to_owned(),
            of,
            after: text.get(start + inner.len()..)?.to_owned(),
        })
    })
}

impl Around {
    fn text(&self, inner: &str) -> String {
        [&*self.before, inner, &self.after].concat()
    }
}

/// A key as in the path of a URL: every byte is encoded except the unreserved ones of RFC 3986 and
/// slashes.
fn encoded_path(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push('%');
            encoded.extend(hex(&[byte]).chars().map(|digit| digit.to_ascii_uppercase()));
        }
    }
    encoded
}

/// Milliseconds since 1970, rounded down.
fn milliseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

fn time(milliseconds: i64) -> Result<Timestamp, Invalid> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| Invalid("not a time"))
}
