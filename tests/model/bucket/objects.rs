//! Objects of the bucket: HEAD, DELETE, conditions of writes, copies of parts, and what other
//! programs do.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use super::contents::{Content, Contents, Object, Part, Query, Removed, S3Response, TOKEN, error};

impl Object {
    pub fn size(&self) -> u64 {
        self.content.iter().map(|(_, size)| size).sum()
    }

    /// Whether it was uploaded in parts.
    fn has_parts(&self) -> bool {
        self.checksum.contains('-')
    }
}

/// The checksum of S3 for an object of these parts.
pub fn composite(content: &Content) -> String {
    let all: Vec<u8> = content.iter().flat_map(|(sha256, _)| *sha256).collect();
    format!("{}-{}", BASE64.encode(Sha256::digest(all)), content.len())
}

impl Contents {
    /// With `is_part`, describes the first part.
    pub(super) fn head(&self, key: &str, is_part: bool) -> S3Response {
        let Some(object) = self.objects.get(key) else {
            return error(404, "NoSuchKey");
        };
        let size = if is_part && object.has_parts() {
            object.content[0].1
        } else {
            object.size()
        };
        let mut headers = vec![
            ("content-length", size.to_string()),
            ("etag", format!("\"{}\"", object.etag)),
        ];
        if !object.checksum.is_empty() {
            headers.push(("x-amz-checksum-sha256", object.checksum.clone()));
            let kind = if object.has_parts() {
                "COMPOSITE"
            } else {
                "FULL_OBJECT"
            };
            headers.push(("x-amz-checksum-type", kind.to_owned()));
        }
        if is_part && object.has_parts() {
            headers.push(("x-amz-mp-parts-count", object.content.len().to_string()));
        }
        headers.extend(object.token.clone().map(|token| (TOKEN, token)));
        let content_type = object.content_type.clone();
        headers.extend(content_type.map(|content_type| ("content-type", content_type)));
        S3Response {
            status: 200,
            headers,
            body: String::new(),
        }
    }

    /// `GetObjectAttributes` of the parts.
    pub(super) fn attributes(&self, key: &str) -> S3Response {
        let Some(object) = self.objects.get(key) else {
            return error(404, "NoSuchKey");
        };
        let mut parts = String::new();
        if object.has_parts() {
            for (number, (_, size)) in (1..).zip(&object.content) {
                let _ = write!(
                    parts,
                    "<Part><PartNumber>{number}</PartNumber><Size>{size}</Size></Part>"
                );
            }
            parts = format!("<ObjectParts><IsTruncated>false</IsTruncated>{parts}</ObjectParts>");
        }
        let root = "GetObjectAttributesResponse";
        S3Response::ok(format!("<{root}>{parts}</{root}>"))
    }

    pub(super) fn delete(
        &mut self,
        key: &str,
        header: &impl Fn(&str) -> Option<String>,
    ) -> S3Response {
        if let (Some(etag), Some(object)) = (header("if-match"), self.objects.get(key))
            && etag.trim_matches('"') != object.etag
        {
            return error(412, "PreconditionFailed");
        }
        if let Some(object) = self.objects.remove(key) {
            self.removed_objects.push(Removed {
                object,
                successor: None,
            });
        }
        S3Response {
            status: 204,
            ..S3Response::ok(String::new())
        }
    }

    /// The conditions of a complete.
    pub(super) fn check_conditions(
        &self,
        key: &str,
        header: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), S3Response> {
        let object = self.objects.get(key);
        if header("if-none-match").is_some() && object.is_some() {
            return Err(error(412, "PreconditionFailed"));
        }
        match (header("if-match"), object) {
            (Some(_), None) => Err(error(404, "NoSuchKey")),
            (Some(etag), Some(object)) if etag.trim_matches('"') != object.etag => {
                Err(error(412, "PreconditionFailed"))
            }
            _ => Ok(()),
        }
    }

    /// `UploadPartCopy` of a whole object or of one of its parts.
    pub(super) fn copy_part(
        &mut self,
        key: &str,
        query: &Query,
        header: &impl Fn(&str) -> Option<String>,
    ) -> S3Response {
        let source = header("x-amz-copy-source").unwrap_or_default();
        let source = percent_decode_str(&source).decode_utf8_lossy().into_owned();
        let object = source
            .split_once('/')
            .and_then(|(_, key)| self.objects.get(key));
        let Some(object) = object else {
            return error(404, "NoSuchKey");
        };
        let condition = header("x-amz-copy-source-if-match");
        if condition.is_some_and(|etag| etag.trim_matches('"') != object.etag) {
            return error(412, "PreconditionFailed");
        }
        let range = header("x-amz-copy-source-range")
            .unwrap_or_else(|| format!("bytes=0-{}", object.size().saturating_sub(1)));
        let mut start = 0;
        let part = object.content.iter().find(|(_, size)| {
            let of_part = format!("bytes={start}-{}", (start + size).saturating_sub(1));
            start += size;
            range == of_part
        });
        // The bucket has the digests of parts only.
        let Some((sha256, size)) = part.copied() else {
            return error(501, "NotImplemented");
        };
        self.serial += 1;
        let etag = format!("part-{}", self.serial);
        let part = Part {
            sha256,
            size,
            etag: etag.clone(),
        };
        let upload = query.get("uploadId").and_then(|id| self.open.get_mut(id));
        let Some(upload) = upload.filter(|upload| upload.key == key) else {
            return error(404, "NoSuchUpload");
        };
        upload
            .parts
            .insert(query["partNumber"].parse().unwrap(), part);
        let checksum = BASE64.encode(sha256);
        S3Response::ok(format!(
            "<CopyPartResult><ETag>&quot;{etag}&quot;</ETag>\
             <ChecksumSHA256>{checksum}</ChecksumSHA256></CopyPartResult>"
        ))
    }

    /// Another program puts an object, in place of any other. `checksum` is empty if the store has
    /// none.
    pub fn put_as_other_program(&mut self, key: &str, content: Content, checksum: String) {
        self.objects.remove(key);
        let content_type = Some("video/mp4".to_owned());
        self.insert_object(key, None, content_type, (content, checksum));
    }
}
