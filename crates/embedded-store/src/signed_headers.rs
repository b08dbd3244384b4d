//! Rejects requests before their signature is verified: above all, those with headers that the
//! signature does not cover. Pure: depends on method, query and headers only.
//!
//! Not here: the verification of the signature and of its expiry, by s3s. s3s 0.14 does not check
//! that the necessary headers are signed.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use s3s::{S3Error, S3Result, s3_error};

use crate::bucket::OWNER;
use crate::checksums::Algorithm;

/// The longest lifetime of a presigned URL: seven days.
const MAX_EXPIRES_SECONDS: u32 = 7 * 24 * 3600;

/// The `x-amz-*` headers that the store implements, in addition to checksums and user metadata.
const IMPLEMENTED: [&str; 29] = [
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
    "x-amz-metadata-directive",
    "x-amz-tagging-directive",
    "x-amz-object-attributes",
    "x-amz-max-parts",
    "x-amz-part-number-marker",
    "x-amz-if-match-size",
    "x-amz-if-match-last-modified-time",
    "x-amz-acl",
    "x-amz-expected-bucket-owner",
    "x-amz-source-expected-bucket-owner",
];

/// The predefined access lists that give only the owner access.
const PRIVATE_ACCESS: [&str; 3] = ["private", "bucket-owner-read", "bucket-owner-full-control"];

/// The parameters of a presigned URL that are not headers of its request.
const SIGNATURE_PARAMETERS: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-user-agent",
];

/// Headers that are kept with an object and returned to its readers: on a presigned PUT, only the
/// signer may choose them.
const KEPT_WITH_OBJECT: [HeaderName; 5] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
];

/// The presigned PUTs that may leave their length unsigned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnsignedLength {
    /// Parts, because browsers cannot choose the headers. The gateway checks the parts when it
    /// completes the upload.
    pub parts: bool,
    /// Objects, as SDKs sign them, if the operator permits it.
    pub objects: bool,
}

/// Checks the headers of a request other than a form. Returns the headers that are parameters of
/// its presigned URL, where SDKs put them.
///
/// "Signature Version 4 for authenticating requests" of the Amazon S3 API reference requires
/// signatures of `host` and of all `x-amz-*` headers. The store also requires signatures of the
/// length of a presigned PUT, and of the headers that are kept with its object. A part keeps none
/// of these headers.
///
/// # Errors
/// `AccessDenied` for a header that is not signed, `NotImplemented` for a feature that the store
/// does not support.
pub fn check(
    request: &Parts,
    query: &[(String, String)],
    unsigned_length: UnsignedLength,
) -> S3Result<Vec<(HeaderName, HeaderValue)>> {
    let signed = SignedHeaders::of_request(query, &request.headers)?;
    if is_form(request) {
        return Err(s3_error!(
            NotImplemented,
            "Uploads by HTML form are not implemented"
        ));
    }
    signed.require(&header::HOST)?;
    if signed.is_presigned && request.method == Method::PUT {
        let is_part = query.iter().any(|(name, _)| name == "uploadId");
        check_presigned_put(&request.headers, &signed, is_part, unsigned_length)?;
    }
    for name in request.headers.keys() {
        check_header(name, &request.headers, &signed)?;
    }
    let in_query = if signed.is_presigned {
        headers_in(query)?
    } else {
        Vec::new()
    };
    for (name, value) in &in_query {
        if request.headers.contains_key(name) {
            return Err(repeated(name));
        }
        check_value(name.as_str(), value)?;
    }
    Ok(in_query)
}

fn check_presigned_put(
    headers: &HeaderMap,
    signed: &SignedHeaders,
    is_part: bool,
    unsigned_length: UnsignedLength,
) -> S3Result<()> {
    let may_be_unsigned = unsigned_length.objects || is_part && unsigned_length.parts;
    if !may_be_unsigned && !signed.contains(&header::CONTENT_LENGTH) {
        return Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed: content-length. \
             Sign the length, or start the gateway with --store-presigned-puts"
        ));
    }
    if is_part {
        return Ok(());
    }
    for name in &KEPT_WITH_OBJECT {
        if headers.contains_key(name) {
            signed.require(name)?;
        }
    }
    Ok(())
}

