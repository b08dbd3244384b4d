//! The signed policy of a form that a browser posts, as in "POST Object" and "Creating a POST
//! policy" of the Amazon S3 API reference. Pure: the clock is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqsign_aws_v4::Credential;
use reqsign_core::hash::hex_hmac_sha256;
use reqsign_core::time::Timestamp;
use serde_json::{Value, json};

use super::signing_key::signing_key;

/// Adds the fields of the signature, and a policy that permits exactly these fields and a file of
/// at most `max_bytes`, until `ttl` after `now`.
pub(super) fn sign(
    fields: &mut BTreeMap<String, String>,
    max_bytes: u64,
    credential: &Credential,
    region: &str,
    now: Timestamp,
    ttl: Duration,
) {
    let scope = format!("{}/{region}/s3/aws4_request", now.format_date());
    fields.insert("x-amz-algorithm".to_owned(), "AWS4-HMAC-SHA256".to_owned());
    fields.insert(
        "x-amz-credential".to_owned(),
        format!("{}/{scope}", credential.access_key_id),
    );
    fields.insert("x-amz-date".to_owned(), now.format_iso8601());
    if let Some(token) = &credential.session_token {
        fields.insert("x-amz-security-token".to_owned(), token.clone());
    }
    let mut conditions: Vec<Value> = fields
        .iter()
        .map(|(name, value)| Value::Object([(name.clone(), json!(value))].into_iter().collect()))
        .collect();
    conditions.push(json!(["content-length-range", 0, max_bytes]));
    let policy = json!({
        "expiration": (now + ttl).format_rfc3339_zulu(),
        "conditions": conditions,
    });
    let policy = BASE64_STANDARD.encode(policy.to_string());
    let key = signing_key(&credential.secret_access_key, &scope);
    fields.insert(
        "x-amz-signature".to_owned(),
        hex_hmac_sha256(&key, policy.as_bytes()),
    );
    fields.insert("policy".to_owned(), policy);
}
