//! Parses texts of flags, environment variables and the configuration file: sizes, durations,
//! rates, hosts, metadata.
//!
//! Pure. An error is the reason, in lower case and without a full stop. Not here: whether a wrong
//! text is an error of usage or of configuration (`settings`).

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::backend::StoreHost;
use upload_types::MediaType;
use upload_types::attributes::check_tag;
#[cfg(feature = "gateway")]
use upload_types::wire::UploadState;

const MIN_PART_BYTES: u64 = 5 << 20;
const MAX_PART_BYTES: u64 = 5 << 30;
const MAX_JOBS: usize = 256;
const MIN_RATE_BYTES_PER_SECOND: u64 = 1 << 10;
const MAX_DURATION: Duration = Duration::from_hours(3650 * 24);

type Result<T> = std::result::Result<T, String>;

/// A number of bytes: `8M` is 8,000,000, `8MiB` is 8,388,608, a bare number counts bytes.
pub fn size(text: &str) -> Result<u64> {
    let parsed: std::result::Result<ByteSize, _> = text.trim().parse();
    parsed
        .map(|size| size.as_u64())
        .map_err(|_| format!("`{text}` is not a size; write 8MiB, 8M (8,000,000) or bytes"))
}

/// The highest rate of all parts together, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitRate {
    None,
    At(u64),
}

/// `none`, or a [`size`] of at least 1 KiB, with or without `/s`.
pub fn limit_rate(text: &str) -> Result<LimitRate> {
    let text = text.trim();
    if text == "none" {
        return Ok(LimitRate::None);
    }
    let wrong = |_| format!("`{text}` is not a rate; write 10MiB/s, 500KB/s or none");
    match size(text.strip_suffix("/s").unwrap_or(text)).map_err(wrong)? {
        rate @ MIN_RATE_BYTES_PER_SECOND.. => Ok(LimitRate::At(rate)),
        _ => Err("a rate must be at least 1KiB/s; write none for no limit".to_owned()),
    }
}

/// A text that [`limit_rate`] accepts.
impl fmt::Display for LimitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::At(rate) if rate.is_multiple_of(1 << 20) => write!(f, "{}MiB/s", rate >> 20),
            Self::At(rate) if rate.is_multiple_of(1 << 10) => write!(f, "{}KiB/s", rate >> 10),
            Self::At(rate) => write!(f, "{rate}B/s"),
        }
    }
}

/// A part size in bytes, 5 MiB to 5 GiB.
pub fn part_size(text: &str) -> Result<u64> {
    match size(text)? {
        size @ MIN_PART_BYTES..=MAX_PART_BYTES => Ok(size),
        _ => Err("a part must have 5MiB to 5GiB".to_owned()),
    }
}

/// The beginning of a period: a time, or this long before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    Ago(Duration),
    At(Timestamp),
}

impl Since {
    pub fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now.saturating_sub(duration).unwrap_or(Timestamp::MIN),
            Self::At(time) => time,
        }
    }
}

/// A [`duration`], a time with its offset (RFC 3339), or a date or time in UTC.
pub fn since(text: &str) -> Result<Since> {
    let text = text.trim();
    if let Ok(duration) = duration(text) {
        return Ok(Since::Ago(duration));
    }
    let in_utc = || {
        let time: DateTime = text.parse().ok()?;
        time.to_zoned(TimeZone::UTC)
            .ok()
            .map(|time| time.timestamp())
    };
    let time = text.parse().ok().or_else(in_utc);
    time.map(Since::At).ok_or_else(|| {
        format!("`{text}` is not a time; write 24h, 2026-11-30 or 2026-11-30T08:00Z")
    })
}

/// The name of a state of an upload.
#[cfg(feature = "gateway")]
pub fn upload_state(text: &str) -> Result<UploadState> {
    UploadState::from_name(text).ok_or_else(|| {
        let names = UploadState::ALL.map(UploadState::name).join(", ");
        format!("it must be one of {names}")
    })
}

