//! Objects: put, head, get, delete, list.
//!
//! Border: the operations of S3 on what is complete.

use std::ops::{ControlFlow, Range};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::Stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    ChecksumMode, ChecksumType, CommonPrefix, DeleteObjectInput, DeleteObjectOutput, ETag,
    EncodingType, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Metadata, Object,
    ObjectStorageClass, PostObjectInput, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

use super::failure::Failure;
use super::files::{FileName, Hold, read};
use super::ingest::{Announced, Arrived, ingest};
use super::manifest::{Attributes, Object as StoredObject, Rows, now};
use super::review::{Conditions, common_prefix, only_if_absent, page_size, part_etag, strong};
use super::{BUCKET, Store};

/// S3's limit for user metadata, names and values together, in bytes.
const METADATA: usize = 2048;
/// What stays as it is in `encoding-type=url`.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// # Errors
/// `NoSuchBucket`, for any but the one.
pub fn only_bucket(name: &str) -> S3Result<()> {
    if name == BUCKET {
        Ok(())
    } else {
        Err(s3_error!(NoSuchBucket))
    }
}

/// A row's time, as S3's types carry it.
pub fn timestamp(milliseconds: i64) -> Timestamp {
    // Up to the year 9999, which is where the type ends.
    let since = u64::try_from(milliseconds)
        .unwrap_or_default()
        .min(253_402_300_799_000);
    Timestamp::from(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(since))
}

/// The same as headers carry it.
pub fn whole_second(milliseconds: i64) -> Timestamp {
    timestamp(milliseconds / 1000 * 1000)
}

/// A key as a listing shows it.
pub fn encoded(key: &str, encoding: Option<&EncodingType>) -> String {
    match encoding.map(EncodingType::as_str) {
        Some(EncodingType::URL) => utf8_percent_encode(key, PLAIN).to_string(),
        _ => key.to_owned(),
    }
}

/// What becomes of an object that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Replaced,
    Refused,
    /// Refused, unless it is the same.
    Same,
}

/// What create and put say of an object.
pub struct Fields {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub metadata: Option<Metadata>,
}

/// # Errors
/// `MetadataTooLarge`.
pub fn attributes(fields: Fields) -> S3Result<Attributes> {
    let metadata = fields.metadata.unwrap_or_default();
    if metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        > METADATA
    {
        return Err(s3_error!(MetadataTooLarge));
    }
    // `aws-chunked` is how a body travels, not what it is.
    let encoding = fields.content_encoding.unwrap_or_default();
    let encodings: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty() && *name != "aws-chunked")
        .collect();
    Ok(Attributes {
        content_type: fields.content_type,
        cache_control: fields.cache_control,
        content_disposition: fields.content_disposition,
        content_encoding: (!encodings.is_empty()).then(|| encodings.join(",")),
        content_language: fields.content_language,
        meta: metadata.into_iter().collect(),
    })
}

/// The checksum a HEAD or GET shows, when asked to, with its type.
fn checksum(
    object: &StoredObject,
    mode: Option<&ChecksumMode>,
) -> (Option<String>, Option<ChecksumType>) {
    let Some(checksum) = object.checksum.as_ref().filter(|_| mode.is_some()) else {
        return (None, None);
    };
    let kind = if checksum.contains('-') {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    };
    (
        Some(checksum.clone()),
        Some(ChecksumType::from_static(kind)),
    )
}

fn metadata(attributes: &Attributes) -> Option<Metadata> {
    (!attributes.meta.is_empty()).then(|| attributes.meta.clone().into_iter().collect())
}

/// An object that can be read even while it is overwritten or deleted.
pub struct Source {
    pub object: StoredObject,
    files: Vec<(FileName, u64)>,
    hold: Hold,
}

impl Source {
    pub fn read(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync {
        read(self.hold, self.files, range)
    }
}

impl Store {
    pub(super) async fn source(&self, key: &str) -> Result<Source, Failure> {
        let (key, files) = (key.to_owned(), std::sync::Arc::clone(&self.files));
        self.manifest
            .read(move |rows| {
                let object = rows.object(&key)?.ok_or_else(|| s3_error!(NoSuchKey))?;
                let hold = files.hold(&object.upload);
                let parts = rows.parts(&object.upload, 0, usize::MAX)?;
                let files = parts
                    .into_iter()
                    .map(|part| (part.file, part.size))
                    .collect();
                Ok(Source {
                    object,
                    files,
                    hold,
                })
            })
            .await
    }

