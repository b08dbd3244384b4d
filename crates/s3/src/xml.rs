//! The XML documents of S3: the fields that are read from responses, and the body of
//! `CompleteMultipartUpload`. Pure. Follows the Amazon S3 API reference; a field is optional if
//! some store omits it.
//!
//! Not here: the fault that an error means, in [`crate::response`].

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::escape::partial_escape;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use upload_types::{ETag, PartNumber, Sha256};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InitiateMultipartUploadResult {
    pub(crate) upload_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListPartsResult {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    /// A number, or empty.
    #[serde(default)]
    pub(crate) next_part_number_marker: String,
    #[serde(default, rename = "Part")]
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Part {
    #[serde(rename = "PartNumber")]
    pub(crate) number: u32,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) size: u64,
    #[serde(default, rename = "ChecksumSHA256")]
    pub(crate) checksum_sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetObjectAttributesResponse {
    /// Absent for an object of a single PUT.
    #[serde(default)]
    pub(crate) object_parts: Option<ObjectParts>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ObjectParts {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    #[serde(default, rename = "Part")]
    pub(crate) parts: Vec<ObjectPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ObjectPart {
    #[serde(rename = "PartNumber")]
    pub(crate) number: u32,
    pub(crate) size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListBucketResult {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    #[serde(default, rename = "Contents")]
    pub(crate) objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Object {
    pub(crate) key: String,
    #[serde(default, rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListMultipartUploadsResult {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    #[serde(default)]
    pub(crate) next_key_marker: String,
    #[serde(default)]
    pub(crate) next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    pub(crate) uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Upload {
    pub(crate) key: String,
    #[serde(rename = "UploadId")]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) initiated: String,
}

/// No field is used: a complete document means that the upload was completed.
#[derive(Debug, Deserialize)]
pub(crate) struct CompleteMultipartUploadResult {}

/// No field is used: a complete document means that the object was copied.
#[derive(Debug, Deserialize)]
pub(crate) struct CopyObjectResult {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CopyPartResult {
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    #[serde(default, rename = "ChecksumSHA256")]
    pub(crate) checksum_sha256: Option<String>,
}

/// An `<Error>`. Its message is not read: some stores repeat secrets of the request in it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ErrorDocument {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) request_id: String,
    /// The region of the bucket, after a request to another one.
    #[serde(default)]
    pub(crate) region: String,
}

/// The reason why a body is not the expected document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is an `<Error>`, which S3 may send with status 200.
    Error(ErrorDocument),
    /// It is empty, cut off, or another document.
    Malformed,
}

/// Parses a document. Its root element must begin with `root`: some stores name it `…Response`
/// instead of `…Result`.
pub(crate) fn parse<T: DeserializeOwned>(root: &str, body: &[u8]) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Malformed)?;
    match root_element(text).as_deref() {
        Some("Error") => {
            Err(quick_xml::de::from_str(text).map_or(Unreadable::Malformed, Unreadable::Error))
        }
        Some(name) if name.starts_with(root) => {
            quick_xml::de::from_str(text).map_err(|_| Unreadable::Malformed)
        }
        _ => Err(Unreadable::Malformed),
    }
}

/// The message of an `<Error>`; empty if the body is anything else.
pub(crate) fn error_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Message {
        message: String,
    }
    let text = String::from_utf8_lossy(body);
    let parsed = quick_xml::de::from_str(&text);
    parsed.map_or_else(|_| String::new(), |Message { message }| message)
}

/// Parses an `<Error>`. Returns an empty one if the body is anything else.
pub(crate) fn parse_error(body: &[u8]) -> ErrorDocument {
    match parse::<ErrorDocument>("Error", body) {
        Ok(error) | Err(Unreadable::Error(error)) => error,
        Err(Unreadable::Malformed) => ErrorDocument::default(),
    }
}

fn root_element(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                return Some(start.local_name().as_ref().to_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// The body of `CompleteMultipartUpload`, with the checksum of each part that has one.
pub(crate) fn complete_body<'a>(
    parts: impl ExactSizeIterator<Item = (PartNumber, &'a ETag, Option<&'a Sha256>)>,
) -> String {
    let mut body = String::with_capacity(128 + parts.len() * 192);
    body.push_str(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for (number, etag, sha256) in parts {
        let etag = etag.quoted();
        // Writing to a String cannot fail.
        let _ = write!(
            body,
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag>",
            partial_escape(etag.as_str())
        );
        if let Some(sha256) = sha256 {
            let _ = write!(body, "<ChecksumSHA256>{}</ChecksumSHA256>", sha256.base64());
        }
        body.push_str("</Part>");
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_complete(body: &[u8]) -> Result<CompleteMultipartUploadResult, Unreadable> {
        parse("CompleteMultipartUpload", body)
    }

    #[test]
    fn error_document_is_found_in_place_of_any_other() {
        // A declaration after blanks is ill-formed, but Swift sends blanks to keep a connection
        // alive.
        let body = b"\n  <?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>x</Message><RequestId>7</RequestId></Error>";
        let error = ErrorDocument {
            code: "InternalError".into(),
            request_id: "7".into(),
            region: String::new(),
        };
        assert_eq!(parse_complete(body).unwrap_err(), Unreadable::Error(error));
        let code = |body| parse_error(body).code;
        assert_eq!(
            code(b"<Error><Code>NoSuchUpload</Code></Error>"),
            "NoSuchUpload"
        );
        assert_eq!(
            parse_error(b"<html><body>502</body></html>"),
            ErrorDocument::default()
        );
    }

    #[test]
    fn empty_or_truncated_documents_are_malformed() {
        let whole = "<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ETag>&quot;x-1&quot;</ETag></CompleteMultipartUploadResult>";
        assert!(parse_complete(whole.as_bytes()).is_ok());
        let truncated = [0, 1, 30, 80, whole.len() - 1].map(|end| &whole.as_bytes()[..end]);
        for body in truncated
            .into_iter()
            .chain([&b"<html></html>"[..], b"\xff"])
        {
            assert_eq!(
                parse_complete(body).unwrap_err(),
                Unreadable::Malformed,
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn parts_are_read_with_and_without_checksums() {
        let body = "<ListPartsResult><Bucket>b</Bucket><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>\
            <Part><ETag>&quot;a&amp;b&quot;</ETag><LastModified>x</LastModified><PartNumber>1</PartNumber><Size>5</Size></Part>\
            <Part><ChecksumSHA256>abc=</ChecksumSHA256><ETag>c</ETag><PartNumber>2</PartNumber><Size>6</Size></Part></ListPartsResult>";
        let page: ListPartsResult = parse("ListParts", body.as_bytes()).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_part_number_marker, "2");
        assert_eq!(page.parts[0].etag, "\"a&b\"");
        assert_eq!(page.parts[1].checksum_sha256.as_deref(), Some("abc="));
        let body = b"<ListPartsResult><NextPartNumberMarker/></ListPartsResult>";
        let empty: ListPartsResult = parse("ListParts", body).unwrap();
        assert!(empty.parts.is_empty() && !empty.is_truncated);
    }

    #[test]
    fn complete_body_escapes_etags() {
        let (etag, sha256) = ("a<b>&'c".parse().unwrap(), Sha256::of(b""));
        let body = |sha256| complete_body([(PartNumber::FIRST, &etag, sha256)].into_iter());
        let with_checksum = body(Some(&sha256));
        assert!(
            with_checksum.contains("<ETag>\"a&lt;b&gt;&amp;'c\"</ETag>"),
            "{with_checksum}"
        );
        assert!(
            with_checksum.contains(
                "<ChecksumSHA256>47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=</ChecksumSHA256>"
            ),
            "{with_checksum}"
        );
        assert!(!body(None).contains("Checksum"));
    }
}
