//! Multipart uploads: create, parts, list, complete, abort.
//!
//! Border: the operations of S3 on open uploads. A part's bytes are `ingest`'s, the judgement of a Complete is `review`'s.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyPartResult, CopySource,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

use super::failure::Failure;
use super::ingest::{Announced, Arrived, SHA256, ingest};
use super::manifest::{Object as StoredObject, Upload, now};
use super::objects::{Fields, attributes, encoded, only_bucket, timestamp, whole_second};
use super::review::{Conditions, copy_range, only_if_absent, page_size, part_etag, review, strong};
use super::{BUCKET, Store};

/// S3's largest part number, and so the most parts there are.
const PARTS: i32 = 10_000;
/// The most an `UploadPartCopy` copies, in bytes.
const LARGEST_COPY: u64 = 5 << 30;

fn composite(upload: &Upload) -> (Option<ChecksumAlgorithm>, Option<ChecksumType>) {
    let is = upload.demands_checksum;
    let algorithm = is.then(|| ChecksumAlgorithm::from_static(ChecksumAlgorithm::SHA256));
    (
        algorithm,
        is.then(|| ChecksumType::from_static(ChecksumType::COMPOSITE)),
    )
}

fn part_number(number: i32) -> S3Result<i32> {
    let wrong = || {
        s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and {PARTS}, inclusive"
        )
    };
    (1..=PARTS)
        .contains(&number)
        .then_some(number)
        .ok_or_else(wrong)
}

