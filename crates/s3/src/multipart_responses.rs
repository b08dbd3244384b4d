//! Parses the responses to requests for multipart uploads. Pure; public for the fuzz targets.
//!
//! Not here: the requests, in [`crate::multipart`].

use upload_net::Response;
use upload_types::wire::StoredPart;
use upload_types::{ETag, PartNumber, Sha256};

use crate::fault::Fault;
use crate::{response, xml};

/// Parses the response to `CreateMultipartUpload`; returns the store's upload id.
///
/// # Errors
/// The [`Fault`] in the response; [`Fault::Unavailable`] if the response is malformed. The same
/// holds for the other functions of this file.
pub fn parse_create(response: Response) -> Result<String, Fault> {
    let result: xml::InitiateMultipartUploadResult =
        response::parse("CreateMultipartUpload", response, "InitiateMultipartUpload")?;
    if result.upload_id.is_empty() {
        let text = "CreateMultipartUpload: an empty upload id";
        return Err(Fault::Unavailable(text.into()));
    }
    Ok(result.upload_id)
}

/// Parses a page of `ListParts` that was requested for part numbers above `after`. Returns the
/// parts and, if there are more, the number after which the next page begins.
pub fn parse_list(
    response: Response,
    after: Option<PartNumber>,
) -> Result<(Vec<StoredPart>, Option<PartNumber>), Fault> {
    // Ceph's code for an unknown upload: the request names nothing else that could be missing.
    if response::error_code(&response) == "NoSuchKey" {
        return Err(Fault::NoSuchUpload);
    }
    if matches!(response.status.as_u16(), 405 | 501) {
        let text = format!("ListParts: {}", response.status.as_u16());
        return Err(Fault::Unsupported(text));
    }
    let page = response::parse("ListParts", response, "ListParts")?;
    stored_parts(page, after).map_err(|reason| Fault::Unavailable(format!("ListParts: {reason}")))
}

/// Parses the response to `CompleteMultipartUpload`.
pub fn parse_complete(response: Response) -> Result<(), Fault> {
    const OPERATION: &str = "CompleteMultipartUpload";
    response::parse::<xml::CompleteMultipartUploadResult>(OPERATION, response, OPERATION).map(drop)
}

/// Checks that the part numbers increase, and that all of them are above `after`.
fn stored_parts(
    page: xml::ListPartsResult,
    after: Option<PartNumber>,
) -> Result<(Vec<StoredPart>, Option<PartNumber>), &'static str> {
    const ZERO: &str = "a part number is zero";
    let mut last = after.map_or(0, PartNumber::get);
    let mut parts = Vec::with_capacity(page.parts.len());
    for part in page.parts {
        if part.number <= last {
            return Err("the part numbers do not increase");
        }
        last = part.number;
        parts.push(StoredPart {
            number: PartNumber::try_from(part.number).map_err(|_| ZERO)?,
            size: part.size,
            etag: ETag::from_header(&part.etag).map_err(|_| "a part has no ETag")?,
            sha256: part
                .checksum_sha256
                .and_then(|checksum| Sha256::from_base64(&checksum).ok()),
        });
    }
    if !page.is_truncated {
        return Ok((parts, None));
    }
    let next = page
        .next_part_number_marker
        .parse()
        .ok()
        .filter(|next| *next > 0)
        .unwrap_or(last);
    if next < last || next <= after.map_or(0, PartNumber::get) {
        return Err("the pages do not end");
    }
    Ok((parts, Some(PartNumber::try_from(next).map_err(|_| ZERO)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(numbers: &[u32], is_truncated: bool, next: &str) -> xml::ListPartsResult {
        let part = |number: &u32| xml::Part {
            number: *number,
            etag: "e".into(),
            size: 1,
            checksum_sha256: Some("?".into()),
        };
        xml::ListPartsResult {
            is_truncated,
            next_part_number_marker: next.into(),
            parts: numbers.iter().map(part).collect(),
        }
    }

    #[test]
    fn unknown_upload_is_recognized_by_either_code() {
        let list = |code: &str| {
            let response = Response {
                status: http::StatusCode::NOT_FOUND,
                headers: http::HeaderMap::new(),
                body: format!("<Error><Code>{code}</Code></Error>").into_bytes(),
            };
            parse_list(response, None)
        };
        assert!(matches!(list("NoSuchUpload"), Err(Fault::NoSuchUpload)));
        assert!(matches!(list("NoSuchKey"), Err(Fault::NoSuchUpload)));
        assert!(matches!(list("NoSuchBucket"), Err(Fault::Rejected(_))));
    }

    #[test]
    fn pages_continue_after_their_last_part_and_end() {
        let after = PartNumber::try_from(2).ok();
        let next = |page, after| {
            stored_parts(page, after).map(|(parts, next)| (parts.len(), next.map(PartNumber::get)))
        };
        assert_eq!(next(page(&[3, 7], true, "7"), after), Ok((2, Some(7))));
        assert_eq!(next(page(&[3, 7], true, ""), after), Ok((2, Some(7))));
        assert_eq!(next(page(&[3, 7], false, "7"), after), Ok((2, None)));
        assert_eq!(next(page(&[], false, "0"), None), Ok((0, None)));
        for wrong in [
            page(&[2], false, ""),
            page(&[3, 3], false, ""),
            page(&[], true, "2"),
            page(&[], true, ""),
            page(&[5], true, "4"),
        ] {
            assert!(stored_parts(wrong, after).is_err());
        }
        assert!(stored_parts(page(&[0], false, ""), None).is_err());
    }
}
