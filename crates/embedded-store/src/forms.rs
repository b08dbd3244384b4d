//! Forms of browsers that post a file.
//!
//! Not here: the fields that are accepted, in [`crate::form_fields`]; the check of the policy, by
//! s3s.

use s3s::dto::{Checksum as ChecksumFields, ETag, PostObjectInput};
use s3s::{S3Request, S3Result, s3_error};

use crate::body_headers::BodyHeaders;
use crate::bucket::{BUCKET, check_bucket};
use crate::etag::strong;
use crate::form_body::FormFile;
use crate::listing::url_encode;
use crate::object_fields::attributes_of;
use crate::receive_body::receive_body;
use crate::store::Store;

impl Store {
    /// Stores the file of a form, which begins to arrive now. s3s has checked its policy. Returns
    /// its ETag and its path on this host.
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
        let headers = BodyHeaders::of_form(
            input.content_md5.as_deref(),
            &ChecksumFields {
                checksum_crc32: input.checksum_crc32.clone(),
                checksum_crc32c: input.checksum_crc32c.clone(),
                checksum_crc64nvme: input.checksum_crc64nvme.clone(),
                checksum_sha1: input.checksum_sha1.clone(),
                checksum_sha256: input.checksum_sha256.clone(),
                checksum_type: None,
            },
        )?;
        let attributes = attributes_of!(input)?;
        let received = receive_body(self.files(), &input.key, file, headers).await?;
        let path = format!("/{BUCKET}/{}", url_encode(&input.key));
        let sha256 = received.digests.sha256;
        let lost = self.lost_object(&input.key).await?;
        let etag = self
            .create_object(
                input.key,
                attributes,
                received,
                move |changes, object| match changes.object_except(&object.key, lost.as_deref())? {
                    None => Ok(true),
                    Some(existing) => {
                        let parts = changes.parts(&existing.upload_id, 0, usize::MAX)?;
                        let is_same = matches!(
                            parts.as_slice(),
                            [part] if part.digests.sha256 == sha256
                        );
                        if is_same {
                            Ok(false)
                        } else {
                            Err(s3_error!(PreconditionFailed).into())
                        }
                    }
                },
            )
            .await?;
        Ok((strong(&etag), path))
    }
}
