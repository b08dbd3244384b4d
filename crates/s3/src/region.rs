//! The region to sign for: from the settings, the environment, or the AWS configuration file.
//!
//! Not here: credentials, which the AWS chain finds (`signing/credentials.rs`).

use upload_types::error::{Error, Kind, Result};

use crate::settings::Settings;

/// The region that stores other than AWS expect.
const DEFAULT_REGION: &str = "us-east-1";

/// Chooses the region: the setting; otherwise `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile in
/// the AWS configuration file; otherwise `us-east-1`, if there is an endpoint.
///
/// # Errors
/// [`Kind::Config`] for AWS without a region, or for a region with other characters than letters,
/// digits, dashes and underscores.
pub(crate) fn region(settings: &Settings) -> Result<String> {
    let region = match (&settings.region, &settings.endpoint) {
        (Some(region), _) => region.clone(),
        // With fixed keys the store is not that of AWS: the AWS environment must not affect it.
        (None, Some(_)) if settings.keys.is_some() => DEFAULT_REGION.to_owned(),
        (None, Some(_)) => from_environment().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        (None, None) => from_environment().ok_or_else(|| {
            Error::new(Kind::Config, "could not determine the bucket's region")
                .with_hint("name it with --s3-region or AWS_REGION")
        })?,
    };
    let is_region_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if region.is_empty() || !region.bytes().all(is_region_char) {
        return Err(Error::new(
            Kind::Config,
            "could not use the region: it is empty, or has characters other than letters, digits, '-' and '_'",
        ));
    }
    Ok(region)
}

fn from_environment() -> Option<String> {
    variable("AWS_REGION")
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .or_else(|| {
            let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
            of_profile(&read_config_file()?, &profile)
        })
}

/// An environment variable; `None` if it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_config_file() -> Option<String> {
    let path = match std::env::var_os("AWS_CONFIG_FILE") {
        Some(path) => path.into(),
        None => std::env::home_dir()?.join(".aws/config"),
    };
    std::fs::read_to_string(path).ok()
}

/// The value of `region` in the section of a profile: `[default]` or `[profile NAME]`.
fn of_profile(config: &str, profile: &str) -> Option<String> {
    let mut in_section = false;
    for line in config.lines() {
        let line = line.trim();
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let name = section.trim();
            in_section = name.strip_prefix("profile ").map_or(name, str::trim) == profile;
        } else if in_section
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == "region"
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_read_from_the_section_of_its_profile_only() {
        let config = "[default]\nregion = eu-west-1\n\n[profile other]\noutput=json\nregion=us-west-2\n[sso-session x]\nregion = no\n";
        assert_eq!(of_profile(config, "default").as_deref(), Some("eu-west-1"));
        assert_eq!(of_profile(config, "other").as_deref(), Some("us-west-2"));
        assert_eq!(of_profile(config, "third"), None);
    }
}
