//! Which backend is meant: the text of `--backend`, checked, and its canonical form, which the journal keeps.
//!
//! Border: pure; whether it answers is `backend`, how it is started is the verb.

use std::fmt;

use url::Url;

use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};

/// A backend, in the form its canonical text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendSpec {
    /// Gateway and store in this process: `embedded`.
    Embedded,
    /// A gateway: `https://host[/base]`, without a trailing slash, user, query or fragment.
    Url(Url),
    /// An Uppy Companion: `companion+https://host[/path]`, the URL as for a gateway.
    Companion(Url),
    /// A gateway in this process before any S3: `s3://bucket[/prefix]`. The prefix has no slash at either end.
    S3 { bucket: String, prefix: String },
}

/// What can be configured, for errors and help.
pub const FORMS: &str =
    "embedded, https://host[/base], companion+https://host[/path], s3://bucket[/prefix]";

impl BackendSpec {
    /// Reads a backend as it was typed or as the journal keeps it.
    ///
    /// # Errors
    /// `wrong` (usage or configuration, as the text came from a flag or not) for a text that is no backend or an `http://`
    /// host that is not this machine while `insecure` is false; [`Kind::Config`] for a form this build cannot use.
    pub fn parse(text: &str, insecure: bool, wrong: Kind) -> Result<Self> {
        let text = text.trim();
        if text == "embedded" {
            return in_process(Self::Embedded);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            // What is no URL may be anything, also something secret that was pasted into the wrong place.
            return Err(Error::new(wrong, "could not understand the backend")
                .with_hint(format!("backends are {FORMS}")));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "https" | "http" => address(text, insecure, wrong).map(Self::Url),
            "companion+https" | "companion+http" => {
                let (_, text) = text.split_once('+').unwrap_or_default();
                address(text, insecure, wrong).map(Self::Companion)
            }
            "s3" => in_process(s3(rest, wrong)?),
            _ => Err(
                Error::new(wrong, "could not understand the backend's scheme")
                    .with_hint(format!("backends are {FORMS}")),
            ),
        }
    }

    /// Whether it is reached over a network, by who has a token.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Companion(_))
    }

    /// What to say where no backend is configured.
    #[must_use]
    pub fn missing() -> Error {
        Error::new(Kind::Config, "no backend is configured").with_hint(format!(
            "name one with --backend, UPLOAD_BACKEND or the key `backend` of the configuration file: {FORMS}; for instance: \
             upload put FILE --backend embedded"
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

/// Lets a backend through that needs the gateway in this build.
fn in_process(spec: BackendSpec) -> Result<BackendSpec> {
    if cfg!(feature = "gateway") {
        Ok(spec)
    } else {
        Err(Error::new(
            Kind::Config,
            format!("this build has no gateway, which the backend {spec} runs in its process"),
        )
        .with_hint("use an https:// backend, or a build with the feature `gateway`"))
    }
}

/// `https://host[/base]`, or `http://` on this machine.
fn address(text: &str, insecure: bool, wrong: Kind) -> Result<Url> {
    let mut url = Url::parse(text).map_err(|error| {
        Error::new(wrong, "could not read the backend's URL").with_source(error)
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            Error::new(wrong, "a backend's URL holds no user or password")
                .with_hint("the token comes from --token-file or UPLOAD_TOKEN"),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::new(
            wrong,
            "a backend's URL has neither query nor fragment",
        ));
    }
    if url.scheme() == "http" && !insecure && !AddressClass::of_url(&url).is_loopback() {
        return Err(Error::new(
            wrong,
            "an http:// backend that is not on this machine is refused",
        )
        .with_hint("use https://, or --allow-insecure-http where the network is trusted"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// `BUCKET[/PREFIX]`, by the rules for bucket names of the Amazon S3 user guide.
fn s3(text: &str, wrong: Kind) -> Result<BackendSpec> {
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
        return Err(Error::new(
            wrong,
            "a bucket's name is 3 to 63 lower-case letters, digits, dots or dashes",
        ));
    }
    let prefix = prefix.trim_matches('/');
    let odd =
        |segment: &str| matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
    if prefix.len() > 512 || (!prefix.is_empty() && prefix.split('/').any(odd)) {
        return Err(Error::new(
            wrong,
            "a prefix is at most 512 bytes without empty, `.` or `..` segments",
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
        BackendSpec::parse(text, false, Kind::Usage)
    }

    #[test]
    fn the_canonical_text_reads_back() {
        for (typed, canonical) in [
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
            let spec = parse(typed).unwrap();
            assert_eq!(spec.to_string(), canonical);
            assert_eq!(parse(canonical).unwrap(), spec);
        }
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn backends_in_this_process_read_back() {
        for (typed, canonical) in [
            ("embedded", "embedded"),
            ("s3://media/in/", "s3://media/in"),
            ("s3://media", "s3://media"),
        ] {
            let spec = parse(typed).unwrap();
            assert_eq!(spec.to_string(), canonical);
            assert_eq!(parse(canonical).unwrap(), spec);
        }
    }

    #[cfg(not(feature = "gateway"))]
    #[test]
    fn without_the_gateway_two_backends_are_missing() {
        for text in ["embedded", "s3://media"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains("this build has no gateway"));
        }
    }

    #[test]
    fn what_is_no_backend_is_refused() {
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
        assert!(BackendSpec::parse("http://up.example", true, Kind::Usage).is_ok());
    }

    #[test]
    fn an_error_repeats_no_secret() {
        let error = parse("https://me:canary@host").unwrap_err();
        assert!(!format!("{error} {:?}", error.hint()).contains("canary"));
    }
}
