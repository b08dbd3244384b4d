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
    /// In bytes.
    pub size: u64,
    pub etag: ETag,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub struct ObjectPage {
    pub objects: BTreeMap<Key, ListedObject>,
    pub is_truncated: bool,
}

impl Store {
    /// A page of `ListObjectsV2`: at most 1000 objects of a folder (`uploads/owner/`), from the key
    /// `first` on. Objects with an unreadable key or `ETag` are left out.
    pub async fn list_objects(&self, folder: &str, first: &Key) -> Result<ObjectPage, Fault> {
        let prefix = self.prefixed(folder);
        let mut after = self.full_key(first);
        // The page begins after this text, which precedes the key.
        after.pop();
        let query = [
            ("list-type", "2"),
            ("max-keys", "1000"),
            ("prefix", prefix.as_str()),
            ("start-after", after.as_str()),
        ];
        let call = Call::new("ListObjectsV2", Method::GET, self.bucket_url(&query));
        let page: xml::ListBucketResult = self.client().send_and_parse(call, "ListBucket").await?;
        let objects = page.objects.into_iter().filter_map(|object| {
            let key = self.key_of(self.bucket(), &object.key)?;
            let etag = ETag::from_header(&object.etag).ok()?;
            let size = object.size;
            Some((key, ListedObject { size, etag }))
        });
        Ok(ObjectPage {
            objects: objects.collect(),
            is_truncated: page.is_truncated,
        })
    }
}
