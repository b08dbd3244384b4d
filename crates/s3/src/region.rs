//! The region to sign for: from the settings, or from the AWS configuration.

use upload_types::error::{Error, Kind, Result};

use crate::aws::SharedConfig;
use crate::settings::Settings;

/// The region that stores other than AWS expect.
const DEFAULT_REGION: &str = "us-east-1";

/// Chooses the region: the setting; otherwise `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile in
/// the AWS configuration files; otherwise `us-east-1`, if there is an endpoint.
///
/// # Errors
/// [`Kind::Config`] for AWS without a region, or for a region with other characters than letters,
/// digits, dashes and underscores.
pub(crate) fn region(settings: &Settings, config: &SharedConfig) -> Result<String> {
    let region = match (&settings.region, &settings.endpoint) {
        (Some(region), _) => region.clone(),
        // With fixed keys the store is not that of AWS: the AWS environment must not affect it.
        (None, Some(_)) if settings.keys.is_some() => DEFAULT_REGION.to_owned(),
        (None, Some(_)) => config.region().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        (None, None) => config.region().ok_or_else(|| {
            Error::new(Kind::Config, "could not determine the bucket's region").with_hint(
                "name the region with --s3-region or AWS_REGION, or another store with \
                 --s3-endpoint",
            )
        })?,
    };
    let is_region_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if region.is_empty() || !region.bytes().all(is_region_char) {
        return Err(Error::new(
            Kind::Config,
            "could not use the region: it is empty, or has characters other than letters, digits, '-' and '_'",
        )
        .with_hint("correct the region: --s3-region"));
    }
    Ok(region)
}
