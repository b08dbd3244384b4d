//! Multipart uploads: create, send parts, list, complete, abort.
//!
//! Not here: the bytes of a part, in [`crate::receive_body`]; copies of parts, in
//! [`crate::copies`]; the decision about a complete, in [`crate::complete`].

use std::collections::HashSet;
use std::sync::Arc;

use http::header;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, Part as ListedPart, StorageClass,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

use crate::body_headers::BodyHeaders;
use crate::bucket::{BUCKET, OWNER, check_bucket, owner};
use crate::checksums::{Algorithm, Checksum};
use crate::complete::{CompleteDecision, CompleteRequest, CompleteRows};
use crate::error::StoreError;
use crate::etag::{part_etag, strong};
use crate::listing::{encode_key, page_size, url_encode};
use crate::manifest::{Changes, Object, Part, Queries, Upload};
use crate::object_fields::{attributes_of, only_with_checksum, with_checksum};
use crate::part_files::{FileName, ReadHold};
use crate::receive_body::{ReceivedBody, receive_body};
use crate::store::Store;
use crate::time::{now, timestamp};

/// S3's largest part number.
const MAX_PART_NUMBER: i32 = 10_000;

impl Store {
    pub async fn create_multipart_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        check_bucket(&input.bucket)?;
        let checksum_kind = match &input.checksum_algorithm {
            None if input.checksum_type.is_some() => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The x-amz-checksum-type header can only be used with the \
                     x-amz-checksum-algorithm header."
                ));
            }
            None => None,
            Some(algorithm) => {
                let algorithm = Algorithm::parse(algorithm.as_str())?;
                Some((algorithm, algorithm.coverage(input.checksum_type.as_ref())?))
            }
        };
        let upload = Upload {
            id: Uuid::now_v7().simple().to_string(),
            key: input.key.clone(),
            checksum_kind,
            attributes: attributes_of!(input)?,
            created_ms: now(),
        };
        let id = upload.id.clone();
        let (checksum_algorithm, checksum_type) = shown_kind(&upload);
        self.manifest()
            .write(move |changes| changes.insert_upload(&upload))
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

    pub async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let input = request.input;
        check_bucket(&input.bucket)?;
        let number = check_part_number(input.part_number)?;
        let headers = BodyHeaders::read(
            input.content_length,
            &request.headers,
            request.trailing_headers,
        )?;
        // Checked before the body, so that a client does not send 5 GiB for a rejected part.
        let upload = self.open_upload(&input.upload_id, &input.key).await?;
        let required = upload.checksum_kind.map(|(algorithm, _)| algorithm);
        if required == Some(Algorithm::Sha256) && !headers.has_checksum() {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created with SHA256; each part needs its checksum"
            ));
        }
        let headers = headers.requiring(required)?;
        let is_presigned = !request.headers.contains_key(header::AUTHORIZATION);
        let headers = if is_presigned {
            headers.without_md5()
        } else {
            headers
        };
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let received = receive_body(self.files(), &input.key, body, headers).await?;
        let (etag, checksum) = (
            part_etag(&received.digests),
            received.digests.main_checksum(),
        );
        self.store_part(input.upload_id, input.key, number, received)
            .await?;
        Ok(with_checksum!(UploadPartOutput {
            checksum.to_dto(),
            e_tag: Some(strong(&etag)),
        }))
    }

    /// # Errors
    /// `NoSuchUpload`.
    pub async fn open_upload(&self, id: &str, key: &str) -> Result<Upload, StoreError> {
        let (id, key) = (id.to_owned(), key.to_owned());
        self.manifest()
            .read(move |queries| open_upload(queries, &id, &key))
            .await
    }

    /// Records a received body as a part, if the upload is still open.
    pub async fn store_part(
        &self,
        upload_id: String,
        key: String,
        number: i32,
        received: ReceivedBody,
    ) -> Result<(), StoreError> {
        self.manifest()
            .write(move |changes| {
                open_upload(changes, &upload_id, &key)?;
                changes.put_part(&upload_id, number, received.file, &received.digests)
            })
            .await
    }

    pub async fn list_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        check_bucket(&input.bucket)?;
        let max_parts = page_size(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let (id, key) = (input.upload_id.clone(), input.key.clone());
        let files = Arc::clone(self.files());
        let (upload, mut parts, hold) = self
            .manifest()
            .read(move |queries| {
                let upload = open_upload(queries, &id, &key)?;
                let hold = ReadHold::new(&files, &id);
                Ok((upload, queries.parts(&id, after, max_parts + 1)?, hold))
            })
            .await?;
        let is_truncated = truncate(&mut parts, max_parts);
        let (checksum_algorithm, checksum_type) = shown_kind(&upload);
        let last = parts.last().filter(|_| is_truncated);
        let next_part_number_marker = last.map(|part| part.number);
        let parts = self.present_parts(input.key.clone(), parts, hold).await?;
        let algorithm = upload
            .checksum_kind
            .map_or(Algorithm::Sha256, |(algorithm, _)| algorithm);
        let listed = parts.into_iter().map(|part| {
            let checksum = Checksum {
                algorithm,
                value: part.digests.checksum(algorithm).unwrap_or_default(),
            };
            only_with_checksum!(ListedPart {
                checksum.to_dto(),
                part_number: Some(part.number),
                size: i64::try_from(part.digests.size).ok(),
                e_tag: Some(strong(&part_etag(&part.digests))),
                last_modified: Some(timestamp(part.created_ms)),
            })
        });
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: i32::try_from(max_parts).ok(),
            part_number_marker: input.part_number_marker,
            next_part_number_marker,
            is_truncated: Some(is_truncated),
            checksum_algorithm,
            checksum_type,
            initiator: Some(initiator()),
            owner: Some(owner()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            parts: Some(listed.collect()),
            ..ListPartsOutput::default()
        })
    }

    pub async fn list_multipart_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        check_bucket(&input.bucket)?;
        let delimiter = input.delimiter.as_ref();
        if delimiter.is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(s3_error!(
                NotImplemented,
                "Uploads are listed without a delimiter"
            ));
        }
        let max_uploads = page_size(input.max_uploads)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let key_marker = input.key_marker.clone().unwrap_or_default();
        // A key marker without an upload id marker skips all uploads of that key.
        let id_marker = input
            .upload_id_marker
            .clone()
            .unwrap_or_else(|| char::MAX.to_string());
        let mut uploads = self
            .manifest()
            .read(move |queries| {
                let after = (key_marker.as_str(), id_marker.as_str());
                Ok(queries.uploads(&prefix, after, max_uploads + 1)?)
            })
            .await?;
        let is_truncated = truncate(&mut uploads, max_uploads);
        let encoding = input.encoding_type.as_ref();
        let last = uploads.last().filter(|_| is_truncated);
        let next_key_marker = last.map(|upload| encode_key(&upload.key, encoding));
        let next_upload_id_marker = last.map(|upload| upload.id.clone());
        let listed = uploads.into_iter().map(|upload| {
            let (checksum_algorithm, checksum_type) = shown_kind(&upload);
            MultipartUpload {
                key: Some(encode_key(&upload.key, encoding)),
                upload_id: Some(upload.id),
                initiated: Some(timestamp(upload.created_ms)),
                checksum_algorithm,
                checksum_type,
                initiator: Some(initiator()),
                owner: Some(owner()),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            }
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix.map(|prefix| encode_key(&prefix, encoding)),
            key_marker: input.key_marker.map(|marker| encode_key(&marker, encoding)),
            upload_id_marker: input.upload_id_marker,
            next_key_marker,
            next_upload_id_marker,
            max_uploads: i32::try_from(max_uploads).ok(),
            is_truncated: Some(is_truncated),
            uploads: Some(listed.collect()),
            encoding_type: input.encoding_type,
            ..ListMultipartUploadsOutput::default()
        })
    }

    /// Changes rows only; the files of the parts are not moved. Repeating a successful complete
    /// returns the same response.
    pub async fn complete_multipart_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        check_bucket(&input.bucket)?;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let request = CompleteRequest::from_input(input)?;
        let lost = Lost {
            object: self.lost_object(&key).await?,
            parts: self.lost_parts(&key, &request.upload_id).await?,
        };
        let object = self
            .manifest()
            .write(move |changes| complete(changes, &request, &lost))
            .await?;
        let checksum = object.checksum.as_ref().map(Checksum::to_dto);
        let checksum = checksum.unwrap_or_default();
        let checksum_type = checksum.checksum_type.clone();
        Ok(with_checksum!(CompleteMultipartUploadOutput {
            checksum,
            checksum_type: checksum_type,
            location: Some(format!("/{BUCKET}/{}", url_encode(&object.key))),
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(strong(&object.etag)),
        }))
    }

    pub async fn abort_multipart_upload(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        check_bucket(&input.bucket)?;
        self.manifest()
            .write(move |changes| {
                open_upload(changes, &input.upload_id, &input.key)?;
                changes.delete_upload(&input.upload_id)?;
                changes.delete_parts(&input.upload_id)
            })
            .await?;
        Ok(AbortMultipartUploadOutput::default())
    }
}