/// The headers among the parameters of a presigned URL.
fn headers_in(query: &[(String, String)]) -> S3Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in query {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || SIGNATURE_PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        let invalid = || s3_error!(InvalidArgument, "The query parameter {name} is not valid");
        let header = HeaderName::try_from(&name).map_err(|_| invalid())?;
        let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        if headers.iter().any(|(other, _)| *other == header) {
            return Err(repeated(&header));
        }
        headers.push((header, value));
    }
    Ok(headers)
}

fn repeated(name: &HeaderName) -> S3Error {
    s3_error!(InvalidRequest, "The header {name} must not be repeated")
}

fn check_header(name: &HeaderName, headers: &HeaderMap, signed: &SignedHeaders) -> S3Result<()> {
    let is_amz = name.as_str().starts_with("x-amz-");
    if is_amz {
        signed.require(name)?;
    }
    // s3s treats a repeated header as absent.
    if (is_amz || signed.contains(name)) && headers.get_all(name).iter().nth(1).is_some() {
        return Err(repeated(name));
    }
    match headers.get(name) {
        Some(value) if is_amz => check_value(name.as_str(), value),
        _ => Ok(()),
    }
}

/// # Errors
/// `NotImplemented`; those of [`check_owner`].
fn check_value(name: &str, value: &HeaderValue) -> S3Result<()> {
    let value = value.to_str().ok();
    match name {
        "x-amz-acl" => return check_acl(value.or(Some(""))),
        "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner" => {
            return check_owner(value.or(Some("")));
        }
        _ => {}
    }
    let is_implemented = IMPLEMENTED.contains(&name)
        || Algorithm::is_header(name)
        || name.starts_with("x-amz-meta-")
        || name == "x-amz-storage-class" && value == Some("STANDARD")
        || name == "x-amz-bucket-object-lock-enabled" && value == Some("false");
    if is_implemented {
        Ok(())
    } else {
        Err(s3_error!(
            NotImplemented,
            "The header {name} implies functionality that is not implemented"
        ))
    }
}

/// Accepts the access lists that leave an object private.
///
/// # Errors
/// `NotImplemented`.
pub fn check_acl(acl: Option<&str>) -> S3Result<()> {
    match acl {
        Some(acl) if !PRIVATE_ACCESS.contains(&acl) => Err(s3_error!(
            NotImplemented,
            "Objects of this store are private: the access list may be {}",
            PRIVATE_ACCESS.join(", ")
        )),
        _ => Ok(()),
    }
}

/// # Errors
/// `AccessDenied` if the bucket is expected to belong to another account.
fn check_owner(expected: Option<&str>) -> S3Result<()> {
    match expected {
        Some(expected) if expected != OWNER => Err(s3_error!(
            AccessDenied,
            "The bucket belongs to the account {OWNER}"
        )),
        _ => Ok(()),
    }
}

/// Checks the headers of a form. Its policy, which s3s verifies, covers every field, so the request
/// must have neither a query nor further headers with a meaning for S3.
///
/// # Errors
/// `InvalidArgument` for a request with a signature, a query or `x-amz-*` headers; `EntityTooLarge`
/// for more than `max_bytes`, or an unknown length.
pub fn check_form(request: &Parts, max_bytes: u64) -> S3Result<()> {
    let headers = &request.headers;
    let has_query = request.uri.query().is_some_and(|query| !query.is_empty());
    let has_amz = headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-"));
    if has_query || has_amz || headers.contains_key(header::AUTHORIZATION) {
        return Err(s3_error!(
            InvalidArgument,
            "A form is signed by its policy alone"
        ));
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length > max_bytes) {
        return Err(s3_error!(
            EntityTooLarge,
            "A form has {max_bytes} bytes at most"
        ));
    }
    Ok(())
}

/// Returns true if a browser posts a form.
pub fn is_form(request: &Parts) -> bool {
    const FORM: &[u8] = b"multipart/form-data";
    let content_type = request.headers.get(header::CONTENT_TYPE);
    let media_type = content_type
        .map(|value| value.as_bytes().trim_ascii_start())
        .and_then(|value| value.get(..FORM.len()));
    request.method == Method::POST
        && media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM))
}

/// The headers that a signature covers.
struct SignedHeaders {
    /// In lower case.
    names: Vec<String>,
    /// True if the signature is in the URL, not in `Authorization`.
    is_presigned: bool,
}

