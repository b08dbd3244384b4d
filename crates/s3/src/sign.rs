//! Signatures of AWS version 4: in a header for control calls, in the URL for what clients send themselves.
//!
//! Border: signs and sends nothing, but for what finding credentials takes. What is bound into a URL is a signed **header**,
//! never a query parameter: S3 does not look at a checksum in the query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::request::Parts;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, SignRequest as _};

use super::Fault;
use super::client::header;
use super::credentials::Credentials;
use super::template::Template;
use upload_types::names::SignedUrl;
use upload_types::wire::{PartSpec, Proof};

/// The longest life S3 gives a presigned URL.
const MAX_LIFE: Duration = Duration::from_hours(7 * 24);
/// What a URL's life stays behind its credential's, for clocks that differ.
const MARGIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Signer {
    pub(super) credentials: Credentials,
    pub(super) region: String,
    version_4: Arc<RequestSigner>,
    context: Context,
}

/// A URL good for one request, with the headers it must carry beside `host`.
#[derive(Debug)]
pub(super) struct Presigned {
    pub(super) url: SignedUrl,
    pub(super) headers: BTreeMap<String, String>,
    /// Seconds from now.
    pub(super) expires_in: u64,
}

impl Signer {
    pub(super) fn new(credentials: Credentials, region: &str) -> Self {
        let version_4 = Arc::new(RequestSigner::new("s3", region));
        Self {
            credentials,
            region: region.to_owned(),
            version_4,
            context: Context::new(),
        }
    }

    /// With the same credentials for another service of AWS, in the same region where none is named.
    pub(super) fn of(&self, service: &str, region: Option<&str>) -> Self {
        let region = region.unwrap_or(&self.region);
        let version_4 = Arc::new(RequestSigner::new(service, region));
        Self {
            region: region.to_owned(),
            version_4,
            ..self.clone()
        }
    }

    /// Puts `Authorization` and what belongs to it among the headers; every header present is signed.
    ///
    /// # Errors
    /// [`Fault`] without a credential.
    pub(super) async fn authorize(&self, parts: &mut Parts) -> Result<(), Fault> {
        let credential = self.credentials.get().await?;
        self.sign(parts, &credential, None).await
    }

    /// Makes a URL that takes exactly `headers`, for `life` (at most 7 days, at most as long as the credential lives).
    ///
    /// # Errors
    /// [`Fault`] without a credential, or for a header that cannot be sent.
    pub(super) async fn presign(
        &self,
        method: Method,
        url: &str,
        headers: BTreeMap<String, String>,
        life: Duration,
    ) -> Result<Presigned, Fault> {
        let credential = self.credentials.get().await?;
        let life = life_of(&credential, life)?;
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in &headers {
            let (name, value) = header(name, value)?;
            request = request.header(name, value);
        }
        let request = request
            .body(())
            .map_err(|_| Fault::Refused("the URL cannot be signed".into()))?;
        let (mut parts, ()) = request.into_parts();
        self.sign(&mut parts, &credential, Some(life)).await?;
        Ok(Presigned {
            url: SignedUrl::new(parts.uri.to_string()),
            headers,
            expires_in: life.as_secs(),
        })
    }

    /// For the parts of one multipart upload of the object at `url`: gives URLs as [`Signer::presign`] does, many at a time. The
    /// function gives the life of a URL as far as the credential's own allows. They are signed `ago` before now.
    ///
    /// # Errors
    /// [`Fault`] without a credential.
    pub(super) async fn template(
        &self,
        url: &str,
        upload: &str,
        ago: Duration,
    ) -> Result<
        (
            Template,
            impl Fn(Duration) -> Result<Duration, Fault> + use<>,
        ),
        Fault,
    > {
        let credential = self.credentials.get().await?;
        let template = Template::new(
            &credential,
            &self.region,
            Timestamp::now() - ago,
            url,
            upload,
        )?;
        Ok((template, move |life| life_of(&credential, life)))
    }

    /// Which credential this is, in a word that is no secret.
    ///
    /// # Errors
    /// [`Fault`] without a credential.
    pub(super) async fn access_key(&self) -> Result<String, Fault> {
        Ok(self.credentials.get().await?.access_key_id.clone())
    }

    /// After the store has called the credential expired.
    pub(super) async fn forget_credential(&self) {
        self.credentials.forget().await;
    }

    async fn sign(
        &self,
        parts: &mut Parts,
        credential: &Credential,
        life: Option<Duration>,
    ) -> Result<(), Fault> {
        let signed = self
            .version_4
            .sign_request(&self.context, parts, Some(credential), life)
            .await;
        // The error's text may quote the request.
        signed.map_err(|error| {
            Fault::Refused(format!("the request cannot be signed: {:?}", error.kind()))
        })
    }
}

/// How long what is signed with a credential lives: at most 7 days, and no longer than the credential.
///
/// # Errors
/// [`Fault::Unavailable`] for one that is about to end.
pub(super) fn life_of(credential: &Credential, life: Duration) -> Result<Duration, Fault> {
    let life = Duration::from_secs(life.min(MAX_LIFE).as_secs().max(1));
    let Some(end) = credential.expires_in else {
        return Ok(life);
    };
    let left = end
        .as_second()
        .saturating_sub((Timestamp::now() + MARGIN).as_second());
    match u64::try_from(left) {
        Ok(left) if left > 0 => Ok(life.min(Duration::from_secs(left))),
        _ => Err(Fault::Unavailable(
            "the AWS credentials are about to expire".into(),
        )),
    }
}

