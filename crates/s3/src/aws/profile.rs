//! The credential of a profile: its own keys, those of SSO or of a program, or those of a role that
//! is assumed with the credential of another source.

use std::path::Path;

use reqsign_aws_v4::Credential;

use upload_net::HttpClient;

use super::instance::{self, Instance};
use super::sections::Section;
use super::shared_config::SharedConfig;
use super::sso::Sso;
use super::sts::{Role, Sts};
use super::{container, process, static_keys};
use crate::fault::Fault;

/// The `credential_source` of the keys in environment variables.
const ENVIRONMENT: &str = "Environment";
/// The maximum number of profiles in a chain of roles.
const MAX_CHAIN: usize = 10;

/// Resolves the credential of a profile. `None` if it has no setting for credentials.
///
/// # Errors
/// A configuration error for a profile that does not exist or is incomplete, and for a cycle of
/// profiles; otherwise the [`Fault`] of the source that failed.
pub(super) async fn credential(
    http: &HttpClient,
    config: &SharedConfig,
    name: &str,
) -> Result<Option<Credential>, Fault> {
    let mut roles = Vec::new();
    let mut visited = vec![name.to_owned()];
    let mut source = name.to_owned();
    // From the profile in use to the one that has keys.
    let mut credential = loop {
        let profile = existing(config, &source)?;
        match role_source(config, &source, profile, &visited)? {
            RoleSource::NoRole => {
                let found = own_credential(http, config, &source, profile).await?;
                match found {
                    Some(credential) => break credential,
                    None if roles.is_empty() => return Ok(None),
                    None => return Err(without_credentials(&source)),
                }
            }
            RoleSource::Keys(role, keys) => {
                roles.push(role);
                break keys;
            }
            RoleSource::Profile(role, next) => {
                roles.push(role);
                visited.push(next.clone());
                source = next;
            }
            RoleSource::Named(role, named) => {
                roles.push(role);
                break of_credential_source(http, config, &source, &named).await?;
            }
            RoleSource::TokenFile(role, path) => {
                let sts = Sts { http, config };
                break sts.assume_with_token(&role, Path::new(&path)).await?;
            }
        }
    };
    for role in roles.iter().rev() {
        credential = Sts { http, config }.assume(role, &credential).await?;
    }
    Ok(Some(credential))
}

/// Whether a profile assumes a role with the keys in the environment. Then these are not the keys
/// to use.
pub(super) fn assumes_with_environment(config: &SharedConfig, name: &str) -> bool {
    let mut name = name;
    for _ in 0..MAX_CHAIN {
        let Some(profile) = config
            .profile(name)
            .filter(|it| it.contains_key("role_arn"))
        else {
            return false;
        };
        match (
            profile.get("credential_source"),
            profile.get("source_profile"),
        ) {
            (Some(source), None) => return source == ENVIRONMENT,
            (None, Some(source)) => name = source,
            _ => return false,
        }
    }
    false
}

/// The keys with which a profile assumes its role.
enum RoleSource {
    NoRole,
    /// Keys in the profile itself, which names itself as the source.
    Keys(Role, Credential),
    /// Another profile.
    Profile(Role, String),
    /// A `credential_source`.
    Named(Role, String),
    /// A web identity token in a file.
    TokenFile(Role, String),
}

