//! The settings of `s3://` stores that the AWS configuration names: environment variables and the
//! profile in use.
//!
//! Not here: region and credentials, which `upload_s3` finds.

use super::lookup::Settings;
use super::origin::Setting;

/// Settings of the AWS configuration, not parsed yet.
#[derive(Default)]
pub(super) struct AwsSettings {
    /// The value of `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`.
    pub(super) endpoint_variable: Option<Setting<String>>,
    /// `endpoint_url` of the profile.
    pub(super) endpoint_of_profile: Option<Setting<String>>,
    /// Whether `addressing_style` of the profile is `path`.
    pub(super) path_style: Option<Setting<bool>>,
}

#[cfg(not(feature = "gateway"))]
impl Settings {
    /// Builds without a gateway have no `s3://` stores.
    #[expect(clippy::unused_self, reason = "other builds use it")]
    pub(super) fn aws(&self) -> AwsSettings {
        AwsSettings::default()
    }
}

#[cfg(feature = "gateway")]
impl Settings {
    /// Reads the AWS configuration. A file that cannot be read is empty here; the search for
    /// credentials reports it.
    pub(super) fn aws(&self) -> AwsSettings {
        use std::path::PathBuf;

        use super::origin::Origin;
        use upload_s3::{ConfiguredEndpoint, SharedConfig};

        let home = self.environment.variable("HOME").map(PathBuf::from);
        let config = SharedConfig::load(self.environment.variable, home);
        let endpoint = |found| match found {
            ConfiguredEndpoint::Variable(url, name) => Setting::env(url, name),
            ConfiguredEndpoint::Profile(value, path, profile) => Setting {
                value,
                origin: Origin::AwsProfile(path, profile),
            },
        };
        let style = config.setting("s3.addressing_style");
        let path_style = style.map(|style| Setting {
            value: style.eq_ignore_ascii_case("path"),
            origin: Origin::AwsProfile(
                config.config_path().unwrap_or_default(),
                config.profile_name(),
            ),
        });
        AwsSettings {
            endpoint_variable: config.s3_endpoint_variable().map(endpoint),
            endpoint_of_profile: config.s3_endpoint_of_profile().map(endpoint),
            path_style,
        }
    }
}
