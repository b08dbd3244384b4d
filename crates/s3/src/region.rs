//! The region to sign for: from the settings, from the AWS configuration, or as the store names it.

use upload_types::error::{Error, Kind, Result};

use crate::aws::SharedConfig;
use crate::settings::Settings;

/// The region that stores other than AWS expect.
const DEFAULT_REGION: &str = "us-east-1";

/// A region, and whether the store may correct it.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    pub(crate) name: String,
    /// The setting, or the region that the store has named: no other one is tried.
    pub(crate) is_final: bool,
}

impl Region {
    /// The region that the store has named, if it is another one that may be tried.
    pub(crate) fn corrected(&self, named: &str) -> Option<Self> {
        let may_try = !self.is_final && named != self.name && is_valid(named);
        may_try.then(|| Self {
            name: named.to_owned(),
            is_final: true,
        })
    }
}

fn is_valid(region: &str) -> bool {
    let is_region_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !region.is_empty() && region.bytes().all(is_region_char)
}

/// Chooses the region: the setting; otherwise `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile in
/// the AWS configuration files; otherwise `us-east-1`, if there is an endpoint.
///
/// # Errors
/// [`Kind::Config`] for AWS without a region, or for a region with other characters than letters,
/// digits, dashes and underscores.
pub(crate) fn region(settings: &Settings, config: &SharedConfig) -> Result<Region> {
    let name = match (&settings.region, &settings.endpoint) {
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
    if !is_valid(&name) {
        return Err(Error::new(
            Kind::Config,
            "could not use the region: it is empty, or has characters other than letters, digits, '-' and '_'",
        )
        .with_hint("correct the region: --s3-region"));
    }
    Ok(Region {
        name,
        is_final: settings.region.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_corrected_once_unless_it_is_a_setting() {
        let region = |is_final| Region {
            name: "us-east-1".to_owned(),
            is_final,
        };
        let corrected = region(false).corrected("eu-west-3").unwrap();
        assert_eq!(corrected.name, "eu-west-3");
        assert!(corrected.corrected("eu-west-1").is_none());
        assert!(region(true).corrected("eu-west-3").is_none());
        for named in ["us-east-1", "", "eu/../west"] {
            assert!(region(false).corrected(named).is_none(), "{named}");
        }
    }
}
