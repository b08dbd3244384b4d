//! Objects: put, head, get.
//!
//! Not here: listings, in [`crate::listing`]; forms, in [`crate::forms`]; copies, in
//! [`crate::copies`]; deletions, in [`crate::deletions`].

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use s3s::dto::{
    Checksum as ChecksumFields, ChecksumMode, ChecksumType, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, PutObjectInput, PutObjectOutput, Range as RequestedRange,
    StreamingBlob,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

use crate::body_headers::BodyHeaders;
use crate::bucket::check_bucket;
use crate::conditions::WriteConditions;
use crate::error::StoreError;
use crate::etag::{part_etag, strong};
use crate::manifest::{Attributes, Changes, Object, Part};
use crate::object_fields::{
    attributes_of, object_output, read_conditions_of, shown_checksum, shown_part_checksum,
    shown_tag_count, with_checksum,
};
use crate::part_files::{ReadHold, read};
use crate::presence::{are_present, blocking};
use crate::receive_body::{ReceivedBody, receive_body};
use crate::store::Store;
use crate::time::{now, whole_second};

/// An object with its parts, whose files stay readable if the object is replaced or deleted.
pub struct ReadableObject {
    pub object: Object,
    parts: Vec<Part>,
    hold: ReadHold,
}

impl ReadableObject {
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Blocks: one `stat` for each part.
    fn is_present(&self) -> std::io::Result<bool> {
        let files = self.parts.iter();
        let files = files.map(|part| (&part.file, part.digests.size));
        are_present(self.hold.files(), &self.object.key, files)
    }

    pub fn read(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync {
        let files = self.parts.into_iter();
        let files = files.map(|part| (part.file, part.digests.size));
        read(self.hold, files.collect(), range)
    }
}

/// The bytes of an object that a request reads.
struct Selection {
    /// Absent for the whole object.
    range: Option<Range<u64>>,
    part_number: Option<i32>,
    /// The number of parts, if the request names one by its number.
    parts_count: Option<i32>,
}

impl Selection {
    /// # Errors
    /// `InvalidRange`; `InvalidPart` for a part that the object does not have.
    fn new(
        object: &Object,
        parts: &[Part],
        range: Option<RequestedRange>,
        part_number: Option<i32>,
    ) -> S3Result<Self> {
        let range = match (range, part_number) {
            (Some(_), Some(_)) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "Cannot specify both Range header and partNumber query parameter"
                ));
            }
            (Some(range), None) => Some(range.check(object.size)?),
            (None, Some(number)) => {
                let range = part_range(parts, number);
                Some(range.ok_or_else(|| s3_error!(InvalidPart))?)
            }
            (None, None) => None,
        };
        // For example, the last bytes of an empty object.
        if part_number.is_none() && range.as_ref().is_some_and(Range::is_empty) {
            return Err(s3_error!(InvalidRange));
        }
        let is_multipart = object.etag.contains('-');
        let count = i32::try_from(parts.len()).ok();
        Ok(Self {
            range,
            part_number,
            parts_count: part_number.and(count).filter(|_| is_multipart),
        })
    }

    /// The part that the request names, if the object consists of parts.
    fn part<'p>(&self, parts: &'p [Part]) -> Option<&'p Part> {
        self.parts_count?;
        part(parts, self.part_number?)
    }

    /// `Content-Range`, for a selection that is not empty.
    fn content_range(&self, size: u64) -> Option<String> {
        let range = self.range.as_ref().filter(|range| !range.is_empty())?;
        Some(format!("bytes {}-{}/{size}", range.start, range.end - 1))
    }

    fn bytes(&self, size: u64) -> Range<u64> {
        self.range.clone().unwrap_or(0..size)
    }

    /// The checksum of the selection, if `mode` requests it and the store knows it.
    fn checksum(
        &self,
        object: &Object,
        parts: &[Part],
        mode: Option<&ChecksumMode>,
    ) -> ChecksumFields {
        if let Some(part) = self.part(parts) {
            return shown_part_checksum(object, part, mode);
        }
        // The checksum of the object is not that of a range.
        let is_whole = self.bytes(object.size) == (0..object.size);
        shown_checksum(object, mode.filter(|_| is_whole))
    }
}

/// The bytes of the part with this number, counted from 1 in the order of the parts.
fn part_range(parts: &[Part], number: i32) -> Option<Range<u64>> {
    let size = part(parts, number)?.digests.size;
    let before = parts.iter().take(usize::try_from(number).ok()? - 1);
    let start = before.map(|part| part.digests.size).sum::<u64>();
    Some(start..start + size)
}

fn part(parts: &[Part], number: i32) -> Option<&Part> {
    parts.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// # Errors
/// `NoSuchVersion` for another version than `null`, the only one of each object.
pub fn check_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(
            NoSuchVersion,
            "Objects of this store have no versions"
        )),
    }
}