/// A duration in jiff's friendly format or in ISO 8601 (`90s`, `15m`, `2h 30m`, `7d`, `PT1H`);
/// positive, at most ten years. A day has 24 hours.
pub fn duration(text: &str) -> Result<Duration> {
    let wrong = || format!("`{text}` is not a duration; write 90s, 15m, 2h 30m or 7d");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    let duration = Duration::try_from(signed).map_err(|_| wrong())?;
    if duration.is_zero() || duration > MAX_DURATION {
        return Err("a duration must be more than 0s and at most 3650d".to_owned());
    }
    Ok(duration)
}

/// A duration that may be unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationOrNever {
    Never,
    After(Duration),
}

/// `never`, or a [`duration`].
pub fn duration_or_never(text: &str) -> Result<DurationOrNever> {
    if text.trim() == "never" {
        Ok(DurationOrNever::Never)
    } else {
        duration(text).map(DurationOrNever::After)
    }
}

impl DurationOrNever {
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(duration) => Some(duration),
        }
    }
}

impl fmt::Display for DurationOrNever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::After(duration) => write!(f, "{}", format_duration(*duration)),
        }
    }
}

/// A text that [`duration`] accepts, such as `15m`.
pub fn format_duration(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{}s", duration.as_secs()), |d| format!("{d:#}"))
}

/// Parts in flight of all files together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    Auto,
    Count(usize),
}

/// `auto`, or a number from 1 to 256.
pub fn jobs(text: &str) -> Result<Jobs> {
    match text.trim() {
        "auto" => Ok(Jobs::Auto),
        text => match text.parse() {
            Ok(count @ 1..=MAX_JOBS) => Ok(Jobs::Count(count)),
            _ => Err(format!(
                "jobs must be `auto` or a number from 1 to {MAX_JOBS}"
            )),
        },
    }
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// `HOST` or `HOST:PORT`.
pub fn store_host(text: &str) -> Result<StoreHost> {
    text.parse()
        .map_err(|_| format!("`{text}` is not HOST[:PORT]"))
}

/// `KEY=VALUE` for the metadata of an object. The key has 1 to 64 letters, digits, dashes and
/// underscores, and becomes lower case, as in S3; the value is a text without control characters.
pub fn metadata(text: &str) -> Result<(String, String)> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    metadata_entry(key, value)
}

/// As [`metadata`], for a key and a value.
pub fn metadata_entry(key: &str, value: &str) -> Result<(String, String)> {
    let is_key_byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=64).contains(&key.len()) || !key.bytes().all(is_key_byte) {
        return Err(
            "a metadata key must have 1 to 64 letters, digits, dashes and underscores".to_owned(),
        );
    }
    if value.chars().any(char::is_control) {
        return Err(format!(
            "the value of `{key}` must have no control characters"
        ));
    }
    Ok((key.to_ascii_lowercase(), value.to_owned()))
}

/// `KEY=VALUE` for a tag of an object.
pub fn tag(text: &str) -> Result<(String, String)> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    check_tag(key, value).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A content type: `type/subtype`, optionally with parameters after semicolons, in one form.
pub fn content_type(text: &str) -> Result<String> {
    let parsed: MediaType = text.parse().map_err(|_| {
        format!("`{text}` is not a content type; write one such as video/mp4 or text/plain; charset=utf-8")
    })?;
    Ok(parsed.to_string())
}

/// The name of an upload: 1 to 200 characters, no control characters.
pub fn name(text: &str) -> Result<String> {
    if (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("a name must have 1 to 200 characters and no control characters".to_owned())
    }
}

/// The name of a file for `--name`: as [`name`], and without a slash.
pub fn file_name(text: &str) -> Result<String> {
    if text.contains('/') {
        return Err(
            "a name must not contain a slash; the backend chooses the key of the object".to_owned(),
        );
    }
    name(text)
}

/// An HTTP header: `NAME: VALUE`.
pub fn header(text: &str) -> Result<(String, String)> {
    let wrong = || format!("`{text}` is not a header; write 'NAME: VALUE'");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name: http::HeaderName = name.trim().parse().map_err(|_| wrong())?;
    let value = value.trim();
    http::HeaderValue::from_str(value).map_err(|_| wrong())?;
    Ok((name.as_str().to_owned(), value.to_owned()))
}

