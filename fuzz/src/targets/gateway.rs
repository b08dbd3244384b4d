//! The JSON of the gateway's API, in both directions.

use std::collections::BTreeMap;
use std::time::Duration;

use upload::backend::{self, UrlLifetime};
use upload::report::text;
use upload_gateway::validation;
use upload_types::attributes::Attribute;
use upload_types::error::Kind;
use upload_types::metadata::{MAX_METADATA_BYTES, metadata_bytes};
use upload_types::plan::Plan;
use upload_types::wire::{
    BatchRequest, BatchResponse, BeginRequest, BeginResponse, ClaimRequest, CompleteRequest,
    Limits, PROTOCOL_HEADER, PartList, PartSpec, Problem, Receipt, SignRequest, SignResponse,
    UploadStatus,
};
use upload_types::{Checksum, PartNumber, Sha256};

use super::common::{
    PART_BYTES, assert_printable, assert_reportable, check_agreed_parts, round_trip, split_number,
};

/// The JSON of requests, which the gateway reads, and of responses, which the client reads.
pub fn gateway_json(bytes: &[u8]) {
    if let Some(begin) = round_trip::<BeginRequest>(bytes) {
        let allowed = validation::check_begin(&begin, &["video/*".into()]).is_ok();
        if allowed {
            let length = begin.name.chars().count();
            assert!(
                (1..=validation::MAX_NAME_CHARS).contains(&length)
                    && !begin.name.chars().any(char::is_control)
            );
            assert!(
                begin
                    .content_type
                    .to_ascii_lowercase()
                    .trim_start()
                    .starts_with("video/")
            );
            assert!(
                begin
                    .content_type
                    .bytes()
                    .all(|byte| byte == b' ' || byte.is_ascii_graphic())
            );
            assert!(metadata_bytes(&begin.metadata) <= MAX_METADATA_BYTES);
            let extension = validation::key_extension(&begin.name).unwrap_or_default();
            assert!(
                extension.len() <= 16 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
            );
        }
        if let Ok(attributes) = begin.attributes.checked() {
            let is_sendable = |value: &str| value.bytes().all(|b| (b' '..=b'~').contains(&b));
            let mut values = Attribute::ALL
                .into_iter()
                .filter_map(|attribute| attributes.value(attribute));
            assert!(values.all(is_sendable));
        }
        if let Some(size) = begin.size {
            let plan = Plan::new(size, begin.part_size, &LIMITS);
            if let (Ok(plan), Some(parts)) = (plan, &begin.parts) {
                check_sign_request(&plan, parts);
            }
        }
    }
    let plan = Plan::pinned(2 * PART_BYTES + 7, PART_BYTES).expect("a plan");
    if let Some(sign) = round_trip::<SignRequest>(bytes) {
        check_sign_request(&plan, &sign.parts);
    }
    if let Some(complete) = round_trip::<CompleteRequest>(bytes) {
        let third = PartNumber::try_from(3).expect("a part number");
        let pinned = BTreeMap::from([
            (PartNumber::FIRST, Sha256::of(b"1")),
            (third, Sha256::of(b"3")),
        ]);
        if validation::check_complete(&plan, plan.is_single(), &pinned, &complete).is_ok() {
            let sums: Vec<_> = complete.parts.iter().map(|part| part.sha256).collect();
            assert_eq!(sums.len(), 3);
            assert_eq!((sums[0], sums[2]), (Sha256::of(b"1"), Sha256::of(b"3")));
            assert_eq!(complete.checksum, Checksum::composite(&sums));
        }
    }
    if let Some(claim) = round_trip::<ClaimRequest>(bytes)
        && validation::check_word("holder", &claim.holder).is_ok()
    {
        assert!(
            claim.holder.len() <= 128 && claim.holder.bytes().all(|byte| byte.is_ascii_graphic())
        );
    }
    round_trip::<BatchRequest>(bytes);
    round_trip::<BatchResponse>(bytes);
    round_trip::<BeginResponse>(bytes);
    round_trip::<SignResponse>(bytes);
    round_trip::<UploadStatus>(bytes);
    if let Some(receipt) = round_trip::<Receipt>(bytes) {
        // The location is shown on a terminal.
        assert_printable(&text::safe(receipt.location.as_deref().unwrap_or_default()));
    }
    if let Some(list) = round_trip::<PartList>(bytes) {
        check_agreed_parts(&plan, &list.parts);
    }
}

const LIMITS: Limits = Limits {
    min_part: PART_BYTES,
    max_part: 5 << 30,
    max_parts: 10_000,
    max_size: 10_000 * (5 << 30),
    equal_parts: false,
};

fn check_sign_request(plan: &Plan, parts: &[PartSpec]) {
    if validation::check_parts(plan, parts).is_ok() {
        assert!(!parts.is_empty());
        assert!(parts.iter().all(|part| {
            plan.range(part.number)
                .is_some_and(|range| range.len == part.size)
        }));
    }
}

/// The problem document of a gateway. The first number chooses the status.
pub fn problem(bytes: &[u8]) {
    let (status, body) = split_number(bytes);
    let status = 100 + u16::try_from(status % 500).unwrap_or_default();
    let problem = round_trip::<Problem>(body);
    let retry_after = Some(Duration::from_secs(status.into()));
    let mut headers =
        http::HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from(status))]);
    let of_another_server = backend::Response {
        status,
        headers: headers.clone(),
        body: body.to_vec(),
    };
    headers.insert(PROTOCOL_HEADER, http::HeaderValue::from(1));
    let of_gateway = backend::Response {
        status,
        headers,
        body: body.to_vec(),
    };
    let of_problem = problem
        .as_ref()
        .map(|problem| backend::problem_error(status, problem, retry_after));
    let errors = [
        backend::gateway_error(&of_gateway),
        backend::gateway_error(&of_another_server),
        backend::store_error(&of_another_server, UrlLifetime::Valid),
        backend::store_error(&of_another_server, UrlLifetime::Expired),
    ];
    for error in errors.into_iter().chain(of_problem) {
        assert_reportable(&error);
        assert!(!matches!(
            error.kind(),
            Kind::Interrupted(_) | Kind::Usage | Kind::NoSource | Kind::DatabaseUnusable
        ));
    }
}
