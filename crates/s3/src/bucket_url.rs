//! The URLs of a bucket and its objects: endpoint, host style or path style. Text only.
//!
//! Not here: percent-encoding and the check of keys, in [`crate::uri`].

use url::{Host, Url};

use upload_types::error::{Error, Kind, Result};

use crate::aws::Variant;
use crate::fault::Fault;
use crate::settings::Settings;
use crate::uri::{check_key, encode_path, encode_query};

/// The URL of the bucket at one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct BucketUrl {
    /// `scheme://host[:port][/path][/bucket]`, without a slash at its end.
    base: String,
    /// True if the path of `base`, and not its host, names the bucket.
    path_style: bool,
}

impl BucketUrl {
    /// The bucket of `settings` at `endpoint`, or at AWS in `region` if `endpoint` is `None`.
    /// `variant` is for AWS only.
    ///
    /// # Errors
    /// [`Kind::Config`] for an endpoint that is not a plain http(s) URL, or for a bucket name that
    /// cannot be part of a URL.
    pub(crate) fn new(
        settings: &Settings,
        endpoint: Option<&Url>,
        region: &str,
        variant: Variant,
    ) -> Result<Self> {
        let bucket = &settings.bucket;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if bucket.is_empty() || !bucket.bytes().all(is_plain) || bucket.starts_with('.') {
            return Err(Error::new(
                Kind::Config,
                "could not use the bucket: its name may have letters, digits, '-', '.' and '_' only",
            ));
        }
        match endpoint {
            Some(endpoint) => Self::at_endpoint(endpoint, bucket, settings.path_style),
            None => Ok(Self::at_aws(
                bucket,
                &variant.s3_host(region),
                settings.path_style,
            )),
        }
    }

    fn at_aws(bucket: &str, host: &str, path_style: bool) -> Self {
        // A wildcard certificate covers one label only.
        let path_style = path_style || bucket.contains('.');
        let base = if path_style {
            format!("https://{host}/{bucket}")
        } else {
            format!("https://{bucket}.{host}")
        };
        Self { base, path_style }
    }

    fn at_endpoint(endpoint: &Url, bucket: &str, path_style: bool) -> Result<Self> {
        let unusable = |reason| {
            let text = format!("could not use the S3 endpoint: {reason}");
            Err(Error::new(Kind::Config, text))
        };
        let Some(host) = endpoint.host() else {
            return unusable("it names no host");
        };
        if !matches!(endpoint.scheme(), "http" | "https") {
            return unusable("it is neither http nor https");
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return unusable("it contains credentials");
        }
        if endpoint.query().is_some() || endpoint.fragment().is_some() {
            return unusable("it has a query or a fragment");
        }
        // An IP address and `localhost` have no subdomains, and a wildcard certificate covers one
        // label.
        let path_style = path_style
            || !matches!(host, Host::Domain(name) if name != "localhost")
            || endpoint.scheme() == "https" && bucket.contains('.');
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

    /// The URL of an object by its full key, with the query that [`encode_query`] encodes.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a key that [`check_key`] rejects.
    pub(crate) fn object(&self, key: &str, query: &[(&str, &str)]) -> Result<String, Fault> {
        check_key(key)
            .map_err(|reason| Fault::Refused(format!("could not use the key: {reason}")))?;
        let query = encode_query(query);
        Ok(format!("{}/{}{query}", self.base, encode_path(key)))
    }

    /// The URL of the bucket, with the query that [`encode_query`] encodes.
    pub(crate) fn bucket(&self, query: &[(&str, &str)]) -> String {
        let slash = if self.path_style { "" } else { "/" };
        format!("{}{slash}{}", self.base, encode_query(query))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn bucket_url(endpoint: Option<&str>, path_style: bool) -> Result<BucketUrl> {
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
            network: upload_net::Network::default(),
            observer: crate::observer::unobserved,
        };
        let variant = Variant::default();
        BucketUrl::new(&settings, endpoint.as_ref(), "eu-west-1", variant)
    }

    #[test]
    fn bucket_is_named_in_host_or_path() {
        for (endpoint, path_style, expected) in [
            (None, false, "https://bucket.s3.eu-west-1.amazonaws.com/a/b"),
            (None, true, "https://s3.eu-west-1.amazonaws.com/bucket/a/b"),
            (
                Some("http://127.0.0.1:9000"),
                false,
                "http://127.0.0.1:9000/bucket/a/b",
            ),
            (
                Some("http://[::1]:9000/s3/"),
                false,
                "http://[::1]:9000/s3/bucket/a/b",
            ),
            (
                Some("http://localhost"),
                false,
                "http://localhost/bucket/a/b",
            ),
            (
                Some("https://store.example:443"),
                false,
                "https://bucket.store.example/a/b",
            ),
            (
                Some("https://store.example"),
                true,
                "https://store.example/bucket/a/b",
            ),
        ] {
            let url = bucket_url(endpoint, path_style).unwrap();
            assert_eq!(url.object("a/b", &[]).unwrap(), expected);
        }
        let uploads = |path_style| {
            let url = bucket_url(None, path_style).unwrap();
            url.bucket(&[("uploads", "")])
        };
        assert_eq!(
            uploads(false),
            "https://bucket.s3.eu-west-1.amazonaws.com/?uploads"
        );
        assert_eq!(
            uploads(true),
            "https://s3.eu-west-1.amazonaws.com/bucket?uploads"
        );
    }

    #[test]
    fn bucket_with_dots_is_in_the_path_of_https_urls() {
        for (endpoint, expected) in [
            ("https://store.example", "https://store.example/a.b/k"),
            ("http://store.example", "http://a.b.store.example/k"),
        ] {
            let endpoint = endpoint.parse().unwrap();
            let url = BucketUrl::at_endpoint(&endpoint, "a.b", false).unwrap();
            assert_eq!(url.object("k", &[]).unwrap(), expected);
        }
    }

    #[test]
    fn endpoints_other_than_plain_http_urls_are_rejected() {
        for endpoint in [
            "ftp://store.example",
            "http://user:pw@store.example",
            "http://store.example/?a=b",
        ] {
            let error = bucket_url(Some(endpoint), false).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{endpoint}");
        }
    }

    #[test]
    fn keys_and_queries_are_percent_encoded_once() {
        let url = bucket_url(Some("http://127.0.0.1:1"), true).unwrap();
        let key = "dir/na me+é=&?#%.bin~";
        let query = [("uploadId", "a+/=b"), ("uploads", "")];
        assert_eq!(
            url.object(key, &query).unwrap(),
            "http://127.0.0.1:1/bucket/dir/na%20me%2B%C3%A9%3D%26%3F%23%25.bin~?uploadId=a%2B%2F%3Db&uploads"
        );
    }

    #[test]
    fn keys_that_would_be_rewritten_have_no_url() {
        let url = bucket_url(None, false).unwrap();
        assert!(matches!(url.object("a/../b", &[]), Err(Fault::Refused(_))));
        assert!(url.object("..a/b..", &[]).is_ok());
    }
}
