//! The sources of credentials in the order of the AWS SDKs. The first one that is configured
//! decides: if it fails, its failure is the error, and no other source is asked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqsign_aws_v4::Credential;

use upload_net::HttpClient;

use super::instance::{self, Instance};
use super::shared_config::SharedConfig;
use super::sts::{Role, Sts};
use super::{container, profile, static_keys};
use crate::fault::Fault;

/// Searches for credentials.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    http: HttpClient,
    /// The metadata service of an instance has given keys to this process.
    instance_has_responded: Arc<AtomicBool>,
}

impl Chain {
    pub(crate) fn new(http: HttpClient) -> Self {
        Self {
            http,
            instance_has_responded: Arc::default(),
        }
    }

    /// Reads the configuration again, and returns the credential of the first source that is
    /// configured.
    ///
    /// # Errors
    /// A configuration error if no source is configured, or one is configured wrongly; a rejection
    /// if a source refuses; [`Fault::NoCredentials`] if it does not respond.
    pub(crate) async fn credential(&self) -> Result<Credential, Fault> {
        let loaded = tokio::task::spawn_blocking(SharedConfig::of_process).await;
        let config = loaded.map_err(|_| Fault::NoCredentials("a task ended".to_owned()))?;
        let http = &self.http;
        let name = config.profile_name();
        // Keys in the environment precede those of a profile, also of a named one.
        if !profile::assumes_with_environment(&config, &name)
            && let Some(keys) = static_keys::of_environment(&config)?
        {
            return Ok(keys);
        }
        if let Some(reason) = config.unreadable().first() {
            return Err(Fault::config(
                format!("could not read {reason}"),
                "make the file readable for this user",
            ));
        }
        if (config.named_profile().is_some() || config.profile(&name).is_some())
            && let Some(credential) = profile::credential(http, &config, &name).await?
        {
            return Ok(credential);
        }
        if let Some(credential) = self.of_web_identity(&config).await? {
            return Ok(credential);
        }
        if let Some(credential) = container::credential(http, &config).await? {
            return Ok(credential);
        }
        match instance::credential(http, &config).await? {
            Instance::Keys(credential) => {
                self.instance_has_responded.store(true, Ordering::Relaxed);
                Ok(credential)
            }
            Instance::Silent(reason)
                if self.instance_has_responded.load(Ordering::Relaxed)
                    || instance::is_expected(&config) =>
            {
                Err(instance::silent(&reason))
            }
            Instance::None(reason) | Instance::Silent(reason) => {
                Err(nothing_found(&config, &name, &reason))
            }
        }
    }

    /// The role of a Kubernetes service account.
    async fn of_web_identity(&self, config: &SharedConfig) -> Result<Option<Credential>, Fault> {
        let Some(token_file) = config.variable("AWS_WEB_IDENTITY_TOKEN_FILE") else {
            return Ok(None);
        };
        let arn = config.variable("AWS_ROLE_ARN").ok_or_else(|| {
            Fault::config(
                "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not",
                "set AWS_ROLE_ARN, or unset AWS_WEB_IDENTITY_TOKEN_FILE",
            )
        })?;
        let role = Role {
            arn,
            session_name: config.variable("AWS_ROLE_SESSION_NAME"),
            external_id: None,
            duration_seconds: None,
            region: None,
        };
        let http = &self.http;
        let credential = Sts { http, config }
            .assume_with_token(&role, Path::new(&token_file))
            .await?;
        Ok(Some(credential))
    }
}

fn nothing_found(config: &SharedConfig, profile: &str, instance: &str) -> Fault {
    let found = match config.profile(profile) {
        Some(_) => "has none",
        None => "does not exist",
    };
    Fault::config(
        format!(
            "found no AWS credentials: AWS_ACCESS_KEY_ID and AWS_WEB_IDENTITY_TOKEN_FILE are not \
             set, the profile {profile} in {} {found}, and neither a container nor the instance \
             metadata service ({instance}) gives any",
            config.places()
        ),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set AWS_PROFILE to a profile with \
         credentials",
    )
}
