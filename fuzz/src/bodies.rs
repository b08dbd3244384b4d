//! The functions of the fuzz targets. They call parsers and pure decisions only, without a network.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use upload::backend::{self, PutOutcome, StoreHost, UrlLifetime, UrlPolicy};
use upload::journal::{Intent, Journal, Record, State};
use upload::report::text;
use upload::source::FileVersion;
use upload::transfer;
use upload_gateway::validation;
use upload_s3::{Fault, Response, attachment, parse_complete, parse_create, parse_list};
use upload_types::error::Kind;
use upload_types::names::{Checksum, ETag, Key, PartNumber, Sha256, UploadId};
use upload_types::plan::Plan;
use upload_types::wire::{
    BatchRequest, BatchResponse, BeginRequest, BeginResponse, ClaimRequest, CompleteRequest,
    Limits, PROTOCOL_HEADER, PartList, Problem, Receipt, SignRequest, SignResponse, StoredPart,
    UploadStatus,
};

const PART_BYTES: u64 = 5 << 20;

/// Parses a value, and checks that its JSON is stable.
fn round_trip<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let json = serde_json::to_string(&value).expect("a parsed value can be serialised");
    let parsed: T = serde_json::from_str(&json).expect("a serialised value can be parsed");
    let json_of_parsed = serde_json::to_string(&parsed).expect("it can be serialised again");
    assert_eq!(json_of_parsed, json);
    Some(value)
}

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
            let metadata: usize = begin
                .metadata
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert!(metadata <= validation::MAX_METADATA_BYTES);
            let extension = validation::key_extension(&begin.name).unwrap_or_default();
            assert!(
                extension.len() <= 16 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
            );
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
        let pinned = [Some(Sha256::of(b"1")), None, Some(Sha256::of(b"3"))];
        if validation::check_complete(&plan, &pinned, &complete).is_ok() {
            let sums: Vec<_> = complete.parts.iter().map(|part| part.sha256).collect();
            assert!(sums.len() == 3 && Some(sums[0]) == pinned[0] && Some(sums[2]) == pinned[2]);
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
        assert_printable(&text::safe(&receipt.location));
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

fn check_sign_request(plan: &Plan, parts: &[upload_types::wire::PartSpec]) {
    if validation::check_parts(plan, parts).is_ok() {
        assert!(!parts.is_empty());
        assert!(parts.iter().all(|part| {
            plan.range(part.number)
                .is_some_and(|range| range.len == part.size)
        }));
    }
}

/// Checks that journal and store agree on a part only if both have the same SHA-256 or, if the
/// store keeps none, the same `ETag`.
fn check_agreed_parts(plan: &Plan, stored: &[StoredPart]) {
    let etag_in_journal = "ours";
    let part = |number: PartNumber| upload::journal::Part {
        number,
        sha256: Sha256::of(b"ours"),
        etag: etag_in_journal.parse().ok(),
    };
    let journal: Vec<_> = plan.parts().map(|(number, _)| part(number)).collect();
    for (number, sha256, etag) in transfer::agreed_parts(plan, &journal, stored) {
        let size = plan.range(number).map(|range| range.len);
        let agrees = |part: &StoredPart| {
            let has_same_bytes = match part.sha256 {
                Some(stored) => stored == sha256,
                None => etag.as_str() == etag_in_journal,
            };
            part.number == number && part.etag == etag && Some(part.size) == size && has_same_bytes
        };
        assert!(stored.iter().any(agrees), "{number} of {stored:?}");
    }
}

/// Splits a number off the front.
fn split_number(bytes: &[u8]) -> (u64, &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(8));
    let mut number = [0; 8];
    number[..head.len()].copy_from_slice(head);
    (u64::from_le_bytes(number), rest)
}

/// Splits a byte off the front; zero if there is none.
fn split_byte(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}

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
            // A store sends an error after a status of success too.
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
            assert!(body.trim_ascii().is_empty(), "stored by an error");
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

