//! A form that a browser posts to the bucket: one object under one key, of the type and with the metadata that were signed, and no
//! larger than was said.
//!
//! Border: "POST Object" and "Creating a POST policy" of the Amazon S3 API reference. Sends nothing, but for what finding credentials
//! takes.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqsign_core::hash::hex_hmac_sha256;
use reqsign_core::time::Timestamp;
use serde_json::{Value, json};

use super::sign::{Signer, life_of};
use super::template::signing_key;
use super::{Fault, NewObject, Store};
use upload_types::names::Key;

/// What is posted, with the file as its last field. Whoever has the fields may post it: as secret as a signed URL.
pub struct SignedForm {
    pub url: String,
    pub fields: BTreeMap<String, String>,
    /// Seconds from now.
    pub expires_in: u64,
}

impl Store {
    /// Signs a form for an object of at most `largest` bytes, good for `life`.
    ///
    /// # Errors
    /// [`Fault`] without a credential.
    pub async fn sign_form(
        &self,
        key: &Key,
        object: &NewObject<'_>,
        largest: u64,
        life: Duration,
    ) -> Result<SignedForm, Fault> {
        let mut fields = self.create_headers.clone();
        fields.extend(object.headers());
        fields.insert("key".to_owned(), self.whole(key));
        fields.insert("bucket".to_owned(), self.bucket.clone());
        fields.insert("success_action_status".to_owned(), "201".to_owned());
        let expires_in = self
            .client
            .signer
            .sign_form(&mut fields, largest, life)
            .await?;
        Ok(SignedForm {
            url: self.public.bucket(&[]),
            fields,
            expires_in,
        })
    }
}

impl Signer {
    /// Adds the policy that allows exactly these fields, and its signature; how many seconds it is good.
    async fn sign_form(
        &self,
        fields: &mut BTreeMap<String, String>,
        largest: u64,
        life: Duration,
    ) -> Result<u64, Fault> {
        let credential = self.credentials.get().await?;
        let life = life_of(&credential, life)?;
        let now = Timestamp::now();
        let scope = format!("{}/{}/s3/aws4_request", now.format_date(), self.region);
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
            .map(|(name, value)| {
                Value::Object([(name.clone(), json!(value))].into_iter().collect())
            })
            .collect();
        conditions.push(json!(["content-length-range", 0, largest]));
        let policy =
            json!({"expiration": (now + life).format_rfc3339_zulu(), "conditions": conditions});
        let policy = BASE64_STANDARD.encode(policy.to_string());
        let key = signing_key(&credential.secret_access_key, &scope);
        fields.insert(
            "x-amz-signature".to_owned(),
            hex_hmac_sha256(&key, policy.as_bytes()),
        );
        fields.insert("policy".to_owned(), policy);
        Ok(life.as_secs())
    }
}