/// A required claim of a token: `NAME=GLOB`.
pub fn claim(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, glob)) if !name.is_empty() && !glob.is_empty() => {
            Ok((name.to_owned(), glob.to_owned()))
        }
        _ => Err(format!(
            "`{text}` is not a claim; write NAME=GLOB, such as repository=acme/*"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_accepts_decimal_and_binary_units() {
        assert_eq!(size("8M"), Ok(8_000_000));
        assert_eq!(size("8MiB"), Ok(8 << 20));
        assert_eq!(size("8388608"), Ok(8 << 20));
        assert_eq!(size("1.5 GiB"), Ok(3 << 29));
        for wrong in ["", "-1", "many", "8Q"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn limit_rate_accepts_sizes_per_second() {
        assert_eq!(limit_rate("10MiB/s"), Ok(LimitRate::At(10 << 20)));
        assert_eq!(limit_rate("10MiB"), Ok(LimitRate::At(10 << 20)));
        assert_eq!(limit_rate("500 KB/s"), Ok(LimitRate::At(500_000)));
        for text in ["none", "10MiB/s", "1KiB/s", "500001B/s"] {
            assert_eq!(limit_rate(text).unwrap().to_string(), text);
        }
        for wrong in ["", "0", "1023", "fast", "10MiB/m", "/s", "-1"] {
            assert!(limit_rate(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn part_size_has_the_range_of_s3() {
        assert_eq!(part_size("5MiB"), Ok(MIN_PART_BYTES));
        assert_eq!(part_size("5GiB"), Ok(MAX_PART_BYTES));
        assert!(part_size("5242879").is_err());
        assert!(part_size("5368709121").is_err());
        assert!(part_size("5M").is_err());
    }

    #[test]
    fn duration_accepts_friendly_and_iso_format() {
        assert_eq!(duration("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(duration("2h 30m"), Ok(Duration::from_mins(150)));
        assert_eq!(duration("PT1H"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for wrong in ["", "15", "0s", "-15m", "5m ago", "20000d", "1y 2mo"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(duration_or_never("never"), Ok(DurationOrNever::Never));
        for text in ["15m", "2h 30m", "never", "90s", "7d"] {
            let parsed = duration_or_never(text).unwrap();
            assert_eq!(duration_or_never(&parsed.to_string()), Ok(parsed), "{text}");
        }
    }

    #[test]
    fn store_host_with_and_without_port_round_trips() {
        for text in [
            "minio.lan",
            "minio.lan:9000",
            "10.0.0.7:9000",
            "[fd00::1]",
            "[fd00::1]:9000",
        ] {
            assert_eq!(store_host(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "a b",
            "host:99999",
            "http://host",
            "host/path",
            "user@host",
        ] {
            assert!(store_host(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn header_values_reject_line_breaks() {
        assert_eq!(metadata("Camera=A=B"), Ok(("camera".into(), "A=B".into())));
        assert_eq!(metadata("a_b="), Ok(("a_b".into(), String::new())));
        assert_eq!(
            metadata("a=caf\u{e9}  b"),
            Ok(("a".into(), "caf\u{e9}  b".into()))
        );
        for wrong in ["camera", "=x", "a b=c", "a=b\r\nc: d", "a=\0", "\u{e9}=x"] {
            assert!(metadata(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(tag("a=b=c"), Ok(("a".into(), "b=c".into())));
        for wrong in ["a", "=b", "a=b\r\nc: d", "a=\0", "aws:a=b"] {
            assert!(tag(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(
            header("X-Amz-Acl: private"),
            Ok(("x-amz-acl".into(), "private".into()))
        );
        for wrong in ["X-Amz-Acl", "a b: c", "a: b\nc"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
        assert!(content_type("text/plain; charset=utf-8").is_ok());
        for wrong in ["text", "/x", "a/b\r\n", "a b/c", "image/png;, text/html"] {
            assert!(content_type(wrong).is_err(), "{wrong:?}");
        }
    }
}
