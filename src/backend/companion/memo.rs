//! What the journal keeps of an upload for a Companion, which keeps nothing: no URL and no cookie is in it.
//!
//! Border: facts and what is worked out of them. Pure.

use jiff::Timestamp;
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use upload_types::names::{self, ETag, Key, PartNumber};
use upload_types::plan::Plan;

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// As Companion has made it.
    pub key: Key,
    /// As the store calls the multipart upload.
    pub upload_id: String,
    pub name: String,
    pub content_type: String,
    pub size: u64,
    pub part_size: u64,
    pub started: Timestamp,
}

impl Memo {
    fn plan(&self) -> Option<Plan> {
        Plan::pinned(self.size, self.part_size).ok()
    }

    pub fn count(&self) -> u32 {
        self.plan().map_or(0, |plan| plan.count())
    }

    /// How many bytes a part has.
    pub fn len(&self, number: PartNumber) -> Option<u64> {
        self.plan()?.range(number).map(|range| range.len)
    }

    /// The path of a route about this upload, with its query.
    pub fn path(&self, route: &str) -> String {
        let encoded = |text| utf8_percent_encode(text, RESERVED);
        format!(
            "s3/multipart/{}{route}?key={}",
            encoded(&self.upload_id),
            encoded(self.key.as_str())
        )
    }
}

/// The `ETag` that S3 gives an object of these parts, if theirs are MD5s: the MD5 of all of them, and their number.
pub fn composite<'a>(parts: impl IntoIterator<Item = &'a ETag>) -> Option<ETag> {
    let (mut all, mut count) = (Md5::new(), 0_u32);
    for part in parts {
        all.update(bytes(part)?);
        count += 1;
    }
    let md5 = names::Md5::new(all.finalize().into());
    format!("{}-{count}", md5.hex()).parse().ok()
}

/// The bytes of a tag of 32 hexadecimal digits.
fn bytes(etag: &ETag) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if etag.as_str().len() != 32 {
        return None;
    }
    for (byte, digits) in bytes
        .iter_mut()
        .zip(etag.as_str().as_bytes().chunks_exact(2))
    {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_store_calls_it_goes_into_a_path() {
        let memo = Memo {
            key: "in/a b+ü&.bin".parse().unwrap(),
            upload_id: "a/b+c=".into(),
            name: String::new(),
            content_type: String::new(),
            size: 11,
            part_size: 5,
            started: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            memo.path("/batch"),
            "s3/multipart/a%2Fb%2Bc%3D/batch?key=in%2Fa%20b%2B%C3%BC%26.bin"
        );
        assert_eq!(
            (memo.count(), memo.len(3.try_into().unwrap())),
            (3, Some(1))
        );
    }

    /// Of "hello " and "world", by `md5sum`, `xxd -r -p` and `md5sum`.
    #[test]
    fn an_objects_etag_is_worked_out_of_its_parts() {
        let parts: Vec<ETag> = [
            "f814893777bcc2295fff05f00e508da6",
            "7d793037a0760186574b0282f2f435e7",
        ]
        .map(|tag| tag.parse().unwrap())
        .into();
        assert_eq!(
            composite(&parts).unwrap().as_str(),
            "e09e4fd6265b36115fe3db32df945d84-2"
        );
        assert_eq!(composite(&["opaque".parse().unwrap()]), None);
    }
}
