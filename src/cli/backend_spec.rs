//! Parses `--backend` into a backend and its canonical text, which the journal keeps.
//!
//! Pure. Not here: connecting to it (`backend_handle`).

use std::fmt;

use url::Url;

use super::secret_redaction::repeatable;
use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};

/// A backend. `Display` writes its canonical text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendSpec {
    /// Gateway and store in this process: `embedded`.
    Embedded,
    /// A gateway: `https://host[/base]`, without a trailing slash, user, query or fragment.
    Url(Url),
    /// An Uppy Companion: `companion+https://host[/path]`, the URL as for a gateway.
    Companion(Url),
    /// An S3 bucket, with a gateway in this process: `s3://bucket[/prefix]`. The prefix has no
    /// slash at either end.
    S3 { bucket: String, prefix: String },
}

/// The machines on which an `http://` backend may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    OnThisMachine,
    Anywhere,
}

/// The forms with what they are for, one per line.
pub const FORMS: &str = "
  embedded                       a store on this machine, to try things out
  https://host[/base]            a gateway (`upload serve`), with its token
  s3://bucket[/prefix]           an S3 bucket, with the usual AWS credentials
  companion+https://host[/path]  an Uppy Companion with an S3 store";

impl BackendSpec {
    /// Parses a text from a flag, the environment, a configuration file or the journal.
    ///
    /// # Errors
    /// `wrong_kind` for a text that is not a backend, and for an `http://` backend that
    /// `plain_http` does not permit; [`Kind::Config`] for a backend that this build does not
    /// contain.
    pub fn parse(text: &str, plain_http: PlainHttp, wrong_kind: Kind) -> Result<Self> {
        let text = text.trim();
        if text == "embedded" {
            return check_is_built_in(Self::Embedded);
        }
        let unknown = || {
            let what = match repeatable(text) {
                Some(text) => format!("there is no backend of the form `{text}`"),
                None => "could not understand the backend".to_owned(),
            };
            Error::new(wrong_kind, what).with_hint(format!("use one of these forms:{FORMS}"))
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(unknown());
        };
        match scheme.to_ascii_lowercase().as_str() {
            "https" | "http" => http_address(text, plain_http, wrong_kind).map(Self::Url),
            "companion+https" | "companion+http" => {
                let (_, text) = text.split_once('+').unwrap_or_default();
                http_address(text, plain_http, wrong_kind).map(Self::Companion)
            }
            "s3" => check_is_built_in(bucket_and_prefix(rest, wrong_kind)?),
            _ => Err(unknown()),
        }
    }

    /// Whether the backend is another process, reached over a network with a token.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Companion(_))
    }

    /// The error for a verb that needs a backend when none is configured.
    #[must_use]
    pub fn not_configured() -> Error {
        Error::new(Kind::Config, "no backend is configured").with_hint(format!(
            "name one with --backend, UPLOAD_BACKEND or `backend` in the configuration file:{FORMS}"
        ))
    }
}

