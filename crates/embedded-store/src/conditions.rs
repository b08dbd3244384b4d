//! Conditions of requests, and the range of a copy. Pure.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

/// The conditions of a write, on the object that it replaces.
#[derive(Debug, Clone, Default)]
pub struct WriteConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    /// Reads the headers of an operation whose input in s3s lacks them.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn of_headers(headers: &HeaderMap) -> S3Result<Self> {
        let condition = |name: HeaderName| {
            let value = headers.get(&name);
            value
                .map(|value| ETagCondition::parse_http_header(value.as_bytes()))
                .transpose()
                .map_err(|_| s3_error!(InvalidArgument, "The header {name} is not valid"))
        };
        Ok(Self {
            if_match: condition(header::IF_MATCH)?,
            if_none_match: condition(header::IF_NONE_MATCH)?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Checks the conditions; `existing` is the ETag of the object at the key.
    ///
    /// # Errors
    /// `NoSuchKey` if an object with an ETag is required and none exists; `PreconditionFailed`.
    pub fn check(&self, existing: Option<&str>) -> S3Result<()> {
        match (&self.if_match, existing) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(condition), Some(etag)) if !matches(condition, etag) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match (&self.if_none_match, existing) {
            (Some(condition), Some(etag)) if matches(condition, etag) => {
                Err(s3_error!(PreconditionFailed))
            }
            _ => Ok(()),
        }
    }
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition
        .as_etag()
        .is_none_or(|expected| expected.value() == etag)
}

/// The conditions of a read.
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "named like the headers")]
pub struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Checks the conditions in the order of RFC 9110, section 13.2.2. `modified` is in whole
    /// seconds.
    ///
    /// # Errors
    /// `PreconditionFailed`, `NotModified`.
    pub fn check(&self, etag: &str, modified: &Timestamp) -> S3Result<()> {
        let precondition_holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, etag),
            (None, Some(since)) => modified <= since,
            (None, None) => true,
        };
        if !precondition_holds {
            return Err(s3_error!(PreconditionFailed));
        }
        let is_modified = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => !matches(condition, etag),
            (None, Some(since)) => modified > since,
            (None, None) => true,
        };
        if is_modified {
            Ok(())
        } else {
            Err(not_modified(etag))
        }
    }
}

/// The error `NotModified`, with the ETag that RFC 9110 requires.
fn not_modified(etag: &str) -> S3Error {
    let mut error = s3_error!(NotModified);
    if let Ok(value) = HeaderValue::try_from(format!("\"{etag}\"")) {
        error.set_headers(HeaderMap::from_iter([(header::ETAG, value)]));
    }
    error
}

/// Parses `x-amz-copy-source-range: bytes=FIRST-LAST` for an object of `size` bytes.
///
/// # Errors
/// `InvalidArgument` for another syntax, `InvalidRange` for a range that is not in the object.
pub fn copy_range(header: &str, size: u64) -> S3Result<Range<u64>> {
    let number = |digits: &str| -> Option<u64> {
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            digits.parse().ok()
        } else {
            None
        }
    };
    let ends = header
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let (first, last) =
        ends.ok_or_else(|| s3_error!(InvalidArgument, "The range must be bytes=FIRST-LAST"))?;
    if first > last || last >= size {
        return Err(s3_error!(InvalidRange));
    }
    Ok(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a write with one condition in its headers; the error is its code.
    fn check_write(
        name: &'static str,
        value: &'static str,
        existing: Option<&str>,
    ) -> Result<(), String> {
        let header = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        let conditions = WriteConditions::of_headers(&HeaderMap::from_iter([header])).unwrap();
        let checked = conditions.check(existing);
        checked.map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn write_conditions_in_headers_are_checked() {
        let failed = || Err("PreconditionFailed".to_owned());
        assert_eq!(check_write("if-none-match", "*", None), Ok(()));
        assert_eq!(check_write("if-none-match", "*", Some("e")), failed());
        assert_eq!(check_write("if-match", "\"e\"", Some("e")), Ok(()));
        assert_eq!(check_write("if-match", "\"f\"", Some("e")), failed());
        assert_eq!(check_write("x-other", "*", Some("e")), Ok(()));
    }

    #[test]
    fn copy_range_must_be_in_its_source() {
        assert_eq!(copy_range("bytes=0-4", 5).unwrap(), 0..5);
        for (header, code) in [
            ("bytes=0-5", "InvalidRange"),
            ("bytes=3-2", "InvalidRange"),
            ("bytes=-2", "InvalidArgument"),
            ("0-1", "InvalidArgument"),
        ] {
            let error = copy_range(header, 5).unwrap_err();
            assert_eq!(error.code().as_str(), code, "{header}");
        }
    }
}
