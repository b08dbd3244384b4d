//! The contents of the bucket and the operations of S3 on them.
//!
//! The operations follow the API reference of Amazon S3. Each `ETag` is unique, as with SSE-KMS,
//! and a page of a part list has one part. Signatures are not verified; the signed headers are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::objects::composite;
use crate::faults::{Call, FaultKind, Faults};
use crate::support::PART;

pub(super) const TOKEN: &str = "x-amz-meta-upload-token";

/// SHA-256 and length of each part of an object, in order.
pub type Content = Vec<([u8; 32], u64)>;

#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub token: Option<String>,
    pub content: Content,
    pub etag: String,
    /// Empty if the store has none.
    pub checksum: String,
    pub content_type: Option<String>,
}

/// An object that the gateway or a client has removed from its key.
#[derive(Debug, Clone)]
pub struct Removed {
    pub object: Object,
    /// The object that has taken its place.
    pub successor: Option<Object>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub sha256: [u8; 32],
    pub size: u64,
    pub etag: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Multipart {
    pub key: String,
    pub token: Option<String>,
    pub content_type: Option<String>,
    pub parts: BTreeMap<u32, Part>,
}

#[derive(Debug, Default)]
pub struct Contents {
    pub objects: BTreeMap<String, Object>,
    pub open: BTreeMap<String, Multipart>,
    /// Every object that was created, also those that were deleted or replaced.
    pub created_objects: Vec<(String, Object)>,
    pub removed_objects: Vec<Removed>,
    pub faults: Faults,
    /// Bytes of parts since the count was restarted.
    pub bytes: u64,
    /// The part requests and their status, for the messages of failures.
    pub put_log: Vec<String>,
    pub(super) serial: u64,
}

/// The digest and length of a body.
pub struct BodyDigest {
    pub sha256: [u8; 32],
    pub size: u64,
}

pub(super) struct S3Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl S3Response {
    pub(super) fn ok(body: String) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/xml".into())],
            body,
        }
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .unwrap()
    }
}

pub(super) fn error(status: u16, code: &str) -> S3Response {
    let body =
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>no</Message></Error>");
    S3Response {
        status,
        ..S3Response::ok(body)
    }
}

pub(super) type Query = BTreeMap<String, String>;

#[derive(Deserialize)]
struct CompleteBody {
    #[serde(default, rename = "Part")]
    parts: Vec<ListedPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "ChecksumSHA256")]
    checksum: String,
}

impl Contents {
    pub(super) fn apply(
        &mut self,
        call: Call,
        key: &str,
        query: &Query,
        headers: &HeaderMap,
        body: &[u8],
        kind: Option<FaultKind>,
    ) -> S3Response {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let id = query.get("uploadId").cloned().unwrap_or_default();
        match call {
            Call::Create => {
                self.serial += 1;
                let id = format!("multipart-{:08}", self.serial);
                assert_eq!(
                    header("x-amz-checksum-algorithm").as_deref(),
                    Some("SHA256")
                );
                self.open.insert(
                    id.clone(),
                    Multipart {
                        key: key.into(),
                        token: header(TOKEN),
                        content_type: header("content-type"),
                        parts: BTreeMap::new(),
                    },
                );
                let root = "InitiateMultipartUploadResult";
                S3Response::ok(format!("<{root}><UploadId>{id}</UploadId></{root}>"))
            }
            Call::Find => {
                let prefix = query.get("prefix").cloned().unwrap_or_default();
                let mut found = String::new();
                for (id, upload) in self
                    .open
                    .iter()
                    .filter(|(_, upload)| upload.key.starts_with(&prefix))
                {
                    let key = &upload.key;
                    let _ = write!(
                        found,
                        "<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"
                    );
                }
                let root = "ListMultipartUploadsResult";
                S3Response::ok(format!(
                    "<{root}><IsTruncated>false</IsTruncated>{found}</{root}>"
                ))
            }
            Call::List => self.list(&id, key, query, kind == Some(FaultKind::StaleList)),
            Call::Complete => self.complete(&id, key, &header, body),
            Call::Abort if self.open.get(&id).is_none_or(|upload| upload.key != key) => {
                error(404, "NoSuchUpload")
            }
            Call::Abort => {
                self.open.remove(&id);
                S3Response {
                    status: 204,
                    ..S3Response::ok(String::new())
                }
            }
            Call::Delete => self.delete(key, &header),
            Call::Head => self.head(key, query.contains_key("partNumber")),
            Call::Attributes => self.attributes(key),
            Call::Copy => self.copy_part(key, query, &header),
            Call::Put => {
                let digest = BodyDigest {
                    sha256: Sha256::digest(body).into(),
                    size: body.len() as u64,
                };
                self.put(key, query, header, &digest)
            }
            other => unreachable!("{other:?} is not a call to a store"),
        }
    }

    fn list(&self, id: &str, key: &str, query: &Query, stale: bool) -> S3Response {
        let Some(upload) = self.open.get(id).filter(|upload| upload.key == key) else {
            return error(404, "NoSuchUpload");
        };
        let after = query
            .get("part-number-marker")
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        let last = upload.parts.keys().next_back().copied().filter(|_| stale);
        let mut rest = upload
            .parts
            .range(after + 1..)
            .filter(|(number, _)| Some(**number) != last);
        let mut shown = String::new();
        if let Some((number, part)) = rest.next() {
            let (etag, size, checksum) = (&part.etag, part.size, BASE64.encode(part.sha256));
            let _ = write!(
                shown,
                "<NextPartNumberMarker>{number}</NextPartNumberMarker><Part><PartNumber>{number}</PartNumber>\
                 <ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><ChecksumSHA256>{checksum}</ChecksumSHA256></Part>"
            );
        }
        let more = rest.next().is_some();
        S3Response::ok(format!(
            "<ListPartsResult><IsTruncated>{more}</IsTruncated>{shown}</ListPartsResult>"
        ))
    }

