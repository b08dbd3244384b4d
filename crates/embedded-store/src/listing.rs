//! Listings of objects: `ListObjects` and `ListObjectsV2`, by prefix, delimiter and page.
//!
//! Not here: listings of parts and uploads, in [`crate::multipart`].

use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object as ListedObject, ObjectStorageClass, ObjectVersion, ObjectVersionStorageClass,
};
use s3s::{S3Result, s3_error};

use crate::bucket::{check_bucket, owner};
use crate::error::StoreError;
use crate::etag::strong;
use crate::manifest::{Object, Queries};
use crate::presence::HeldFiles;
use crate::store::Store;
use crate::time::timestamp;

/// S3's largest page.
const MAX_PAGE_SIZE: i32 = 1000;
/// The characters that `encoding-type=url` encodes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Percent-encodes a key for a URL; slashes are kept.
pub fn url_encode(key: &str) -> String {
    utf8_percent_encode(key, ENCODED).to_string()
}

/// Encodes a key for a listing in the encoding that the request names.
pub fn encode_key(key: &str, encoding: Option<&EncodingType>) -> String {
    match encoding.map(EncodingType::as_str) {
        Some(EncodingType::URL) => url_encode(key),
        _ => key.to_owned(),
    }
}

/// The size of a page: as requested, at most 1000.
///
/// # Errors
/// `InvalidArgument` for a negative one.
pub fn page_size(requested: Option<i32>) -> S3Result<usize> {
    usize::try_from(requested.unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE))
        .map_err(|_| s3_error!(InvalidArgument, "The size of a page cannot be negative"))
}

impl Store {
    pub async fn list_objects_v2(
        &self,
        input: ListObjectsV2Input,
    ) -> S3Result<ListObjectsV2Output> {
        check_bucket(&input.bucket)?;
        let after = match &input.continuation_token {
            None => input.start_after.clone().unwrap_or_default(),
            Some(token) => URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| {
                    s3_error!(
                        InvalidArgument,
                        "The continuation token provided is incorrect"
                    )
                })?,
        };
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let page = self.page(prefix, delimiter, after, input.max_keys).await?;
        let encoding = input.encoding_type.as_ref();
        let with_owner = match input.fetch_owner {
            Some(true) => WithOwner::Yes,
            Some(false) | None => WithOwner::No,
        };
        let (contents, common_prefixes) = (
            page.contents(encoding, with_owner),
            page.common_prefixes(encoding),
        );
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encode_key(&input.prefix.unwrap_or_default(), encoding)),
            delimiter: shown_delimiter(input.delimiter, encoding),
            start_after: input.start_after.map(|key| encode_key(&key, encoding)),
            max_keys: i32::try_from(page.max_keys).ok(),
            key_count: i32::try_from(page.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|key| URL_SAFE_NO_PAD.encode(key)),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        })
    }

    pub async fn list_objects(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        check_bucket(&input.bucket)?;
        let after = input.marker.clone().unwrap_or_default();
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let page = self.page(prefix, delimiter, after, input.max_keys).await?;
        let encoding = input.encoding_type.as_ref();
        let (contents, common_prefixes) = (
            page.contents(encoding, WithOwner::Yes),
            page.common_prefixes(encoding),
        );
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            // SDKs do not decode it in version 1.
            prefix: Some(input.prefix.unwrap_or_default()),
            delimiter: shown_delimiter(input.delimiter, encoding),
            marker: Some(encode_key(&input.marker.unwrap_or_default(), encoding)),
            max_keys: i32::try_from(page.max_keys).ok(),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.map(|key| encode_key(&key, encoding)),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }

    /// Lists each object as its only version.
    pub async fn list_object_versions(
        &self,
        input: ListObjectVersionsInput,
    ) -> S3Result<ListObjectVersionsOutput> {
        check_bucket(&input.bucket)?;
        let after = input.key_marker.clone().unwrap_or_default();
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let page = self.page(prefix, delimiter, after, input.max_keys).await?;
        let encoding = input.encoding_type.as_ref();
        let versions = page.objects.iter().map(|object| ObjectVersion {
            key: Some(encode_key(&object.key, encoding)),
            version_id: Some("null".into()),
            is_latest: Some(true),
            size: i64::try_from(object.size).ok(),
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.created_ms)),
            owner: Some(owner()),
            storage_class: Some(ObjectVersionStorageClass::from_static(
                ObjectVersionStorageClass::STANDARD,
            )),
            ..ObjectVersion::default()
        });
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(encode_key(&input.prefix.unwrap_or_default(), encoding)),
            versions: Some(versions.collect()),
            common_prefixes: Some(page.common_prefixes(encoding)),
            delimiter: shown_delimiter(input.delimiter, encoding),
            key_marker: Some(encode_key(&input.key_marker.unwrap_or_default(), encoding)),
            version_id_marker: input.version_id_marker,
            max_keys: i32::try_from(page.max_keys).ok(),
            is_truncated: Some(page.next.is_some()),
            next_version_id_marker: page.next.as_ref().map(|_| "null".into()),
            next_key_marker: page.next.map(|key| encode_key(&key, encoding)),
            encoding_type: input.encoding_type,
            ..ListObjectVersionsOutput::default()
        })
    }

    async fn page(
        &self,
        prefix: Option<String>,
        delimiter: Option<String>,
        after: String,
        max_keys: Option<i32>,
    ) -> S3Result<Page> {
        let max_keys = page_size(max_keys)?;
        let prefix = prefix.unwrap_or_default();
        let files = Arc::clone(self.files());
        let (mut page, held) = self
            .manifest()
            .read(move |queries| {
                let page = Page::collect(queries, &prefix, delimiter.as_deref(), after, max_keys)?;
                let held = page.objects.iter();
                let held = held.map(|object| HeldFiles::of_object(&files, queries, object));
                let held = held.collect::<Result<Vec<_>, _>>()?;
                Ok((page, held))
            })
            .await?;
        // As in S3, a page may have fewer entries than requested although another follows.
        self.retain_present(&mut page.objects, held).await?;
        Ok(page)
    }
}

