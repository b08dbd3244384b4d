//! The credentials of IAM Identity Center: exchanges the cached token of `aws sso login` for keys,
//! and renews the token of an SSO session.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use jiff::Timestamp as JiffTimestamp;
use reqsign_aws_v4::Credential;
use reqsign_core::hash::hex_sha1;
use reqsign_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use upload_net::HttpClient;

use super::endpoint::{SSO_OIDC_SERVICE, SSO_SERVICE, domain};
use super::sections::Section;
use super::service_call;
use super::shared_config::SharedConfig;
use crate::fault::Fault;

const PORTAL: &str = "the SSO portal";
const OIDC: &str = "the SSO token service";
/// A token with less time left than this is renewed, if that is possible.
const RENEW_SECONDS: i64 = 300;

/// The settings of a profile that has SSO.
pub(super) struct Sso {
    profile: String,
    account: String,
    role: String,
    region: String,
    /// The text whose SHA-1 names the cached token: the session, or the start URL.
    cache_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleResponse {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// Milliseconds since 1970.
    expiration: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenResponse {
    access_token: String,
    expires_in: i64,
    refresh_token: Option<String>,
}

impl Sso {
    /// The SSO settings of a profile. `None` if it has none.
    ///
    /// # Errors
    /// A configuration error if one is missing.
    pub(super) fn of_profile(
        config: &SharedConfig,
        name: &str,
        profile: &Section,
    ) -> Result<Option<Self>, Fault> {
        let value = |section: &Section, key: &str| {
            section.get(key).cloned().filter(|value| !value.is_empty())
        };
        let (section, cache_name) = match value(profile, "sso_session") {
            Some(session) => {
                let section = config.section("sso-session", &session).ok_or_else(|| {
                    Fault::config(
                        format!(
                            "the AWS profile {name} names the sso-session {session}, which {} does \
                             not have",
                            config.places()
                        ),
                        format!("run `aws configure sso --profile {name}`"),
                    )
                })?;
                (section, Some(session))
            }
            None if profile.contains_key("sso_start_url") => {
                (profile, value(profile, "sso_start_url"))
            }
            None => return Ok(None),
        };
        let required = |section: &Section, key: &str| {
            value(section, key).ok_or_else(|| {
                Fault::config(
                    format!("the AWS profile {name} has no {key}"),
                    format!("run `aws configure sso --profile {name}`"),
                )
            })
        };
        Ok(Some(Self {
            profile: name.to_owned(),
            account: required(profile, "sso_account_id")?,
            role: required(profile, "sso_role_name")?,
            region: required(section, "sso_region")?,
            cache_name: cache_name.unwrap_or_default(),
        }))
    }

    /// Exchanges the cached token for keys.
    ///
    /// # Errors
    /// A rejection without a token, for an expired one, and if the portal refuses.
    pub(super) async fn credential(
        &self,
        http: &HttpClient,
        config: &SharedConfig,
    ) -> Result<Credential, Fault> {
        let token = self.token(http, config).await?;
        let endpoint = config
            .endpoint(SSO_SERVICE)
            .unwrap_or_else(|| self.host("portal.sso"));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("role_name", &self.role)
            .append_pair("account_id", &self.account)
            .finish();
        let endpoint = endpoint.trim_end_matches('/');
        let url = format!("{endpoint}/federation/credentials?{query}");
        let headers = [("x-amz-sso_bearer_token", token.as_str())];
        let request = service_call::request(Method::GET, PORTAL, &url, &headers, Vec::new())?;
        let response = service_call::send(http, PORTAL, &request).await?;
        match response.status {
            StatusCode::UNAUTHORIZED => return Err(self.expired()),
            status if !status.is_success() => {
                return Err(Fault::no_access(
                    "SSO refuses the role of the gateway",
                    format!(
                        "SSO refuses the role {} in the account {} (AWS profile {}): HTTP {}",
                        self.role,
                        self.account,
                        self.profile,
                        status.as_u16()
                    ),
                    "check sso_account_id and sso_role_name of the profile",
                ));
            }
            _ => {}
        }
        let parsed: Option<RoleResponse> = serde_json::from_slice(&response.body).ok();
        let credential = parsed.and_then(|RoleResponse { role_credentials }| {
            Some(Credential {
                access_key_id: role_credentials.access_key_id,
                secret_access_key: role_credentials.secret_access_key,
                session_token: Some(role_credentials.session_token)
                    .filter(|token| !token.is_empty()),
                expires_in: Some(Timestamp::from_millisecond(role_credentials.expiration).ok()?),
            })
        });
        credential
            .ok_or_else(|| Fault::NoCredentials(format!("{PORTAL} sent something other than keys")))
    }

    /// The cached token, renewed if it expires soon.
    async fn token(&self, http: &HttpClient, config: &SharedConfig) -> Result<String, Fault> {
        let file = format!("{}.json", hex_sha1(self.cache_name.as_bytes()));
        let path = config.in_home(".aws/sso/cache").map(|dir| dir.join(file));
        let cached = path.and_then(|path| Some((fs::read(&path).ok()?, path)));
        let (document, path) = cached.ok_or_else(|| {
            Fault::no_access(
                "the gateway has no SSO session",
                format!("the AWS profile {} is not logged in to SSO", self.profile),
                self.login(),
            )
        })?;
        let document: Map<String, Value> =
            serde_json::from_slice(&document).map_err(|_| self.expired())?;
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        let token = text("accessToken").ok_or_else(|| self.expired())?;
        let expires: Option<JiffTimestamp> = text("expiresAt").and_then(|text| text.parse().ok());
        let left = expires.map_or(0, |end| end.as_second() - JiffTimestamp::now().as_second());
        if left < RENEW_SECONDS
            && let Some(renewed) = self.renew(http, config, &document, &path).await
        {
            return Ok(renewed);
        }
        if left <= 0 {
            return Err(self.expired());
        }
        Ok(token.to_owned())
    }

    /// Exchanges the refresh token, and writes the cache as `aws` does, because the refresh token
    /// may be valid once only. `None` if there is none, or it is not accepted.
    async fn renew(
        &self,
        http: &HttpClient,
        config: &SharedConfig,
        document: &Map<String, Value>,
        path: &Path,
    ) -> Option<String> {
        let text = |key: &str| document.get(key)?.as_str();
        let request = json!({
            "grantType": "refresh_token",
            "clientId": text("clientId")?,
            "clientSecret": text("clientSecret")?,
            "refreshToken": text("refreshToken")?,
        });
        let endpoint = config
            .endpoint(SSO_OIDC_SERVICE)
            .unwrap_or_else(|| self.host("oidc"));
        let url = format!("{}/token", endpoint.trim_end_matches('/'));
        let json = [("content-type", "application/json")];
        let body = request.to_string().into_bytes();
        let request = service_call::request(Method::POST, OIDC, &url, &json, body).ok()?;
        let response = service_call::send(http, OIDC, &request).await.ok()?;
        if !response.status.is_success() {
            return None;
        }
        let renewed: TokenResponse = serde_json::from_slice(&response.body).ok()?;
        let ends = JiffTimestamp::now()
            .as_second()
            .saturating_add(renewed.expires_in);
        let mut document = document.clone();
        document.insert("accessToken".to_owned(), json!(renewed.access_token));
        let ends = JiffTimestamp::from_second(ends).ok()?;
        document.insert("expiresAt".to_owned(), json!(ends.to_string()));
        if let Some(token) = renewed.refresh_token {
            document.insert("refreshToken".to_owned(), json!(token));
        }
        if let Err(error) = write_private(path, &Value::Object(document).to_string()) {
            tracing::warn!(%error, "could not save the renewed SSO token; log in again when it expires");
        }
        Some(renewed.access_token)
    }

    fn host(&self, service: &str) -> String {
        format!("https://{service}.{}.{}", self.region, domain(&self.region))
    }

    fn expired(&self) -> Fault {
        Fault::no_access(
            "the SSO session of the gateway has expired",
            format!(
                "the SSO session of the AWS profile {} has expired",
                self.profile
            ),
            self.login(),
        )
    }

    fn login(&self) -> String {
        format!("run `aws sso login --profile {}`", self.profile)
    }
}

/// Replaces a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary: PathBuf = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // It may not exist.
        let _ = fs::remove_file(&temporary);
    }
    written
}
