//! Listings of objects: a page of the bucket, for checking many objects in one request.
//!
//! Not here: listings of parts and multipart uploads, in [`crate::multipart`].

use std::collections::BTreeMap;

use http::Method;

use upload_types::{ETag, Key};

use crate::client::Call;
use crate::fault::Fault;
use crate::store::Store;
use crate::xml;

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The size in bytes.
    pub size: u64,
    pub etag: ETag,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub struct ObjectPage {
    pub objects: BTreeMap<Key, ListedObject>,
    /// The last key of the page, also if it is unreadable, without the prefix of the gateway.
    pub last_key: Option<String>,
    pub is_truncated: bool,
}

impl Store {
    /// A page of `ListObjectsV2`: at most 1000 objects of a folder (`uploads/owner/`), from the key
    /// `first` on. Objects with an unreadable key or `ETag` are left out.
    pub async fn list_objects(&self, folder: &str, first: &Key) -> Result<ObjectPage, Fault> {
        self.list_objects_after(folder, &before(first)).await
    }

    /// Like [`Store::list_objects`], from the first key after the text `after` on. An empty text
    /// is before every key.
    pub async fn list_objects_after(&self, folder: &str, after: &str) -> Result<ObjectPage, Fault> {
        let prefix = self.prefixed(folder);
        let after = self.prefixed(after);
        let query = [
            ("list-type", "2"),
            ("max-keys", "1000"),
            ("prefix", prefix.as_str()),
            ("start-after", after.as_str()),
        ];
        let call = Call::new("ListObjectsV2", Method::GET, self.bucket_url(&query));
        let page: xml::ListBucketResult = self.client().send_and_parse(call, "ListBucket").await?;
        let own_prefix = self.prefixed("");
        let last = page.objects.last();
        let last_key = last.map(|object| {
            let key = object.key.as_str();
            key.strip_prefix(own_prefix.as_str())
                .unwrap_or(key)
                .to_owned()
        });
        let objects = page.objects.into_iter().filter_map(|object| {
            let key = self.key_of(self.bucket(), &object.key)?;
            let etag = ETag::from_header(&object.etag).ok()?;
            let size = object.size;
            Some((key, ListedObject { size, etag }))
        });
        Ok(ObjectPage {
            objects: objects.collect(),
            last_key,
            is_truncated: page.is_truncated,
        })
    }
}

/// A text that precedes a key, and follows most of the keys that precede it.
fn before(key: &Key) -> String {
    let mut text = key.to_string();
    // Without its last character, it precedes the key, too.
    if let Some(last @ '!'..='~') = text.pop() {
        text.extend(char::from_u32(u32::from(last) - 1));
        text.push('~');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_begins_with_its_first_key() {
        for (earlier, key) in [("img10", "img5"), ("a/b.bim", "a/b.bin"), ("a", "b")] {
            let key: Key = key.parse().unwrap();
            let before = before(&key);
            assert!(before.as_str() < key.as_str(), "{before} {key}");
            assert!(earlier < before.as_str(), "{earlier} {before}");
        }
        for key in ["a/ö", "a b ", "!", " ", "\u{10ffff}", "0"] {
            let key: Key = key.parse().unwrap();
            assert!(before(&key).as_str() < key.as_str(), "{key}");
        }
    }
}
