//! Copies of objects, and of their ranges as parts.
//!
//! Not here: the bytes, in [`crate::part_files`] and [`crate::receive_body`].

use std::io;

use futures_util::StreamExt as _;
use http::HeaderMap;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource,
    MetadataDirective, TaggingDirective, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

use crate::body_headers::BodyHeaders;
use crate::bucket::check_bucket;
use crate::checksums::{Algorithm, Checksum};
use crate::conditions::{ReadConditions, WriteConditions, copy_range};
use crate::error::StoreError;
use crate::etag::{part_etag, strong};
use crate::manifest::{Attributes, Digests, Object};
use crate::multipart::check_part_number;
use crate::object_fields::{attributes_of, only_with_checksum};
use crate::objects::{ReadableObject, check_version};
use crate::part_files::NewPartFile;
use crate::receive_body::receive_body;
use crate::store::Store;
use crate::time::{now, timestamp, whole_second};

/// The largest number of bytes that a copy reads.
const MAX_COPY_BYTES: u64 = 5 << 30;

/// Takes the conditions out of the input of a copy.
macro_rules! source_conditions_of {
    ($input:expr) => {
        ReadConditions {
            if_match: $input.copy_source_if_match,
            if_none_match: $input.copy_source_if_none_match,
            if_modified_since: $input.copy_source_if_modified_since,
            if_unmodified_since: $input.copy_source_if_unmodified_since,
        }
    };
}

impl Store {
    /// Copies an object. The copy shares the bytes of its source on the disk, unless it needs
    /// another checksum.
    pub async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<CopyObjectOutput> {
        let source_key = source_key(&request.headers)?;
        let conditions = WriteConditions::of_headers(&request.headers)?;
        let input = request.input;
        check_bucket(&input.bucket)?;
        let replaces = replaces_attributes(input.metadata_directive.as_ref())?;
        let replaces_tags = replaces_tags(input.tagging_directive.as_ref())?;
        let algorithm = input.checksum_algorithm.as_ref();
        let algorithm = algorithm
            .map(|algorithm| Algorithm::parse(algorithm.as_str()))
            .transpose()?;
        if source_key == input.key && !replaces {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes."
            ));
        }
        let key = input.key.clone();
        let from_request = attributes_of!(input)?;
        let source = self
            .source(&source_key, &source_conditions_of!(input))
            .await?;
        let of_source = &source.object.attributes;
        let tags = if replaces_tags {
            from_request.tags.clone()
        } else {
            of_source.tags.clone()
        };
        let attributes = if replaces {
            from_request
        } else {
            of_source.clone()
        };
        let attributes = Attributes { tags, ..attributes };
        let object = self
            .copy_to(key, source, attributes, algorithm, conditions)
            .await?;
        let checksum = object.checksum.as_ref().map(Checksum::to_dto);
        let checksum = checksum.unwrap_or_default();
        let checksum_type = checksum.checksum_type.clone();
        Ok(CopyObjectOutput {
            copy_object_result: Some(only_with_checksum!(CopyObjectResult {
                checksum,
                checksum_type: checksum_type,
                e_tag: Some(strong(&object.etag)),
                last_modified: Some(timestamp(object.created_ms)),
            })),
            ..CopyObjectOutput::default()
        })
    }

    async fn copy_to(
        &self,
        key: String,
        source: ReadableObject,
        attributes: Attributes,
        algorithm: Option<Algorithm>,
        conditions: WriteConditions,
    ) -> S3Result<Object> {
        let has_algorithm = |checksum: &Checksum| Some(checksum.algorithm) == algorithm;
        let keeps_checksum =
            algorithm.is_none() || source.object.checksum.as_ref().is_some_and(has_algorithm);
        let mut object = Object {
            key,
            upload_id: Uuid::now_v7().simple().to_string(),
            attributes,
            created_ms: now(),
            ..source.object.clone()
        };
        let linked = if keeps_checksum {
            self.link(&source).await?
        } else {
            None
        };
        let parts = if let Some(parts) = linked {
            parts
        } else {
            let of_source = source.object.checksum.as_ref();
            let algorithm = algorithm.or_else(|| Some(of_source?.algorithm));
            let size = source.object.size;
            check_copy_size(size)?;
            let headers = BodyHeaders::none().requiring(algorithm)?;
            let body = source.read(0..size).map(|bytes| bytes.map_err(Into::into));
            let received = receive_body(self.files(), &object.key, body.boxed(), headers).await?;
            object.etag = part_etag(&received.digests);
            object.checksum = Some(received.digests.main_checksum());
            vec![(1, received.file, received.digests)]
        };
        let copied = object.clone();
        let lost = if conditions.is_empty() {
            None
        } else {
            self.lost_object(&object.key).await?
        };
        self.manifest()
            .write(move |changes| {
                let existing = changes.object_except(&object.key, lost.as_deref())?;
                conditions.check(existing.as_ref().map(|existing| existing.etag.as_str()))?;
                for (number, file, digests) in parts {
                    changes.put_part(&object.upload_id, number, file, &digests)?;
                }
                changes.put_object(&object)
            })
            .await?;
        Ok(copied)
    }

    /// Links the files of an object. Returns `None` if the file system has no links, or no further
    /// ones for these files.
    async fn link(
        &self,
        source: &ReadableObject,
    ) -> Result<Option<Vec<(i32, NewPartFile, Digests)>>, StoreError> {
        let (files, parts) = (self.files().clone(), source.parts().to_vec());
        let link_all = move || -> io::Result<_> {
            parts
                .into_iter()
                .map(|part| {
                    Ok((
                        part.number,
                        NewPartFile::link(&files, &part.file)?,
                        part.digests,
                    ))
                })
                .collect()
        };
        match tokio::task::spawn_blocking(link_all).await {
            Ok(Ok(linked)) => Ok(Some(linked)),
            Ok(Err(error)) if cannot_link(error.kind()) => Ok(None),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(StoreError::internal(error)),
        }
    }

    pub async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        let source_key = source_key(&request.headers)?;
        let input = request.input;
        check_bucket(&input.bucket)?;
        let number = check_part_number(input.part_number)?;
        let upload = self.open_upload(&input.upload_id, &input.key).await?;
        let source = self
            .source(&source_key, &source_conditions_of!(input))
            .await?;
        let range = match &input.copy_source_range {
            None => 0..source.object.size,
            Some(header) => copy_range(header, source.object.size)?,
        };
        check_copy_size(range.end - range.start)?;
        let required = upload.checksum_kind.map(|(algorithm, _)| algorithm);
        let headers = BodyHeaders::none().requiring(required)?;
        let body = source.read(range).map(|bytes| bytes.map_err(Into::into));
        let received = receive_body(self.files(), &input.key, body.boxed(), headers).await?;
        let checksum = received.digests.main_checksum();
        let result = only_with_checksum!(CopyPartResult {
            checksum.to_dto(),
            e_tag: Some(strong(&part_etag(&received.digests))),
            last_modified: Some(timestamp(now())),
        });
        self.store_part(input.upload_id, input.key, number, received)
            .await?;
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        })
    }

    /// The source of a copy.
    ///
    /// # Errors
    /// `NoSuchKey`; `PreconditionFailed` for every condition, as in S3.
    async fn source(&self, key: &str, conditions: &ReadConditions) -> S3Result<ReadableObject> {
        let source = self.readable_object(key).await?;
        conditions
            .check(&source.object.etag, &whole_second(source.object.created_ms))
            .map_err(|_| s3_error!(PreconditionFailed))?;
        Ok(source)
    }
}

