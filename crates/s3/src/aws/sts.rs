//! Roles that are assumed at the Security Token Service: `AssumeRole` with keys, and
//! `AssumeRoleWithWebIdentity` with a token from a file ("AWS Security Token Service API
//! Reference").

use std::path::Path;

use http::Method;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, SignRequest as _};
use serde::Deserialize;
use url::form_urlencoded;

use upload_net::{HttpClient, Response};
use upload_types::Sha256;

use super::endpoint::{STS_SERVICE, Variant};
use super::sections::Section;
use super::service_call::{self, one_line, timestamp};
use super::shared_config::SharedConfig;
use crate::fault::Fault;
use crate::response;

const SERVICE: &str = "STS";
const API_VERSION: &str = "2011-06-15";
/// The region of the endpoint that is not regional.
const GLOBAL_REGION: &str = "us-east-1";
const GLOBAL_ENDPOINT: &str = "https://sts.amazonaws.com";

/// A role, and the settings of the session.
pub(super) struct Role {
    pub(super) arn: String,
    /// Chosen here if it is `None`.
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) duration_seconds: Option<String>,
    /// The region of the profile.
    pub(super) region: Option<String>,
}

impl Role {
    /// The role with this ARN and the other settings of a profile.
    pub(super) fn of_profile(arn: String, profile: &Section) -> Self {
        let value = |key| profile.get(key).cloned().filter(|value| !value.is_empty());
        Self {
            arn,
            session_name: value("role_session_name"),
            external_id: value("external_id"),
            duration_seconds: value("duration_seconds"),
            region: value("region"),
        }
    }

    fn parameters(&self, action: &'static str) -> Vec<(&'static str, String)> {
        let session = self.session_name.clone();
        let session = session.unwrap_or_else(|| format!("upload-{}", Timestamp::now().as_second()));
        let mut parameters = vec![
            ("Action", action.to_owned()),
            ("Version", API_VERSION.to_owned()),
            ("RoleArn", self.arn.clone()),
            ("RoleSessionName", session),
        ];
        let duration = self.duration_seconds.clone();
        parameters.extend(duration.map(|seconds| ("DurationSeconds", seconds)));
        parameters
    }
}

/// STS, as the configuration names it.
pub(super) struct Sts<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) config: &'a SharedConfig,
}

impl Sts<'_> {
    /// Assumes a role with the keys of another credential.
    ///
    /// # Errors
    /// A rejection with the code and message of STS; [`Fault::NoCredentials`] without a response.
    pub(super) async fn assume(&self, role: &Role, keys: &Credential) -> Result<Credential, Fault> {
        let mut parameters = role.parameters("AssumeRole");
        parameters.extend(role.external_id.clone().map(|id| ("ExternalId", id)));
        let (url, region) = self.endpoint(role);
        let (mut parts, body) = form_request(&url, &parameters)?.into_parts();
        let digest = Sha256::of(&body).to_string();
        if let Ok(digest) = digest.parse() {
            parts.headers.insert("x-amz-content-sha256", digest);
        }
        RequestSigner::new("sts", &region)
            .sign_request(&Context::new(), &mut parts, Some(keys), None)
            .await
            // The text of the error may quote the request.
            .map_err(|error| {
                Fault::Refused(format!("could not sign the request: {:?}", error.kind()))
            })?;
        let request = http::Request::from_parts(parts, body);
        let response = service_call::send(self.http, SERVICE, &request).await?;
        credential(role, &response)
    }

    /// Assumes a role with the web identity token in a file.
    ///
    /// # Errors
    /// As [`Self::assume`]; a configuration error for a file that cannot be read.
    pub(super) async fn assume_with_token(
        &self,
        role: &Role,
        token_file: &Path,
    ) -> Result<Credential, Fault> {
        let path = self.config.expanded(token_file);
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let token = read
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                Fault::config(
                    format!("could not read the web identity token in {shown}: {error}"),
                    "correct AWS_WEB_IDENTITY_TOKEN_FILE, or web_identity_token_file of the profile",
                )
            })?;
        let mut parameters = role.parameters("AssumeRoleWithWebIdentity");
        parameters.push(("WebIdentityToken", token.trim().to_owned()));
        let (url, _) = self.endpoint(role);
        let request = form_request(&url, &parameters)?;
        let response = service_call::send(self.http, SERVICE, &request).await?;
        credential(role, &response)
    }

    /// The URL of STS, and the region to sign for: regional, unless there is no region or the
    /// configuration asks for the global endpoint.
    fn endpoint(&self, role: &Role) -> (String, String) {
        let config = self.config;
        let of_environment = config
            .variable("AWS_REGION")
            .or_else(|| config.variable("AWS_DEFAULT_REGION"));
        let region = of_environment
            .or_else(|| role.region.clone())
            .or_else(|| config.region());
        let signing_region = region.clone().unwrap_or_else(|| GLOBAL_REGION.to_owned());
        if let Some(url) = config.endpoint(STS_SERVICE) {
            return (url, signing_region);
        }
        let style = config
            .variable("AWS_STS_REGIONAL_ENDPOINTS")
            .or_else(|| config.setting("sts_regional_endpoints"));
        let is_global = style.is_some_and(|style| style.eq_ignore_ascii_case("legacy"));
        match region {
            Some(region) if !is_global && region != "aws-global" => {
                let host = Variant::of(config).sts_host(&region);
                (format!("https://{host}"), region)
            }
            _ => (GLOBAL_ENDPOINT.to_owned(), GLOBAL_REGION.to_owned()),
        }
    }
}

