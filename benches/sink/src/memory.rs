//! The names and sizes of objects and parts, and the responses that S3 would give.
//!
//! Not here: bytes of objects. ETags have a dash, so that no client mistakes one for an MD5.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::request::Request;

const DATE: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
/// A prefix with this character at its end sorts after every key of the benchmarks with that
/// prefix. As text, and in a query.
const PAST_PREFIX: &str = "~";
const PAST_PREFIX_ENCODED: &str = "%7E";
const ISO_DATE: &str = "2000-01-01T00:00:00.000Z";

#[derive(Default)]
pub struct Memory {
    stored: Mutex<Stored>,
    /// Otherwise lists of objects are empty, so that clients send files instead of comparing them.
    lists_objects: bool,
}

#[derive(Default)]
struct Stored {
    /// By `bucket/key`.
    objects: BTreeMap<String, Object>,
    /// By upload id.
    uploads: BTreeMap<u64, Upload>,
    last_upload_id: u64,
}

struct Object {
    size: u64,
    /// `x-amz-meta-…` and `content-type`, as header lines.
    headers: String,
}

struct Upload {
    path: String,
    key: String,
    headers: String,
    /// Size by part number.
    parts: BTreeMap<u32, u64>,
}

/// A response: its status, further header lines, its body.
pub struct Response {
    pub status: &'static str,
    pub headers: String,
    pub body: String,
    /// The `Content-Length` in a response to HEAD, instead of that of the body.
    pub length: Option<u64>,
}

impl Response {
    fn new(status: &'static str) -> Self {
        Self {
            status,
            headers: String::new(),
            body: String::new(),
            length: None,
        }
    }

    fn xml(root: &str, inner: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{root}>"
        );
        Self {
            body,
            ..Self::new("200 OK")
        }
    }

    pub fn error(status: &'static str, code: &str) -> Self {
        let body = format!(
            "<Error><Code>{code}</Code><Message>{code}</Message><RequestId>0</RequestId></Error>"
        );
        Self {
            body,
            ..Self::new(status)
        }
    }

    fn stored(etag: &str) -> Self {
        Self {
            headers: format!("ETag: \"{etag}\"\r\n"),
            ..Self::new("200 OK")
        }
    }
}

impl Memory {
    pub fn new(lists_objects: bool) -> Self {
        Self {
            lists_objects,
            ..Self::default()
        }
    }

    pub fn reset(&self) {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = Stored::default();
    }

    /// The response to a request after its body has arrived.
    pub fn respond(&self, request: &Request<'_>) -> Response {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let path = format!("{}/{}", request.bucket, request.key);
        let upload = request
            .query("uploadId")
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        match request.operation() {
            "PutObject" => {
                stored.objects.insert(
                    path,
                    Object {
                        size: request.size(),
                        headers: headers(request),
                    },
                );
                Response::stored("sink-1")
            }
            "CreateMultipartUpload" => {
                stored.last_upload_id += 1;
                let (id, key) = (stored.last_upload_id, request.key.to_owned());
                stored.uploads.insert(
                    id,
                    Upload {
                        path,
                        key,
                        headers: headers(request),
                        parts: BTreeMap::new(),
                    },
                );
                let (bucket, key) = (request.bucket, request.key);
                let inner =
                    format!("<Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>");
                Response::xml("InitiateMultipartUploadResult", &inner)
            }
            "HeadObject" => match stored.objects.get(&path) {
                Some(object) => {
                    let headers = format!(
                        "ETag: \"sink-1\"\r\nLast-Modified: {DATE}\r\n{}",
                        object.headers
                    );
                    Response {
                        headers,
                        length: Some(object.size),
                        ..Response::new("200 OK")
                    }
                }
                None => Response::new("404 Not Found"),
            },
            "UploadPart" => {
                let number = request
                    .query("partNumber")
                    .and_then(|number| number.parse().ok());
                let (Some(upload), Some(number)) = (stored.uploads.get_mut(&upload), number) else {
                    return no_such_upload();
                };
                upload.parts.insert(number, request.size());
                Response::stored(&format!("part-{number}"))
            }
            "ListParts" => match stored.uploads.get(&upload) {
                Some(upload) => list_parts(upload, request),
                None => no_such_upload(),
            },
            "CompleteMultipartUpload" => {
                let Some(upload) = stored.uploads.remove(&upload) else {
                    return no_such_upload();
                };
                let size = upload.parts.values().sum();
                stored.objects.insert(
                    upload.path,
                    Object {
                        size,
                        headers: upload.headers,
                    },
                );
                let (bucket, key) = (request.bucket, request.key);
                let inner =
                    format!("<Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>\"sink-1\"</ETag>");
                Response::xml("CompleteMultipartUploadResult", &inner)
            }
            "AbortMultipartUpload" => match stored.uploads.remove(&upload) {
                Some(_) => Response::new("204 No Content"),
                None => no_such_upload(),
            },
            "ListMultipartUploads" => list_uploads(&stored, request),
            "DeleteObject" => {
                stored.objects.remove(&path);
                Response::new("204 No Content")
            }
            "HeadBucket" | "CreateBucket" => Response::new("200 OK"),
            "GetBucketLocation" => Response::xml("LocationConstraint", ""),
            "ListBuckets" => Response::xml("ListAllMyBucketsResult", "<Buckets/>"),
            "ListObjects" if self.lists_objects => list_objects(&stored, request),
            "ListObjects" => Response::xml(
                "ListBucketResult",
                "<Name>sink</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>",
            ),
            "DeleteObjects" => Response::xml("DeleteResult", ""),
            _ => Response::error("501 Not Implemented", "NotImplemented"),
        }
    }
}

