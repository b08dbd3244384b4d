//! Signs requests: in the header `Authorization` for control calls, in the URL for requests that
//! clients send.
//!
//! Not here: the search for credentials, in [`super::credentials`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::request::Parts;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, SignRequest as _};

use upload_types::SignedUrl;

use super::credentials::Credentials;
use super::part_urls::PartUrls;
use super::presigned::Presigned;
use super::{post_policy, ttl};
use crate::fault::Fault;
use crate::transport::header;

/// Every method fails with a [`Fault`] if there is no credential.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
    sigv4: Arc<RequestSigner>,
    context: Context,
}

impl Signer {
    pub(crate) fn new(credentials: Credentials, region: &str) -> Self {
        Self {
            credentials,
            region: region.to_owned(),
            sigv4: Arc::new(RequestSigner::new("s3", region)),
            context: Context::new(),
        }
    }

    /// A signer for another service of AWS with the same credentials; in the same region, if
    /// `region` is `None`.
    pub(crate) fn for_service(&self, service: &str, region: Option<&str>) -> Self {
        let region = region.unwrap_or(&self.region);
        Self {
            region: region.to_owned(),
            sigv4: Arc::new(RequestSigner::new(service, region)),
            ..self.clone()
        }
    }

    /// Adds `Authorization` and the headers that belong to it. Every header of the request is
    /// signed. Returns the credential.
    pub(crate) async fn authorize(&self, parts: &mut Parts) -> Result<Credential, Fault> {
        let credential = self.credentials.get().await?;
        self.sign(parts, &credential, None).await?;
        Ok(credential)
    }

    /// Makes a URL that permits a request with exactly `headers`. Its lifetime is `ttl`, limited to
    /// 7 days and to the lifetime of the credential.
    pub(crate) async fn presign(
        &self,
        method: Method,
        url: &str,
        headers: BTreeMap<String, String>,
        ttl: Duration,
    ) -> Result<Presigned, Fault> {
        let credential = self.credentials.get().await?;
        let ttl = ttl::clamp(ttl, credential.expires_in, Timestamp::now())?;
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in &headers {
            let (name, value) = header(name, value)?;
            request = request.header(name, value);
        }
        let request = request
            .body(())
            .map_err(|_| Fault::Refused("could not sign the URL: it is not valid".into()))?;
        let (mut parts, ()) = request.into_parts();
        self.sign(&mut parts, &credential, Some(ttl)).await?;
        Ok(Presigned {
            url: SignedUrl::new(parts.uri.to_string()),
            headers,
            expires_in: ttl.as_secs(),
        })
    }

    /// Prepares presigned URLs for the parts of a multipart upload of the object at `url`, dated
    /// `signed_at`.
    pub(crate) async fn part_urls(
        &self,
        url: &str,
        upload_id: &str,
        signed_at: Timestamp,
    ) -> Result<PartUrls, Fault> {
        let credential = self.credentials.get().await?;
        PartUrls::new(&credential, &self.region, signed_at, url, upload_id)
    }

    /// Adds a policy that permits exactly these form fields and a file of at most `max_bytes`, and
    /// its signature. Returns the lifetime in seconds; see [`Self::presign`].
    pub(crate) async fn sign_post_policy(
        &self,
        fields: &mut BTreeMap<String, String>,
        max_bytes: u64,
        ttl: Duration,
    ) -> Result<u64, Fault> {
        let credential = self.credentials.get().await?;
        let now = Timestamp::now();
        let ttl = ttl::clamp(ttl, credential.expires_in, now)?;
        post_policy::sign(fields, max_bytes, &credential, &self.region, now, ttl);
        Ok(ttl.as_secs())
    }

    /// The access key, which identifies the credential and is not secret.
    pub(crate) async fn access_key(&self) -> Result<String, Fault> {
        Ok(self.credentials.get().await?.access_key_id.clone())
    }

    /// Must be called when the store rejects a credential. Returns true if there is another one
    /// now; see [`Credentials::renew`].
    pub(crate) async fn renew(
        &self,
        rejected: &Credential,
        pause: Duration,
    ) -> Result<bool, Fault> {
        self.credentials.renew(rejected, pause).await
    }

