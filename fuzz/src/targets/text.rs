//! Headers, URLs, names of files, and text on a terminal.

use std::fmt::Debug;
use std::net::IpAddr;
use std::str::FromStr;

use upload::backend::{self, StoreHost, UrlPolicy};
use upload::report::text;
use upload_s3::attachment;
use upload_types::{Checksum, ETag, Key, Sha256, UploadId};

use super::common::{assert_printable, split_byte};

fn check_round_trip<T: Debug + ToString + FromStr + PartialEq>(text: &str)
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
        let address: Option<IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        let is_private = match address {
            Some(IpAddr::V4(v4)) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
            Some(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local(),
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
    let decoded = decoded.unwrap_or_default();
    assert!(
        !decoded.contains(['/', '\\', '\u{202e}']) && !decoded.contains(char::is_control),
        "{name:?} → {decoded:?}"
    );
    let is_kept = !name.is_empty() && name.chars().all(char::is_alphanumeric);
    assert!(!is_kept || decoded == name, "{name:?} → {encoded:?}");
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