/// The headers that bind a body into a URL: its length, and its hash as far as the store looks at one.
///
/// # Errors
/// [`Fault::Refused`] for [`Proof::Md5`] without an MD5.
pub(super) fn body_headers(
    proof: Proof,
    part: &PartSpec,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut headers = BTreeMap::from([("content-length".to_owned(), part.size.to_string())]);
    let (name, value) = match proof {
        Proof::None => return Ok(headers),
        Proof::Sha256 => ("x-amz-checksum-sha256", part.sha256.base64()),
        // The signature takes the value of this header for the payload's hash.
        Proof::Payload => ("x-amz-content-sha256", part.sha256.to_string()),
        Proof::Md5 => {
            let md5 = part
                .md5
                .ok_or_else(|| Fault::Refused("this store's proof takes the part's MD5".into()))?;
            ("content-md5", md5.base64())
        }
    };
    headers.insert(name.to_owned(), value);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use reqsign_core::hash::{hex_hmac_sha256, hex_sha256, hmac_sha256};
    use url::Url;

    use super::*;
    use upload_types::names::{PartNumber, Sha256};

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn signer() -> Signer {
        Signer::new(
            Credentials::fixed("AKIAIOSFODNN7EXAMPLE", SECRET),
            "us-east-1",
        )
    }

    fn part(md5: bool) -> PartSpec {
        let md5 = md5.then(|| "XrY7u+Ae7tCTyyK7j1rNww==".parse().unwrap());
        PartSpec {
            number: PartNumber::FIRST,
            size: 11,
            sha256: Sha256::of(b"hello world"),
            md5,
        }
    }

    /// The signature by "Authenticating Requests: Using Query Parameters" of the Amazon S3 API reference, done by hand.
    fn expected(url: &Url, headers: &BTreeMap<String, String>) -> String {
        let value = |name: &str| {
            url.query_pairs()
                .find(|(n, _)| n == name)
                .unwrap()
                .1
                .into_owned()
        };
        let query: Vec<_> = url
            .query()
            .unwrap()
            .split('&')
            .filter(|pair| !pair.starts_with("X-Amz-Signature="))
            .collect();
        let mut query: Vec<_> = query
            .iter()
            .map(|pair| {
                if pair.contains('=') {
                    (*pair).to_owned()
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
        assert_eq!(value("X-Amz-SignedHeaders"), names);
        let payload = headers
            .get("x-amz-content-sha256")
            .map_or("UNSIGNED-PAYLOAD", String::as_str);
        let canonical = format!(
            "PUT\n{}\n{}\n{lines}\n{names}\n{payload}",
            url.path(),
            query.join("&")
        );
        let date = value("X-Amz-Date");
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
    async fn a_url_is_signed_over_its_headers_and_none_is_in_the_query() {
        let url = "https://bucket.s3.us-east-1.amazonaws.com/a%20b/%C3%A9?partNumber=1&uploadId=x%2By&uploads";
        for (proof, name) in [
            (Proof::Sha256, Some("x-amz-checksum-sha256")),
            (Proof::Payload, Some("x-amz-content-sha256")),
            (Proof::Md5, Some("content-md5")),
            (Proof::None, None),
        ] {
            let headers = body_headers(proof, &part(true)).unwrap();
            assert_eq!(
                headers.keys().map(String::as_str).collect::<Vec<_>>(),
                [Some("content-length"), name]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
            );
            let life = Duration::from_mins(15);
            let presigned = signer()
                .presign(Method::PUT, url, headers, life)
                .await
                .unwrap();
            let signed: Url = presigned.url.expose().parse().unwrap();
            let query: BTreeMap<_, _> = signed.query_pairs().into_owned().collect();
            assert_eq!(query["X-Amz-Expires"], "900");
            assert!(
                query
                    .keys()
                    .all(|name| !name.to_lowercase().contains("sha256"))
            );
            assert_eq!(
                query["X-Amz-Signature"],
                expected(&signed, &presigned.headers),
                "{proof:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_life_has_its_limits() {
        let url = "http://127.0.0.1:1/b/k";
        let presigned = signer()
            .presign(Method::GET, url, BTreeMap::new(), Duration::MAX)
            .await
            .unwrap();
        assert_eq!(presigned.expires_in, 7 * 24 * 60 * 60);
        let end = Some(Timestamp::now() + Duration::from_secs(100));
        let credential = Credential {
            expires_in: end,
            ..Credential::default()
        };
        assert!(
            (85..=90).contains(
                &life_of(&credential, Duration::from_mins(15))
                    .unwrap()
                    .as_secs()
            )
        );
        let credential = Credential {
            expires_in: Some(Timestamp::now()),
            ..Credential::default()
        };
        assert!(matches!(
            life_of(&credential, MAX_LIFE),
            Err(Fault::Unavailable(_))
        ));
    }

    #[test]
    fn md5_is_wanted_only_where_it_is_the_proof() {
        assert!(matches!(
            body_headers(Proof::Md5, &part(false)),
            Err(Fault::Refused(_))
        ));
        assert!(body_headers(Proof::Sha256, &part(false)).is_ok());
    }
}
