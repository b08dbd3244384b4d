//! Where a bucket and its objects are: endpoint, host or path style, region, keys in percent-encoding.
//!
//! Border: text only. Nothing is sent or signed here; the one thing read is the AWS configuration file, for its region.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

use super::{Fault, Settings};
use upload_types::error::{Error, Kind, Result};

/// All but RFC 3986's unreserved characters, as AWS's `UriEncode` has it.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The bucket behind one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// `scheme://host[:port][/path][/bucket]`, without a slash at its end.
    base: String,
    /// Whether `base` has a path, which then names the bucket.
    path_style: bool,
}

impl Address {
    /// The bucket of `settings` behind `endpoint`, or at AWS.
    ///
    /// # Errors
    /// [`Kind::Config`] for an endpoint that is no plain http(s) URL, or a bucket that cannot stand in one.
    pub(super) fn new(settings: &Settings, endpoint: Option<&Url>, region: &str) -> Result<Self> {
        let bucket = &settings.bucket;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if bucket.is_empty() || !bucket.bytes().all(plain) || bucket.starts_with('.') {
            return Err(Error::new(
                Kind::Config,
                "could not use the bucket: a name has letters, digits, '-', '.' and '_'",
            ));
        }
        let Some(endpoint) = endpoint else {
            let domain = if region.starts_with("cn-") {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            // A wildcard certificate covers one label only.
            let path_style = settings.path_style || bucket.contains('.');
            let base = if path_style {
                format!("https://s3.{region}.{domain}/{bucket}")
            } else {
                format!("https://{bucket}.s3.{region}.{domain}")
            };
            return Ok(Self { base, path_style });
        };
        let wrong = |what| {
            Err(Error::new(
                Kind::Config,
                format!("could not use the S3 endpoint: {what}"),
            ))
        };
        let Some(host) = endpoint.host() else {
            return wrong("it names no host");
        };
        if !matches!(endpoint.scheme(), "http" | "https") {
            return wrong("it is neither http nor https");
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return wrong("credentials do not belong in it");
        }
        if endpoint.query().is_some() || endpoint.fragment().is_some() {
            return wrong("it has a query or a fragment");
        }
        let path_style =
            settings.path_style || !matches!(host, Host::Domain(name) if name != "localhost");
        let port = endpoint
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let path = endpoint.path().trim_end_matches('/');
        let scheme = endpoint.scheme();
        let base = if path_style {
            format!("{scheme}://{host}{port}{path}/{bucket}")
        } else {
            format!("{scheme}://{bucket}.{host}{port}{path}")
        };
        Ok(Self { base, path_style })
    }

    /// The URL of an object by its whole key, with a query. An empty value stands for a bare name.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a key that would not arrive as it is; see [`check_key`].
    pub(super) fn object(&self, key: &str, query: &[(&str, &str)]) -> Result<String, Fault> {
        check_key(key).map_err(|why| Fault::Refused(format!("the key cannot be used: {why}")))?;
        Ok(format!(
            "{}/{}{}",
            self.base,
            path(key),
            encode_query(query)
        ))
    }

    /// The URL of the bucket, with a query.
    pub(super) fn bucket(&self, query: &[(&str, &str)]) -> String {
        let slash = if self.path_style { "" } else { "/" };
        format!("{}{slash}{}", self.base, encode_query(query))
    }
}

fn encode_query(query: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in query {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.extend(utf8_percent_encode(name, QUERY));
        if !value.is_empty() {
            text.push('=');
            text.extend(utf8_percent_encode(value, QUERY));
        }
    }
    text
}

/// A key as the path of a URL has it.
pub(super) fn path(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

/// What stands in a header or a `filename*` of RFC 8187: every byte but the unreserved in percent-encoding.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// The path of a URL as a signature has it: what it stands for, encoded our way. None for bytes that are no text.
pub(super) fn canonical(path: &str) -> Option<String> {
    let segments = path
        .split('/')
        .map(|segment| Some(encode(&percent_decode_str(segment).decode_utf8().ok()?)));
    Some(segments.collect::<Option<Vec<_>>>()?.join("/"))
}

/// Refuses keys that HTTP libraries and proxies rewrite, so that a signature for one object never leads to another.
///
/// # Errors
/// Why: a slash at either end, an empty, `.` or `..` segment, a control character, more than S3's 1024 bytes.
pub(super) fn check_key(key: &str) -> Result<(), &'static str> {
    if key.len() > 1024 {
        return Err("it is longer than 1024 bytes");
    }
    if key.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    if key
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err("it has an empty, '.' or '..' segment");
    }
    Ok(())
}

