//! Whole objects: a single PUT, a browser form, HEAD, DELETE, and the URL of a download.
//!
//! Not here: the headers of an object, in [`crate::object_headers`].

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};

use upload_types::wire::{PartSpec, SignedPut};
use upload_types::{Key, SignedUrl};

use crate::client::Call;
use crate::content_disposition::attachment;
use crate::fault::Fault;
use crate::object_headers::{Head, NewObject};
use crate::profile::{Capability, Support};
use crate::response;
use crate::signing::body_headers;
use crate::store::Store;

/// A form that a browser posts with the file as its last field. As secret as a presigned URL.
pub struct SignedForm {
    pub url: String,
    pub fields: BTreeMap<String, String>,
    /// Seconds from now.
    pub expires_in: u64,
}

impl Store {
    /// Presigns one PUT of a whole object. The signature binds the headers of the object, its bytes
    /// (depending on the proof), and `If-None-Match: *` unless the store refuses that.
    pub async fn sign_put(
        &self,
        key: &Key,
        object: &NewObject<'_>,
        part: &PartSpec,
        ttl: Duration,
    ) -> Result<SignedPut, Fault> {
        let mut headers = body_headers(self.proof(), part)?;
        headers.extend(self.create_headers().clone());
        headers.extend(object.headers());
        if self.profile().support(Capability::PutOnce) != Support::Refused {
            headers.insert("if-none-match".into(), "*".into());
        }
        let url = self.public_object_url(key, &[])?;
        let presigned = self.presign(Method::PUT, &url, headers, ttl).await?;
        Ok(presigned.into_signed_put(part.number))
    }

    /// Signs a form for an object of at most `max_bytes`, with the headers of the object.
    pub async fn sign_form(
        &self,
        key: &Key,
        object: &NewObject<'_>,
        max_bytes: u64,
        ttl: Duration,
    ) -> Result<SignedForm, Fault> {
        let mut fields = self.create_headers().clone();
        fields.extend(object.headers());
        fields.insert("key".to_owned(), self.full_key(key));
        fields.insert("bucket".to_owned(), self.bucket().to_owned());
        fields.insert("success_action_status".to_owned(), "201".to_owned());
        let signer = self.client().signer();
        let expires_in = signer.sign_post_policy(&mut fields, max_bytes, ttl).await?;
        Ok(SignedForm {
            url: self.public_bucket_url(),
            fields,
            expires_in,
        })
    }

    /// `HeadObject` with checksums. Returns `None` if there is no such object.
    pub async fn head(&self, key: &Key) -> Result<Option<Head>, Fault> {
        let call = Call::new("HeadObject", Method::HEAD, self.object_url(key, &[])?)
            .header("x-amz-checksum-mode", "ENABLED")?;
        let response = self.client().send(call).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if response.status == StatusCode::FORBIDDEN {
            // The object may or may not exist.
            return Err(Fault::Refused(
                "HeadObject: 403, which S3 also returns for a missing object if ListBucket is not permitted"
                    .into(),
            ));
        }
        let response = response::check("HeadObject", response)?;
        Head::from_response(&response).map(Some).ok_or_else(|| {
            Fault::Unavailable("HeadObject: a response without length or ETag".into())
        })
    }

    /// `DeleteObject`. Succeeds for an object that does not exist.
    pub async fn delete(&self, key: &Key) -> Result<(), Fault> {
        let call = Call::new("DeleteObject", Method::DELETE, self.object_url(key, &[])?);
        let response = self.client().send(call).await?;
        if response.status == StatusCode::NOT_FOUND
            && response::error_code(&response) == "NoSuchKey"
        {
            return Ok(());
        }
        response::check("DeleteObject", response).map(drop)
    }

    /// Presigns `GetObject` as a download with this file name. Returns the URL and its lifetime in
    /// seconds, which is shorter than `ttl` if the credential expires earlier.
    pub async fn sign_get(
        &self,
        key: &Key,
        file_name: &str,
        ttl: Duration,
    ) -> Result<(SignedUrl, u64), Fault> {
        let disposition = attachment(file_name);
        let query = [("response-content-disposition", disposition.as_str())];
        let url = self.public_object_url(key, &query)?;
        self.presign_get(&url, ttl).await
    }

    /// Like [`Store::sign_get`], but at the endpoint of control calls: for programs on this
    /// machine.
    pub async fn sign_internal_get(
        &self,
        key: &Key,
        ttl: Duration,
    ) -> Result<(SignedUrl, u64), Fault> {
        let url = self.object_url(key, &[])?;
        self.presign_get(&url, ttl).await
    }

    async fn presign_get(&self, url: &str, ttl: Duration) -> Result<(SignedUrl, u64), Fault> {
        let presigned = self.presign(Method::GET, url, BTreeMap::new(), ttl).await?;
        Ok((presigned.url, presigned.expires_in))
    }
}