/// # Errors
/// `NoSuchUpload`.
fn open_upload(queries: &Queries, id: &str, key: &str) -> Result<Upload, StoreError> {
    let upload = queries.upload(id, key)?;
    upload.ok_or_else(|| s3_error!(NoSuchUpload).into())
}

/// The object and the parts that a request to complete must ignore, because their bytes are gone.
struct Lost {
    /// The upload id of the object at the key, if it is lost.
    object: Option<String>,
    parts: HashSet<FileName>,
}

/// Completes an upload in one transaction. Returns the object, even if the upload was completed
/// before.
fn complete(
    changes: &mut Changes,
    request: &CompleteRequest,
    lost: &Lost,
) -> Result<Object, StoreError> {
    let parts = changes.parts(&request.upload_id, 0, usize::MAX)?;
    let is_lost = |part: &Part| lost.parts.contains(&part.file);
    let (lost_parts, parts): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(is_lost);
    let rows = CompleteRows {
        object: changes.object_except(&request.key, lost.object.as_deref())?,
        upload: changes.upload(&request.upload_id, &request.key)?,
        parts,
    };
    match request.decide(rows, now())? {
        CompleteDecision::AlreadyCompleted(object) => Ok(object),
        CompleteDecision::Create(object, omitted) => {
            let lost = lost_parts.into_iter().map(|part| part.number);
            for number in omitted.into_iter().chain(lost) {
                changes.delete_part(&object.upload_id, number)?;
            }
            changes.delete_upload(&object.upload_id)?;
            changes.put_object(&object)?;
            Ok(object)
        }
    }
}

/// The algorithm and type of the checksums of an upload, if it has any.
fn shown_kind(upload: &Upload) -> (Option<ChecksumAlgorithm>, Option<ChecksumType>) {
    let kind = upload.checksum_kind;
    kind.map(|(algorithm, coverage)| (algorithm.as_dto(), coverage.as_dto()))
        .unzip()
}

fn initiator() -> Initiator {
    Initiator {
        id: Some(OWNER.into()),
        display_name: Some(OWNER.into()),
    }
}

pub fn check_part_number(number: i32) -> S3Result<i32> {
    if (1..=MAX_PART_NUMBER).contains(&number) {
        Ok(number)
    } else {
        Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive"
        ))
    }
}

/// Truncates rows to a page; the query requested one row more. Returns true if there is a next
/// page.
fn truncate<T>(rows: &mut Vec<T>, page_size: usize) -> bool {
    let is_truncated = page_size > 0 && rows.len() > page_size;
    rows.truncate(page_size);
    is_truncated
}
