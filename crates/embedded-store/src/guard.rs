//! What the store refuses before a signature is looked at: above all, headers that the signature does not cover.
//!
//! Border: method, query and headers, judged without I/O. That the signature is right, and not expired, is s3s's to check;
//! 0.14 does not ask what it covers.

use http::request::Parts;
use http::{HeaderMap, Method, header};
use s3s::{S3Error, S3Result, s3_error};
use url::form_urlencoded;

use super::ingest::CHECKSUMS;

/// The longest life of a presigned URL in seconds: seven days.
const LONGEST: u32 = 7 * 24 * 3600;

/// The `x-amz-*` headers this store understands, beside checksums and user metadata.
const UNDERSTOOD: [&str; 19] = [
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-te",
    "x-amz-user-agent",
    "x-amz-request-payer",
    "x-amz-checksum-algorithm",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-checksum-mode",
    "x-amz-mp-object-size",
    "x-amz-copy-source",
    "x-amz-copy-source-range",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-optional-object-attributes",
];

/// Headers that are kept with an object and sent to whoever reads it: on a presigned PUT, the signer's to choose.
const KEPT: [header::HeaderName; 5] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
];

/// Whether a request may go on to have its signature checked.
///
/// Follows "Signature Version 4 for authenticating requests" of the Amazon S3 API reference: `host` and all `x-amz-*` headers
/// must be signed. Asks for more in one place: a presigned PUT of an object must have its length signed, and what is kept with it. Where
/// `browsers` come, `host` is enough of a part: whoever completes its upload looks at it.
///
/// # Errors
/// `AccessDenied` for what is not signed, `NotImplemented` for headers that promise what the store does not do.
pub fn check(request: &Parts, browsers: bool) -> S3Result<()> {
    let query = request.uri.query().unwrap_or_default();
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let signed = signed_headers(&query, &request.headers)?;
    if request.method == Method::POST && is_form(&request.headers) {
        return Err(s3_error!(
            NotImplemented,
            "Uploads by HTML form are not implemented"
        ));
    }
    let covered = |name: &str| signed.names.iter().any(|signed| signed == name);
    if !covered("host") {
        return Err(not_signed("host"));
    }
    let presigned_put = signed.by_query && request.method == Method::PUT;
    let part = browsers && query.iter().any(|(name, _)| name == "uploadId");
    if presigned_put && !part && !covered("content-length") {
        return Err(not_signed("content-length"));
    }
    if let Some(name) = KEPT.iter().find(|name| {
        presigned_put && request.headers.contains_key(*name) && !covered(name.as_str())
    }) {
        return Err(not_signed(name.as_str()));
    }
    for name in request.headers.keys() {
        let name = name.as_str();
        let amz = name.starts_with("x-amz-");
        if amz && !covered(name) {
            return Err(not_signed(name));
        }
        // s3s takes a header that comes twice for absent.
        if (amz || covered(name)) && request.headers.get_all(name).iter().nth(1).is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "The header {name} must not be repeated"
            ));
        }
        let understood = UNDERSTOOD.contains(&name)
            || CHECKSUMS.contains(&name)
            || name.starts_with("x-amz-meta-");
        let default_class = || {
            name == "x-amz-storage-class"
                && request.headers.get(name).is_some_and(|v| v == "STANDARD")
        };
        if amz && !understood && !default_class() {
            return Err(s3_error!(
                NotImplemented,
                "The header {name} implies functionality that is not implemented"
            ));
        }
    }
    Ok(())
}

/// Whether a form may go on to have its policy checked, which then covers every field of it: nothing else may say anything.
///
/// # Errors
/// `InvalidArgument` for a request that is signed too, or says more than that it is a form; `EntityTooLarge` for one that is longer than
/// `largest`, or of unknown length.
pub fn check_form(request: &Parts, largest: u64) -> S3Result<()> {
    let query = request.uri.query().unwrap_or_default();
    let amz = request
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-"));
    if !query.is_empty() || amz || request.headers.contains_key(header::AUTHORIZATION) {
        return Err(s3_error!(
            InvalidArgument,
            "A form is signed by its policy alone"
        ));
    }
    let length = request
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length > largest) {
        return Err(s3_error!(
            EntityTooLarge,
            "A form has {largest} bytes at most"
        ));
    }
    Ok(())
}

