//! Objects: put, post, head, get, delete.
//!
//! Not here: listings, in [`crate::listing`].

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use s3s::dto::{
    ChecksumType, DeleteObjectInput, DeleteObjectOutput, ETag, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, PostObjectInput, PutObjectInput, PutObjectOutput,
    StreamingBlob,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

use crate::body_headers::BodyHeaders;
use crate::bucket::{BUCKET, check_bucket};
use crate::conditions::is_if_absent;
use crate::error::StoreError;
use crate::etag::{part_etag, strong};
use crate::form_body::FormFile;
use crate::listing::url_encode;
use crate::manifest::{Attributes, Object};
use crate::object_fields::{
    attributes_of, object_output, read_conditions_of, received_output, shown_checksum,
};
use crate::part_files::{FileName, ReadHold, read};
use crate::receive_body::{ReceivedBody, receive_body};
use crate::store::Store;
use crate::time::{now, whole_second};

/// The treatment of an existing object at the key of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfExists {
    /// It is replaced.
    Replace,
    /// The request is rejected.
    Reject,
    /// The request is rejected, unless the content is the same.
    RejectOther,
}

/// An object with its files, which stay readable if the object is replaced or deleted.
pub struct ReadableObject {
    pub object: Object,
    files: Vec<(FileName, u64)>,
    hold: ReadHold,
}

impl ReadableObject {
    pub fn read(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync {
        read(self.hold, self.files, range)
    }
}

impl Store {
    /// # Errors
    /// `NoSuchKey`.
    pub async fn readable_object(&self, key: &str) -> Result<ReadableObject, StoreError> {
        let (key, files) = (key.to_owned(), Arc::clone(self.files()));
        self.manifest()
            .read(move |queries| {
                let object = queries.object(&key)?.ok_or_else(|| s3_error!(NoSuchKey))?;
                let hold = ReadHold::new(&files, &object.upload_id);
                let parts = queries.parts(&object.upload_id, 0, usize::MAX)?;
                let files = parts.into_iter().map(|part| (part.file, part.size));
                Ok(ReadableObject {
                    object,
                    files: files.collect(),
                    hold,
                })
            })
            .await
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
        let if_exists = if is_if_absent(input.if_match.as_ref(), input.if_none_match.as_ref())? {
            IfExists::Reject
        } else {
            IfExists::Replace
        };
        let attributes = attributes_of!(input)?;
        let headers = BodyHeaders::read(
            input.content_length,
            &request.headers,
            request.trailing_headers,
        )?;
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let received = receive_body(self.files(), &input.key, body, headers).await?;
        let checksums = received.checksums.clone();
        let etag = self
            .create_object(input.key, attributes, received, if_exists)
            .await?;
        Ok(received_output!(PutObjectOutput {
            &etag,
            checksums,
            checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
        }))
    }

    /// Stores the file of a form, which begins to arrive now. s3s has checked its policy. Returns its ETag and its path on this
    /// host.
    ///
    /// An existing object is kept: a form permits one object, even if it is posted repeatedly.
    /// Posting the same bytes again succeeds.
    pub async fn post_object(
        &self,
        request: S3Request<PostObjectInput>,
    ) -> S3Result<(ETag, String)> {
        let file = request.extensions.get::<FormFile>();
        let file = file.and_then(FormFile::take);
        let file = file.ok_or_else(|| s3_error!(MalformedPOSTRequest))?;
        let input = request.input;
        check_bucket(&input.bucket)?;
        let attributes = attributes_of!(input)?;
        let received = receive_body(self.files(), &input.key, file, BodyHeaders::none()).await?;
        let path = format!("/{BUCKET}/{}", url_encode(&input.key));
        let etag = self
            .create_object(input.key, attributes, received, IfExists::RejectOther)
            .await?;
        Ok((strong(&etag), path))
    }

    /// Records a received body as an object of one part. Returns its ETag.
    async fn create_object(
        &self,
        key: String,
        attributes: Attributes,
        received: ReceivedBody,
        if_exists: IfExists,
    ) -> S3Result<String> {
        let object = Object {
            key,
            upload_id: Uuid::now_v7().simple().to_string(),
            size: received.size,
            etag: part_etag(&received.sha256),
            checksum: received.checksums.checksum_sha256.clone(),
            attributes,
            created_ms: now(),
        };
        let etag = object.etag.clone();
        self.manifest()
            .write(move |changes| {
                if if_exists != IfExists::Replace
                    && let Some(existing) = changes.object(&object.key)?
                {
                    let is_same =
                        if_exists == IfExists::RejectOther && existing.etag == object.etag;
                    return if is_same {
                        Ok(())
                    } else {
                        Err(s3_error!(PreconditionFailed).into())
                    };
                }
                changes.put_part(
                    &object.upload_id,
                    1,
                    received.file,
                    received.size,
                    &received.sha256,
                )?;
                changes.put_object(&object)
            })
            .await?;
        Ok(etag)
    }

    pub async fn head_object(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        check_bucket(&input.bucket)?;
        if input.part_number.is_some() || input.version_id.is_some() || input.range.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "Part numbers, versions and ranges of HEAD are not implemented"
            ));
        }
        let key = input.key;
        let object = self
            .manifest()
            .read(move |queries| {
                let object = queries.object(&key)?;
                object.ok_or_else(|| s3_error!(NoSuchKey).into())
            })
            .await?;
        read_conditions_of!(input).check(&object.etag, &whole_second(object.created_ms))?;
        let checksum = shown_checksum(&object, input.checksum_mode.as_ref());
        let content_length = i64::try_from(object.size).ok();
        Ok(object_output!(HeadObjectOutput {
            object,
            checksum,
            content_length: content_length,
        }))
    }

    pub async fn get_object(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        check_bucket(&input.bucket)?;
        if input.part_number.is_some() || input.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "Part numbers and versions are not implemented"
            ));
        }
        let readable = self.readable_object(&input.key).await?;
        let object = readable.object.clone();
        read_conditions_of!(input).check(&object.etag, &whole_second(object.created_ms))?;
        let range = input
            .range
            .map(|range| range.check(object.size))
            .transpose()?;
        // For example, the last bytes of an empty object.
        if range.as_ref().is_some_and(Range::is_empty) {
            return Err(s3_error!(InvalidRange));
        }
        let content_range = range
            .as_ref()
            .map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, object.size));
        // The checksum of the object is not that of a range.
        let mode = input.checksum_mode.as_ref().filter(|_| range.is_none());
        let checksum = shown_checksum(&object, mode);
        let range = range.unwrap_or(0..object.size);
        Ok(object_output!(GetObjectOutput {
            object,
            checksum,
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range: content_range,
            body: Some(StreamingBlob::wrap(readable.read(range))),
        }))
    }

    /// Succeeds for an object that does not exist.
    pub async fn delete_object(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        check_bucket(&input.bucket)?;
        let is_conditional = input.if_match.is_some()
            || input.if_match_size.is_some()
            || input.if_match_last_modified_time.is_some();
        if is_conditional || input.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "Conditions and versions of DELETE are not implemented"
            ));
        }
        self.manifest()
            .write(move |changes| changes.delete_object(&input.key))
            .await?;
        Ok(DeleteObjectOutput::default())
    }
}
