//! The bodies of the targets.
//!
//! Border: pure doors of the crate and what must hold behind each; no network.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use upload::backend::{PutOutcome, StoreHost, answer, hosts};
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

const PART: u64 = 5 << 20;

/// What is read is written as it was read.
fn round_trip<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let once = serde_json::to_string(&value).expect("what was read can be written");
    let again: T = serde_json::from_str(&once).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).expect("and written"), once);
    Some(value)
}

/// The bodies of requests as the gateway reads them, and of answers as the client does.
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
                signable(&plan, parts);
            }
        }
    }
    let plan = Plan::pinned(2 * PART + 7, PART).expect("a plan");
    if let Some(sign) = round_trip::<SignRequest>(bytes) {
        signable(&plan, &sign.parts);
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
        // Its words reach a terminal.
        assert_shown(&text::safe(&receipt.location));
    }
    if let Some(list) = round_trip::<PartList>(bytes) {
        known(&plan, &list.parts);
    }
}

const LIMITS: Limits = Limits {
    min_part: PART,
    max_part: 5 << 30,
    max_parts: 10_000,
    max_size: 10_000 * (5 << 30),
    equal_parts: false,
};

fn signable(plan: &Plan, parts: &[upload_types::wire::PartSpec]) {
    if validation::check_parts(plan, parts).is_ok() {
        assert!(!parts.is_empty());
        assert!(parts.iter().all(|part| {
            plan.range(part.number)
                .is_some_and(|range| range.len == part.size)
        }));
    }
}

/// A part is known only by its SHA-256, or where the store keeps none, by the `ETag` that was given for it.
fn known(plan: &Plan, stored: &[StoredPart]) {
    let part = |number: PartNumber, etag: &str| upload::journal::Part {
        number,
        sha256: Sha256::of(b"ours"),
        etag: etag.parse().ok(),
    };
    let journal: Vec<_> = plan
        .parts()
        .map(|(number, _)| part(number, "ours"))
        .collect();
    for (number, ours, etag) in transfer::agreed_parts(plan, &journal, stored) {
        let of = stored
            .iter()
            .filter(|part| part.number == number && part.etag == etag);
        let agrees = |part: &StoredPart| match part.sha256 {
            Some(sha256) => sha256 == ours,
            None => etag.as_str() == "ours",
        };
        let size = plan.range(number).map(|range| range.len);
        assert!(
            of.into_iter()
                .any(|part| agrees(part) && Some(part.size) == size),
            "{number} of {stored:?}"
        );
    }
}

/// Splits off a first number.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(8));
    let mut number = [0; 8];
    number[..head.len()].copy_from_slice(head);
    (u64::from_le_bytes(number), rest)
}

fn byte(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}

/// The store's XML as the gateway reads it. The first byte chooses the status.
pub fn store_xml(bytes: &[u8]) {
    let (choice, body) = byte(bytes);
    let status = [200_u16, 204, 301, 400, 403, 404, 409, 412, 500, 503][usize::from(choice) % 10];
    let answer = || Response {
        status: http::StatusCode::from_u16(status).expect("a status"),
        headers: http::HeaderMap::new(),
        body: body.to_vec(),
    };
    let good = (200..300).contains(&status);
    let text = String::from_utf8_lossy(body);
    match parse_complete(answer()) {
        Ok(()) => {
            assert!(
                good && text.contains("CompleteMultipartUpload"),
                "success by {text:?}"
            );
            // What cannot be read whole is no success, nor is an error.
            assert!(
                !text.trim_start_matches(|c| c != '<').starts_with("<Error"),
                "success by {text:?}"
            );
        }
        Err(fault) => told(&fault),
    }
    match parse_create(answer()) {
        Ok(id) => assert!(good && !id.is_empty()),
        Err(fault) => told(&fault),
    }
    for after in [None, PartNumber::try_from(3).ok()] {
        match parse_list(answer(), after) {
            Ok((parts, next)) => {
                assert!(good && text.contains("ListParts"));
                let first = after.map_or(0, PartNumber::get);
                assert!(parts.is_sorted_by(|a, b| a.number < b.number));
                assert!(parts.first().is_none_or(|part| part.number.get() > first));
                assert!(
                    next.is_none_or(|next| next.get() > first),
                    "its pages would not end"
                );
                let last = parts.last().map_or(first, |part| part.number.get());
                assert!(next.is_none_or(|next| next.get() >= last));
                known(&Plan::pinned(2 * PART + 7, PART).expect("a plan"), &parts);
            }
            Err(fault) => told(&fault),
        }
    }
}

/// What goes to a log.
fn told(fault: &Fault) {
    let text = fault.to_string();
    assert!(
        text.len() < 512 && !text.chars().any(char::is_control),
        "{text:?}"
    );
}