    pub(super) async fn put(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<PutObjectOutput> {
        let input = request.input;
        only_bucket(&input.bucket)?;
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "Objects cannot be appended to"));
        }
        let if_absent = only_if_absent(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let attributes = attributes(Fields {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            metadata: input.metadata,
        })?;
        let announced = Announced::read(
            input.content_length,
            &request.headers,
            request.trailing_headers,
        )?;
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let arrived = ingest(&self.files, body, announced).await?;
        let checksums = arrived.checksums.clone();
        let etag = self
            .keep_object(
                input.key,
                attributes,
                arrived,
                if if_absent {
                    There::Refused
                } else {
                    There::Replaced
                },
            )
            .await?;
        Ok(PutObjectOutput {
            e_tag: Some(strong(&etag)),
            checksum_crc32: checksums.checksum_crc32,
            checksum_crc32c: checksums.checksum_crc32c,
            checksum_crc64nvme: checksums.checksum_crc64nvme,
            checksum_sha1: checksums.checksum_sha1,
            checksum_sha256: checksums.checksum_sha256,
            checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            ..PutObjectOutput::default()
        })
    }

    /// The file of a form, whose policy was checked; its ETag, and where on this host it is. What is there already stays: a form is
    /// good for one object, however often it is posted; the same bytes again come to the same.
    pub(super) async fn post(
        &self,
        request: S3Request<PostObjectInput>,
    ) -> S3Result<(ETag, String)> {
        let input = request.input;
        only_bucket(&input.bucket)?;
        let attributes = attributes(Fields {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            metadata: input.metadata,
        })?;
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let arrived = ingest(&self.files, body, Announced::nothing()).await?;
        let place = format!("/{BUCKET}/{}", utf8_percent_encode(&input.key, PLAIN));
        let etag = self
            .keep_object(input.key, attributes, arrived, There::Same)
            .await?;
        Ok((strong(&etag), place))
    }

    /// Makes what arrived an object; gives its ETag.
    async fn keep_object(
        &self,
        key: String,
        attributes: Attributes,
        arrived: Arrived,
        there: There,
    ) -> S3Result<String> {
        let object = StoredObject {
            key,
            upload: Uuid::now_v7().simple().to_string(),
            size: arrived.size,
            etag: part_etag(&arrived.sha256),
            checksum: arrived.checksums.checksum_sha256.clone(),
            attributes,
            created: now(),
        };
        let etag = object.etag.clone();
        self.manifest
            .write(move |change| {
                let found = if there == There::Replaced {
                    None
                } else {
                    change.object(&object.key)?
                };
                match found {
                    Some(found) if there == There::Same && found.etag == object.etag => {
                        return Ok(());
                    }
                    Some(_) => return Err(s3_error!(PreconditionFailed).into()),
                    None => {}
                }
                change.put_part(
                    &object.upload,
                    1,
                    arrived.file,
                    arrived.size,
                    &arrived.sha256,
                )?;
                change.put_object(&object)
            })
            .await?;
        Ok(etag)
    }

