//! Access keys in environment variables or in the settings of a profile.

use reqsign_aws_v4::Credential;

use super::sections::Section;
use super::shared_config::SharedConfig;
use crate::fault::Fault;

/// The keys in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. `None` if none is set.
///
/// # Errors
/// A configuration error if only one of them is set.
pub(super) fn of_environment(config: &SharedConfig) -> Result<Option<Credential>, Fault> {
    let token = config
        .variable("AWS_SESSION_TOKEN")
        .or_else(|| config.variable("AWS_SECURITY_TOKEN"));
    keys(
        config.variable("AWS_ACCESS_KEY_ID"),
        config.variable("AWS_SECRET_ACCESS_KEY"),
        token,
    )
    .map_err(|missing| {
        let (set, missing) = match missing {
            Missing::AccessKey => ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            Missing::SecretKey => ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        };
        Fault::config(
            format!("{set} is set and {missing} is not"),
            format!("set {missing}, or unset {set}"),
        )
    })
}

/// The keys in the settings of a profile. `None` if it has none.
///
/// # Errors
/// A configuration error if only one of them is there.
pub(super) fn of_profile(name: &str, profile: &Section) -> Result<Option<Credential>, Fault> {
    let value = |key| profile.get(key).cloned().filter(|value| !value.is_empty());
    keys(
        value("aws_access_key_id"),
        value("aws_secret_access_key"),
        value("aws_session_token"),
    )
    .map_err(|missing| {
        let missing = match missing {
            Missing::AccessKey => "aws_access_key_id",
            Missing::SecretKey => "aws_secret_access_key",
        };
        Fault::config(
            format!("the AWS profile {name} has no {missing}"),
            format!("add {missing} to the profile: `aws configure --profile {name}`"),
        )
    })
}

enum Missing {
    AccessKey,
    SecretKey,
}

fn keys(
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
) -> Result<Option<Credential>, Missing> {
    match (access_key, secret_key) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Some(Credential {
            access_key_id,
            secret_access_key,
            session_token,
            expires_in: None,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Missing::SecretKey),
        (None, Some(_)) => Err(Missing::AccessKey),
    }
}
