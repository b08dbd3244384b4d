//! Texts a person types, turned into values: sizes, durations, part sizes, jobs, hosts, metadata.
//!
//! Border: pure, and the same for a flag, an environment variable and the configuration file; whose fault a wrong text is
//! (usage or configuration) is `settings`'.

#![expect(
    clippy::missing_errors_doc,
    reason = "each gives why the text was not understood"
)]

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};

use crate::backend::StoreHost;

pub const PART_SIZE_MIN: u64 = 5 << 20;
pub const PART_SIZE_MAX: u64 = 5 << 30;
pub const JOBS_MAX: usize = 256;
pub const RATE_MIN: u64 = 1 << 10;

/// Why a text was not understood; a lower-case fragment.
type Wrong = String;

/// A number of bytes: `8M` is 8,000,000, `8MiB` is 8,388,608, a bare number counts bytes.
pub fn size(text: &str) -> Result<u64, Wrong> {
    let parsed: Result<ByteSize, _> = text.trim().parse();
    parsed
        .map(|size| size.as_u64())
        .map_err(|_| format!("`{text}` is no size; write 8MiB, 8M (8,000,000) or bytes"))
}

/// How many bytes may go in a second, over all parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitRate {
    None,
    At(u64),
}

/// `none`, or a [`size`] with or without `/s` behind it, at least 1 KiB.
pub fn limit_rate(text: &str) -> Result<LimitRate, Wrong> {
    let text = text.trim();
    if text == "none" {
        return Ok(LimitRate::None);
    }
    let wrong = |_| format!("`{text}` is no rate; write 10MiB/s, 500KB/s or none");
    match size(text.strip_suffix("/s").unwrap_or(text)).map_err(wrong)? {
        rate @ RATE_MIN.. => Ok(LimitRate::At(rate)),
        _ => Err("a rate is at least 1KiB/s; no limit is written none".to_owned()),
    }
}

/// As [`limit_rate`] reads it back.
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
pub fn part_size(text: &str) -> Result<u64, Wrong> {
    match size(text)? {
        size @ PART_SIZE_MIN..=PART_SIZE_MAX => Ok(size),
        _ => Err("a part is 5MiB to 5GiB".to_owned()),
    }
}

/// A length of time, in jiff's friendly or ISO 8601 form (`90s`, `15m`, `2h 30m`, `7d`, `PT1H`); more than nothing and
/// at most ten years. A day has 24 hours.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || format!("`{text}` is no duration; write 90s, 15m, 2h 30m or 7d");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    let duration = Duration::try_from(signed).map_err(|_| wrong())?;
    if duration.is_zero() || duration > Duration::from_hours(3650 * 24) {
        return Err("a duration is longer than nothing and at most 3650d".to_owned());
    }
    Ok(duration)
}

/// How long to wait, for what the flag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Never,
    After(Duration),
}

/// `never`, or a [`duration`].
pub fn wait(text: &str) -> Result<Wait, Wrong> {
    if text.trim() == "never" {
        Ok(Wait::Never)
    } else {
        duration(text).map(Wait::After)
    }
}

impl Wait {
    /// None is for ever.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(duration) => Some(duration),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::After(duration) => write!(f, "{}", friendly(*duration)),
        }
    }
}

/// A duration as [`duration`] reads it back, such as `15m`.
pub fn friendly(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{}s", duration.as_secs()), |d| format!("{d:#}"))
}

/// Parts in flight over all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    Auto,
    Count(usize),
}

