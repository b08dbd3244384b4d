//! Responses of a store.

use upload::backend::{self, PutOutcome, UrlLifetime};
use upload_s3::{Fault, Response, parse_complete, parse_create, parse_list};
use upload_types::plan::Plan;
use upload_types::{ETag, PartNumber, Sha256};

use super::common::{PART_BYTES, assert_reportable, check_agreed_parts, split_byte, split_number};

/// The XML of a store, which the gateway reads. The first byte chooses the status.
pub fn store_xml(bytes: &[u8]) {
    let (choice, body) = split_byte(bytes);
    let status = [200_u16, 204, 301, 400, 403, 404, 409, 412, 500, 503][usize::from(choice) % 10];
    let response = || Response {
        status: http::StatusCode::from_u16(status).expect("a status"),
        headers: http::HeaderMap::new(),
        body: body.to_vec(),
    };
    let is_success = (200..300).contains(&status);
    let text = String::from_utf8_lossy(body);
    match parse_complete(response()) {
        Ok(()) => {
            assert!(
                is_success && text.contains("CompleteMultipartUpload"),
                "success of {text:?}"
            );
            // A store may also send an error with a status of success.
            assert!(
                !text.trim_start_matches(|c| c != '<').starts_with("<Error"),
                "success of {text:?}"
            );
        }
        Err(fault) => assert_loggable(&fault),
    }
    match parse_create(response()) {
        Ok(id) => assert!(is_success && !id.is_empty()),
        Err(fault) => assert_loggable(&fault),
    }
    for after in [None, PartNumber::try_from(3).ok()] {
        match parse_list(response(), after) {
            Ok((parts, next)) => {
                assert!(is_success && text.contains("ListParts"));
                let first = after.map_or(0, PartNumber::get);
                assert!(parts.is_sorted_by(|a, b| a.number < b.number));
                assert!(parts.first().is_none_or(|part| part.number.get() > first));
                assert!(
                    next.is_none_or(|next| next.get() > first),
                    "the pages do not end"
                );
                let last = parts.last().map_or(first, |part| part.number.get());
                assert!(next.is_none_or(|next| next.get() >= last));
                let plan = Plan::pinned(2 * PART_BYTES + 7, PART_BYTES).expect("a plan");
                check_agreed_parts(&plan, &parts);
            }
            Err(fault) => assert_loggable(&fault),
        }
    }
}

fn assert_loggable(fault: &Fault) {
    let text = fault.to_string();
    assert!(
        text.len() < 512 && !text.chars().any(char::is_control),
        "{text:?}"
    );
}

/// The response of a store to a part: status, headers and body, separated by NUL.
pub fn part_response(bytes: &[u8]) {
    let (status, rest) = split_number(bytes);
    let mut fields = rest.splitn(4, |byte| *byte == 0);
    let mut field = || fields.next().unwrap_or_default();
    let (etag, checksum, retry_after, body) = (field(), field(), field(), field());
    let status = 100 + u16::try_from(status % 500).unwrap_or_default();
    let mut headers = http::HeaderMap::new();
    for (name, value) in [
        ("etag", etag),
        ("x-amz-checksum-sha256", checksum),
        ("retry-after", retry_after),
    ] {
        if let Some(value) = http::HeaderValue::from_bytes(value)
            .ok()
            .filter(|value| !value.is_empty())
        {
            headers.insert(name, value);
        }
    }
    let sha256 = Sha256::of(b"sent");
    let response = backend::Response {
        status,
        headers: headers.clone(),
        body: body.to_vec(),
    };
    match backend::put_outcome(&response, &sha256, None, UrlLifetime::Valid) {
        Ok(PutOutcome::Stored(etag)) => {
            assert!((200..300).contains(&status), "stored by {status}");
            let header = headers
                .get("etag")
                .and_then(|etag| etag.to_str().ok())
                .expect("stored with an ETag");
            assert!(header.contains(etag.as_str()) && etag.as_str().parse::<ETag>().is_ok());
            assert!(body.trim_ascii().is_empty(), "stored with a body");
            let checksum = headers
                .get("x-amz-checksum-sha256")
                .and_then(|checksum| checksum.to_str().ok());
            assert!(
                checksum.is_none_or(|checksum| checksum == sha256.base64()),
                "stored other bytes"
            );
        }
        Ok(PutOutcome::ObjectExists) => assert_eq!(status, 412),
        Err(error) => assert_reportable(&error),
    }
}