/// The key in `x-amz-copy-source`. As in S3, a plus sign is an encoded space there.
fn source_key(headers: &HeaderMap) -> S3Result<String> {
    let header = headers
        .get("x-amz-copy-source")
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default()
        .replace('+', "%20");
    let source = CopySource::parse(&header)
        .map_err(|_| s3_error!(InvalidArgument, "Invalid copy source object key"))?;
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        return Err(s3_error!(
            NotImplemented,
            "Only objects of this store can be copied"
        ));
    };
    check_bucket(&bucket)?;
    check_version(version_id.as_deref())?;
    Ok(key.into())
}

/// Returns true if the copy gets the headers of the request, not those of its source.
fn replaces_attributes(directive: Option<&MetadataDirective>) -> S3Result<bool> {
    match directive.map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => Ok(false),
        Some(MetadataDirective::REPLACE) => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown metadata directive.")),
    }
}

fn replaces_tags(directive: Option<&TaggingDirective>) -> S3Result<bool> {
    match directive.map(TaggingDirective::as_str) {
        None | Some(TaggingDirective::COPY) => Ok(false),
        Some(TaggingDirective::REPLACE) => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown tagging directive.")),
    }
}

fn check_copy_size(size: u64) -> S3Result<()> {
    if size > MAX_COPY_BYTES {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: {MAX_COPY_BYTES}"
        ));
    }
    Ok(())
}

fn cannot_link(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::TooManyLinks
            | io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::CrossesDevices
    )
}
