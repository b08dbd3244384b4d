//! The credentials of a container: of ECS tasks (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`), of EKS
//! pods and of other services on the machine (`AWS_CONTAINER_CREDENTIALS_FULL_URI`).

use http::Method;
use reqsign_aws_v4::Credential;
use url::Url;

use upload_net::{AddressClass, HttpClient};

use super::service_call::{self, JsonKeys};
use super::shared_config::SharedConfig;
use crate::fault::Fault;

const ECS_ENDPOINT: &str = "http://169.254.170.2";
const SERVICE: &str = "the container credential service";

/// Asks the service that the environment names. `None` if it names none.
///
/// # Errors
/// A configuration error for a URL that would send the token over plain HTTP to another machine,
/// and for a token file that cannot be read; a rejection if the service refuses.
pub(super) async fn credential(
    http: &HttpClient,
    config: &SharedConfig,
) -> Result<Option<Credential>, Fault> {
    let relative = config.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let full = config.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let url = match (relative, full) {
        (Some(path), _) => format!("{ECS_ENDPOINT}/{}", path.trim_start_matches('/')),
        (None, Some(url)) => checked(url)?,
        (None, None) => return Ok(None),
    };
    let token = token(config).await?;
    let headers: &[_] = match &token {
        Some(token) => &[("authorization", token.as_str())],
        None => &[],
    };
    let request = service_call::request(Method::GET, SERVICE, &url, headers, Vec::new())?;
    let response = service_call::send(http, SERVICE, &request).await?;
    if !response.status.is_success() {
        return Err(Fault::no_access(
            "the container credential service refuses the gateway",
            format!(
                "{SERVICE} refuses the request: HTTP {}",
                response.status.as_u16()
            ),
            "check the role of the task or pod",
        ));
    }
    let credential = JsonKeys::parse(&response.body)
        .ok_or_else(|| Fault::NoCredentials(format!("{SERVICE} sent something other than keys")))?;
    Ok(Some(credential))
}

fn checked(text: String) -> Result<String, Fault> {
    let url = Url::parse(&text).ok();
    let is_safe = url.is_some_and(|url| {
        url.scheme() == "https"
            || url.scheme() == "http" && AddressClass::of_url(&url).bypasses_proxy()
    });
    if is_safe {
        return Ok(text);
    }
    Err(Fault::config(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither an https URL nor one of this machine",
        "correct or unset AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ))
}

async fn token(config: &SharedConfig) -> Result<Option<String>, Fault> {
    let Some(path) = config.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
        return Ok(config.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    };
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let token = read
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| {
            Fault::config(
                format!(
                    "could not read the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: {error}"
                ),
                "correct or unset AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            )
        })?;
    Ok(Some(token.trim_end().to_owned()))
}