fn role_source(
    config: &SharedConfig,
    name: &str,
    profile: &Section,
    visited: &[String],
) -> Result<RoleSource, Fault> {
    let value = |key| profile.get(key).cloned().filter(|value| !value.is_empty());
    let Some(arn) = value("role_arn") else {
        return Ok(RoleSource::NoRole);
    };
    let role = Role::of_profile(arn, profile);
    if value("mfa_serial").is_some() {
        return Err(Fault::config(
            format!("the AWS profile {name} needs a code of a device (mfa_serial)"),
            format!(
                "set the variables that `aws configure export-credentials --profile {name} \
                 --format env` prints"
            ),
        ));
    }
    match (
        value("source_profile"),
        value("credential_source"),
        value("web_identity_token_file"),
    ) {
        (Some(_), Some(_), _) => Err(Fault::config(
            format!("the AWS profile {name} has both source_profile and credential_source"),
            "remove one of them from the profile",
        )),
        (Some(source), ..) if source == name => match static_keys::of_profile(name, profile)? {
            Some(keys) => Ok(RoleSource::Keys(role, keys)),
            None => Err(cycle(visited, &source)),
        },
        (Some(source), ..) if visited.contains(&source) => Err(cycle(visited, &source)),
        (Some(_), ..) if visited.len() >= MAX_CHAIN => Err(Fault::config(
            format!("the AWS profile {name} is the end of a chain of {MAX_CHAIN} profiles"),
            "shorten the chain of source_profile",
        )),
        (Some(source), ..) => match config.profile(&source) {
            Some(_) => Ok(RoleSource::Profile(role, source)),
            None => Err(Fault::config(
                format!(
                    "the AWS profile {name} names the source_profile {source}, which {} does not \
                     have",
                    config.places()
                ),
                "correct source_profile",
            )),
        },
        (None, Some(source), _) => Ok(RoleSource::Named(role, source)),
        (None, None, Some(path)) => Ok(RoleSource::TokenFile(role, path)),
        (None, None, None) => Err(Fault::config(
            format!(
                "the AWS profile {name} has role_arn, but no source_profile, credential_source or \
                 web_identity_token_file"
            ),
            "add source_profile to the profile",
        )),
    }
}

fn existing<'a>(config: &'a SharedConfig, name: &str) -> Result<&'a Section, Fault> {
    config.profile(name).ok_or_else(|| {
        Fault::config(
            format!(
                "the AWS profile {name} does not exist in {}",
                config.places()
            ),
            format!(
                "set AWS_PROFILE to another profile, or make this one: `aws configure --profile \
                 {name}`"
            ),
        )
    })
}

fn cycle(visited: &[String], next: &str) -> Fault {
    Fault::config(
        format!(
            "the AWS profiles name each other as source_profile: {} -> {next}",
            visited.join(" -> ")
        ),
        "correct source_profile",
    )
}

/// The credential of a profile that assumes no role.
async fn own_credential(
    http: &HttpClient,
    config: &SharedConfig,
    name: &str,
    profile: &Section,
) -> Result<Option<Credential>, Fault> {
    if let Some(keys) = static_keys::of_profile(name, profile)? {
        return Ok(Some(keys));
    }
    if let Some(sso) = Sso::of_profile(config, name, profile)? {
        return sso.credential(http, config).await.map(Some);
    }
    match profile.get("credential_process") {
        Some(command_line) => process::credential(name, command_line).await.map(Some),
        None => Ok(None),
    }
}

async fn of_credential_source(
    http: &HttpClient,
    config: &SharedConfig,
    name: &str,
    source: &str,
) -> Result<Credential, Fault> {
    let without = |reason: &str| {
        Fault::config(
            format!(
                "the credential_source {source} of the AWS profile {name} has no keys: {reason}"
            ),
            "correct credential_source, or run upload where it has keys",
        )
    };
    match source {
        ENVIRONMENT => static_keys::of_environment(config)?
            .ok_or_else(|| without("AWS_ACCESS_KEY_ID is not set")),
        "EcsContainer" => container::credential(http, config).await?.ok_or_else(|| {
            without("neither AWS_CONTAINER_CREDENTIALS_FULL_URI nor _RELATIVE_URI is set")
        }),
        "Ec2InstanceMetadata" => match instance::credential(http, config).await? {
            Instance::Keys(credential) => Ok(credential),
            Instance::None(reason) => {
                Err(without(&format!("the instance metadata service: {reason}")))
            }
            Instance::Silent(reason) => Err(instance::silent(&reason)),
        },
        _ => Err(Fault::config(
            format!("the AWS profile {name} has the unknown credential_source {source}"),
            "write Environment, Ec2InstanceMetadata or EcsContainer",
        )),
    }
}

fn without_credentials(name: &str) -> Fault {
    Fault::config(
        format!("the AWS profile {name}, which is a source_profile, has no credentials"),
        format!("add keys to the profile: `aws configure --profile {name}`"),
    )
}