fn assert_reportable(error: &upload_types::error::Error) {
    assert_printable(&text::safe(&error.to_string()));
    assert!(error.kind().exit_code() > 0);
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

fn check_round_trip<T: Debug + ToString + std::str::FromStr + PartialEq>(text: &str)
where
    T::Err: Debug,
{
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// `ETag`, `Retry-After`, checksums, ids.
pub fn headers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(etag) = ETag::from_header(&text) {
        assert!(
            (1..=128).contains(&etag.as_str().len())
                && etag.as_str().bytes().all(|byte| byte.is_ascii_graphic())
        );
        assert_eq!(
            ETag::from_header(&etag.quoted()),
            Ok(etag.clone()),
            "quoted"
        );
        assert!(text.contains(etag.as_str()));
    }
    if let Ok(value) = http::HeaderValue::from_str(&text) {
        let date = http::HeaderValue::from_static("Fri, 20 Nov 2026 10:00:00 GMT");
        let headers = http::HeaderMap::from_iter([
            (http::header::RETRY_AFTER, value),
            (http::header::DATE, date),
        ]);
        let response = backend::Response {
            status: 503,
            headers,
            body: Vec::new(),
        };
        let delay = response.retry_after();
        assert!(
            delay.is_none_or(|delay| delay.subsec_nanos() == 0),
            "{delay:?}"
        );
    }
    let _ = jiff::fmt::rfc2822::parse(&text);
    check_round_trip::<UploadId>(&text);
    check_round_trip::<Key>(&text);
    check_round_trip::<Checksum>(&text);
    check_round_trip::<Sha256>(&text);
    if let Ok(sha256) = Sha256::from_base64(&text) {
        assert_eq!(sha256.base64(), *text);
    }
}

/// A presigned URL from a public backend, and the value of `--store-host`.
pub fn presigned_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let policy = UrlPolicy {
        backend: &"https://upload.example/".parse().expect("a URL"),
        in_process: false,
        store_hosts: &[],
        allow_insecure_http: false,
        known_stores: &[],
    };
    if let Ok(url) = policy.check(&text) {
        assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none());
        let host = url.host_str().expect("a host");
        let address: Option<std::net::IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        let is_private = match address {
            Some(std::net::IpAddr::V4(v4)) => {
                v4.is_private() || v4.is_loopback() || v4.is_link_local()
            }
            Some(std::net::IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local(),
            None => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        };
        assert!(!is_private, "{text:?} names a private address");
    }
    if let Ok(host) = text.parse::<StoreHost>() {
        let written = host.to_string();
        assert_eq!(
            written.parse::<StoreHost>(),
            Ok(host),
            "{text:?} → {written:?}"
        );
    }
}

/// A `Content-Disposition` that holds any name, and no other parameter.
pub fn content_disposition(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes);
    let value = attachment(&name);
    assert!(
        value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' '),
        "{value:?}"
    );
    let (ascii, encoded) = value.rsplit_once("; filename*=UTF-8''").expect("two names");
    let quoted = ascii
        .strip_prefix("attachment; filename=\"")
        .and_then(|rest| rest.strip_suffix('"'));
    let quoted = quoted.expect("a name in quotes");
    assert!(!quoted.contains(['"', '\\', '/']), "{quoted:?}");
    assert!(!encoded.contains(['"', ';', ' ', '\'', ',']), "{encoded:?}");
    let decoded = url::form_urlencoded::parse(encoded.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned());
    // These characters have another meaning to the decoder.
    let is_decodable = !name.contains(['&', '=', '+']);
    assert!(
        !is_decodable || decoded.unwrap_or_default() == name,
        "{name:?} → {encoded:?}"
    );
}

fn assert_printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(
        !text.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}']),
        "{text:?}"
    );
}

/// Text that is shown on a terminal.
pub fn terminal_text(bytes: &[u8]) {
    let (columns, rest) = split_byte(bytes);
    let text = String::from_utf8_lossy(rest);
    assert_printable(&text::escape(&text));
    let safe = text::safe(&text);
    assert_printable(&safe);
    assert!(safe.chars().count() <= 4 * text::MAX_COLUMNS + 1);
    assert_eq!(text::escape(&safe), safe, "safe text is escaped");
    let columns = usize::from(columns);
    if columns > 0 {
        let fit = text::fit(&text::escape(&text), columns);
        assert!(fit.chars().count() >= columns.min(1));
    }
}

/// The plan for any size, requested part size and limits.
pub fn plan(bytes: &[u8]) {
    let (size, rest) = split_number(bytes);
    let (requested, rest) = split_number(rest);
    let (min_part, rest) = split_number(rest);
    let (max_part, rest) = split_number(rest);
    let (max_parts, rest) = split_number(rest);
    let (max_size, rest) = split_number(rest);
    let max_parts = u32::try_from(max_parts % 20_000).unwrap_or_default();
    let limits = Limits {
        min_part,
        max_part,
        max_parts,
        max_size,
        equal_parts: false,
    };
    let requested = Some(requested).filter(|_| split_byte(rest).0.is_multiple_of(2));
    // The client rejects a backend with such limits.
    if max_part == 0 || max_parts == 0 || min_part > max_part {
        return;
    }
    let Ok(plan) = Plan::new(size, requested, &limits) else {
        return;
    };
    assert!(
        (1..=max_parts).contains(&plan.count()) && plan.part_size() <= max_part && size <= max_size
    );
    assert!(plan.part_size() >= min_part);
    assert!(requested.is_none_or(|requested| plan.part_size() >= requested));
    let mut end = 0;
    for (number, range) in plan.parts() {
        assert!(range.start == end && (range.len > 0 || size == 0));
        assert!(range.len == plan.part_size() || number.get() == plan.count());
        end = range.end();
    }
    assert_eq!(end, size);
    assert_eq!(
        Plan::pinned(size, plan.part_size()).expect("the same plan"),
        plan
    );
}

