//! Checks the fields of a form before s3s reads it: s3s ignores fields that it does not know, and
//! their promise would not be kept. Pure, except for [`read`].
//!
//! Not here: the comparison of the fields with their policy, by s3s.

use axum::body::{Body, BodyDataStream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header;
use s3s::{S3Result, s3_error};
use serde::Deserialize;

use crate::checksums::Algorithm;
use crate::signed_headers::check_acl;

/// Fields with an effect, or without a meaning for the object.
const IMPLEMENTED: [&str; 21] = [
    "key",
    "bucket",
    "policy",
    "submit",
    "acl",
    "redirect",
    "success_action_redirect",
    "success_action_status",
    "content-type",
    "content-md5",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-acl",
    "x-amz-signature",
    "x-amz-storage-class",
];
/// The fields are parsed each time this many bytes have arrived, and at the end of the body.
const PARSE_INTERVAL_BYTES: usize = 1 << 10;

/// Names in lower case, and values.
pub type Fields = Vec<(String, String)>;

/// A form whose file begins to arrive.
pub struct FormHead {
    pub boundary: String,
    pub fields: Fields,
    /// The fields, the head of the file, and the bytes of the file that have arrived.
    pub received: BytesMut,
    /// The index of the first byte of the file in `received`.
    pub file_start: usize,
    pub rest: BodyDataStream,
}

impl FormHead {
    /// The value of a field, by its name in lower case.
    pub fn field(&self, wanted: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let field = fields.find(|(name, _)| name == wanted);
        field.map(|(_, value)| value.as_str())
    }
}

/// Reads and checks the fields before the file.
///
/// # Errors
/// `MalformedPOSTRequest`; those of [`check`].
pub async fn read(headers: &HeaderMap, body: Body, max_bytes: usize) -> S3Result<FormHead> {
    let malformed = || s3_error!(MalformedPOSTRequest, "The form is not valid");
    let boundary = boundary(headers).ok_or_else(malformed)?;
    let mut rest = body.into_data_stream();
    let mut received = BytesMut::new();
    let mut parse_at = PARSE_INTERVAL_BYTES;
    let (fields, file_start) = loop {
        let is_end = match rest.next().await {
            Some(Ok(frame)) if received.len() <= max_bytes => {
                received.extend_from_slice(&frame);
                false
            }
            Some(_) => return Err(malformed()),
            None => true,
        };
        if !is_end && received.len() < parse_at {
            continue;
        }
        parse_at = received.len() + PARSE_INTERVAL_BYTES;
        match parse(&received, &boundary)? {
            Some(parsed) => break parsed,
            None if is_end => return Err(malformed()),
            None => {}
        }
    };
    check(&fields)?;
    Ok(FormHead {
        boundary,
        fields,
        received,
        file_start,
        rest,
    })
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let parameter = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then_some(value)
    });
    let boundary = parameter?.trim().trim_matches('"');
    (!boundary.is_empty()).then(|| boundary.to_owned())
}

/// Parses the fields up to the file; returns them and the index of the first byte of the file.
/// Returns `None` if more bytes are needed.
///
/// # Errors
/// `MalformedPOSTRequest`.
fn parse(bytes: &[u8], boundary: &str) -> S3Result<Option<(Fields, usize)>> {
    let malformed = || s3_error!(MalformedPOSTRequest, "The form is not valid");
    let first = format!("--{boundary}\r\n");
    let next = format!("\r\n--{boundary}\r\n");
    let length = bytes.len();
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    if bytes.len() < first.len() {
        return Ok(None);
    }
    let mut rest = bytes.strip_prefix(first.as_bytes()).ok_or_else(malformed)?;
    let mut fields = Fields::new();
    loop {
        let Some((head, after)) = split(rest, b"\r\n\r\n") else {
            return Ok(None);
        };
        let name = field_name(head).ok_or_else(malformed)?;
        if name == "file" {
            return Ok(Some((fields, length - after.len())));
        }
        let Some((value, after)) = split(after, next.as_bytes()) else {
            return Ok(None);
        };
        let value = String::from_utf8(value.to_vec()).map_err(|_| malformed())?;
        fields.push((name, value));
        rest = after;
    }
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let start = find(bytes, at)?;
    Some((bytes.get(..start)?, bytes.get(start + at.len()..)?))
}

/// The index at which `wanted` first begins in `text`.
pub fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut begin = 0;
    loop {
        begin += text.get(begin..)?.iter().position(|byte| byte == first)?;
        if text.get(begin..)?.starts_with(wanted) {
            return Some(begin);
        }
        begin += 1;
    }
}

