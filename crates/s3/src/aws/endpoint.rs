//! The hosts of AWS by region, and the endpoints that the configuration names instead. Pure, except
//! for the loaded configuration.

use std::path::PathBuf;

use super::shared_config::SharedConfig;

/// A service: its name in variables, and in the `services` section of a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    variable: &'static str,
    key: &'static str,
}

const S3_SERVICE: Service = Service {
    variable: "AWS_ENDPOINT_URL_S3",
    key: "s3",
};
pub(super) const STS_SERVICE: Service = Service {
    variable: "AWS_ENDPOINT_URL_STS",
    key: "sts",
};
pub(super) const SSO_SERVICE: Service = Service {
    variable: "AWS_ENDPOINT_URL_SSO",
    key: "sso",
};
pub(super) const SSO_OIDC_SERVICE: Service = Service {
    variable: "AWS_ENDPOINT_URL_SSO_OIDC",
    key: "sso_oidc",
};

/// The endpoint of all services without one of their own.
const ALL_SERVICES: &str = "AWS_ENDPOINT_URL";

/// An endpoint that the configuration names, not parsed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfiguredEndpoint {
    /// The value of an environment variable, and its name.
    Variable(String, &'static str),
    /// The value of `endpoint_url` in a file, the file, and the profile.
    Profile(String, PathBuf, String),
}

impl ConfiguredEndpoint {
    pub(super) fn into_url(self) -> String {
        match self {
            Self::Variable(url, _) | Self::Profile(url, ..) => url,
        }
    }
}

impl SharedConfig {
    /// The endpoint of S3 that a variable names.
    #[must_use]
    pub fn s3_endpoint_variable(&self) -> Option<ConfiguredEndpoint> {
        self.endpoint_variable(S3_SERVICE)
    }

    /// The endpoint of S3 that the profile in use names: `endpoint_url` of `s3` in the section
    /// `services` of the profile, or that of the profile itself.
    #[must_use]
    pub fn s3_endpoint_of_profile(&self) -> Option<ConfiguredEndpoint> {
        self.endpoint_of_profile(S3_SERVICE)
    }

    /// The variable of the service, or that of all services.
    fn endpoint_variable(&self, service: Service) -> Option<ConfiguredEndpoint> {
        if self.ignores_endpoints() {
            return None;
        }
        let value = |name| {
            self.variable(name)
                .map(|url| ConfiguredEndpoint::Variable(url, name))
        };
        value(service.variable).or_else(|| value(ALL_SERVICES))
    }

    fn endpoint_of_profile(&self, service: Service) -> Option<ConfiguredEndpoint> {
        if self.ignores_endpoints() {
            return None;
        }
        let of_service = || {
            let section = self.section("services", &self.setting("services")?)?;
            section
                .get(&format!("{}.endpoint_url", service.key))
                .cloned()
        };
        let url = of_service().or_else(|| self.setting("endpoint_url"))?;
        let path = self.config_path().unwrap_or_default();
        Some(ConfiguredEndpoint::Profile(url, path, self.profile_name()))
    }

    /// The endpoint of a service, if the configuration names one.
    pub(super) fn endpoint(&self, service: Service) -> Option<String> {
        self.endpoint_variable(service)
            .or_else(|| self.endpoint_of_profile(service))
            .map(ConfiguredEndpoint::into_url)
    }

    fn ignores_endpoints(&self) -> bool {
        self.is_on(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
        )
    }
}

/// The variants of AWS's endpoints that the configuration asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// With cryptography that is validated by FIPS 140.
    pub(crate) fips: bool,
    /// IPv6 and IPv4.
    pub(crate) dual_stack: bool,
}

impl Variant {
    pub(crate) fn of(config: &SharedConfig) -> Self {
        Self {
            fips: config.is_on("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            dual_stack: config.is_on("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        }
    }

    /// The host of S3 in a region.
    pub(crate) fn s3_host(self, region: &str) -> String {
        let fips = if self.fips { "-fips" } else { "" };
        let dual_stack = if self.dual_stack { ".dualstack" } else { "" };
        format!("s3{fips}{dual_stack}.{region}.{}", domain(region))
    }

    /// The host of STS in a region.
    pub(super) fn sts_host(self, region: &str) -> String {
        let fips = if self.fips { "-fips" } else { "" };
        format!("sts{fips}.{region}.{}", domain(region))
    }
}

/// The domain of the partition of AWS that a region belongs to.
pub(super) fn domain(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 4] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eusc-", "amazonaws.eu"),
    ];
    let found = PARTITIONS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_region_and_variant() {
        let host = |fips, dual_stack, region| Variant { fips, dual_stack }.s3_host(region);
        assert_eq!(
            host(false, false, "eu-west-1"),
            "s3.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            host(true, false, "us-gov-west-1"),
            "s3-fips.us-gov-west-1.amazonaws.com"
        );
        assert_eq!(
            host(false, true, "cn-north-1"),
            "s3.dualstack.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            host(true, true, "us-east-1"),
            "s3-fips.dualstack.us-east-1.amazonaws.com"
        );
    }
}