/// What a client makes of an answer to a part: status, headers, body, one behind the other, NUL between them.
pub fn part_answer(bytes: &[u8]) {
    let (status, rest) = number(bytes);
    let mut pieces = rest.splitn(4, |byte| *byte == 0);
    let mut piece = || pieces.next().unwrap_or_default();
    let (etag, checksum, retry_after, body) = (piece(), piece(), piece(), piece());
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
    let sent = Sha256::of(b"sent");
    let answer = answer::Answer {
        status,
        headers: headers.clone(),
        body: body.to_vec(),
    };
    match answer::of_part(&answer, &sent, None, false) {
        Ok(PutOutcome::Stored(etag)) => {
            assert!((200..300).contains(&status), "stored by {status}");
            let header = headers
                .get("etag")
                .and_then(|etag| etag.to_str().ok())
                .expect("stored without an ETag");
            assert!(header.contains(etag.as_str()) && etag.as_str().parse::<ETag>().is_ok());
            assert!(body.trim_ascii().is_empty(), "stored by an error");
            let checksum = headers
                .get("x-amz-checksum-sha256")
                .and_then(|checksum| checksum.to_str().ok());
            assert!(
                checksum.is_none_or(|checksum| checksum == sent.base64()),
                "stored other bytes"
            );
        }
        Ok(PutOutcome::ObjectExists) => assert_eq!(status, 412),
        Err(error) => assert_kind(&error),
    }
}

fn assert_kind(error: &upload_types::error::Error) {
    assert_shown(&text::safe(&error.to_string()));
    assert!(error.kind().exit_code() > 0);
}

/// What a client makes of a gateway's refusal. The first number chooses the status.
pub fn problem(bytes: &[u8]) {
    let (status, body) = number(bytes);
    let status = 100 + u16::try_from(status % 500).unwrap_or_default();
    let problem = round_trip::<Problem>(body);
    let wait = Some(Duration::from_secs(status.into()));
    let mut headers =
        http::HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from(status))]);
    let theirs = answer::Answer {
        status,
        headers: headers.clone(),
        body: body.to_vec(),
    };
    headers.insert(PROTOCOL_HEADER, http::HeaderValue::from(1));
    let ours = answer::Answer {
        status,
        headers,
        body: body.to_vec(),
    };
    let told = problem
        .as_ref()
        .map(|problem| answer::of_problem(status, problem, wait));
    let all = [
        answer::of_gateway(&ours),
        answer::of_gateway(&theirs),
        answer::of_store(&theirs, false),
        answer::of_store(&theirs, true),
    ];
    for error in all.into_iter().chain(told) {
        assert_kind(&error);
        assert!(!matches!(
            error.kind(),
            Kind::Interrupted(_) | Kind::Usage | Kind::NoSource | Kind::DatabaseUnusable
        ));
    }
}

fn same<T: Debug + ToString + std::str::FromStr + PartialEq>(text: &str)
where
    T::Err: Debug,
{
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// `ETag`, `Retry-After`, checksums, ids: text that others write.
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
        let wait = answer::Answer {
            status: 503,
            headers,
            body: Vec::new(),
        }
        .retry_after();
        assert!(wait.is_none_or(|wait| wait.subsec_nanos() == 0), "{wait:?}");
    }
    let _ = jiff::fmt::rfc2822::parse(&text);
    same::<UploadId>(&text);
    same::<Key>(&text);
    same::<Checksum>(&text);
    same::<Sha256>(&text);
    if let Ok(sha256) = Sha256::from_base64(&text) {
        assert_eq!(sha256.base64(), *text);
    }
}

/// Where a signed URL may lead, for a backend that is elsewhere.
pub fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let backend = "https://upload.example/".parse().expect("a URL");
    let rules = hosts::Rules {
        backend: &backend,
        own: false,
        named: &[],
        insecure_http: false,
        known: &[],
    };
    if let Ok(url) = hosts::check(&text, &rules) {
        assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none());
        let host = url.host_str().expect("a host");
        let address: Option<std::net::IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        let inside = match address {
            Some(std::net::IpAddr::V4(v4)) => {
                v4.is_private() || v4.is_loopback() || v4.is_link_local()
            }
            Some(std::net::IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local(),
            None => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        };
        assert!(!inside, "{text:?} leads inside");
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

/// A `Content-Disposition` that carries any name and nothing else.
pub fn disposition(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes);
    let value = attachment(&name);
    assert!(
        value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' '),
        "{value:?}"
    );
    let (plain, whole) = value.rsplit_once("; filename*=UTF-8''").expect("two names");
    let quoted = plain
        .strip_prefix("attachment; filename=\"")
        .and_then(|rest| rest.strip_suffix('"'));
    let quoted = quoted.expect("a name in quotes");
    assert!(!quoted.contains(['"', '\\', '/']), "{quoted:?}");
    assert!(!whole.contains(['"', ';', ' ', '\'', ',']), "{whole:?}");
    let decoded = url::form_urlencoded::parse(whole.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned());
    let encoded_whole = !name.contains(['&', '=', '+']);
    assert!(
        !encoded_whole || decoded.unwrap_or_default() == name,
        "{name:?} → {whole:?}"
    );
}

