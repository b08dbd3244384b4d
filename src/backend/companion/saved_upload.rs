//! The state of an upload that the journal keeps for a Companion. It holds no URL and no cookie.
//! Pure.

use jiff::Timestamp;
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use upload_types::plan::Plan;
use upload_types::{ETag, Key, PartNumber};

/// All characters except the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUpload {
    /// Chosen by Companion.
    pub key: Key,
    /// The store's id of the multipart upload.
    pub upload_id: String,
    pub name: String,
    pub content_type: String,
    pub size: u64,
    pub part_size: u64,
    pub started: Timestamp,
}

impl SavedUpload {
    fn plan(&self) -> Option<Plan> {
        Plan::pinned(self.size, self.part_size).ok()
    }

    pub fn part_count(&self) -> u32 {
        self.plan().map_or(0, |plan| plan.count())
    }

    /// The size of a part in bytes. Returns `None` if the plan has no such part.
    pub fn part_len(&self, number: PartNumber) -> Option<u64> {
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

/// The `ETag` of an object at S3: the MD5 of the MD5s of its parts, and their number. Returns
/// `None` if the `ETag` of a part is not an MD5.
pub fn composite_etag<'a>(parts: impl IntoIterator<Item = &'a ETag>) -> Option<ETag> {
    let (mut hasher, mut count) = (Md5::new(), 0_u32);
    for part in parts {
        hasher.update(md5_bytes(part)?);
        count += 1;
    }
    let md5 = upload_types::Md5::new(hasher.finalize().into());
    format!("{}-{count}", md5.hex()).parse().ok()
}

fn md5_bytes(etag: &ETag) -> Option<[u8; 16]> {
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
    fn path_escapes_upload_id_and_key() {
        let upload = SavedUpload {
            key: "in/a b+ü&.bin".parse().unwrap(),
            upload_id: "a/b+c=".into(),
            name: String::new(),
            content_type: String::new(),
            size: 11,
            part_size: 5,
            started: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            upload.path("/batch"),
            "s3/multipart/a%2Fb%2Bc%3D/batch?key=in%2Fa%20b%2B%C3%BC%26.bin"
        );
        assert_eq!(upload.part_count(), 3);
        assert_eq!(upload.part_len(3.try_into().unwrap()), Some(1));
    }

    /// The parts are "hello " and "world". Computed by `md5sum`, `xxd -r -p` and `md5sum`.
    #[test]
    fn composite_etag_is_md5_of_md5s() {
        let parts: Vec<ETag> = [
            "f814893777bcc2295fff05f00e508da6",
            "7d793037a0760186574b0282f2f435e7",
        ]
        .map(|tag| tag.parse().unwrap())
        .into();
        assert_eq!(
            composite_etag(&parts).unwrap().as_str(),
            "e09e4fd6265b36115fe3db32df945d84-2"
        );
        assert_eq!(composite_etag(&["opaque".parse().unwrap()]), None);
    }
}
