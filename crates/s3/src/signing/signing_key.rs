//! The signing key of Signature Version 4.

use reqsign_core::hash::hmac_sha256;

/// Derives the key for a scope (`DAY/REGION/SERVICE/aws4_request`).
pub(super) fn signing_key(secret: &str, scope: &str) -> Vec<u8> {
    let key = format!("AWS4{secret}").into_bytes();
    scope
        .split('/')
        .fold(key, |key, step| hmac_sha256(&key, step.as_bytes()))
}