impl fmt::Display for BackendSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            // `Url` writes the empty path as a slash.
            Self::Url(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Companion(url) => write!(f, "companion+{}", url.as_str().trim_end_matches('/')),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Rejects a backend that needs the gateway if this build has none.
fn check_is_built_in(spec: BackendSpec) -> Result<BackendSpec> {
    if cfg!(feature = "gateway") {
        Ok(spec)
    } else {
        Err(Error::new(
            Kind::Config,
            format!("the backend {spec} needs a gateway, which this build does not contain"),
        )
        .with_hint("use an https:// backend, or a build with the feature `gateway`"))
    }
}

/// `https://host[/base]`, or `http://` on this machine.
fn http_address(text: &str, plain_http: PlainHttp, wrong_kind: Kind) -> Result<Url> {
    let mut url = Url::parse(text).map_err(|error| {
        Error::new(wrong_kind, "could not parse the URL of the backend").with_source(error)
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::new(
            wrong_kind,
            "the URL of a backend must not contain a user or a password",
        )
        .with_hint("pass the token with --token-file or UPLOAD_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::new(
            wrong_kind,
            "the URL of a backend must not contain a query or a fragment",
        ));
    }
    let is_insecure = url.scheme() == "http" && !AddressClass::of_url(&url).is_loopback();
    if is_insecure && plain_http == PlainHttp::OnThisMachine {
        return Err(
            Error::new(wrong_kind, "an http:// backend must be on this machine")
                .with_hint("use https://, or --allow-insecure-http if you trust the network"),
        );
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// `BUCKET[/PREFIX]`, by the rules for bucket names of the Amazon S3 user guide.
fn bucket_and_prefix(text: &str, wrong_kind: Kind) -> Result<BackendSpec> {
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    let is_bucket_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_bucket_byte) {
        return Err(Error::new(
            wrong_kind,
            "the name of a bucket must have 3 to 63 lower-case letters, digits, dots and dashes",
        ));
    }
    let prefix = prefix.trim_matches('/');
    let is_wrong =
        |segment: &str| matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
    if prefix.len() > 512 || (!prefix.is_empty() && prefix.split('/').any(is_wrong)) {
        return Err(Error::new(
            wrong_kind,
            "a prefix must have at most 512 bytes and no empty, `.` or `..` segment",
        ));
    }
    Ok(BackendSpec::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BackendSpec> {
        BackendSpec::parse(text, PlainHttp::OnThisMachine, Kind::Usage)
    }

    #[test]
    fn canonical_text_round_trips() {
        for (text, canonical) in [
            ("https://Up.Example/", "https://up.example"),
            ("https://up.example:443/base//", "https://up.example/base"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://localhost:1", "http://localhost:1"),
            (
                "companion+https://Up.Example/companion/",
                "companion+https://up.example/companion",
            ),
            (
                "Companion+http://127.0.0.1:3020/",
                "companion+http://127.0.0.1:3020",
            ),
        ] {
            let spec = parse(text).unwrap();
            assert_eq!(spec.to_string(), canonical);
            assert_eq!(parse(canonical).unwrap(), spec);
        }
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn canonical_text_of_in_process_backends_round_trips() {
        for (text, canonical) in [
            ("embedded", "embedded"),
            ("s3://media/in/", "s3://media/in"),
            ("s3://media", "s3://media"),
        ] {
            let spec = parse(text).unwrap();
            assert_eq!(spec.to_string(), canonical);
            assert_eq!(parse(canonical).unwrap(), spec);
        }
    }

    #[cfg(not(feature = "gateway"))]
    #[test]
    fn build_without_gateway_rejects_in_process_backends() {
        for text in ["embedded", "s3://media"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
        }
    }

    #[test]
    fn parse_rejects_other_texts() {
        for text in [
            "",
            "ftp://host",
            "https://",
            "https://user@host",
            "https://host?a=b",
            "https://host#f",
            "http://up.example",
            "http://127.0.0.1.evil.example",
            "companion+http://up.example",
            "companion+https://user@up.example",
            "companion+ftp://up.example",
            "companion://up.example",
            "s3://UP",
            "s3://media/../x",
            "s3://media/a//b",
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
        let anywhere = BackendSpec::parse("http://up.example", PlainHttp::Anywhere, Kind::Usage);
        assert!(anywhere.is_ok());
    }

    #[test]
    fn error_repeats_the_text_unless_it_may_be_a_secret() {
        for text in ["s3", "embeded", "uploads.example.org", "ftp://host/base"] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
        for text in [
            "https://me:canary@host",
            "ftp://me:canary@host",
            "upl_canary",
            "eyJhbGciOiJub25lIn0.canary.",
            "wJalrXUtnFEMI/K7MDENG/canaryEXAMPLEKEY00",
            "bucket.test/key?X-Amz-Signature=canary",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {:?}", error.hint()).contains("canary"));
        }
    }
}
