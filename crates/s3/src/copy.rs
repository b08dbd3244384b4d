//! Copies within the bucket, made by the store: whole, or part by part for a large object.
//!
//! Not here: the bytes, which do not leave the store.

use http::{Method, StatusCode};

use upload_types::plan::Plan;
use upload_types::{ETag, Key, PartNumber};

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
            let range = (!plan.is_single()).then(|| (range.start, range.end().saturating_sub(1)));
            let etag = self.copy_part(from, to, &upload_id, number, range).await?;
            parts.push((number, etag));
        }
        let body = xml::complete_body(parts.iter().map(|(number, etag)| (*number, etag, None)));
        let conditions = CompleteConditions::default();
        parse_complete(
            self.send_complete(to, &upload_id, &body, conditions)
                .await?,
        )
    }

    /// `UploadPartCopy` of a whole object, or of a range of its bytes, given by the first and the
    /// last.
    pub(crate) async fn copy_part(
        &self,
        from: &Key,
        to: &Key,
        upload_id: &str,
        number: PartNumber,
        range: Option<(u64, u64)>,
    ) -> Result<ETag, Fault> {
        let number = number.to_string();
        let url = self.object_url(to, &[("partNumber", &number), ("uploadId", upload_id)])?;
        let mut call = Call::new("UploadPartCopy", Method::PUT, url)
            .header("x-amz-copy-source", &self.copy_source(from))?
            .timeout(COMPLETE_TIMEOUT);
        if let Some((first, last)) = range {
            call = call.header("x-amz-copy-source-range", &format!("bytes={first}-{last}"))?;
        }
        let copied: xml::CopyPartResult = self.client().send_and_parse(call, "CopyPart").await?;
        ETag::from_header(&copied.etag)
            .map_err(|_| Fault::Unavailable("UploadPartCopy: a response without an ETag".into()))
    }

    /// `bucket/key`, percent-encoded.
    fn copy_source(&self, key: &Key) -> String {
        format!("{}/{}", self.bucket(), encode_path(&self.full_key(key)))
    }
}