/// A page of objects, and of common prefixes that represent the objects below them, also those
/// whose bytes are gone.
struct Page {
    max_keys: usize,
    objects: Vec<Object>,
    common_prefixes: Vec<String>,
    /// The key or common prefix after which the next page begins, if there is one.
    next: Option<String>,
}

impl Page {
    fn collect(
        queries: &Queries,
        prefix: &str,
        delimiter: Option<&str>,
        after: String,
        max_keys: usize,
    ) -> Result<Self, StoreError> {
        let mut page = Self {
            max_keys,
            objects: Vec::new(),
            common_prefixes: Vec::new(),
            next: None,
        };
        if max_keys == 0 {
            return Ok(page);
        }
        // The last key or common prefix on the page, and the key after which the query continues.
        let (mut last, mut continue_after) = (after.clone(), after);
        loop {
            let mut skip_to = None;
            queries.visit_objects(prefix, &continue_after, |object| {
                if !object.key.starts_with(prefix) {
                    return ControlFlow::Break(());
                }
                let common = common_prefix(&object.key, prefix, delimiter).map(str::to_owned);
                let entry = common.as_ref().unwrap_or(&object.key);
                // A common prefix may be on an earlier page, or on this one.
                let is_new = *entry > last;
                if is_new && page.len() == max_keys {
                    page.next = Some(last.clone());
                    return ControlFlow::Break(());
                }
                if is_new {
                    last.clone_from(entry);
                }
                let Some(common) = common else {
                    page.objects.push(object);
                    return ControlFlow::Continue(());
                };
                skip_to = Some(end_of_prefix(&object.key, &common));
                if is_new {
                    page.common_prefixes.push(common);
                }
                ControlFlow::Break(())
            })?;
            match skip_to {
                Some(key) => continue_after = key,
                None => return Ok(page),
            }
        }
    }

    fn len(&self) -> usize {
        self.objects.len() + self.common_prefixes.len()
    }

    fn contents(
        &self,
        encoding: Option<&EncodingType>,
        with_owner: WithOwner,
    ) -> Vec<ListedObject> {
        let listed = self.objects.iter().map(|object| ListedObject {
            key: Some(encode_key(&object.key, encoding)),
            size: i64::try_from(object.size).ok(),
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.created_ms)),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            owner: (with_owner == WithOwner::Yes).then(owner),
            ..ListedObject::default()
        });
        listed.collect()
    }

    fn common_prefixes(&self, encoding: Option<&EncodingType>) -> Vec<CommonPrefix> {
        let prefix = |prefix: &String| CommonPrefix {
            prefix: Some(encode_key(prefix, encoding)),
        };
        self.common_prefixes.iter().map(prefix).collect()
    }
}

/// Whether a listing names the owner of each object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WithOwner {
    No,
    Yes,
}

/// The delimiter of a request, unless it is empty.
fn shown_delimiter(delimiter: Option<String>, encoding: Option<&EncodingType>) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    Some(encode_key(&delimiter, encoding))
}

/// The common prefix that represents a key: up to the first delimiter after `prefix`. Returns
/// `None` if the listing contains the key itself.
fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.get(prefix.len()..)?;
    key.get(..prefix.len() + rest.find(delimiter)? + delimiter.len())
}

/// The position from which to continue after `key`, which is below `common`. It skips all keys
/// below `common` in one step, except keys that continue with the last Unicode character.
fn end_of_prefix(key: &str, common: &str) -> String {
    format!("{common}{}", char::MAX).max(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefix_ends_at_the_first_delimiter_after_the_prefix() {
        assert_eq!(common_prefix("a/b/c", "", Some("/")), Some("a/"));
        assert_eq!(common_prefix("a/b/c", "a/", Some("/")), Some("a/b/"));
        assert_eq!(common_prefix("a/b/c", "a/b/", Some("/")), None);
        assert_eq!(common_prefix("äö", "", Some("ö")), Some("äö"));
        assert_eq!(common_prefix("a/b", "", None), None);
    }
}