/// Whether a request posts a form.
pub fn posts_form(request: &Parts) -> bool {
    request.method == Method::POST && is_form(&request.headers)
}

fn not_signed(name: &str) -> S3Error {
    s3_error!(
        AccessDenied,
        "There were headers present in the request which were not signed: {name}"
    )
}

fn is_form(headers: &HeaderMap) -> bool {
    let form = b"multipart/form-data";
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes().trim_ascii_start());
    kind.and_then(|kind| kind.get(..form.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(form))
}

struct Signed {
    names: Vec<String>,
    /// A presigned URL rather than an Authorization header.
    by_query: bool,
}

/// Which headers the request says are signed.
fn signed_headers(query: &[(String, String)], headers: &HeaderMap) -> S3Result<Signed> {
    let by_query = query.iter().any(|(name, _)| name == "X-Amz-Signature");
    let old = query
        .iter()
        .any(|(name, _)| name == "Signature" || name == "AWSAccessKeyId");
    let (credential, names) = match (by_query, headers.get(header::AUTHORIZATION)) {
        _ if old => {
            return Err(s3_error!(
                AccessDenied,
                "Only Signature Version 4 is accepted"
            ));
        }
        (true, Some(_)) => {
            return Err(s3_error!(
                InvalidArgument,
                "Only one auth mechanism allowed"
            ));
        }
        (false, None) => return Err(s3_error!(AccessDenied)),
        (true, None) => presigned(query)?,
        (false, Some(value)) => {
            let malformed = || {
                s3_error!(
                    AuthorizationHeaderMalformed,
                    "The authorization header is malformed"
                )
            };
            value
                .to_str()
                .ok()
                .and_then(authorization)
                .ok_or_else(malformed)?
        }
    };
    // s3s would also take credentials for STS, which may leave the payload's hash out.
    if !credential.ends_with("/s3/aws4_request") {
        return Err(s3_error!(
            AccessDenied,
            "The credential is not scoped to S3"
        ));
    }
    let names = names.split(';').map(str::to_ascii_lowercase).collect();
    Ok(Signed { names, by_query })
}

/// Credential and signed headers of a presigned URL.
fn presigned(query: &[(String, String)]) -> S3Result<(&str, &str)> {
    let wrong = |what: &str| s3_error!(AuthorizationQueryParametersError, "{what}");
    let one = |wanted: &str| {
        let mut values = query
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str());
        let value = values
            .next()
            .ok_or_else(|| wrong("Query-string authentication needs the X-Amz-* parameters"))?;
        if values.next().is_some() {
            Err(wrong("X-Amz-* parameters must not be repeated"))
        } else {
            Ok(value)
        }
    };
    let expires = one("X-Amz-Expires")?
        .parse::<u32>()
        .map_err(|_| wrong("X-Amz-Expires should be a number"))?;
    if expires > LONGEST {
        return Err(wrong("X-Amz-Expires must be less than a week (in seconds)"));
    }
    Ok((one("X-Amz-Credential")?, one("X-Amz-SignedHeaders")?))
}