fn form_request(
    url: &str,
    parameters: &[(&'static str, String)],
) -> Result<http::Request<Vec<u8>>, Fault> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let url = format!("{}/", url.trim_end_matches('/'));
    service_call::request(Method::POST, SERVICE, &url, &form, body.into_bytes())
}

/// `<AssumeRoleResponse>` or `<AssumeRoleWithWebIdentityResponse>`.
#[derive(Deserialize)]
struct AssumeResponse {
    #[serde(rename = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: AssumeResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeResult {
    credentials: XmlKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct XmlKeys {
    access_key_id: String,
    secret_access_key: String,
    /// Empty at services like STS whose keys need none.
    #[serde(default)]
    session_token: String,
    expiration: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorResponse {
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorDetail {
    code: String,
    message: String,
}

fn credential(role: &Role, response: &Response) -> Result<Credential, Fault> {
    let text = String::from_utf8_lossy(&response.body);
    if response.status.is_success() {
        let parsed = quick_xml::de::from_str::<AssumeResponse>(&text).ok();
        let keys = parsed.map(|response| response.result.credentials);
        return keys
            .and_then(|keys| {
                Some(Credential {
                    access_key_id: keys.access_key_id,
                    secret_access_key: keys.secret_access_key,
                    session_token: Some(keys.session_token).filter(|token| !token.is_empty()),
                    expires_in: Some(timestamp(&keys.expiration)?),
                })
            })
            .ok_or_else(|| Fault::NoCredentials("STS sent something other than keys".to_owned()));
    }
    let ErrorDetail { code, message } = quick_xml::de::from_str::<ErrorResponse>(&text)
        .unwrap_or_default()
        .error;
    let status = response.status.as_u16();
    if response::is_temporary(&code) || code == "IDPCommunicationError" {
        return Err(Fault::NoCredentials(format!("STS: {status} {code}")));
    }
    Err(Fault::no_access(
        "STS refuses the role of the gateway",
        format!(
            "STS refuses the role {}: {}",
            role.arn,
            one_line(&format!("{status} {code}: {message}"))
        ),
        "check role_arn, the keys or the token that assume the role, and the trust policy of the \
         role",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> Role {
        Role {
            arn: "arn:aws:iam::1:role/r".to_owned(),
            session_name: None,
            external_id: None,
            duration_seconds: None,
            region: Some("eu-west-1".to_owned()),
        }
    }

    #[test]
    fn endpoint_is_that_of_the_region_unless_legacy_is_set() {
        let http = HttpClient::new(upload_net::Network::default()).unwrap();
        let endpoint = |variable| {
            let config = SharedConfig::load(variable, None);
            let (http, config) = (&http, &config);
            Sts { http, config }.endpoint(&role())
        };
        let expected = |url: &str, region: &str| (url.to_owned(), region.to_owned());
        assert_eq!(
            endpoint(|_| None),
            expected("https://sts.eu-west-1.amazonaws.com", "eu-west-1")
        );
        assert_eq!(
            endpoint(|name| (name == "AWS_REGION").then(|| "cn-north-1".into())),
            expected("https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1")
        );
        assert_eq!(
            endpoint(|name| (name == "AWS_STS_REGIONAL_ENDPOINTS").then(|| "legacy".into())),
            expected("https://sts.amazonaws.com", "us-east-1")
        );
        assert_eq!(
            endpoint(|name| (name == "AWS_ENDPOINT_URL_STS").then(|| "http://sts.test".into())),
            expected("http://sts.test", "eu-west-1")
        );
        assert_eq!(
            endpoint(|name| (name == "AWS_USE_FIPS_ENDPOINT").then(|| "true".into())).0,
            "https://sts-fips.eu-west-1.amazonaws.com"
        );
    }
}