/// The name of a field in lower case, from the headers of its part.
fn field_name(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(head).ok()?;
    let disposition = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_disposition = name.eq_ignore_ascii_case("content-disposition");
        is_disposition.then_some(value)
    });
    let (_, name) = disposition?.split_once("; name=\"")?;
    let (name, _) = name.split_once('"')?;
    Some(name.to_ascii_lowercase())
}

/// # Errors
/// `NotImplemented` for a field or value that the store does not implement; `InvalidArgument` for a
/// repeated field; `AccessDenied` for Signature Version 2; `InvalidPolicyDocument` for a policy
/// with an expiration in another format than that of S3.
fn check(fields: &[(String, String)]) -> S3Result<()> {
    for (index, (name, value)) in fields.iter().enumerate() {
        if fields
            .iter()
            .skip(index + 1)
            .any(|(other, _)| other == name)
        {
            return Err(s3_error!(
                InvalidArgument,
                "The field {name} must not be repeated"
            ));
        }
        let is_implemented = IMPLEMENTED.contains(&name.as_str())
            || Algorithm::is_header(name)
            || name.starts_with("x-amz-meta-")
            || name.starts_with("x-ignore-");
        match name.as_str() {
            "signature" | "awsaccesskeyid" => {
                return Err(s3_error!(
                    AccessDenied,
                    "Only Signature Version 4 is accepted"
                ));
            }
            "acl" | "x-amz-acl" => check_acl(Some(value))?,
            "x-amz-storage-class" if value != "STANDARD" => return Err(not_implemented(name)),
            "policy" => check_expiration(value)?,
            _ if !is_implemented => return Err(not_implemented(name)),
            _ => {}
        }
    }
    Ok(())
}

fn not_implemented(name: &str) -> s3s::S3Error {
    s3_error!(
        NotImplemented,
        "The field {name} implies functionality that is not implemented"
    )
}

#[derive(Deserialize)]
struct Policy {
    expiration: String,
}

/// s3s, which checks the policy further, also accepts other formats.
fn check_expiration(policy: &str) -> S3Result<()> {
    let decoded = BASE64.decode(policy).ok();
    let policy: Option<Policy> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if policy.is_some_and(|policy| !is_iso_8601(&policy.expiration)) {
        return Err(s3_error!(
            InvalidPolicyDocument,
            "Invalid Policy: the expiration must be a time like 2027-01-30T12:00:00.000Z"
        ));
    }
    Ok(())
}

/// `YYYY-MM-DDThh:mm:ssZ`, also with a fraction of a second.
fn is_iso_8601(time: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let Some((whole, rest)) = time.as_bytes().split_at_checked(SHAPE.len()) else {
        return false;
    };
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == shape,
    };
    let fraction = match rest {
        [b'Z'] => return whole.iter().zip(SHAPE).all(fits),
        [b'.', fraction @ .., b'Z'] => fraction,
        _ => return false,
    };
    whole.iter().zip(SHAPE).all(fits)
        && !fraction.is_empty()
        && fraction.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_parsed_up_to_the_file() {
        let form = b"--b\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na\r\nb\r\n\
            --b\r\ncontent-disposition: form-data; name=\"acl\"\r\nContent-Type: text/plain\r\n\r\n\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nbytes";
        let expected = [("key", "a\r\nb"), ("acl", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let end = form.len() - b"bytes".len();
        let expected = (expected.to_vec(), end);
        assert_eq!(parse(form, "b").unwrap().unwrap(), expected);
        // Ends within the file.
        assert_eq!(parse(&form[..end], "b").unwrap().unwrap(), expected);
        for end in 0..end {
            assert_eq!(parse(&form[..end], "b").unwrap(), None, "{end}");
        }
        for form in [
            &b"--c\r\n\r\n\r\n"[..],
            b"--b\r\nX: y\r\n\r\n",
            b"hello, world",
        ] {
            assert!(parse(form, "b").is_err());
        }
    }

    #[test]
    fn expiration_must_have_the_format_of_s3() {
        for time in ["2027-01-30T12:00:00Z", "2027-01-30T12:00:00.000Z"] {
            assert!(is_iso_8601(time), "{time}");
        }
        for time in [
            "2027-01-30 12:00:00Z",
            "2027-01-30t12:00:00z",
            "2027-01-30T12:00:00+00:00",
            "2027-01-30T12:00:00.Z",
            "2027-01-30T12:00:00",
            "tomorrow",
            "",
        ] {
            assert!(!is_iso_8601(time), "{time}");
        }
    }
}