/// `auto`, or a number from 1 to [`JOBS_MAX`].
pub fn jobs(text: &str) -> Result<Jobs, Wrong> {
    match text.trim() {
        "auto" => Ok(Jobs::Auto),
        text => match text.parse() {
            Ok(count @ 1..=JOBS_MAX) => Ok(Jobs::Count(count)),
            _ => Err(format!("jobs are `auto` or a number from 1 to {JOBS_MAX}")),
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
pub fn store_host(text: &str) -> Result<StoreHost, Wrong> {
    text.parse()
        .map_err(|_| format!("`{text}` is no HOST[:PORT]"))
}

/// `KEY=VALUE`, as object metadata can hold it: the key 1 to 64 of a-z, 0-9 and -, the value words of visible ASCII
/// characters with one space between them.
pub fn metadata(text: &str) -> Result<(String, String), Wrong> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no KEY=VALUE"))?;
    let in_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=64).contains(&key.len()) || !key.bytes().all(in_key) {
        return Err("a metadata key is 1 to 64 of a-z, 0-9 and -".to_owned());
    }
    if !value
        .split(' ')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(format!(
            "the value of `{key}` is not words of visible ASCII characters with one space between them"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// A content type: `type/subtype`, parameters behind a semicolon.
pub fn content_type(text: &str) -> Result<String, Wrong> {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    match essence.split_once('/') {
        Some((kind, subtype)) if plain && token(kind) && token(subtype) => {
            Ok(text.trim().to_owned())
        }
        _ => Err(format!("`{text}` is no content type; write video/mp4")),
    }
}

/// The name of an upload: 1 to 200 characters, none of them a control character.
pub fn name(text: &str) -> Result<String, Wrong> {
    if (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 200 characters and no control character".to_owned())
    }
}

/// `NAME: VALUE`, as a header is written.
pub fn header(text: &str) -> Result<(String, String), Wrong> {
    let wrong = || format!("`{text}` is no header; write 'NAME: VALUE'");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name: http::HeaderName = name.trim().parse().map_err(|_| wrong())?;
    let value = value.trim();
    http::HeaderValue::from_str(value).map_err(|_| wrong())?;
    Ok((name.as_str().to_owned(), value.to_owned()))
}

/// `NAME=GLOB`, of a claim in a token.
pub fn claim(text: &str) -> Result<(String, String), Wrong> {
    match text.split_once('=') {
        Some((name, glob)) if !name.is_empty() && !glob.is_empty() => {
            Ok((name.to_owned(), glob.to_owned()))
        }
        _ => Err(format!(
            "`{text}` is no claim; write NAME=GLOB, such as repository=acme/*"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_or_binary_as_written() {
        assert_eq!(size("8M"), Ok(8_000_000));
        assert_eq!(size("8MiB"), Ok(8 << 20));
        assert_eq!(size("8388608"), Ok(8 << 20));
        assert_eq!(size("1.5 GiB"), Ok(3 << 29));
        for wrong in ["", "-1", "many", "8Q"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_rate_is_a_size_for_each_second() {
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
    fn a_part_size_keeps_the_range_of_s3() {
        assert_eq!(part_size("5MiB"), Ok(PART_SIZE_MIN));
        assert_eq!(part_size("5GiB"), Ok(PART_SIZE_MAX));
        assert!(part_size("5242879").is_err());
        assert!(part_size("5368709121").is_err());
        assert!(part_size("5M").is_err());
    }

    #[test]
    fn durations_are_friendly_or_iso() {
        assert_eq!(duration("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(duration("2h 30m"), Ok(Duration::from_mins(150)));
        assert_eq!(duration("PT1H"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for wrong in ["", "15", "0s", "-15m", "5m ago", "20000d", "1y 2mo"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(wait("never"), Ok(Wait::Never));
        for text in ["15m", "2h 30m", "never", "90s", "7d"] {
            let parsed = wait(text).unwrap();
            assert_eq!(wait(&parsed.to_string()), Ok(parsed), "{text}");
        }
    }

    #[test]
    fn hosts_may_carry_a_port_and_read_back() {
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
    fn what_goes_into_headers_holds_no_line_break() {
        assert_eq!(metadata("camera=A=B"), Ok(("camera".into(), "A=B".into())));
        for wrong in ["camera", "=x", "a b=c", "a=b\r\nc: d"] {
            assert!(metadata(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(
            header("X-Amz-Acl: private"),
            Ok(("x-amz-acl".into(), "private".into()))
        );
        for wrong in ["X-Amz-Acl", "a b: c", "a: b\nc"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
        assert!(content_type("text/plain; charset=utf-8").is_ok());
        for wrong in ["text", "/x", "a/b\r\n", "a b/c"] {
            assert!(content_type(wrong).is_err(), "{wrong:?}");
        }
    }
}