fn no_such_upload() -> Response {
    Response::error("404 Not Found", "NoSuchUpload")
}

/// The headers of a request that creates an object, as HeadObject returns them.
fn headers(request: &Request<'_>) -> String {
    let mut lines = String::new();
    for (name, value) in request.headers() {
        let lower = name.to_ascii_lowercase();
        if lower == "content-type" || lower.starts_with("x-amz-meta-") {
            let _ = write!(lines, "{lower}: {value}\r\n");
        }
    }
    lines
}

fn list_parts(upload: &Upload, request: &Request<'_>) -> Response {
    let numeric_query = |name| {
        request
            .query(name)
            .and_then(|value| value.parse::<u32>().ok())
    };
    let after = numeric_query("part-number-marker").unwrap_or(0);
    let most =
        usize::try_from(numeric_query("max-parts").unwrap_or(1000).min(1000)).unwrap_or(1000);
    let mut inner = format!(
        "<UploadId>{}</UploadId>",
        request.query("uploadId").unwrap_or_default()
    );
    let mut parts = upload.parts.range(after.saturating_add(1)..);
    let mut last = after;
    for (number, size) in parts.by_ref().take(most) {
        last = *number;
        let _ = write!(
            inner,
            "<Part><PartNumber>{number}</PartNumber><ETag>\"part-{number}\"</ETag><Size>{size}</Size>\
             <LastModified>{ISO_DATE}</LastModified></Part>"
        );
    }
    let more = parts.next().is_some();
    let _ = write!(
        inner,
        "<IsTruncated>{more}</IsTruncated><NextPartNumberMarker>{last}</NextPartNumberMarker>"
    );
    Response::xml("ListPartsResult", &inner)
}

/// Lists by prefix. The gateway's keys need no decoding, except for slashes.
fn list_uploads(stored: &Stored, request: &Request<'_>) -> Response {
    let prefix = request
        .query("prefix")
        .unwrap_or_default()
        .replace("%2F", "/");
    let mut inner = String::from("<IsTruncated>false</IsTruncated>");
    for (id, upload) in stored
        .uploads
        .iter()
        .filter(|(_, upload)| upload.key.starts_with(&prefix))
        .take(1000)
    {
        let _ = write!(
            inner,
            "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{ISO_DATE}</Initiated></Upload>",
            upload.key
        );
    }
    Response::xml("ListMultipartUploadsResult", &inner)
}

/// A page of `ListObjects`, version 1 or 2, whose continuation token is the last key, or the last
/// common prefix and a character after all others. Keys and prefixes need no encoding, except for
/// slashes.
fn list_objects(stored: &Stored, request: &Request<'_>) -> Response {
    let text = |name| {
        let value = request.query(name).unwrap_or_default();
        value.replace("%2F", "/").replace("%2f", "/")
    };
    let bucket = format!("{}/", request.bucket);
    let (prefix, delimiter) = (bucket.clone() + &text("prefix"), text("delimiter"));
    // Version 1 has a marker instead of a continuation token.
    let mut starts = ["continuation-token", "marker", "start-after"]
        .into_iter()
        .map(text);
    let after = starts.find(|after| !after.is_empty()).unwrap_or_default();
    let after = bucket.clone() + &after.replace(PAST_PREFIX_ENCODED, PAST_PREFIX);
    let most = text("max-keys").parse().unwrap_or(1000_usize).min(1000);
    // After the time of every file, so that clients which compare times do not send it again.
    let modified =
        (Timestamp::now() - SignedDuration::from_secs(1)).strftime("%Y-%m-%dT%H:%M:%S.000Z");
    let (mut inner, mut prefixes) = (String::new(), BTreeSet::new());
    let (mut count, mut last, mut is_truncated) = (0, String::new(), false);
    // A key is never empty, so the first page excludes nothing.
    let from = if after < prefix {
        Bound::Included(prefix.clone())
    } else {
        Bound::Excluded(after)
    };
    for (path, object) in stored.objects.range((from, Bound::Unbounded)) {
        let Some(rest) = path.strip_prefix(&prefix) else {
            break;
        };
        let key = &path[bucket.len()..];
        let common = (!delimiter.is_empty())
            .then(|| rest.split_once(delimiter.as_str()))
            .flatten()
            .map(|(folder, _)| format!("{}{folder}{delimiter}", &prefix[bucket.len()..]));
        if common
            .as_ref()
            .is_some_and(|common| prefixes.contains(common))
        {
            continue;
        }
        if count == most {
            is_truncated = true;
            break;
        }
        count += 1;
        if let Some(common) = common {
            last = common.clone() + PAST_PREFIX;
            prefixes.insert(common);
        } else {
            key.clone_into(&mut last);
            let size = object.size;
            let _ = write!(
                inner,
                "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified>\
                 <ETag>&quot;sink-1&quot;</ETag><Size>{size}</Size></Contents>"
            );
        }
    }
    for common in prefixes {
        let _ = write!(
            inner,
            "<CommonPrefixes><Prefix>{common}</Prefix></CommonPrefixes>"
        );
    }
    let next = if is_truncated {
        format!(
            "<NextContinuationToken>{last}</NextContinuationToken><NextMarker>{last}</NextMarker>"
        )
    } else {
        String::new()
    };
    let _ = write!(
        inner,
        "<Name>{}</Name><KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{is_truncated}</IsTruncated>{next}",
        request.bucket
    );
    Response::xml("ListBucketResult", &inner)
}