    /// Must be called when the store rejects the credential of a URL.
    pub(crate) async fn renew_after(&self, pause: Duration) -> Result<(), Fault> {
        self.credentials.renew_after(pause).await
    }

    async fn sign(
        &self,
        parts: &mut Parts,
        credential: &Credential,
        ttl: Option<Duration>,
    ) -> Result<(), Fault> {
        let signed = self
            .sigv4
            .sign_request(&self.context, parts, Some(credential), ttl)
            .await;
        // The text of the error may quote the request.
        signed.map_err(|error| {
            Fault::Refused(format!("could not sign the request: {:?}", error.kind()))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqsign_core::hash::{hex_hmac_sha256, hex_sha256, hmac_sha256};
    use url::Url;

    use super::super::body_headers;
    use super::*;
    use crate::uri::encode;
    use upload_types::wire::{PartSpec, Proof};
    use upload_types::{PartNumber, Sha256};

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const MD5_OF_HELLO_WORLD: &str = "XrY7u+Ae7tCTyyK7j1rNww==";

    fn signer() -> Signer {
        Signer::new(
            Credentials::fixed("AKIAIOSFODNN7EXAMPLE", SECRET),
            "us-east-1",
        )
    }

    fn query_parameter(url: &Url, name: &str) -> String {
        let mut pairs = url.query_pairs();
        let (_, value) = pairs.find(|(other, _)| other == name).unwrap();
        value.into_owned()
    }

    /// Computes the signature of a presigned PUT step by step, as described in "Authenticating
    /// Requests: Using Query Parameters" of the Amazon S3 API reference.
    fn expected_signature(url: &Url, headers: &BTreeMap<String, String>) -> String {
        let pairs = url.query().unwrap().split('&');
        let mut query: Vec<String> = pairs
            .filter(|pair| !pair.starts_with("X-Amz-Signature="))
            .map(|pair| {
                if pair.contains('=') {
                    pair.to_owned()
                } else {
                    format!("{pair}=")
                }
            })
            .collect();
        query.sort();
        let mut headers = headers.clone();
        headers.insert("host".into(), url.host_str().unwrap().into());
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect::<Vec<_>>()
            .concat();
        let names = headers.keys().cloned().collect::<Vec<_>>().join(";");
        assert_eq!(query_parameter(url, "X-Amz-SignedHeaders"), names);
        let payload = headers
            .get("x-amz-content-sha256")
            .map_or("UNSIGNED-PAYLOAD", String::as_str);
        let canonical = format!(
            "PUT\n{}\n{}\n{lines}\n{names}\n{payload}",
            url.path(),
            query.join("&")
        );
        let date = query_parameter(url, "X-Amz-Date");
        let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
        let text = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex_sha256(canonical.as_bytes())
        );
        let mut key = format!("AWS4{SECRET}").into_bytes();
        for step in scope.split('/') {
            key = hmac_sha256(&key, step.as_bytes());
        }
        hex_hmac_sha256(&key, text.as_bytes())
    }

    #[tokio::test]
    async fn presigned_url_signs_its_headers_and_has_no_hash_in_its_query() {
        let url = "https://bucket.s3.us-east-1.amazonaws.com/a%20b/%C3%A9?partNumber=1&uploadId=x%2By&uploads";
        let part = PartSpec {
            number: PartNumber::FIRST,
            size: 11,
            sha256: Sha256::of(b"hello world"),
            md5: MD5_OF_HELLO_WORLD.parse().ok(),
        };
        for (proof, expected) in [
            (
                Proof::Sha256,
                &["content-length", "x-amz-checksum-sha256"][..],
            ),
            (Proof::Payload, &["content-length", "x-amz-content-sha256"]),
            (Proof::Md5, &["content-length", "content-md5"]),
            (Proof::None, &["content-length"]),
        ] {
            let headers = body_headers(proof, &part).unwrap();
            let names: Vec<&str> = headers.keys().map(String::as_str).collect();
            assert_eq!(names, expected);
            let presigned = signer()
                .presign(Method::PUT, url, headers, Duration::from_mins(15))
                .await
                .unwrap();
            let signed: Url = presigned.url.expose().parse().unwrap();
            assert_eq!(query_parameter(&signed, "X-Amz-Expires"), "900");
            let mut names = signed.query_pairs().map(|(name, _)| name.to_lowercase());
            assert!(names.all(|name| !name.contains("sha256")));
            assert_eq!(
                query_parameter(&signed, "X-Amz-Signature"),
                expected_signature(&signed, &presigned.headers),
                "{proof:?}"
            );
        }
    }

    #[tokio::test]
    async fn presigned_url_expires_after_seven_days_at_most() {
        let url = "http://127.0.0.1:1/b/k";
        let presigned = signer()
            .presign(Method::GET, url, BTreeMap::new(), Duration::MAX)
            .await
            .unwrap();
        assert_eq!(presigned.expires_in, 7 * 24 * 60 * 60);
    }

    /// The time in `X-Amz-Date`.
    fn signing_time(url: &str) -> Timestamp {
        let date = query_parameter(&url.parse().unwrap(), "X-Amz-Date");
        let digits = |range| &date[range];
        let (day, time) = (
            [digits(0..4), digits(4..6), digits(6..8)].join("-"),
            [digits(9..11), digits(11..13), digits(13..15)].join(":"),
        );
        format!("{day}T{time}Z").parse().unwrap()
    }

    fn proofs() -> impl Strategy<Value = Proof> {
        prop_oneof![
            Just(Proof::Sha256),
            Just(Proof::Payload),
            Just(Proof::Md5),
            Just(Proof::None)
        ]
    }

    fn bucket_urls() -> impl Strategy<Value = String> {
        prop_oneof![
            "https?://[a-z][a-z0-9.-]{0,20}[a-z](:[1-9][0-9]{1,3})?(/[a-zA-Z0-9!+%._-]{1,8}){0,2}"
                .prop_filter("no percent-encoding", |url| !url.contains('%'))
                // With a last label such as `0xa`, the host is parsed as an invalid IPv4 address.
                .prop_filter("a valid host", |url| url.parse::<url::Url>().is_ok()),
            Just("http://127.0.0.1:9/base%20path/bucket".to_owned()),
            Just("http://[::1]:9/b".to_owned()),
            Just(
                "https://bucket--use2-az1--x-s3.s3express-use2-az1.us-east-2.amazonaws.com"
                    .to_owned()
            ),
        ]
    }

    proptest! {
        #[test]
        fn part_urls_are_signed_like_the_library_signs(
            access in "[A-Z0-9/+]{1,20}",
            secret in "[ -~]{1,40}",
            token in proptest::option::of("[ -~]{1,60}"),
            region in "[a-z0-9-]{1,14}",
            bucket_url in bucket_urls(),
            key in "\\PC{1,40}",
            upload_id in "[ -~]{1,60}",
            number in 1_u32..=10_000,
            size in 0_u64..=5 << 30,
            bytes in any::<[u8; 32]>(),
            proof in proofs(),
            seconds in 1_u64..700_000,
        ) {
            let credential = Credential {
                access_key_id: access,
                secret_access_key: secret,
                session_token: token,
                expires_in: None,
            };
            let number = PartNumber::try_from(number).unwrap();
            let part = PartSpec {
                number,
                size,
                sha256: Sha256::new(bytes),
                md5: MD5_OF_HELLO_WORLD.parse().ok(),
            };
            let headers = body_headers(proof, &part).unwrap();
            let object_url = format!("{bucket_url}/{}", encode(&key));
            let part_url =
                format!("{object_url}?partNumber={number}&uploadId={}", encode(&upload_id));
            let ttl = Duration::from_secs(seconds);
            let signer = Signer::new(Credentials::of(credential.clone()), &region);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let expected = runtime
                .block_on(signer.presign(Method::PUT, &part_url, headers.clone(), ttl))
                .unwrap();
            prop_assert_eq!(&expected.headers, &headers);
            let signed_at = signing_time(expected.url.expose());
            let part_urls =
                PartUrls::new(&credential, &region, signed_at, &object_url, &upload_id).unwrap();
            let ttl = Duration::from_secs(expected.expires_in);
            let actual = part_urls.sign(number, headers, ttl);
            prop_assert_eq!(actual.url.expose(), expected.url.expose());
        }
    }
}