thread_local! {
    static VALID_JOURNAL: OnceCell<Vec<u8>> = const { OnceCell::new() };
}

/// The bytes of a journal with two uploads.
fn valid_journal(directory: &Path) -> Vec<u8> {
    let path = directory.join("valid.db");
    let mut journal = Journal::open(&path).expect("a journal");
    let intent = |name: &str| Intent {
        backend: "http://127.0.0.1".into(),
        instance_id: "i".into(),
        path: format!("/{name}").into(),
        name: name.into(),
        content_type: "a/b".into(),
        metadata: BTreeMap::from([("a".into(), "b".into())]),
        version: FILE_VERSION,
        part_size: PART_BYTES,
    };
    let uploads = journal
        .intend(&[], vec![intent("film"), intent("song")])
        .expect("two uploads");
    let row = uploads[0].as_ref().expect("the first upload").row;
    let id: UploadId = "some-id".parse().expect("an id");
    let (number, sha256, etag) = (
        PartNumber::FIRST,
        Sha256::of(b"1"),
        "e1".parse().expect("an ETag"),
    );
    journal
        .record(&[
            Record::Begun {
                row,
                id,
                part_size: PART_BYTES,
                backend_state: None,
            },
            Record::PartHashed {
                row,
                number,
                sha256,
            },
            Record::PartStored { row, number, etag },
        ])
        .expect("recorded");
    drop(journal);
    std::fs::read(path).expect("the file")
}

const FILE_VERSION: FileVersion = FileVersion {
    dev: 1,
    ino: 2,
    size: 2 * PART_BYTES + 7,
    mtime_ns: 3,
    ctime_ns: 4,
};

/// The file of a journal: any bytes if the first byte is even, otherwise a valid one with changes
/// (offset, length, bytes). It is either rejected or read; its content is not trusted.
pub fn journal(bytes: &[u8]) {
    let in_memory = tempfile::Builder::new()
        .prefix("upload-fuzz-")
        .tempdir_in("/dev/shm");
    let directory = in_memory
        .or_else(|_| tempfile::tempdir())
        .expect("a directory");
    let (choice, mut rest) = split_byte(bytes);
    let file = if choice.is_multiple_of(2) {
        rest.to_vec()
    } else {
        let mut file = VALID_JOURNAL.with(|valid| {
            let valid = valid.get_or_init(|| valid_journal(directory.path()));
            valid.clone()
        });
        while rest.len() > 4 {
            let at = usize::from(u16::from_le_bytes([rest[0], rest[1]])) * 2 % file.len();
            let len = usize::from(rest[2] % 16)
                .min(rest.len() - 3)
                .min(file.len() - at);
            file[at..at + len].copy_from_slice(&rest[3..3 + len]);
            rest = &rest[3 + len..];
        }
        file
    };
    let path = directory.path().join("journal.db");
    std::fs::write(&path, &file).expect("a file");
    let mut journal = match Journal::open(&path) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(
                matches!(error.kind(), Kind::DatabaseUnusable | Kind::Config),
                "{error:?}"
            );
            return assert_reportable(&error);
        }
    };
    let wanted = [("film", Path::new("/film"), FILE_VERSION)];
    if let Ok(candidates) = journal.candidates("i", &wanted) {
        let put = transfer::PutRequest {
            path: "/film".into(),
            name: "film".into(),
            content_type: "a/b".into(),
            metadata: BTreeMap::new(),
            part_size: None,
            force: false,
            on_change: transfer::OnChange::Fail,
        };
        let _ = transfer::choose(&candidates.concat(), &FILE_VERSION, &put);
    }
    for upload in journal.all().unwrap_or_default() {
        if upload.state == State::Completed
            && let Some(receipt) = &upload.receipt
        {
            assert_printable(&text::safe(&receipt.location));
        }
        let Ok(plan) = Plan::pinned(upload.intent.version.size, upload.intent.part_size) else {
            continue;
        };
        let parts = journal.parts(upload.row).unwrap_or_default();
        // The store has no parts, so there is nothing to agree on.
        assert!(transfer::agreed_parts(&plan, &parts, &[]).is_empty());
        if let Err(error) = journal.take(&upload) {
            let is_expected =
                matches!(error.kind(), Kind::Io | Kind::Busy | Kind::DatabaseUnusable);
            assert!(is_expected, "{error:?}");
        }
    }
}
