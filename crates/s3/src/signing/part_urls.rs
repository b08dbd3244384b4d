//! Presigned `UploadPart` URLs of one upload. The text that they share is computed once; each URL
//! then takes one hash and one HMAC. A property test in `signer` compares them byte by byte with
//! the URLs of the signing library.
//!
//! Not here: the search for credentials.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::Uri;
use reqsign_aws_v4::Credential;
use reqsign_core::hash::{hex_hmac_sha256, hex_sha256};
use reqsign_core::time::Timestamp;

use upload_types::{PartNumber, SignedUrl};

use super::presigned::Presigned;
use super::signing_key::signing_key;
use super::ttl;
use crate::fault::Fault;
use crate::uri::{canonical_path, encode};

/// The text and the key that the URLs of one upload share.
pub(crate) struct PartUrls {
    /// The URL of the object, without a query.
    object_url: String,
    /// The path of the URL as in the canonical request.
    canonical_path: String,
    host: String,
    /// `uploadId=…`, percent-encoded.
    upload_id: String,
    /// `X-Amz-Algorithm=…&X-Amz-Credential=…&X-Amz-Date=…`
    first_parameters: String,
    /// `X-Amz-Security-Token=…&`, or empty if the credential has no token.
    session_token: String,
    /// The lines of the string to sign that precede the hash of the canonical request.
    string_to_sign: String,
    signing_key: Vec<u8>,
    credential_expires: Option<Timestamp>,
}

impl PartUrls {
    /// For parts of a multipart upload of the object at `url`, which has no query.
    ///
    /// # Errors
    /// [`Fault::Refused`] if `url` is not valid.
    pub(super) fn new(
        credential: &Credential,
        region: &str,
        signed_at: Timestamp,
        url: &str,
        upload_id: &str,
    ) -> Result<Self, Fault> {
        let invalid = || Fault::Refused("could not sign the URL: it is not valid".into());
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let host = uri.authority().ok_or_else(invalid)?.to_string();
        let (day, time) = (signed_at.format_date(), signed_at.format_iso8601());
        let scope = format!("{day}/{region}/s3/aws4_request");
        // S3 Express has its own name for the token.
        let token_name = if host.contains("s3express") || host.contains("--x-s3") {
            "X-Amz-S3session-Token"
        } else {
            "X-Amz-Security-Token"
        };
        let session_token = credential
            .session_token
            .as_ref()
            .map(|token| format!("{token_name}={}&", encode(token)));
        let credential_scope = encode(&format!("{}/{scope}", credential.access_key_id));
        Ok(Self {
            object_url: url.to_owned(),
            canonical_path: canonical_path(uri.path()).ok_or_else(invalid)?,
            host,
            upload_id: format!("uploadId={}", encode(upload_id)),
            first_parameters: format!(
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential_scope}&X-Amz-Date={time}"
            ),
            session_token: session_token.unwrap_or_default(),
            string_to_sign: format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n"),
            signing_key: signing_key(&credential.secret_access_key, &scope),
            credential_expires: credential.expires_in,
        })
    }

    /// Limits a lifetime like [`Signer::presign`](super::Signer::presign) does.
    pub(crate) fn clamp_ttl(&self, ttl: Duration) -> Result<Duration, Fault> {
        ttl::clamp(ttl, self.credential_expires, Timestamp::now())
    }

    /// Makes a URL that permits a request with exactly `headers` (names in lower case, values
    /// without runs of spaces) and `host`, until `ttl` after the signing time.
    pub(crate) fn sign(
        &self,
        number: PartNumber,
        headers: BTreeMap<String, String>,
        ttl: Duration,
    ) -> Presigned {
        let Self {
            object_url,
            canonical_path,
            upload_id,
            first_parameters,
            session_token,
            ..
        } = self;
        let mut signed_headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        signed_headers.push(("host", &self.host));
        signed_headers.sort_unstable();
        let names: Vec<&str> = signed_headers.iter().map(|(name, _)| *name).collect();
        let (plain_names, encoded_names) = (names.join(";"), names.join("%3B"));
        let seconds = ttl.as_secs();
        // Sorted by name, as the canonical request requires. Either name of the token sorts here,
        // and capital letters precede the lower-case ones of `partNumber` and `uploadId`.
        let parameters = format!(
            "{first_parameters}&X-Amz-Expires={seconds}&{session_token}X-Amz-SignedHeaders={encoded_names}"
        );
        let mut canonical = String::with_capacity(1024);
        // Writing to a String cannot fail.
        let _ = write!(
            canonical,
            "PUT\n{canonical_path}\n{parameters}&partNumber={number}&{upload_id}\n"
        );
        for (name, value) in &signed_headers {
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let payload = headers
            .get("x-amz-content-sha256")
            .map_or("UNSIGNED-PAYLOAD", String::as_str);
        let _ = write!(canonical, "\n{plain_names}\n{payload}");
        let string_to_sign = format!(
            "{}{}",
            self.string_to_sign,
            hex_sha256(canonical.as_bytes())
        );
        let signature = hex_hmac_sha256(&self.signing_key, string_to_sign.as_bytes());
        Presigned {
            url: SignedUrl::new(format!(
                "{object_url}?partNumber={number}&{upload_id}&{parameters}&X-Amz-Signature={signature}"
            )),
            headers,
            expires_in: seconds,
        }
    }
}
