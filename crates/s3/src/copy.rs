//! Copies within the bucket, made by the store: whole, or part by part for a large object.
//!
//! Not here: the bytes, which do not leave the store.

use http::{Method, StatusCode};

use upload_types::plan::Plan;
use upload_types::{ByteRange, ETag, Key, PartNumber, Sha256};

use crate::attribute_headers::{ENCRYPTION_HEADER, STORAGE_CLASS_HEADER};
use crate::client::Call;
use crate::fault::Fault;
use crate::multipart::CompleteConditions;
use crate::multipart_responses::parse_complete;
use crate::object_headers::NewObject;
use crate::store::Store;
use crate::transport::COMPLETE_TIMEOUT;
use crate::uri::encode_path;
use crate::{response, xml};

/// The largest object that `CopyObject` accepts.
const MAX_COPY_OBJECT_BYTES: u64 = 5 << 30;
/// The preferred size of the parts of a larger object.
const COPY_PART_BYTES: u64 = 1 << 30;

/// The bytes that a part is copied from.
#[derive(Debug, Clone, Copy)]
pub struct CopySource<'a> {
    pub key: &'a Key,
    /// The `ETag` that the object must have.
    pub etag: Option<&'a ETag>,
    /// The size of the object.
    pub size: u64,
    pub range: ByteRange,
}

/// The response of the store to the copy of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedPart {
    pub etag: ETag,
    /// The SHA-256 that the store has computed. `None` if it reports none.
    pub sha256: Option<Sha256>,
}

impl Store {
    /// Copies an object to another key. Succeeds if HeadObject then finds this token and size
    /// there. Can be repeated.
    pub async fn copy(
        &self,
        from: &Key,
        to: &Key,
        object: &NewObject<'_>,
        size: u64,
    ) -> Result<(), Fault> {
        if size > MAX_COPY_OBJECT_BYTES || !self.copy_whole(from, to, object).await? {
            self.copy_parts(from, to, object, size).await?;
        }
        match self.head(to).await? {
            Some(head) if head.size == size && head.token.as_deref() == Some(object.token) => {
                Ok(())
            }
            _ => Err(Fault::Unavailable(
                "CopyObject: the copy does not exist, or differs from the object".into(),
            )),
        }
    }

    /// `CopyObject`, which copies the headers and tags of the object, but neither its storage class
    /// nor its encryption. Returns false if the store does not implement it.
    async fn copy_whole(
        &self,
        from: &Key,
        to: &Key,
        object: &NewObject<'_>,
    ) -> Result<bool, Fault> {
        let headers = object.headers_with(self.create_headers());
        let is_set_again = |name: &str| {
            self.create_headers().contains_key(name)
                || name.starts_with(ENCRYPTION_HEADER)
                || name == STORAGE_CLASS_HEADER
        };
        let headers = headers.iter().filter(|(name, _)| is_set_again(name));
        let call = Call::new("CopyObject", Method::PUT, self.object_url(to, &[])?)
            .header("x-amz-copy-source", &self.copy_source(from))?
            .headers(headers)?
            .timeout(COMPLETE_TIMEOUT);
        let response = self.client().send(call).await?;
        if response.status == StatusCode::NOT_IMPLEMENTED {
            return Ok(false);
        }
        response::parse::<xml::CopyObjectResult>("CopyObject", response, "CopyObject").map(|_| true)
    }

    /// Makes a multipart upload of parts that the store copies. Aborts uploads that an earlier copy
    /// has left at the same key.
    async fn copy_parts(
        &self,
        from: &Key,
        to: &Key,
        object: &NewObject<'_>,
        size: u64,
    ) -> Result<(), Fault> {
        for stale in self.find(to).await? {
            self.abort(to, &stale).await?;
        }
        let plan = Plan::new(size, Some(COPY_PART_BYTES), &self.limits()).map_err(|error| {
            Fault::Refused(format!("could not copy an object of {size} bytes: {error}"))
        })?;
        // The parts are not sent, so there are no checksums to verify.
        let upload_id = self.create_without_checksums(to, object).await?;
        let mut parts = Vec::new();
        for (number, range) in plan.parts() {
            let source = CopySource {
                key: from,
                etag: None,
                size,
                range,
            };
            let copied = self.copy_part(&source, to, &upload_id, number).await?;
            parts.push((number, copied.etag));
        }
        let body = xml::complete_body(parts.iter().map(|(number, etag)| (*number, etag, None)));
        let conditions = CompleteConditions::default();
        parse_complete(
            self.send_complete(to, &upload_id, &body, conditions)
                .await?,
        )
    }

    /// `UploadPartCopy`.
    ///
    /// # Errors
    /// [`Fault::PreconditionFailed`] if the source has another `ETag`, [`Fault::Unavailable`] if
    /// the response has none.
    pub async fn copy_part(
        &self,
        from: &CopySource<'_>,
        to: &Key,
        upload_id: &str,
        number: PartNumber,
    ) -> Result<CopiedPart, Fault> {
        let number = number.to_string();
        let url = self.object_url(to, &[("partNumber", &number), ("uploadId", upload_id)])?;
        let mut call = Call::new("UploadPartCopy", Method::PUT, url)
            .header("x-amz-copy-source", &self.copy_source(from.key))?
            .timeout(COMPLETE_TIMEOUT);
        // S3 copies ranges of objects over 5 MiB only.
        if from.range.len < from.size {
            let last = from.range.end().saturating_sub(1);
            let range = format!("bytes={}-{last}", from.range.start);
            call = call.header("x-amz-copy-source-range", &range)?;
        }
        if let Some(etag) = from.etag {
            call = call.header("x-amz-copy-source-if-match", &etag.quoted())?;
        }
        let copied: xml::CopyPartResult = self.client().send_and_parse(call, "CopyPart").await?;
        let etag = ETag::from_header(&copied.etag)
            .map_err(|_| Fault::Unavailable("UploadPartCopy: a response without an ETag".into()))?;
        let sha256 = copied.checksum_sha256.as_deref();
        Ok(CopiedPart {
            etag,
            sha256: sha256.and_then(|sha256| Sha256::from_base64(sha256).ok()),
        })
    }

    /// `bucket/key`, percent-encoded.
    fn copy_source(&self, key: &Key) -> String {
        format!("{}/{}", self.bucket(), encode_path(&self.full_key(key)))
    }
}