    pub(super) async fn head(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        only_bucket(&input.bucket)?;
        if input.part_number.is_some() || input.version_id.is_some() || input.range.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "Part numbers, versions and ranges of HEAD are not implemented"
            ));
        }
        let key = input.key;
        let object = self
            .manifest
            .read(move |rows| {
                rows.object(&key)?
                    .ok_or_else(|| s3_error!(NoSuchKey).into())
            })
            .await?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&object.etag, &whole_second(object.created))?;
        let (checksum_sha256, checksum_type) = checksum(&object, input.checksum_mode.as_ref());
        Ok(HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: i64::try_from(object.size).ok(),
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.created)),
            checksum_sha256,
            checksum_type,
            metadata: metadata(&object.attributes),
            content_type: object.attributes.content_type,
            cache_control: object.attributes.cache_control,
            content_disposition: object.attributes.content_disposition,
            content_encoding: object.attributes.content_encoding,
            content_language: object.attributes.content_language,
            ..HeadObjectOutput::default()
        })
    }

    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        only_bucket(&input.bucket)?;
        if input.part_number.is_some() || input.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "Part numbers and versions are not implemented"
            ));
        }
        let source = self.source(&input.key).await?;
        let object = source.object.clone();
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&object.etag, &whole_second(object.created))?;
        let range = input
            .range
            .map(|range| range.check(object.size))
            .transpose()?;
        // The last bytes of nothing.
        if range.as_ref().is_some_and(Range::is_empty) {
            return Err(s3_error!(InvalidRange));
        }
        let content_range = range
            .as_ref()
            .map(|r| format!("bytes {}-{}/{}", r.start, r.end - 1, object.size));
        // A checksum of the whole says nothing of a part of it.
        let (checksum_sha256, checksum_type) = checksum(
            &object,
            input.checksum_mode.as_ref().filter(|_| range.is_none()),
        );
        let range = range.unwrap_or(0..object.size);
        Ok(GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range,
            body: Some(StreamingBlob::wrap(source.read(range))),
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.created)),
            checksum_sha256,
            checksum_type,
            metadata: metadata(&object.attributes),
            content_type: object.attributes.content_type,
            cache_control: object.attributes.cache_control,
            content_disposition: object.attributes.content_disposition,
            content_encoding: object.attributes.content_encoding,
            content_language: object.attributes.content_language,
            ..GetObjectOutput::default()
        })
    }

    /// Deleting what is not there succeeds too.
    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        only_bucket(&input.bucket)?;
        let conditional = input.if_match.is_some()
            || input.if_match_size.is_some()
            || input.if_match_last_modified_time.is_some();
        if conditional || input.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "Conditions and versions of DELETE are not implemented"
            ));
        }
        self.manifest
            .write(move |change| change.drop_object(&input.key))
            .await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        only_bucket(&input.bucket)?;
        let wrong = || {
            s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )
        };
        let after = match &input.continuation_token {
            None => input.start_after.clone().unwrap_or_default(),
            Some(token) => {
                let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
                String::from_utf8(bytes).map_err(|_| wrong())?
            }
        };
        let page = self
            .page(
                input.prefix.clone(),
                input.delimiter.clone(),
                after,
                input.max_keys,
            )
            .await?;
        let encoding = input.encoding_type.as_ref();
        let (contents, common_prefixes) = (page.contents(encoding), page.common_prefixes(encoding));
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoded(&input.prefix.unwrap_or_default(), encoding)),
            delimiter: input
                .delimiter
                .map(|delimiter| encoded(&delimiter, encoding)),
            start_after: input.start_after.map(|key| encoded(&key, encoding)),
            max_keys: i32::try_from(page.max).ok(),
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|key| URL_SAFE_NO_PAD.encode(key)),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        })
    }

    pub(super) async fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        only_bucket(&input.bucket)?;
        let after = input.marker.clone().unwrap_or_default();
        let page = self
            .page(
                input.prefix.clone(),
                input.delimiter.clone(),
                after,
                input.max_keys,
            )
            .await?;
        let encoding = input.encoding_type.as_ref();
        let (contents, common_prefixes) = (page.contents(encoding), page.common_prefixes(encoding));
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoded(&input.prefix.unwrap_or_default(), encoding)),
            delimiter: input
                .delimiter
                .map(|delimiter| encoded(&delimiter, encoding)),
            marker: Some(encoded(&input.marker.unwrap_or_default(), encoding)),
            max_keys: i32::try_from(page.max).ok(),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.map(|key| encoded(&key, encoding)),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }

    async fn page(
        &self,
        prefix: Option<String>,
        delimiter: Option<String>,
        after: String,
        max: Option<i32>,
    ) -> S3Result<Page> {
        let max = page_size(max)?;
        let prefix = prefix.unwrap_or_default();
        Ok(self
            .manifest
            .read(move |rows| Page::collect(rows, &prefix, delimiter.as_deref(), after, max))
            .await?)
    }
}

/// A page of keys, those under a common prefix shown as that.
struct Page {
    max: usize,
    objects: Vec<StoredObject>,
    prefixes: Vec<String>,
    /// What the next page comes behind, if there is one.
    next: Option<String>,
}

impl Page {
    fn collect(
        rows: &Rows,
        prefix: &str,
        delimiter: Option<&str>,
        after: String,
        max: usize,
    ) -> Result<Self, Failure> {
        let mut page = Self {
            max,
            objects: Vec::new(),
            prefixes: Vec::new(),
            next: None,
        };
        if max == 0 {
            return Ok(page);
        }
        // The last thing shown, and the key to look behind.
        let (mut last, mut behind) = (after.clone(), after);
        loop {
            let mut leap = None;
            rows.walk(prefix, &behind, |object| {
                if !object.key.starts_with(prefix) {
                    return ControlFlow::Break(());
                }
                let common = common_prefix(&object.key, prefix, delimiter).map(str::to_owned);
                let shown = common.as_ref().unwrap_or(&object.key);
                let before = *shown <= last;
                if !before && page.objects.len() + page.prefixes.len() == max {
                    page.next = Some(last.clone());
                    return ControlFlow::Break(());
                }
                if !before {
                    last.clone_from(shown);
                }
                let Some(common) = common else {
                    page.objects.push(object);
                    return ControlFlow::Continue(());
                };
                leap = Some(past(&object.key, &common));
                // It may have been shown on an earlier page, or just now.
                if !before {
                    page.prefixes.push(common);
                }
                ControlFlow::Break(())
            })?;
            match leap {
                Some(key) => behind = key,
                None => return Ok(page),
            }
        }
    }

    fn contents(&self, encoding: Option<&EncodingType>) -> Vec<Object> {
        let shown = self.objects.iter().map(|object| Object {
            key: Some(encoded(&object.key, encoding)),
            size: i64::try_from(object.size).ok(),
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.created)),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            ..Object::default()
        });
        shown.collect()
    }

    fn common_prefixes(&self, encoding: Option<&EncodingType>) -> Vec<CommonPrefix> {
        self.prefixes
            .iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(encoded(prefix, encoding)),
            })
            .collect()
    }
}

/// Where to look on behind `key`, which falls under `common`: in one leap over all keys that do, unless they go on with the
/// last of all characters.
fn past(key: &str, common: &str) -> String {
    format!("{common}{}", char::MAX).max(key.to_owned())
}