impl Store {
    pub(super) async fn create(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        only_bucket(&input.bucket)?;
        let demands_checksum = match input
            .checksum_algorithm
            .as_ref()
            .map(ChecksumAlgorithm::as_str)
        {
            None => false,
            Some(ChecksumAlgorithm::SHA256) => true,
            Some(_) => {
                return Err(s3_error!(
                    NotImplemented,
                    "Multipart uploads have SHA256 checksums or none"
                ));
            }
        };
        if input
            .checksum_type
            .as_ref()
            .is_some_and(|kind| kind.as_str() != ChecksumType::COMPOSITE)
        {
            return Err(s3_error!(
                InvalidRequest,
                "SHA256 checksums of multipart uploads are COMPOSITE"
            ));
        }
        let upload = Upload {
            id: Uuid::now_v7().simple().to_string(),
            key: input.key.clone(),
            demands_checksum,
            attributes: attributes(Fields {
                content_type: input.content_type,
                cache_control: input.cache_control,
                content_disposition: input.content_disposition,
                content_encoding: input.content_encoding,
                content_language: input.content_language,
                metadata: input.metadata,
            })?,
            created: now(),
        };
        let id = upload.id.clone();
        let (checksum_algorithm, checksum_type) = composite(&upload);
        self.manifest
            .write(move |change| change.add_upload(&upload))
            .await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm,
            checksum_type,
            ..CreateMultipartUploadOutput::default()
        })
    }

    /// An upload that is open.
    async fn open_upload(&self, id: &str, key: &str) -> Result<Upload, Failure> {
        let (id, key) = (id.to_owned(), key.to_owned());
        self.manifest
            .read(move |rows| {
                rows.upload(&id, &key)?
                    .ok_or_else(|| s3_error!(NoSuchUpload).into())
            })
            .await
    }

    /// Makes what arrived the part, if the upload is still open.
    async fn keep_part(
        &self,
        id: String,
        key: String,
        number: i32,
        arrived: Arrived,
    ) -> Result<(), Failure> {
        self.manifest
            .write(move |change| {
                change
                    .upload(&id, &key)?
                    .ok_or_else(|| s3_error!(NoSuchUpload))?;
                change.put_part(&id, number, arrived.file, arrived.size, &arrived.sha256)
            })
            .await
    }

    pub(super) async fn part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let input = request.input;
        only_bucket(&input.bucket)?;
        let number = part_number(input.part_number)?;
        let announced = Announced::read(
            input.content_length,
            &request.headers,
            request.trailing_headers,
        )?;
        // Before the body comes: nobody should send 5 GiB to learn this.
        let upload = self.open_upload(&input.upload_id, &input.key).await?;
        if upload.demands_checksum && !announced.has(SHA256) {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created with SHA256; each part needs its checksum"
            ));
        }
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let arrived = ingest(&self.files, body, announced).await?;
        let output = UploadPartOutput {
            e_tag: Some(strong(&part_etag(&arrived.sha256))),
            checksum_crc32: arrived.checksums.checksum_crc32.clone(),
            checksum_crc32c: arrived.checksums.checksum_crc32c.clone(),
            checksum_crc64nvme: arrived.checksums.checksum_crc64nvme.clone(),
            checksum_sha1: arrived.checksums.checksum_sha1.clone(),
            checksum_sha256: arrived.checksums.checksum_sha256.clone(),
            ..UploadPartOutput::default()
        };
        self.keep_part(input.upload_id, input.key, number, arrived)
            .await?;
        Ok(output)
    }

    pub(super) async fn copy_part(
        &self,
        input: UploadPartCopyInput,
    ) -> S3Result<UploadPartCopyOutput> {
        only_bucket(&input.bucket)?;
        let number = part_number(input.part_number)?;
        let CopySource::Bucket {
            bucket,
            key,
            version_id: None,
        } = &input.copy_source
        else {
            return Err(s3_error!(
                NotImplemented,
                "Only objects of this store, without versions, can be copied"
            ));
        };
        only_bucket(bucket)?;
        self.open_upload(&input.upload_id, &input.key).await?;
        let source = self.source(key).await?;
        let conditions = Conditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        // Of a copy, S3 knows one way for a condition to fail.
        let check = conditions.check(&source.object.etag, &whole_second(source.object.created));
        check.map_err(|_| s3_error!(PreconditionFailed))?;
        let range = match &input.copy_source_range {
            None => 0..source.object.size,
            Some(header) => copy_range(header, source.object.size)?,
        };
        if range.end - range.start > LARGEST_COPY {
            return Err(s3_error!(
                InvalidRequest,
                "A part is at most {LARGEST_COPY} bytes"
            ));
        }
        let body =
            futures_util::StreamExt::map(source.read(range), |bytes| bytes.map_err(Into::into));
        let arrived = ingest(&self.files, Box::pin(body), Announced::nothing()).await?;
        let result = CopyPartResult {
            e_tag: Some(strong(&part_etag(&arrived.sha256))),
            checksum_sha256: arrived.checksums.checksum_sha256.clone(),
            last_modified: Some(timestamp(now())),
            ..CopyPartResult::default()
        };
        self.keep_part(input.upload_id, input.key, number, arrived)
            .await?;
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        })
    }

    pub(super) async fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        only_bucket(&input.bucket)?;
        let max = page_size(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let (id, key) = (input.upload_id.clone(), input.key.clone());
        let (upload, mut parts) = self
            .manifest
            .read(move |rows| {
                let upload = rows
                    .upload(&id, &key)?
                    .ok_or_else(|| s3_error!(NoSuchUpload))?;
                Ok((upload, rows.parts(&id, after, max + 1)?))
            })
            .await?;
        let truncated = max > 0 && parts.len() > max;
        parts.truncate(max);
        let (checksum_algorithm, checksum_type) = composite(&upload);
        let next = parts.last().filter(|_| truncated).map(|part| part.number);
        let shown = parts.into_iter().map(|part| Part {
            part_number: Some(part.number),
            size: i64::try_from(part.size).ok(),
            e_tag: Some(strong(&part_etag(&part.sha256))),
            checksum_sha256: Some(part.sha256.base64()),
            last_modified: Some(timestamp(part.created)),
            ..Part::default()
        });
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: i32::try_from(max).ok(),
            part_number_marker: input.part_number_marker,
            next_part_number_marker: next,
            is_truncated: Some(truncated),
            checksum_algorithm,
            checksum_type,
            parts: Some(shown.collect()),
            ..ListPartsOutput::default()
        })
    }

    pub(super) async fn uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        only_bucket(&input.bucket)?;
        if input
            .delimiter
            .as_ref()
            .is_some_and(|delimiter| !delimiter.is_empty())
        {
            return Err(s3_error!(
                NotImplemented,
                "Uploads are listed without a delimiter"
            ));
        }
        let max = page_size(input.max_uploads)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let key_marker = input.key_marker.clone().unwrap_or_default();
        // A key marker alone passes over all uploads of that key.
        let id_marker = input
            .upload_id_marker
            .clone()
            .unwrap_or_else(|| char::MAX.to_string());
        let mut uploads = self
            .manifest
            .read(move |rows| Ok(rows.uploads(&prefix, (&key_marker, &id_marker), max + 1)?))
            .await?;
        let truncated = max > 0 && uploads.len() > max;
        uploads.truncate(max);
        let encoding = input.encoding_type.as_ref();
        let last = uploads.last().filter(|_| truncated);
        let (next_key_marker, next_upload_id_marker) = (
            last.map(|upload| encoded(&upload.key, encoding)),
            last.map(|upload| upload.id.clone()),
        );
        let shown = uploads.into_iter().map(|upload| {
            let (checksum_algorithm, checksum_type) = composite(&upload);
            MultipartUpload {
                key: Some(encoded(&upload.key, encoding)),
                upload_id: Some(upload.id),
                initiated: Some(timestamp(upload.created)),
                checksum_algorithm,
                checksum_type,
                ..MultipartUpload::default()
            }
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix.map(|prefix| encoded(&prefix, encoding)),
            key_marker: input.key_marker.map(|marker| encoded(&marker, encoding)),
            upload_id_marker: input.upload_id_marker,
            next_key_marker,
            next_upload_id_marker,
            max_uploads: i32::try_from(max).ok(),
            is_truncated: Some(truncated),
            uploads: Some(shown.collect()),
            encoding_type: input.encoding_type,
            ..ListMultipartUploadsOutput::default()
        })
    }

    /// One transaction over rows; the parts' files stay where they are. A repeat of a Complete that succeeded answers as the
    /// first did.
    pub(super) async fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        only_bucket(&input.bucket)?;
        let if_absent = only_if_absent(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        if input
            .checksum_type
            .as_ref()
            .is_some_and(|kind| kind.as_str() != ChecksumType::COMPOSITE)
        {
            return Err(s3_error!(
                InvalidRequest,
                "SHA256 checksums of multipart uploads are COMPOSITE"
            ));
        }
        let others = [
            &input.checksum_crc32,
            &input.checksum_crc32c,
            &input.checksum_crc64nvme,
            &input.checksum_sha1,
        ];
        if others.iter().any(|checksum| checksum.is_some()) {
            return Err(s3_error!(
                NotImplemented,
                "Multipart uploads have SHA256 checksums or none"
            ));
        }
        let listed = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let (id, key) = (input.upload_id, input.key.clone());
        let (size, checksum) = (input.mpu_object_size, input.checksum_sha256);
        let object = self
            .manifest
            .write(move |change| {
                let done = change.object(&key)?.filter(|object| object.upload == id);
                let upload = change.upload(&id, &key)?;
                let demands = match (&done, &upload) {
                    (Some(object), _) => object.checksum.is_some(),
                    (None, Some(upload)) => upload.demands_checksum,
                    (None, None) => return Err(s3_error!(NoSuchUpload).into()),
                };
                let stored = change.parts(&id, 0, usize::MAX)?;
                let reviewed = review(&stored, &listed, demands)?;
                if size.is_some_and(|size| u64::try_from(size) != Ok(reviewed.size)) {
                    let computed = reviewed.size;
                    return Err(s3_error!(
                        InvalidRequest,
                        "The x-amz-mp-object-size does not match: {computed}"
                    )
                    .into());
                }
                let composite = reviewed.checksum.as_str();
                let same = |given: &String| {
                    given == composite || composite.split_once('-').is_some_and(|(c, _)| c == given)
                };
                if !checksum.as_ref().is_none_or(same) {
                    return Err(s3_error!(
                        BadDigest,
                        "The SHA256 does not match the composite of the parts"
                    )
                    .into());
                }
                let upload = match (done, upload) {
                    (Some(object), _) if object.etag == reviewed.etag => return Ok(object),
                    (Some(_), _) => {
                        return Err(s3_error!(
                            InvalidPart,
                            "The upload was completed with other parts"
                        )
                        .into());
                    }
                    (None, Some(upload)) => upload,
                    (None, None) => return Err(s3_error!(NoSuchUpload).into()),
                };
                if if_absent && change.object(&key)?.is_some() {
                    return Err(s3_error!(PreconditionFailed).into());
                }
                for number in reviewed.left_out {
                    change.drop_part(&id, number)?;
                }
                let object = StoredObject {
                    key,
                    upload: id,
                    size: reviewed.size,
                    etag: reviewed.etag,
                    checksum: demands.then(|| reviewed.checksum.to_string()),
                    attributes: upload.attributes,
                    created: now(),
                };
                change.close_upload(&object.upload)?;
                change.put_object(&object)?;
                Ok(object)
            })
            .await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{BUCKET}/{}", object.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(strong(&object.etag)),
            checksum_type: object
                .checksum
                .is_some()
                .then(|| ChecksumType::from_static(ChecksumType::COMPOSITE)),
            checksum_sha256: object.checksum,
            ..CompleteMultipartUploadOutput::default()
        })
    }

    pub(super) async fn abort(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        only_bucket(&input.bucket)?;
        self.manifest
            .write(move |change| {
                change
                    .upload(&input.upload_id, &input.key)?
                    .ok_or_else(|| s3_error!(NoSuchUpload))?;
                change.close_upload(&input.upload_id)?;
                change.drop_parts(&input.upload_id)
            })
            .await?;
        Ok(AbortMultipartUploadOutput::default())
    }
}
