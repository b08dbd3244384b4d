//! The credential for the store: from the settings, or from the AWS chain (environment, profile,
//! SSO, web identity, process, container, instance).
//!
//! Not here: the signatures, in [`super::signer`].

use std::fmt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider};
use reqsign_core::time::Timestamp;
use reqsign_core::{
    CommandExecute, CommandOutput, Context, FileRead, HttpSend, OsEnv, ProvideCredential as _,
};
use tokio::sync::Mutex;

use upload_net::HttpClient;

use crate::fault::Fault;
use crate::transport;

/// A credential with less time left than this is replaced: a URL expires before its credential.
const MIN_TTL: Duration = Duration::from_mins(5);
/// The time-out of one request to a credential service.
const CREDENTIAL_SERVICE_TIMEOUT: Duration = Duration::from_secs(5);

/// Provides a credential; clones share it.
#[derive(Clone)]
pub(crate) struct Credentials(Arc<Source>);

enum Source {
    Fixed(Credential),
    Chain {
        provider: DefaultCredentialProvider,
        context: Context,
        cached: Mutex<Option<Credential>>,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.0 {
            Source::Fixed(_) => "Credentials(fixed)",
            Source::Chain { .. } => "Credentials(chain)",
        })
    }
}

impl Credentials {
    pub(crate) fn fixed(access_key: &str, secret_key: &str) -> Self {
        Self::of(Credential {
            access_key_id: access_key.to_owned(),
            secret_access_key: secret_key.to_owned(),
            session_token: None,
            expires_in: None,
        })
    }

    pub(super) fn of(credential: Credential) -> Self {
        Self(Arc::new(Source::Fixed(credential)))
    }

    /// The AWS chain. The first call of [`Self::get`] searches it.
    pub(crate) fn chain(http: HttpClient) -> Self {
        let context = Context::new()
            .with_env(OsEnv)
            .with_file_read(Files)
            .with_command_execute(Commands)
            .with_http_send(Requests(http));
        Self(Arc::new(Source::Chain {
            provider: DefaultCredentialProvider::new(),
            context,
            cached: Mutex::new(None),
        }))
    }

    /// Returns a credential that is valid for five minutes or more. If the chain provides no new
    /// one, returns the older one until that expires.
    ///
    /// # Errors
    /// [`Fault::Refused`] if the chain has no credential; [`Fault::Unavailable`] if the last one
    /// has expired and the chain provides no other.
    pub(super) async fn get(&self) -> Result<Credential, Fault> {
        let (provider, context, cached) = match &*self.0 {
            Source::Fixed(credential) => return Ok(credential.clone()),
            Source::Chain {
                provider,
                context,
                cached,
            } => (provider, context, cached),
        };
        let mut cached = cached.lock().await;
        let is_valid_for = |credential: &Credential, ttl| {
            credential
                .expires_in
                .is_none_or(|end| end > Timestamp::now() + ttl)
        };
        if let Some(credential) = &*cached
            && is_valid_for(credential, MIN_TTL)
        {
            return Ok(credential.clone());
        }
        if let Ok(Some(credential)) = provider.provide_credential(context).await {
            *cached = Some(credential.clone());
            return Ok(credential);
        }
        match &*cached {
            Some(credential) if is_valid_for(credential, Duration::ZERO) => Ok(credential.clone()),
            Some(_) => Err(Fault::Unavailable(
                "the AWS credentials have expired, and no source provides new ones".into(),
            )),
            None => Err(Fault::Refused(
                "could not find AWS credentials in environment, profile, SSO, web identity, process, container or instance"
                    .into(),
            )),
        }
    }

    /// Makes the next [`Self::get`] search the chain again.
    pub(super) async fn forget(&self) {
        if let Source::Chain { cached, .. } = &*self.0 {
            *cached.lock().await = None;
        }
    }
}

/// Sends the requests of the chain to credential services.
#[derive(Debug)]
struct Requests(HttpClient);

impl HttpSend for Requests {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign_core::Result<http::Response<Bytes>> {
        let received = transport::send(&self.0, request.map(Vec::from), CREDENTIAL_SERVICE_TIMEOUT)
            .await
            .map_err(|fault| reqsign_core::Error::unexpected(fault.to_string()))?;
        let mut response = http::Response::new(Bytes::from(received.body));
        *response.status_mut() = received.status;
        *response.headers_mut() = received.headers;
        Ok(response)
    }
}

/// Reads the AWS configuration files.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let path = path.to_owned();
        let content = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
        content
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                reqsign_core::Error::unexpected("could not read a file").with_source(error)
            })
    }
}

/// Runs the `credential_process` of a profile.
#[derive(Debug)]
struct Commands;

impl CommandExecute for Commands {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> reqsign_core::Result<CommandOutput> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                reqsign_core::Error::unexpected("could not run a credential process")
                    .with_source(error)
            })?;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}