/// The region to sign for: the setting, else the environment, else the AWS configuration file; for an endpoint of its own
/// `us-east-1`, which such stores expect.
///
/// # Errors
/// [`Kind::Config`] for AWS without a region, or a region that is none.
pub(super) fn region(settings: &Settings) -> Result<String> {
    let env = |name| {
        std::env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    // Fixed keys are our own store's: whatever the environment says of AWS does not concern it.
    let ambient = || {
        let profile = env("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        env("AWS_REGION")
            .or_else(|| env("AWS_DEFAULT_REGION"))
            .or_else(|| region_of_profile(&read_aws_config()?, &profile))
    };
    let region = match (&settings.region, &settings.endpoint) {
        (Some(region), _) => region.clone(),
        (None, Some(_)) if settings.keys.is_some() => "us-east-1".to_owned(),
        (None, Some(_)) => ambient().unwrap_or_else(|| "us-east-1".to_owned()),
        (None, None) => ambient().ok_or_else(|| {
            Error::new(Kind::Config, "could not tell the bucket's region")
                .with_hint("name it with --s3-region or AWS_REGION")
        })?,
    };
    if region.is_empty()
        || !region
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Error::new(
            Kind::Config,
            "could not use the region: it has letters, digits and dashes only",
        ));
    }
    Ok(region)
}

fn read_aws_config() -> Option<String> {
    let file = match std::env::var_os("AWS_CONFIG_FILE") {
        Some(file) => file.into(),
        None => std::env::home_dir()?.join(".aws/config"),
    };
    std::fs::read_to_string(file).ok()
}

/// `region` in the section of a profile: `[default]`, or `[profile NAME]`.
fn region_of_profile(config: &str, profile: &str) -> Option<String> {
    let mut here = false;
    for line in config.lines() {
        let line = line.trim();
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let name = section.trim();
            here = name.strip_prefix("profile ").map_or(name, str::trim) == profile;
        } else if here
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == "region"
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(endpoint: Option<&str>, path_style: bool) -> Result<Address> {
        let endpoint = endpoint.map(|endpoint| endpoint.parse().unwrap());
        let settings = Settings {
            bucket: "bucket".into(),
            prefix: String::new(),
            endpoint: None,
            public_endpoint: None,
            region: None,
            path_style,
            keys: None,
            create_headers: BTreeMap::new(),
            embedded: false,
            cdn: None,
            observer: crate::unobserved,
        };
        Address::new(&settings, endpoint.as_ref(), "eu-west-1")
    }

    #[test]
    fn the_bucket_stands_in_host_or_path() {
        let url = |endpoint, path_style| {
            at(endpoint, path_style)
                .unwrap()
                .object("a/b", &[])
                .unwrap()
        };
        assert_eq!(
            url(None, false),
            "https://bucket.s3.eu-west-1.amazonaws.com/a/b"
        );
        assert_eq!(
            url(None, true),
            "https://s3.eu-west-1.amazonaws.com/bucket/a/b"
        );
        assert_eq!(
            url(Some("http://127.0.0.1:9000"), false),
            "http://127.0.0.1:9000/bucket/a/b"
        );
        assert_eq!(
            url(Some("http://[::1]:9000/s3/"), false),
            "http://[::1]:9000/s3/bucket/a/b"
        );
        assert_eq!(
            url(Some("http://localhost"), false),
            "http://localhost/bucket/a/b"
        );
        assert_eq!(
            url(Some("https://store.example:443"), false),
            "https://bucket.store.example/a/b"
        );
        assert_eq!(
            url(Some("https://store.example"), true),
            "https://store.example/bucket/a/b"
        );
        assert_eq!(
            at(None, false).unwrap().bucket(&[("uploads", "")]),
            "https://bucket.s3.eu-west-1.amazonaws.com/?uploads"
        );
        assert_eq!(
            at(None, true).unwrap().bucket(&[("uploads", "")]),
            "https://s3.eu-west-1.amazonaws.com/bucket?uploads"
        );
        for endpoint in [
            "ftp://store.example",
            "http://user:pw@store.example",
            "http://store.example/?a=b",
        ] {
            assert_eq!(
                at(Some(endpoint), false).unwrap_err().kind(),
                Kind::Config,
                "{endpoint}"
            );
        }
    }

    #[test]
    fn keys_and_queries_are_percent_encoded_once() {
        let address = at(Some("http://127.0.0.1:1"), true).unwrap();
        assert_eq!(
            address
                .object(
                    "dir/na me+é=&?#%.bin~",
                    &[("uploadId", "a+/=b"), ("uploads", "")]
                )
                .unwrap(),
            "http://127.0.0.1:1/bucket/dir/na%20me%2B%C3%A9%3D%26%3F%23%25.bin~?uploadId=a%2B%2F%3Db&uploads"
        );
    }

    #[test]
    fn keys_that_would_be_rewritten_are_refused() {
        let address = at(None, false).unwrap();
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a\0b",
            "a\nb",
            &"k".repeat(1025),
        ] {
            assert!(
                matches!(address.object(key, &[]), Err(Fault::Refused(_))),
                "{key:?}"
            );
        }
        assert!(address.object("..a/b..", &[]).is_ok());
    }

    #[test]
    fn a_region_is_found_in_its_profile_only() {
        let config = "[default]\nregion = eu-west-1\n\n[profile other]\noutput=json\nregion=us-west-2\n[sso-session x]\nregion = no\n";
        assert_eq!(
            region_of_profile(config, "default").as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(
            region_of_profile(config, "other").as_deref(),
            Some("us-west-2")
        );
        assert_eq!(region_of_profile(config, "third"), None);
    }
}