impl SignedHeaders {
    fn of_request(query: &[(String, String)], headers: &HeaderMap) -> S3Result<Self> {
        let has_parameter = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
        let is_presigned = has_parameter("X-Amz-Signature");
        if has_parameter("Signature") || has_parameter("AWSAccessKeyId") {
            return Err(s3_error!(
                AccessDenied,
                "Only Signature Version 4 is accepted"
            ));
        }
        let (credential, names) = match (is_presigned, headers.get(header::AUTHORIZATION)) {
            (true, Some(_)) => {
                return Err(s3_error!(
                    InvalidArgument,
                    "Only one auth mechanism allowed"
                ));
            }
            (false, None) => return Err(s3_error!(AccessDenied)),
            (true, None) => parse_query(query)?,
            (false, Some(value)) => {
                let parsed = value.to_str().ok().and_then(parse_authorization);
                parsed.ok_or_else(|| {
                    s3_error!(
                        AuthorizationHeaderMalformed,
                        "The authorization header is malformed"
                    )
                })?
            }
        };
        // s3s also accepts credentials for STS, and requests to STS may omit the hash of the
        // payload.
        if !credential.ends_with("/s3/aws4_request") {
            return Err(s3_error!(
                AccessDenied,
                "The credential is not scoped to S3"
            ));
        }
        Ok(Self {
            names: names.split(';').map(str::to_ascii_lowercase).collect(),
            is_presigned,
        })
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.names.iter().any(|signed| signed == name.as_str())
    }

    /// # Errors
    /// `AccessDenied`.
    fn require(&self, name: &HeaderName) -> S3Result<()> {
        if self.contains(name) {
            Ok(())
        } else {
            Err(s3_error!(
                AccessDenied,
                "There were headers present in the request which were not signed: {name}"
            ))
        }
    }
}

/// The credential and the signed headers of a presigned URL.
fn parse_query(query: &[(String, String)]) -> S3Result<(&str, &str)> {
    let error = |text: &str| -> S3Error { s3_error!(AuthorizationQueryParametersError, "{text}") };
    let only_value = |wanted: &str| {
        let mut values = query
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str());
        let value = values
            .next()
            .ok_or_else(|| error("Query-string authentication needs the X-Amz-* parameters"))?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(error("X-Amz-* parameters must not be repeated")),
        }
    };
    let expires: u32 = only_value("X-Amz-Expires")?
        .parse()
        .map_err(|_| error("X-Amz-Expires should be a number"))?;
    if expires > MAX_EXPIRES_SECONDS {
        return Err(error("X-Amz-Expires must be less than a week (in seconds)"));
    }
    Ok((
        only_value("X-Amz-Credential")?,
        only_value("X-Amz-SignedHeaders")?,
    ))
}