    fn complete(
        &mut self,
        id: &str,
        key: &str,
        header: &impl Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> S3Response {
        let Some(upload) = self.open.get(id).filter(|upload| upload.key == key) else {
            return error(404, "NoSuchUpload");
        };
        let listed: CompleteBody = quick_xml::de::from_str(str::from_utf8(body).unwrap()).unwrap();
        let mut content = Content::new();
        for (index, part) in listed.parts.iter().enumerate() {
            let stored = upload.parts.get(&part.part_number).filter(|stored| {
                part.etag.trim_matches('"') == stored.etag
                    && part.checksum == BASE64.encode(stored.sha256)
            });
            let Some(stored) = stored else {
                return error(400, "InvalidPart");
            };
            if index > 0 && listed.parts[index - 1].part_number >= part.part_number {
                return error(400, "InvalidPartOrder");
            }
            if stored.size < PART && index + 1 < listed.parts.len() {
                return error(400, "EntityTooSmall");
            }
            content.push((stored.sha256, stored.size));
        }
        let size: u64 = content.iter().map(|(_, size)| size).sum();
        if content.is_empty()
            || header("x-amz-mp-object-size").is_some_and(|declared| declared != size.to_string())
        {
            return error(400, "InvalidRequest");
        }
        if let Err(refusal) = self.check_conditions(key, header) {
            return refusal;
        }
        let (token, content_type) = (upload.token.clone(), upload.content_type.clone());
        let checksum = composite(&content);
        self.open.remove(id);
        let etag = self.insert_object(key, token, content_type, (content, checksum));
        let root = "CompleteMultipartUploadResult";
        S3Response::ok(format!(
            "  \n<{root}><Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag></{root}>"
        ))
    }

    pub(super) fn insert_object(
        &mut self,
        key: &str,
        token: Option<String>,
        content_type: Option<String>,
        (content, checksum): (Content, String),
    ) -> String {
        self.serial += 1;
        let etag = format!("object-{}", self.serial);
        let object = Object {
            token,
            content,
            etag: etag.clone(),
            checksum,
            content_type,
        };
        self.created_objects.push((key.to_owned(), object.clone()));
        if let Some(before) = self.objects.insert(key.to_owned(), object.clone()) {
            self.removed_objects.push(Removed {
                object: before,
                successor: Some(object),
            });
        }
        etag
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        query: &Query,
        header: impl Fn(&str) -> Option<String>,
        body: &BodyDigest,
    ) -> S3Response {
        let s3_response = self.store_body(key, query, header, body);
        let value_of = |name| query.get(name).map_or("-", String::as_str);
        let entry = format!(
            "{} of {}: {} bytes, {}",
            value_of("partNumber"),
            value_of("uploadId"),
            body.size,
            s3_response.status
        );
        self.put_log.push(entry);
        s3_response
    }

    /// The signed headers must be present and match the body.
    fn store_body(
        &mut self,
        key: &str,
        query: &Query,
        header: impl Fn(&str) -> Option<String>,
        body: &BodyDigest,
    ) -> S3Response {
        let signed = query
            .get("X-Amz-SignedHeaders")
            .cloned()
            .unwrap_or_default();
        let is_signed = |name: &str| signed.split(';').any(|signed| signed == name);
        assert!(
            query.contains_key("X-Amz-Signature") && is_signed("host"),
            "not signed: {signed:?}"
        );
        for name in ["content-length", "x-amz-checksum-sha256"] {
            assert!(is_signed(name), "{name} is not signed: {signed:?}");
        }
        if header("content-length") != Some(body.size.to_string()) {
            return error(400, "IncompleteBody");
        }
        let checksum = BASE64.encode(body.sha256);
        if header("x-amz-checksum-sha256").as_deref() != Some(&checksum) {
            return error(400, "BadDigest");
        }
        let etag = match query.get("uploadId") {
            None => {
                assert!(
                    is_signed("if-none-match") && header("if-none-match").as_deref() == Some("*"),
                    "the URL permits overwriting"
                );
                if self.objects.contains_key(key) {
                    return error(412, "PreconditionFailed");
                }
                self.insert_object(
                    key,
                    header(TOKEN),
                    header("content-type"),
                    (vec![(body.sha256, body.size)], checksum.clone()),
                )
            }
            Some(id) => {
                self.serial += 1;
                let etag = format!("part-{}", self.serial);
                let number = query["partNumber"].parse().unwrap();
                let part = Part {
                    sha256: body.sha256,
                    size: body.size,
                    etag: etag.clone(),
                };
                let Some(upload) = self.open.get_mut(id).filter(|upload| upload.key == key) else {
                    return error(404, "NoSuchUpload");
                };
                upload.parts.insert(number, part);
                etag
            }
        };
        let headers = vec![
            ("etag", format!("\"{etag}\"")),
            ("x-amz-checksum-sha256", checksum),
        ];
        S3Response {
            status: 200,
            headers,
            body: String::new(),
        }
    }
}
