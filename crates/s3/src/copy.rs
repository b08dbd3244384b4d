//! Copies within the bucket, made by the store itself: whole, or part by part where an object is large.
//!
//! Border: no byte passes here. What was copied is there once HeadObject says so.

use http::{Method, StatusCode};

use super::client::{self, Call, PATIENCE_TO_COMPLETE};
use super::{Fault, NewObject, Store, address, answers, xml};
use upload_types::names::{ETag, Key, PartNumber};
use upload_types::plan::Plan;

/// The largest object that `CopyObject` takes.
const WHOLE_MAX: u64 = 5 << 30;
/// The size of a part of a larger one, where that many suffice.
const PART: u64 = 1 << 30;

impl Store {
    /// Copies an object of ours to another key; done when the copy is there with its token and size. Repeated, it does the same.
    pub async fn copy(
        &self,
        from: &Key,
        to: &Key,
        object: &NewObject<'_>,
        size: u64,
    ) -> Result<(), Fault> {
        if size > WHOLE_MAX || !self.copy_whole(from, to).await? {
            self.copy_parts(from, to, object, size).await?;
        }
        match self.head(to).await? {
            Some(head) if head.size == size && head.token.as_deref() == Some(object.token) => {
                Ok(())
            }
            _ => Err(Fault::Unavailable(
                "a copy that was made is not there".into(),
            )),
        }
    }

    /// `CopyObject`, which takes along all that the object was given; false where the store has no such call.
    async fn copy_whole(&self, from: &Key, to: &Key) -> Result<bool, Fault> {
        let url = self.address.object(&self.whole(to), &[])?;
        let mut call = Call::new("CopyObject", Method::PUT, url)
            .header("x-amz-copy-source", &self.copy_source(from))?;
        call.patience = PATIENCE_TO_COMPLETE;
        for (name, value) in &self.create_headers {
            call = call.header(name, value)?;
        }
        let answer = self.client.ask(call).await?;
        if answer.status == StatusCode::NOT_IMPLEMENTED {
            return Ok(false);
        }
        client::read::<xml::CopyObjectResult>("CopyObject", answer, "CopyObject").map(|_| true)
    }

    /// A multipart upload whose parts the store copies. What an earlier one has left at that key goes first.
    async fn copy_parts(
        &self,
        from: &Key,
        to: &Key,
        object: &NewObject<'_>,
        size: u64,
    ) -> Result<(), Fault> {
        for left in self.find(to).await? {
            self.abort(to, &left).await?;
        }
        let plan = Plan::new(size, Some(PART), &self.limits)
            .map_err(|error| Fault::Refused(format!("a copy of {size} bytes: {error}")))?;
        let upload = self.create_plain(to, object).await?;
        let mut parts = Vec::new();
        for (number, range) in plan.parts() {
            let range =
                Some((range.start, range.end().saturating_sub(1))).filter(|_| !plan.is_single());
            parts.push((
                number,
                self.copy_part(from, to, &upload, number, range).await?,
            ));
        }
        let url = self
            .address
            .object(&self.whole(to), &[("uploadId", &upload)])?;
        let mut call = Call::new("CompleteMultipartUpload", Method::POST, url)
            .header("content-type", "application/xml")?;
        // What is copied is not sent, and the upload asks for no checksums.
        let body = xml::complete_body(parts.iter().map(|(number, etag)| (*number, etag, None)));
        (call.body, call.patience) = (body.into_bytes(), PATIENCE_TO_COMPLETE);
        answers::completed(self.client.ask(call).await?)
    }

    /// `UploadPartCopy` of an object, or of its bytes from the first to the last of a range.
    pub(super) async fn copy_part(
        &self,
        from: &Key,
        to: &Key,
        upload: &str,
        number: PartNumber,
        range: Option<(u64, u64)>,
    ) -> Result<ETag, Fault> {
        let name = number.to_string();
        let url = self.address.object(
            &self.whole(to),
            &[("partNumber", &name), ("uploadId", upload)],
        )?;
        let mut call = Call::new("UploadPartCopy", Method::PUT, url);
        call = call.header("x-amz-copy-source", &self.copy_source(from))?;
        if let Some((first, last)) = range {
            call = call.header("x-amz-copy-source-range", &format!("bytes={first}-{last}"))?;
        }
        call.patience = PATIENCE_TO_COMPLETE;
        let copied: xml::CopyPartResult = self.client.read(call, "CopyPart").await?;
        ETag::from_header(&copied.etag)
            .map_err(|_| Fault::Unavailable("UploadPartCopy: an answer without an ETag".into()))
    }

    /// `CreateMultipartUpload` without checksums.
    pub(super) async fn create_plain(
        &self,
        key: &Key,
        object: &NewObject<'_>,
    ) -> Result<String, Fault> {
        let url = self.address.object(&self.whole(key), &[("uploads", "")])?;
        let mut call = Call::new("CreateMultipartUpload", Method::POST, url);
        for (name, value) in object.headers() {
            call = call.header(&name, &value)?;
        }
        for (name, value) in &self.create_headers {
            call = call.header(name, value)?;
        }
        answers::created(self.client.ask(call).await?)
    }

    /// `bucket/key`, as a URL has it.
    fn copy_source(&self, key: &Key) -> String {
        let key = self.whole(key);
        let path: Vec<String> = key.split('/').map(address::encode).collect();
        format!("{}/{}", self.bucket, path.join("/"))
    }
}