/// Credential and signed headers of `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, and nothing else.
fn authorization(value: &str) -> Option<(&str, &str)> {
    let fields: Vec<&str> = value
        .strip_prefix("AWS4-HMAC-SHA256 ")?
        .split(',')
        .map(str::trim)
        .collect();
    let [credential, names, signature] = fields.as_slice() else {
        return None;
    };
    signature.strip_prefix("Signature=")?;
    Some((
        credential.strip_prefix("Credential=")?,
        names.strip_prefix("SignedHeaders=")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "AK/20261120/us-east-1/s3/aws4_request";

    fn presigned(signed: &str, expires: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let uri = format!(
            "http://h/embedded/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE}&X-Amz-Date=x\
             &X-Amz-Expires={expires}&X-Amz-SignedHeaders={signed}&X-Amz-Signature=s"
        );
        judge(Method::PUT, &uri, headers)
    }

    fn judge(method: Method, uri: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let request = headers.iter().fold(
            http::Request::builder().method(method).uri(uri),
            |r, (k, v)| r.header(*k, *v),
        );
        check(&request.body(()).unwrap().into_parts().0, false)
            .map_err(|error| error.code().as_str().to_owned())
    }

    fn refused(code: &str) -> Result<(), String> {
        Err(code.to_owned())
    }

    #[test]
    fn a_presigned_put_has_host_and_length_signed() {
        assert_eq!(presigned("host%3Bcontent-length", "900", &[]), Ok(()));
        assert_eq!(presigned("host;content-length", "604800", &[]), Ok(()));
        assert_eq!(presigned("host", "900", &[]), refused("AccessDenied"));
        assert_eq!(
            presigned("content-length", "900", &[]),
            refused("AccessDenied")
        );
        assert_eq!(
            presigned("host;content-length", "604801", &[]),
            refused("AuthorizationQueryParametersError")
        );
        assert_eq!(
            presigned("host;content-length", "-1", &[]),
            refused("AuthorizationQueryParametersError")
        );
        assert_eq!(
            presigned("host&X-Amz-SignedHeaders=x", "900", &[]),
            refused("AuthorizationQueryParametersError")
        );
    }

    #[test]
    fn headers_the_signature_does_not_cover_are_refused() {
        for name in [
            "x-amz-copy-source",
            "x-amz-meta-a",
            "x-amz-content-sha256",
            "x-amz-checksum-sha256",
            "x-amz-acl",
        ] {
            assert_eq!(
                presigned("host;content-length", "900", &[(name, "v")]),
                refused("AccessDenied"),
                "{name}"
            );
        }
        assert_eq!(
            presigned(
                "host;content-length;x-amz-meta-a",
                "900",
                &[("x-amz-meta-a", "v")]
            ),
            Ok(())
        );
        for name in KEPT {
            let sent = [(name.as_str(), "v")];
            assert_eq!(
                presigned("host;content-length", "900", &sent),
                refused("AccessDenied"),
                "{name}"
            );
            assert_eq!(
                presigned(&format!("host;content-length;{name}"), "900", &sent),
                Ok(()),
                "{name}"
            );
        }
        let twice = [("x-amz-meta-a", "v"), ("x-amz-meta-a", "w")];
        assert_eq!(
            presigned("host;content-length;x-amz-meta-a", "900", &twice),
            refused("InvalidRequest")
        );
    }

    #[test]
    fn headers_that_promise_too_much_are_not_implemented() {
        for name in [
            "x-amz-server-side-encryption",
            "x-amz-acl",
            "x-amz-tagging",
            "x-amz-checksum-sha512",
        ] {
            let signed = format!("host;content-length;{name}");
            assert_eq!(
                presigned(&signed, "900", &[(name, "v")]),
                refused("NotImplemented"),
                "{name}"
            );
        }
        let class = |value| {
            presigned(
                "host;content-length;x-amz-storage-class",
                "900",
                &[("x-amz-storage-class", value)],
            )
        };
        assert_eq!(
            (class("STANDARD"), class("GLACIER")),
            (Ok(()), refused("NotImplemented"))
        );
    }

    #[test]
    fn only_version_4_for_s3_and_only_once() {
        let get = |query: &str, authorization: Option<&str>| {
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("authorization", *value))
                .collect();
            judge(
                Method::GET,
                &format!("http://h/embedded/k{query}"),
                &headers,
            )
        };
        let good = format!(
            "AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature=s"
        );
        assert_eq!(get("", Some(&good)), Ok(()));
        assert_eq!(get("", None), refused("AccessDenied"));
        assert_eq!(
            get("?X-Amz-Signature=s", Some(&good)),
            refused("InvalidArgument")
        );
        assert_eq!(
            get("?Signature=s&AWSAccessKeyId=a", None),
            refused("AccessDenied")
        );
        assert_eq!(
            get("", Some("AWS AK:s")),
            refused("AuthorizationHeaderMalformed")
        );
        assert_eq!(
            get("", Some(&format!("{good}, SignedHeaders=x"))),
            refused("AuthorizationHeaderMalformed")
        );
        assert_eq!(
            get("", Some(&good.replace("/s3/", "/sts/"))),
            refused("AccessDenied")
        );
    }

    #[test]
    fn forms_are_not_taken() {
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=s");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", " Multipart/Form-Data; boundary=b"),
        ];
        assert_eq!(
            judge(Method::POST, "http://h/embedded", &headers),
            refused("NotImplemented")
        );
    }
}