fn assert_shown(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(
        !text.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}']),
        "{text:?}"
    );
}

/// What may be shown on a terminal.
pub fn terminal(bytes: &[u8]) {
    let (columns, rest) = byte(bytes);
    let text = String::from_utf8_lossy(rest);
    assert_shown(&text::escape(&text));
    let safe = text::safe(&text);
    assert_shown(&safe);
    assert!(safe.chars().count() <= 4 * text::COLUMNS + 1);
    assert_eq!(text::escape(&safe), safe, "what is safe stays as it is");
    let columns = usize::from(columns);
    if columns > 0 {
        let fit = text::fit(&text::escape(&text), columns);
        assert!(fit.chars().count() >= columns.min(1));
    }
}

/// Any size, wish and limits.
pub fn plan(bytes: &[u8]) {
    let (size, rest) = number(bytes);
    let (wish, rest) = number(rest);
    let (min_part, rest) = number(rest);
    let (max_part, rest) = number(rest);
    let (max_parts, rest) = number(rest);
    let (max_size, rest) = number(rest);
    let max_parts = u32::try_from(max_parts % 20_000).unwrap_or_default();
    let limits = Limits {
        min_part,
        max_part,
        max_parts,
        max_size,
        equal_parts: false,
    };
    let wish = Some(wish).filter(|_| byte(rest).0.is_multiple_of(2));
    // What the client refuses of a backend before it plans anything.
    if max_part == 0 || max_parts == 0 || min_part > max_part {
        return;
    }
    let Ok(plan) = Plan::new(size, wish, &limits) else {
        return;
    };
    assert!(
        (1..=max_parts).contains(&plan.count()) && plan.part_size() <= max_part && size <= max_size
    );
    assert!(plan.part_size() >= min_part && wish.is_none_or(|wish| plan.part_size() >= wish));
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
    static BASE: OnceCell<Vec<u8>> = const { OnceCell::new() };
}

/// A journal with two uploads in it.
fn base(place: &Path) -> Vec<u8> {
    let path = place.join("base.db");
    let mut journal = Journal::open(&path).expect("a journal");
    let intent = |name: &str| Intent {
        backend: "http://127.0.0.1".into(),
        instance_id: "i".into(),
        path: format!("/{name}").into(),
        name: name.into(),
        content_type: "a/b".into(),
        metadata: BTreeMap::from([("a".into(), "b".into())]),
        version: IDENTITY,
        part_size: PART,
    };
    let noted = journal
        .intend(&[], vec![intent("film"), intent("song")])
        .expect("two uploads");
    let row = noted[0].as_ref().expect("the first").row;
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
                part_size: PART,
                backend_state: None,
            },
            Record::PartHashed {
                row,
                number,
                sha256,
            },
            Record::PartStored { row, number, etag },
        ])
        .expect("notes");
    drop(journal);
    std::fs::read(path).expect("the file")
}

const IDENTITY: FileVersion = FileVersion {
    dev: 1,
    ino: 2,
    size: 2 * PART + 7,
    mtime_ns: 3,
    ctime_ns: 4,
};

/// The file of a journal: any bytes (an even first byte), or a good one with changes (offset, length, bytes). Whatever it
/// holds, it is opened and read, or refused; what it says of an upload is checked, never believed.
pub fn journal(bytes: &[u8]) {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new()
        .prefix("upload-fuzz-")
        .tempdir_in(memory);
    let place = builder
        .or_else(|_| tempfile::tempdir())
        .expect("a directory");
    let (choice, mut rest) = byte(bytes);
    let file = if choice.is_multiple_of(2) {
        rest.to_vec()
    } else {
        let mut file = BASE.with(|it| it.get_or_init(|| base(place.path())).clone());
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
    let path = place.path().join("journal.db");
    std::fs::write(&path, &file).expect("a file");
    let mut journal = match Journal::open(&path) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(
                matches!(error.kind(), Kind::DatabaseUnusable | Kind::Config),
                "{error:?}"
            );
            return assert_kind(&error);
        }
    };
    let wanted = [("film", Path::new("/film"), IDENTITY)];
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
        let _ = transfer::choose(&candidates.concat(), &IDENTITY, &put);
    }
    for upload in journal.all().unwrap_or_default() {
        if upload.state == State::Completed
            && let Some(receipt) = &upload.receipt
        {
            assert_shown(&text::safe(&receipt.location));
        }
        let Ok(plan) = Plan::pinned(upload.intent.version.size, upload.intent.part_size) else {
            continue;
        };
        let parts = journal.parts(upload.row).unwrap_or_default();
        // A store that has nothing: then nothing is known, whatever the journal says.
        assert!(transfer::agreed_parts(&plan, &parts, &[]).is_empty());
        let taken = journal.take(&upload);
        assert!(
            taken.is_ok()
                || taken.is_err_and(|error| matches!(
                    error.kind(),
                    Kind::Io | Kind::Busy | Kind::DatabaseUnusable
                ))
        );
    }
}
