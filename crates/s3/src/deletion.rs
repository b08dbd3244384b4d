//! Deletions that leave nothing: in a bucket with versions they name the version, so that neither
//! the bytes nor a delete marker stay.
//!
//! Not here: the decision what to delete.

use http::{Method, StatusCode};
use tracing::warn;

use upload_types::{ETag, Key};

use crate::client::Call;
use crate::fault::Fault;
use crate::object_headers::Head;
use crate::response;
use crate::store::Store;

/// Versions of one key that one call deletes. Each needs a PUT or a form of its own.
const MAX_VERSIONS: usize = 100;

/// Whether a deletion that names no version may delete another object than the one that was looked
/// at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCondition {
    /// No other object can come to the key in between.
    None,
    /// `If-Match` with the `ETag` of the object, unless the store does not implement it.
    Unchanged,
}

/// Whether anything was deleted, and whether it is gone for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// There was no such object.
    Nothing,
    Done,
    /// The store keeps a version of the object and does not permit its deletion. The object is
    /// hidden by a delete marker.
    VersionKept,
}

impl Store {
    /// Deletes the object at `key` if it `is_own`, and each earlier version that appears in its
    /// place and `is_own`. Repeatable.
    ///
    /// In a bucket with versions, the deletion names the version, so that no other object is
    /// deleted. In other buckets, and without the permission to delete versions, the `condition`
    /// decides.
    ///
    /// # Errors
    /// [`Fault`] if the store does not respond, or permits no deletion.
    pub async fn delete_versions(
        &self,
        key: &Key,
        is_own: impl Fn(&Head) -> bool,
        condition: DeleteCondition,
    ) -> Result<Deletion, Fault> {
        let mut deletion = Deletion::Nothing;
        for _ in 0..MAX_VERSIONS {
            let Some(head) = self.head(key).await?.filter(&is_own) else {
                return Ok(deletion);
            };
            let Some(version) = &head.version_id else {
                if self.delete_if(condition, key, &head.etag).await? {
                    return Ok(Deletion::Done);
                }
                // Another object is at the key now.
                continue;
            };
            if self.delete_version(key, version).await? {
                deletion = Deletion::Done;
            } else {
                warn!(
                    %key,
                    "a version of a deleted object stays in the bucket: permit s3:DeleteObjectVersion"
                );
                if self.delete_if(condition, key, &head.etag).await? {
                    return Ok(Deletion::VersionKept);
                }
            }
        }
        Err(Fault::Unavailable(
            "DeleteObject: there are too many versions of the object".into(),
        ))
    }

    /// `DeleteObject` of the object with this `ETag`. Returns false if another object is at the
    /// key.
    async fn delete_if(
        &self,
        condition: DeleteCondition,
        key: &Key,
        etag: &ETag,
    ) -> Result<bool, Fault> {
        match condition {
            DeleteCondition::None => self.delete(key).await.map(|()| true),
            DeleteCondition::Unchanged => self.delete_matching(key, etag).await,
        }
    }

    /// `DeleteObject` with `If-Match`. Returns false if the object has another `ETag`.
    async fn delete_matching(&self, key: &Key, etag: &ETag) -> Result<bool, Fault> {
        let call = Call::new("DeleteObject", Method::DELETE, self.object_url(key, &[])?)
            .header("if-match", &etag.quoted())?;
        let response = self.client().send(call).await?;
        match response.status {
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(false),
            StatusCode::NOT_FOUND => Ok(true),
            // A store without conditional deletions.
            StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST => {
                self.delete(key).await.map(|()| true)
            }
            _ => response::check("DeleteObject", response).map(|_| true),
        }
    }

    /// Whether the version of an object is still there.
    pub(crate) async fn has_version(&self, key: &Key, version: &str) -> Result<bool, Fault> {
        let url = self.object_url(key, &[("versionId", version)])?;
        let call = Call::new("HeadObject", Method::HEAD, url);
        Ok(self.client().send(call).await?.status.is_success())
    }

    /// `DeleteObject` of one version. Returns false if the store does not permit that.
    async fn delete_version(&self, key: &Key, version: &str) -> Result<bool, Fault> {
        let url = self.object_url(key, &[("versionId", version)])?;
        let call = Call::new("DeleteObject", Method::DELETE, url);
        let response = self.client().send(call).await?;
        match response.status {
            StatusCode::FORBIDDEN if response::error_code(&response) == "AccessDenied" => Ok(false),
            StatusCode::NOT_FOUND => Ok(true),
            _ => response::check("DeleteObject", response).map(|_| true),
        }
    }
}
