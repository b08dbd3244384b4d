//! Presigned `UploadPart`s of one upload: what they share is worked out once, the rest is one hash and one HMAC for each.
//!
//! Border: the same signature as `sign`'s, to the byte, which the tests here hold it to; nothing is sent, no credential sought.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::Uri;
use reqsign_aws_v4::Credential;
use reqsign_core::hash::{hex_hmac_sha256, hex_sha256, hmac_sha256};
use reqsign_core::time::Timestamp;

use super::Fault;
use super::address::{self, encode};
use upload_types::names::{PartNumber, SignedUrl};

/// What signs within a scope (`DAY/REGION/SERVICE/aws4_request`).
pub(super) fn signing_key(secret: &str, scope: &str) -> Vec<u8> {
    let key = format!("AWS4{secret}").into_bytes();
    scope
        .split('/')
        .fold(key, |key, step| hmac_sha256(&key, step.as_bytes()))
}

/// What the parts of one upload that are signed together share.
pub(super) struct Template {
    /// The URL up to its query.
    base: String,
    /// As signatures have it.
    path: String,
    host: String,
    /// `uploadId=…`, in percent-encoding.
    upload: String,
    /// `X-Amz-Algorithm=…&X-Amz-Credential=…&X-Amz-Date=…`
    opening: String,
    /// `X-Amz-Security-Token=…&` where the credential has one, under the name its store knows; may be empty.
    session: String,
    /// The lines of the text to sign that come before the request's hash.
    heading: String,
    key: Vec<u8>,
}

impl Template {
    /// For parts of the multipart upload `upload` of the object at `url`, which has no query, signed at `now`.
    ///
    /// # Errors
    /// [`Fault::Refused`] for what is no URL.
    pub(super) fn new(
        credential: &Credential,
        region: &str,
        now: Timestamp,
        url: &str,
        upload: &str,
    ) -> Result<Self, Fault> {
        let wrong = || Fault::Refused("the URL cannot be signed".into());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.authority().ok_or_else(wrong)?.to_string();
        let (day, time) = (now.format_date(), now.format_iso8601());
        let scope = format!("{day}/{region}/s3/aws4_request");
        let key = signing_key(&credential.secret_access_key, &scope);
        let express = host.contains("s3express") || host.contains("--x-s3");
        let name = if express {
            "X-Amz-S3session-Token"
        } else {
            "X-Amz-Security-Token"
        };
        let session = credential
            .session_token
            .as_ref()
            .map(|token| format!("{name}={}&", encode(token)));
        let whose = encode(&format!("{}/{scope}", credential.access_key_id));
        Ok(Self {
            base: url.to_owned(),
            path: address::canonical(uri.path()).ok_or_else(wrong)?,
            host,
            upload: format!("uploadId={}", encode(upload)),
            opening: format!(
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={whose}&X-Amz-Date={time}"
            ),
            session: session.unwrap_or_default(),
            heading: format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n"),
            key,
        })
    }

    /// The URL that takes exactly `headers` (names in lower case, values on one line) and `host`, for `life`.
    pub(super) fn sign(
        &self,
        number: PartNumber,
        headers: &BTreeMap<String, String>,
        life: Duration,
    ) -> SignedUrl {
        let Self {
            base,
            path,
            upload,
            opening,
            session,
            ..
        } = self;
        let mut all: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.push(("host", &self.host));
        all.sort_unstable();
        let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let (plain, encoded) = (names.join(";"), names.join("%3B"));
        // In their order as they stand, whichever name the token goes by; capital letters come before ours.
        let seconds = life.as_secs();
        let parameters =
            format!("{opening}&X-Amz-Expires={seconds}&{session}X-Amz-SignedHeaders={encoded}");
        let mut canonical = String::with_capacity(1024);
        // Writing to a String cannot fail.
        let _ = write!(
            canonical,
            "PUT\n{path}\n{parameters}&partNumber={number}&{upload}\n"
        );
        for (name, value) in &all {
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let payload = headers
            .get("x-amz-content-sha256")
            .map_or("UNSIGNED-PAYLOAD", String::as_str);
        let _ = write!(canonical, "\n{plain}\n{payload}");
        let text = format!("{}{}", self.heading, hex_sha256(canonical.as_bytes()));
        let signature = hex_hmac_sha256(&self.key, text.as_bytes());
        let url =
            format!("{base}?partNumber={number}&{upload}&{parameters}&X-Amz-Signature={signature}");
        SignedUrl::new(url)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::super::credentials::Credentials;
    use super::super::sign::{Signer, body_headers};
    use super::*;
    use upload_types::names::Sha256;
    use upload_types::wire::{PartSpec, Proof};

    /// The time a presigned URL was signed at.
    fn time(url: &str) -> Timestamp {
        let (_, rest) = url.split_once("X-Amz-Date=").unwrap();
        let (digits, _) = rest.split_once('&').unwrap();
        let (date, clock) = (&digits[..8], &digits[9..15]);
        let iso = |text: &str, mark: &str| {
            [
                &text[..text.len() - 4],
                &text[text.len() - 4..text.len() - 2],
                &text[text.len() - 2..],
            ]
            .join(mark)
        };
        format!("{}T{}Z", iso(date, "-"), iso(clock, ":"))
            .parse()
            .unwrap()
    }

    fn proofs() -> impl Strategy<Value = Proof> {
        prop_oneof![
            Just(Proof::Sha256),
            Just(Proof::Payload),
            Just(Proof::Md5),
            Just(Proof::None)
        ]
    }

    fn hosts() -> impl Strategy<Value = String> {
        prop_oneof![
            "https?://[a-z][a-z0-9.-]{0,20}[a-z](:[1-9][0-9]{1,3})?(/[a-zA-Z0-9!+%._-]{1,8}){0,2}"
                .prop_filter("an escape", |url| !url.contains('%')),
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
        fn it_signs_as_the_library_does(
            access in "[A-Z0-9/+]{1,20}",
            secret in "[ -~]{1,40}",
            token in proptest::option::of("[ -~]{1,60}"),
            region in "[a-z0-9-]{1,14}",
            host in hosts(),
            key in "\\PC{1,40}",
            upload in "[ -~]{1,60}",
            number in 1_u32..=10_000,
            size in 0_u64..=5 << 30,
            bytes in any::<[u8; 32]>(),
            proof in proofs(),
            life in 1_u64..700_000,
        ) {
            let credential = Credential { access_key_id: access, secret_access_key: secret, session_token: token, expires_in: None };
            let number = PartNumber::try_from(number).unwrap();
            let md5 = "XrY7u+Ae7tCTyyK7j1rNww==".parse().ok();
            let headers = body_headers(proof, &PartSpec { number, size, sha256: Sha256::new(bytes), md5 }).unwrap();
            let base = format!("{host}/{}", encode(&key));
            let whole = format!("{base}?partNumber={number}&uploadId={}", encode(&upload));
            let life = Duration::from_secs(life);
            let signer = Signer::new(Credentials::of(credential.clone()), &region);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let theirs = runtime.block_on(signer.presign(Method::PUT, &whole, headers.clone(), life)).unwrap();
            prop_assert_eq!(&theirs.headers, &headers);
            let ours = Template::new(&credential, &region, time(theirs.url.expose()), &base, &upload).unwrap();
            let life = Duration::from_secs(theirs.expires_in);
            let ours = ours.sign(number, &headers, life);
            prop_assert_eq!(ours.expose(), theirs.url.expose());
        }
    }
}
