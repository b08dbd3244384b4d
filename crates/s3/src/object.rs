//! Whole objects: one plain PUT, HEAD, DELETE and the URL to read one.
//!
//! Border: as for multipart uploads, what an object means to an upload is not known here.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};

use super::client::{self, Call};
use super::profile::{Capability, Held};
use super::sign::{self, Presigned};
use super::{Fault, Head, NewObject, Store, TOKEN, address};
use upload_types::names::{ETag, Key, PartNumber, SignedUrl};
use upload_types::wire::{PartSpec, SignedPut};

impl Store {
    /// Presigns one plain PUT of the whole object, with `If-None-Match: *` (unless the store was found to refuse it), what it is
    /// given and the headers the bucket demands bound into it.
    pub async fn sign_put(
        &self,
        key: &Key,
        object: &NewObject<'_>,
        part: &PartSpec,
        life: Duration,
    ) -> Result<SignedPut, Fault> {
        let mut headers = sign::body_headers(self.proof, part)?;
        headers.extend(self.create_headers.clone());
        headers.extend(object.headers());
        if self.profile.held(Capability::PutOnce) != Held::Refused {
            headers.insert("if-none-match".into(), "*".into());
        }
        let url = self.public.object(&self.whole(key), &[])?;
        let presigned = self
            .client
            .signer
            .presign(Method::PUT, &url, headers, life)
            .await?;
        Ok(signed_put(part.number, presigned))
    }

    /// `HeadObject` with checksums; None when there is no such object.
    pub async fn head(&self, key: &Key) -> Result<Option<Head>, Fault> {
        let url = self.address.object(&self.whole(key), &[])?;
        let call =
            Call::new("HeadObject", Method::HEAD, url).header("x-amz-checksum-mode", "ENABLED")?;
        let answer = self.client.ask(call).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if answer.status == StatusCode::FORBIDDEN {
            // Which leaves open whether the object is there.
            return Err(Fault::Refused(
                "HeadObject: 403; without ListBucket on the bucket S3 says so of absent objects"
                    .into(),
            ));
        }
        let answer = client::check("HeadObject", answer)?;
        let (Some(size), Some(etag)) = (
            answer
                .header("content-length")
                .and_then(|size| size.parse().ok()),
            answer
                .header("etag")
                .and_then(|etag| ETag::from_header(etag).ok()),
        ) else {
            return Err(Fault::Unavailable(
                "HeadObject: an answer without length or ETag".into(),
            ));
        };
        Ok(Some(Head {
            size,
            etag,
            checksum: answer
                .header("x-amz-checksum-sha256")
                .and_then(|checksum| checksum.parse().ok()),
            token: answer.header(TOKEN).map(str::to_owned),
            content_type: answer.header("content-type").map(str::to_owned),
            modified: answer
                .header("last-modified")
                .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
                .map(|date| date.timestamp()),
        }))
    }

    /// `DeleteObject`.
    pub async fn delete(&self, key: &Key) -> Result<(), Fault> {
        let url = self.address.object(&self.whole(key), &[])?;
        let answer = self
            .client
            .ask(Call::new("DeleteObject", Method::DELETE, url))
            .await?;
        if answer.status == StatusCode::NOT_FOUND && client::error_of(&answer).code == "NoSuchKey" {
            return Ok(());
        }
        client::check("DeleteObject", answer).map(drop)
    }

    /// Presigns `GetObject`: as an attachment of that name. The URL, and how many seconds it lives: a credential may end before
    /// `life` does.
    pub async fn sign_get(
        &self,
        key: &Key,
        name: &str,
        life: Duration,
    ) -> Result<(SignedUrl, u64), Fault> {
        let disposition = attachment(name);
        let query = [("response-content-disposition", disposition.as_str())];
        let url = self.public.object(&self.whole(key), &query)?;
        let presigned = self
            .client
            .signer
            .presign(Method::GET, &url, BTreeMap::new(), life)
            .await?;
        Ok((presigned.url, presigned.expires_in))
    }
}

impl Store {
    /// As [`Store::sign_get`], at the address the gateway itself uses: for who reads on this machine.
    pub async fn sign_get_here(
        &self,
        key: &Key,
        life: Duration,
    ) -> Result<(SignedUrl, u64), Fault> {
        let url = self.address.object(&self.whole(key), &[])?;
        let presigned = self
            .client
            .signer
            .presign(Method::GET, &url, BTreeMap::new(), life)
            .await?;
        Ok((presigned.url, presigned.expires_in))
    }
}

pub(super) fn signed_put(number: PartNumber, presigned: Presigned) -> SignedPut {
    let Presigned {
        url,
        headers,
        expires_in,
    } = presigned;
    SignedPut {
        number,
        url,
        method: "PUT".into(),
        headers,
        expires_in,
    }
}

/// A signature is over values with their blanks collapsed, which our signer leaves to us.
pub(super) fn one_line(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Content-Disposition` after RFC 6266: the name in ASCII for old clients, and whole after RFC 8187.
#[must_use]
pub fn attachment(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() && !"\"\\%/".contains(c) || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let ascii: String = name.chars().map(plain).collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        address::encode(name)
    )
}
