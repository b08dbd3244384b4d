//! The XML that S3 speaks: what is read of its answers, and the body of `CompleteMultipartUpload`.
//!
//! Border: text to values and back, by the Amazon S3 API reference. A field is optional wherever some store leaves it out.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::escape::partial_escape;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use upload_types::names::{ETag, PartNumber, Sha256};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitiateMultipartUploadResult {
    pub(super) upload_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListPartsResult {
    #[serde(default)]
    pub(super) is_truncated: bool,
    /// A number, or nothing.
    #[serde(default)]
    pub(super) next_part_number_marker: String,
    #[serde(default, rename = "Part")]
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Part {
    #[serde(rename = "PartNumber")]
    pub(super) number: u32,
    #[serde(rename = "ETag")]
    pub(super) etag: String,
    pub(super) size: u64,
    #[serde(default, rename = "ChecksumSHA256")]
    pub(super) checksum_sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMultipartUploadsResult {
    #[serde(default)]
    pub(super) is_truncated: bool,
    #[serde(default)]
    pub(super) next_key_marker: String,
    #[serde(default)]
    pub(super) next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    pub(super) uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    #[serde(rename = "UploadId")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) initiated: String,
}

/// Nothing in it is believed; that it is there and whole says that the upload was completed.
#[derive(Debug, Deserialize)]
pub(super) struct CompleteMultipartUploadResult {}

/// Of a copy of a whole object nothing is believed either.
#[derive(Debug, Deserialize)]
pub(super) struct CopyObjectResult {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CopyPartResult {
    #[serde(rename = "ETag")]
    pub(super) etag: String,
}

/// An error as S3 tells it. Its message is not read: some stores repeat the request's secrets in it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ErrorAnswer {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) request_id: String,
}

/// Why a body is not the answer it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is an error, under whatever status.
    Error(ErrorAnswer),
    /// It is empty, cut off, or something else.
    Nonsense,
}

/// Reads an answer whose root element begins with `root`: what S3 calls a result is a response to some.
///
/// # Errors
/// [`Unreadable::Error`] for a body that is an `<Error>`, which S3 may send with status 200; [`Unreadable::Nonsense`] else.
pub(super) fn read<T: DeserializeOwned>(root: &str, body: &[u8]) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Nonsense)?;
    match root_of(text).as_deref() {
        Some("Error") => {
            Err(quick_xml::de::from_str(text).map_or(Unreadable::Nonsense, Unreadable::Error))
        }
        Some(name) if name.starts_with(root) => {
            quick_xml::de::from_str(text).map_err(|_| Unreadable::Nonsense)
        }
        _ => Err(Unreadable::Nonsense),
    }
}

/// The error in a body, or an empty one where there is none to be read.
pub(super) fn read_error(body: &[u8]) -> ErrorAnswer {
    match read::<ErrorAnswer>("Error", body) {
        Ok(error) | Err(Unreadable::Error(error)) => error,
        Err(Unreadable::Nonsense) => ErrorAnswer::default(),
    }
}

fn root_of(text: &str) -> Option<String> {
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

/// The body of `CompleteMultipartUpload`, with a part's checksum where there is one.
pub(super) fn complete_body<'a>(
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

    type Completed = Result<CompleteMultipartUploadResult, Unreadable>;
    const DONE: &str = "CompleteMultipartUpload";

    #[test]
    fn an_error_is_an_error_under_any_status() {
        let body = b"\n  <?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>x</Message><RequestId>7</RequestId></Error>";
        let error = ErrorAnswer {
            code: "InternalError".into(),
            request_id: "7".into(),
        };
        // A declaration after blanks is ill-formed, but Swift keeps a connection alive that way.
        assert_eq!(
            (read(DONE, body) as Completed).unwrap_err(),
            Unreadable::Error(error)
        );
        assert_eq!(
            read_error(b"<Error><Code>NoSuchUpload</Code></Error>").code,
            "NoSuchUpload"
        );
        assert_eq!(
            read_error(b"<html><body>502</body></html>"),
            ErrorAnswer::default()
        );
    }

    #[test]
    fn an_empty_or_cut_answer_is_none() {
        let whole = "<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ETag>&quot;x-1&quot;</ETag></CompleteMultipartUploadResult>";
        assert!((read(DONE, whole.as_bytes()) as Completed).is_ok());
        for end in [0, 1, 30, 80, whole.len() - 1] {
            assert_eq!(
                (read(DONE, &whole.as_bytes()[..end]) as Completed).unwrap_err(),
                Unreadable::Nonsense,
                "{end}"
            );
        }
        assert_eq!(
            (read(DONE, b"<html></html>") as Completed).unwrap_err(),
            Unreadable::Nonsense
        );
        assert_eq!(
            (read(DONE, b"\xff") as Completed).unwrap_err(),
            Unreadable::Nonsense
        );
    }

    #[test]
    fn parts_are_read_with_and_without_checksums() {
        let body = "<ListPartsResult><Bucket>b</Bucket><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>\
            <Part><ETag>&quot;a&amp;b&quot;</ETag><LastModified>x</LastModified><PartNumber>1</PartNumber><Size>5</Size></Part>\
            <Part><ChecksumSHA256>abc=</ChecksumSHA256><ETag>c</ETag><PartNumber>2</PartNumber><Size>6</Size></Part></ListPartsResult>";
        let page: ListPartsResult = read("ListParts", body.as_bytes()).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_part_number_marker, "2");
        assert_eq!(page.parts[0].etag, "\"a&b\"");
        assert_eq!(page.parts[1].checksum_sha256.as_deref(), Some("abc="));
        let empty: ListPartsResult = read(
            "ListParts",
            b"<ListPartsResult><NextPartNumberMarker/></ListPartsResult>",
        )
        .unwrap();
        assert!(empty.parts.is_empty() && !empty.is_truncated);
    }

    #[test]
    fn etags_are_escaped() {
        let (etag, sha256) = ("a<b>&'c".parse().unwrap(), Sha256::of(b""));
        let of = |sha256| complete_body([(PartNumber::FIRST, &etag, sha256)].into_iter());
        let body = of(Some(&sha256));
        assert!(
            body.contains("<ETag>\"a&lt;b&gt;&amp;'c\"</ETag>"),
            "{body}"
        );
        assert!(
            body.contains(
                "<ChecksumSHA256>47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=</ChecksumSHA256>"
            ),
            "{body}"
        );
        assert!(!of(None).contains("Checksum"));
    }
}