impl Store {
    /// # Errors
    /// `NoSuchKey`, also for an object whose bytes are gone.
    pub async fn readable_object(&self, key: &str) -> Result<ReadableObject, StoreError> {
        let (key, files) = (key.to_owned(), Arc::clone(self.files()));
        let readable = self
            .manifest()
            .read(move |queries| {
                let object = queries.object(&key)?.ok_or_else(|| s3_error!(NoSuchKey))?;
                let hold = ReadHold::new(&files, &object.upload_id);
                let parts = queries.parts(&object.upload_id, 0, usize::MAX)?;
                Ok(ReadableObject {
                    object,
                    parts,
                    hold,
                })
            })
            .await?;
        let present = blocking(move || Ok(readable.is_present()?.then_some(readable))).await?;
        present.ok_or_else(|| s3_error!(NoSuchKey).into())
    }

    pub async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<PutObjectOutput> {
        let input = request.input;
        check_bucket(&input.bucket)?;
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "Objects cannot be appended to"));
        }
        let conditions = WriteConditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
        };
        let attributes = attributes_of!(input)?;
        let headers = BodyHeaders::read(
            input.content_length,
            &request.headers,
            request.trailing_headers,
        )?;
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let received = receive_body(self.files(), &input.key, body, headers).await?;
        let checksum = received.digests.main_checksum();
        let lost = if conditions.is_empty() {
            None
        } else {
            self.lost_object(&input.key).await?
        };
        let etag = self
            .create_object(input.key, attributes, received, move |changes, object| {
                let existing = changes.object_except(&object.key, lost.as_deref())?;
                let etag = existing.as_ref().map(|object| object.etag.as_str());
                conditions.check(etag)?;
                Ok(true)
            })
            .await?;
        Ok(with_checksum!(PutObjectOutput {
            checksum.to_dto(),
            checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            e_tag: Some(strong(&etag)),
        }))
    }

    /// Records a received body as an object of one part, if `permits` returns true in the same
    /// transaction. Returns its ETag.
    pub async fn create_object(
        &self,
        key: String,
        attributes: Attributes,
        received: ReceivedBody,
        permits: impl FnOnce(&Changes, &Object) -> Result<bool, StoreError> + Send + 'static,
    ) -> S3Result<String> {
        let object = Object {
            key,
            upload_id: Uuid::now_v7().simple().to_string(),
            size: received.digests.size,
            etag: part_etag(&received.digests),
            checksum: Some(received.digests.main_checksum()),
            attributes,
            created_ms: now(),
        };
        let etag = object.etag.clone();
        self.manifest()
            .write(move |changes| {
                if !permits(changes, &object)? {
                    return Ok(());
                }
                changes.put_part(&object.upload_id, 1, received.file, &received.digests)?;
                changes.put_object(&object)
            })
            .await?;
        Ok(etag)
    }

    /// Also returns the number of tags, which the output has no field for.
    pub async fn head_object(
        &self,
        input: HeadObjectInput,
    ) -> S3Result<(HeadObjectOutput, Option<i32>)> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        let (key, part_number) = (input.key, input.part_number);
        let (object, parts) = if part_number.is_some() {
            let readable = self.readable_object(&key).await?;
            (readable.object, readable.parts)
        } else {
            (self.object(key).await?, Vec::new())
        };
        read_conditions_of!(input).check(&object.etag, &whole_second(object.created_ms))?;
        let selection = Selection::new(&object, &parts, input.range, part_number)?;
        let checksum = selection.checksum(&object, &parts, input.checksum_mode.as_ref());
        let range = selection.bytes(object.size);
        let content_range = selection.content_range(object.size);
        let tag_count = shown_tag_count(&object.attributes);
        let output = object_output!(HeadObjectOutput {
            object,
            checksum,
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range: content_range,
            parts_count: selection.parts_count,
        });
        Ok((output, tag_count))
    }

    pub async fn get_object(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        let readable = self.readable_object(&input.key).await?;
        let object = readable.object.clone();
        read_conditions_of!(input).check(&object.etag, &whole_second(object.created_ms))?;
        let selection = Selection::new(&object, readable.parts(), input.range, input.part_number)?;
        let range = selection.bytes(object.size);
        let mode = input.checksum_mode.as_ref();
        let checksum = selection.checksum(&object, readable.parts(), mode);
        let content_range = selection.content_range(object.size);
        let tag_count = shown_tag_count(&object.attributes);
        Ok(object_output!(GetObjectOutput {
            object,
            checksum,
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range: content_range,
            parts_count: selection.parts_count,
            tag_count: tag_count,
            body: Some(StreamingBlob::wrap(readable.read(range))),
        }))
    }
}