/// The credential and the signed headers of
/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`. Returns `None` for other fields.
fn parse_authorization(value: &str) -> Option<(&str, &str)> {
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

    /// Checks a request; the error is its code.
    fn check_request(method: Method, uri: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let request = headers.iter().fold(
            http::Request::builder().method(method).uri(uri),
            |request, (name, value)| request.header(*name, *value),
        );
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query: Vec<_> = url::form_urlencoded::parse(query).into_owned().collect();
        check(&parts, &query, UnsignedLength::default())
            .map(|_| ())
            .map_err(|error| error.code().as_str().to_owned())
    }

    fn check_presigned_put(
        signed_headers: &str,
        expires: &str,
        headers: &[(&str, &str)],
    ) -> Result<(), String> {
        let uri = format!(
            "http://h/embedded/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE}\
             &X-Amz-Date=x&X-Amz-Expires={expires}&X-Amz-SignedHeaders={signed_headers}\
             &X-Amz-Signature=s"
        );
        check_request(Method::PUT, &uri, headers)
    }

    fn rejected(code: &str) -> Result<(), String> {
        Err(code.to_owned())
    }

    #[test]
    fn presigned_put_must_sign_host_and_length_and_expire_within_a_week() {
        const PARAMETERS: &str = "AuthorizationQueryParametersError";
        for (signed_headers, expires, expected) in [
            ("host%3Bcontent-length", "900", Ok(())),
            ("host;content-length", "604800", Ok(())),
            ("host", "900", rejected("AccessDenied")),
            ("content-length", "900", rejected("AccessDenied")),
            ("host;content-length", "604801", rejected(PARAMETERS)),
            ("host;content-length", "-1", rejected(PARAMETERS)),
            ("host&X-Amz-SignedHeaders=x", "900", rejected(PARAMETERS)),
            ("host;content-length&x-amz-meta-a=b", "900", Ok(())),
            (
                "host;content-length&x-amz-acl=public-read",
                "900",
                rejected("NotImplemented"),
            ),
        ] {
            assert_eq!(
                check_presigned_put(signed_headers, expires, &[]),
                expected,
                "{signed_headers} {expires}"
            );
        }
    }

    #[test]
    fn unsigned_headers_are_rejected() {
        let check = |signed_headers: &str, headers: &[(&str, &str)]| {
            let signed_headers = format!("host;content-length{signed_headers}");
            check_presigned_put(&signed_headers, "900", headers)
        };
        for name in [
            "x-amz-copy-source",
            "x-amz-meta-a",
            "x-amz-content-sha256",
            "x-amz-checksum-sha256",
            "x-amz-acl",
        ] {
            assert_eq!(
                check("", &[(name, "v")]),
                rejected("AccessDenied"),
                "{name}"
            );
        }
        assert_eq!(check(";x-amz-meta-a", &[("x-amz-meta-a", "v")]), Ok(()));
        for name in KEPT_WITH_OBJECT {
            let headers = [(name.as_str(), "v")];
            assert_eq!(check("", &headers), rejected("AccessDenied"), "{name}");
            assert_eq!(check(&format!(";{name}"), &headers), Ok(()), "{name}");
        }
        let repeated = [("x-amz-meta-a", "v"), ("x-amz-meta-a", "w")];
        assert_eq!(
            check(";x-amz-meta-a", &repeated),
            rejected("InvalidRequest")
        );
    }

    #[test]
    fn headers_of_other_features_are_not_implemented() {
        let check = |name: &str, value: &str| {
            let signed_headers = format!("host;content-length;{name}");
            check_presigned_put(&signed_headers, "900", &[(name, value)])
        };
        for name in [
            "x-amz-server-side-encryption",
            "x-amz-acl",
            "x-amz-tagging",
            "x-amz-checksum-sha512",
        ] {
            assert_eq!(check(name, "v"), rejected("NotImplemented"), "{name}");
        }
        assert_eq!(check("x-amz-acl", "private"), Ok(()));
        assert_eq!(check("x-amz-expected-bucket-owner", OWNER), Ok(()));
        assert_eq!(
            check("x-amz-expected-bucket-owner", "111111111111"),
            rejected("AccessDenied")
        );
        assert_eq!(check("x-amz-storage-class", "STANDARD"), Ok(()));
        assert_eq!(
            check("x-amz-storage-class", "GLACIER"),
            rejected("NotImplemented")
        );
    }

    #[test]
    fn only_one_signature_of_version_4_for_s3_is_accepted() {
        let check = |query: &str, authorization: Option<&str>| {
            let uri = format!("http://h/embedded/k{query}");
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("authorization", *value))
                .collect();
            check_request(Method::GET, &uri, &headers)
        };
        let valid = format!(
            "AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature=s"
        );
        let repeated = format!("{valid}, SignedHeaders=x");
        let for_sts = valid.replace("/s3/", "/sts/");
        for (query, authorization, expected) in [
            ("", Some(valid.as_str()), Ok(())),
            ("", None, rejected("AccessDenied")),
            (
                "?X-Amz-Signature=s",
                Some(&valid),
                rejected("InvalidArgument"),
            ),
            (
                "?Signature=s&AWSAccessKeyId=a",
                None,
                rejected("AccessDenied"),
            ),
            (
                "",
                Some("AWS AK:s"),
                rejected("AuthorizationHeaderMalformed"),
            ),
            (
                "",
                Some(&repeated),
                rejected("AuthorizationHeaderMalformed"),
            ),
            ("", Some(&for_sts), rejected("AccessDenied")),
        ] {
            assert_eq!(
                check(query, authorization),
                expected,
                "{query} {authorization:?}"
            );
        }
    }

    #[test]
    fn forms_are_not_implemented_without_browsers() {
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=s");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", " Multipart/Form-Data; boundary=b"),
        ];
        assert_eq!(
            check_request(Method::POST, "http://h/embedded", &headers),
            rejected("NotImplemented")
        );
    }
}
