//! Cheap checks before a gateway serves: the permissions of its credentials, and the endpoint that
//! its clients use.
//!
//! Not here: the capabilities of the store, in [`crate::probe`].

use std::time::Duration;

use http::{Method, StatusCode};

use upload_net::Response;
use upload_types::Key;

use crate::client::Call;
use crate::fault::Fault;
use crate::response;
use crate::store::Store;

/// No upload has this key.
const ABSENT_KEY: &str = "uploads/preflight";
const URL_TTL: Duration = Duration::from_mins(5);

/// The result of a request to the endpoint for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicEndpoint {
    /// The store accepts signatures for it.
    Works,
    /// It cannot be reached from this machine, for this reason.
    NotReachable(String),
    /// It does not respond like a store that accepts the signature; with status and error code.
    Rejects(String),
}

impl Store {
    /// The names of permissions that a gateway needs and that the credentials lack. A missing
    /// permission to write is found by a probe.
    ///
    /// # Errors
    /// [`Fault`] if the store does not respond, or rejects the credentials.
    pub async fn missing_permissions(&self) -> Result<Vec<&'static str>, Fault> {
        let mut missing = Vec::new();
        let query = [("uploads", ""), ("max-uploads", "1")];
        let call = Call::new("ListMultipartUploads", Method::GET, self.bucket_url(&query));
        if is_denied("ListMultipartUploads", self.client().send(call).await?)? {
            missing.push("s3:ListBucketMultipartUploads");
        }
        let url = self.object_url(&absent_key()?, &[])?;
        let head = Call::new("HeadObject", Method::HEAD, url);
        let head = self.client().send(head).await?;
        // S3 also denies access to an object that does not exist, unless ListBucket is permitted.
        if head.status == StatusCode::FORBIDDEN {
            let query = [("list-type", "2"), ("max-keys", "1")];
            let call = Call::new("ListObjectsV2", Method::GET, self.bucket_url(&query));
            let is_listing_denied = is_denied("ListObjectsV2", self.client().send(call).await?)?;
            missing.push(if is_listing_denied {
                "s3:ListBucket"
            } else {
                "s3:GetObject"
            });
        }
        Ok(missing)
    }

    /// Sends a request with a presigned URL to the endpoint for clients.
    ///
    /// # Errors
    /// [`Fault`] without credentials.
    pub async fn check_public_endpoint(&self) -> Result<PublicEndpoint, Fault> {
        let url = self.public_object_url(&absent_key()?, &[])?;
        let presigned = self.presign(Method::GET, &url, [].into(), URL_TTL).await?;
        let request = http::Request::get(presigned.url.expose())
            .body(Vec::new())
            .map_err(|_| Fault::Refused("could not sign the URL: it is not valid".into()))?;
        let response = match self.send_unsigned(request).await {
            Ok(response) => response,
            Err(fault) => return Ok(PublicEndpoint::NotReachable(fault.to_string())),
        };
        let code = response::error_code(&response);
        // Another server may respond 200 to everything: the store does not have the object.
        Ok(if matches!(code.as_str(), "NoSuchKey" | "AccessDenied") {
            PublicEndpoint::Works
        } else {
            let code = response::sanitized(&code);
            let text = format!("HTTP {} {code}", response.status.as_u16());
            PublicEndpoint::Rejects(text.trim_end().to_owned())
        })
    }
}

fn absent_key() -> Result<Key, Fault> {
    let parsed = ABSENT_KEY.parse();
    parsed.map_err(|_| Fault::Refused("could not use the key of the check".into()))
}

/// Whether a response denies access. Any other failure is a fault.
fn is_denied(operation: &'static str, response: Response) -> Result<bool, Fault> {
    let code = response::error_code(&response);
    if matches!(code.as_str(), "AccessDenied" | "AllAccessDisabled") {
        return Ok(true);
    }
    match response::check(operation, response) {
        // A store without the operation: the probe records it.
        Ok(_) | Err(Fault::Refused(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}
