//! Rejects requests whose query names a sub-resource or parameter that the store does not
//! implement, so that they do not concern the object or bucket itself. Pure.
//!
//! Not here: the choice of the operation, by s3s.

use http::Method;
use http::request::Parts;
use s3s::{S3Result, s3_error};

/// Parameters of every request: those of signatures and SDKs.
const COMMON: &[&str] = &["x-id"];
const LIST_BUCKETS: &[&str] = &[
    "max-buckets",
    "continuation-token",
    "prefix",
    "bucket-region",
];
const GET_BUCKET: &[&str] = &[
    "acl",
    "location",
    "versioning",
    "uploads",
    "versions",
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "encoding-type",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "key-marker",
    "upload-id-marker",
    "max-uploads",
    "version-id-marker",
];
const GET_OBJECT: &[&str] = &[
    "acl",
    "attributes",
    "tagging",
    "versionId",
    "partNumber",
    "uploadId",
    "max-parts",
    "part-number-marker",
    "response-content-type",
    "response-content-language",
    "response-expires",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Service,
    Bucket,
    Object,
}

/// Checks the names in a query.
///
/// # Errors
/// `NotImplemented`; `InvalidArgument` for an upload id without a part number, or the reverse.
pub fn check(request: &Parts, query: &[(String, String)]) -> S3Result<()> {
    let (method, target) = (&request.method, target(request.uri.path()));
    let implemented: &[&str] = match (method, target) {
        (&Method::GET, Target::Service) => LIST_BUCKETS,
        (&Method::GET, Target::Bucket) => GET_BUCKET,
        (&Method::POST, Target::Bucket) => &["delete"],
        (&Method::GET | &Method::HEAD, Target::Object) => GET_OBJECT,
        (&Method::PUT, Target::Object) => &["acl", "partNumber", "uploadId"],
        (&Method::POST, Target::Object) => &["uploads", "uploadId"],
        (&Method::DELETE, Target::Object) => &["uploadId", "versionId"],
        _ => &[],
    };
    let is_signature = |name: &str| name.to_ascii_lowercase().starts_with("x-amz-");
    let unknown = query
        .iter()
        .map(|(name, _)| name.as_str())
        .find(|name| !(implemented.contains(name) || COMMON.contains(name) || is_signature(name)));
    if let Some(name) = unknown {
        return Err(s3_error!(
            NotImplemented,
            "The query parameter {name} implies functionality that is not implemented"
        ));
    }
    if method == Method::PUT {
        check_part(query)?;
    }
    Ok(())
}

fn check_part(query: &[(String, String)]) -> S3Result<()> {
    let has = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
    match (has("partNumber"), has("uploadId")) {
        (false, true) => Err(s3_error!(
            InvalidArgument,
            "This operation needs a part number (partNumber)"
        )),
        (true, false) => Err(s3_error!(
            InvalidArgument,
            "This operation needs an upload id (uploadId)"
        )),
        _ => Ok(()),
    }
}

/// The target of a path in path style.
fn target(path: &str) -> Target {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.split_once('/') {
        None if path.is_empty() => Target::Service,
        None | Some((_, "")) => Target::Bucket,
        Some(_) => Target::Object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a request; the error is its code.
    fn check_request(method: Method, target: &str) -> Result<(), String> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://h{target}"));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query: Vec<_> = url::form_urlencoded::parse(query).into_owned().collect();
        check(&parts, &query).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn sub_resources_are_not_taken_for_the_object() {
        let not_implemented = Err("NotImplemented".to_owned());
        for name in [
            "legal-hold",
            "retention",
            "torrent",
            "restore",
            "tagging",
            "append",
            "versions",
            "future",
        ] {
            for method in [Method::PUT, Method::DELETE, Method::POST] {
                let target = format!("/embedded/k?{name}");
                assert_eq!(check_request(method, &target), not_implemented, "{name}");
            }
        }
        for (method, target) in [
            (Method::DELETE, "/embedded/k?acl"),
            (Method::POST, "/embedded/k?acl"),
            (Method::GET, "/embedded/k?torrent"),
            (Method::HEAD, "/embedded/k?future=1"),
            (Method::PUT, "/embedded/k?versionId=x"),
            (Method::DELETE, "/embedded?policy"),
            (Method::PUT, "/embedded/?website"),
            (Method::GET, "/embedded?events"),
        ] {
            assert_eq!(check_request(method, target), not_implemented, "{target}");
        }
    }

    #[test]
    fn parameters_of_implemented_operations_are_accepted() {
        for (method, target) in [
            (Method::GET, "/?max-buckets=1"),
            (Method::GET, "/embedded?list-type=2&prefix=a"),
            (Method::POST, "/embedded/?delete"),
            (
                Method::GET,
                "/embedded/k?response-content-type=a%2Fb&X-Amz-Signature=s",
            ),
            (
                Method::PUT,
                "/embedded/k?partNumber=1&uploadId=u&x-id=UploadPart",
            ),
            (Method::DELETE, "/embedded/k?versionId=null"),
        ] {
            assert_eq!(check_request(method, target), Ok(()), "{target}");
        }
    }

    #[test]
    fn put_names_both_upload_and_part_or_none() {
        for target in ["/embedded/k?uploadId=u", "/embedded/k?partNumber=1"] {
            let code = check_request(Method::PUT, target);
            assert_eq!(code, Err("InvalidArgument".to_owned()), "{target}");
        }
    }
}
