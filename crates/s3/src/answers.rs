//! What the store's answers about multipart uploads come to. Pure: an answer in, a value or a fault out.
//!
//! Border: what was asked for is `multipart`; which fault a code is, `client`.

use super::client;
use super::{Fault, xml};
use upload_net::Response;
use upload_types::names::{ETag, PartNumber, Sha256};
use upload_types::wire::StoredPart;

/// S3's id of a multipart upload that was created.
///
/// # Errors
/// What the answer says, or that it cannot be understood; so for all of them.
pub fn created(answer: Response) -> Result<String, Fault> {
    let created: xml::InitiateMultipartUploadResult =
        client::read("CreateMultipartUpload", answer, "InitiateMultipartUpload")?;
    if created.upload_id.is_empty() {
        return Err(Fault::Unavailable(
            "CreateMultipartUpload: an empty upload id".into(),
        ));
    }
    Ok(created.upload_id)
}

/// A page of parts behind `after`, and the number to go on behind, if there is more.
///
/// # Errors
/// As [`created`].
pub fn listed(
    answer: Response,
    after: Option<PartNumber>,
) -> Result<(Vec<StoredPart>, Option<PartNumber>), Fault> {
    // Ceph says so of an upload that it does not know any more; there is no other key in the question.
    if client::error_of(&answer).code == "NoSuchKey" {
        return Err(Fault::NoSuchUpload);
    }
    let page = client::read("ListParts", answer, "ListParts")?;
    stored_parts(page, after).map_err(|why| Fault::Unavailable(format!("ListParts: {why}")))
}

/// Whether the store says that it completed an upload.
///
/// # Errors
/// As [`created`].
pub fn completed(answer: Response) -> Result<(), Fault> {
    let operation = "CompleteMultipartUpload";
    client::read::<xml::CompleteMultipartUploadResult>(operation, answer, operation).map(drop)
}

/// A page of parts whose numbers grow, all of them behind `after`.
fn stored_parts(
    page: xml::ListPartsResult,
    after: Option<PartNumber>,
) -> Result<(Vec<StoredPart>, Option<PartNumber>), &'static str> {
    let mut last = after.map_or(0, PartNumber::get);
    let mut parts = Vec::with_capacity(page.parts.len());
    for part in page.parts {
        if part.number <= last {
            return Err("the numbers of parts do not grow");
        }
        last = part.number;
        parts.push(StoredPart {
            number: PartNumber::try_from(part.number).map_err(|_| "a part number of zero")?,
            size: part.size,
            etag: ETag::from_header(&part.etag).map_err(|_| "a part without an ETag")?,
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
        return Err("its pages do not end");
    }
    Ok((
        parts,
        Some(PartNumber::try_from(next).map_err(|_| "a part number of zero")?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(numbers: &[u32], truncated: bool, next: &str) -> xml::ListPartsResult {
        let part = |number: &u32| xml::Part {
            number: *number,
            etag: "e".into(),
            size: 1,
            checksum_sha256: Some("?".into()),
        };
        xml::ListPartsResult {
            is_truncated: truncated,
            next_part_number_marker: next.into(),
            parts: numbers.iter().map(part).collect(),
        }
    }

    #[test]
    fn an_upload_that_is_gone_is_gone_by_either_name() {
        let said = |code: &str| {
            let body = format!("<Error><Code>{code}</Code></Error>").into_bytes();
            listed(
                Response {
                    status: http::StatusCode::NOT_FOUND,
                    headers: http::HeaderMap::new(),
                    body,
                },
                None,
            )
        };
        assert!(matches!(said("NoSuchUpload"), Err(Fault::NoSuchUpload)));
        assert!(matches!(said("NoSuchKey"), Err(Fault::NoSuchUpload)));
        assert!(matches!(said("NoSuchBucket"), Err(Fault::Refused(_))));
    }

    #[test]
    fn pages_go_on_behind_their_last_part_and_end() {
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
