//! The credentials of an EC2 instance, from its metadata service with session tokens (version 2).

use std::time::Duration;

use http::{Method, StatusCode};
use reqsign_aws_v4::Credential;

use upload_net::HttpClient;

use super::service_call::{self, JsonKeys};
use super::shared_config::SharedConfig;
use crate::fault::Fault;
use crate::transport;

const ENDPOINT: &str = "http://169.254.169.254";
const IPV6_ENDPOINT: &str = "http://[fd00:ec2::254]";
/// Names the maker of a machine on Linux.
const VENDOR_FILE: &str = "/sys/devices/virtual/dmi/id/sys_vendor";
const EC2_VENDOR: &str = "Amazon EC2";
const SERVICE: &str = "the instance metadata service";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";
/// A session is used for one search only.
const SESSION_SECONDS: &str = "300";
/// Only an EC2 instance responds. Elsewhere, a search must not take longer than this.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);

/// The response of the metadata service.
pub(super) enum Instance {
    Keys(Credential),
    /// The reason why it gives none; this machine may not be an EC2 instance.
    None(String),
    /// It does not respond, or responds with a temporary failure, for this reason. On an EC2
    /// instance it will respond later.
    Silent(String),
}

/// Whether the service is expected to respond: this machine is an EC2 instance, or the
/// configuration names the service.
pub(super) fn is_expected(config: &SharedConfig) -> bool {
    let is_named = config
        .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .or_else(|| config.setting("ec2_metadata_service_endpoint"))
        .is_some();
    is_named || std::fs::read_to_string(VENDOR_FILE).is_ok_and(|vendor| vendor.trim() == EC2_VENDOR)
}

/// The error if a service that is expected to respond is silent.
pub(super) fn silent(reason: &str) -> Fault {
    Fault::NoCredentials(format!(
        "could not get AWS credentials from {SERVICE}: {reason}"
    ))
}

/// Asks the metadata service for the credential of the instance's role.
///
/// # Errors
/// [`Fault`] if a service that has responded then fails.
pub(super) async fn credential(
    http: &HttpClient,
    config: &SharedConfig,
) -> Result<Instance, Fault> {
    let disabled = config.variable("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Instance::None("disabled".to_owned()));
    }
    let endpoint = endpoint(config);
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", SESSION_SECONDS)];
    let url = format!("{endpoint}/latest/api/token");
    let request = service_call::request(Method::PUT, SERVICE, &url, &ttl, Vec::new())?;
    let session = match transport::send(http, request, FIRST_TIMEOUT).await {
        Ok(response) if response.status.is_success() => response.body,
        Ok(response) => {
            let reason = format!("it responds with HTTP {}", response.status.as_u16());
            return Ok(if service_call::is_temporary(response.status) {
                Instance::Silent(reason)
            } else {
                Instance::None(reason)
            });
        }
        Err(_) => return Ok(Instance::Silent("it does not respond".to_owned())),
    };
    let session = String::from_utf8_lossy(&session).into_owned();
    let get = async |path: &str| {
        let headers = [("x-aws-ec2-metadata-token", session.as_str())];
        let url = format!("{endpoint}/{path}");
        let request = service_call::request(Method::GET, SERVICE, &url, &headers, Vec::new())?;
        service_call::send(http, SERVICE, &request).await
    };
    let roles = get(ROLES).await?;
    let roles_text = String::from_utf8_lossy(&roles.body).into_owned();
    let role = roles_text.lines().next().unwrap_or_default().trim();
    if roles.status != StatusCode::OK || role.is_empty() {
        return Ok(Instance::None("the instance has no role".to_owned()));
    }
    let keys = get(&format!("{ROLES}{role}")).await?;
    JsonKeys::parse(&keys.body)
        .map(Instance::Keys)
        .ok_or_else(|| {
            Fault::NoCredentials(format!(
                "{SERVICE} gives no keys for the role of the instance (HTTP {})",
                keys.status.as_u16()
            ))
        })
}

fn endpoint(config: &SharedConfig) -> String {
    let setting = |variable, key| config.variable(variable).or_else(|| config.setting(key));
    let named = setting(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "ec2_metadata_service_endpoint",
    );
    let mode = setting(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "ec2_metadata_service_endpoint_mode",
    );
    match (named, mode) {
        (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
        (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => IPV6_ENDPOINT.to_owned(),
        (None, _) => ENDPOINT.to_owned(),
    }
}
