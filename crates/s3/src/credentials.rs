//! Where the keys for the store come from: the settings, or the AWS chain (environment, profile, SSO, web identity, process,
//! container, instance).
//!
//! Border: finds and keeps a credential; what is signed with it is `sign`.

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

use super::{Fault, client};
use upload_net::HttpClient;

/// A credential that lives for less is asked for anew: no URL dies sooner than that by its credential.
const FRESH: Duration = Duration::from_mins(5);
/// How long one question to a credential service may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Credentials(Arc<Source>);

enum Source {
    Fixed(Credential),
    Chain {
        provider: DefaultCredentialProvider,
        context: Context,
        kept: Mutex<Option<Credential>>,
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
    pub(super) fn fixed(access_key: &str, secret_key: &str) -> Self {
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

    pub(super) fn chain(http: HttpClient) -> Self {
        let context = Context::new()
            .with_env(OsEnv)
            .with_file_read(Files)
            .with_command_execute(Commands)
            .with_http_send(Requests(http));
        Self(Arc::new(Source::Chain {
            provider: DefaultCredentialProvider::new(),
            context,
            kept: Mutex::new(None),
        }))
    }

    /// A credential that lives for five minutes at least, unless its source has none such.
    ///
    /// # Errors
    /// [`Fault::Refused`] where no source has one; [`Fault::Unavailable`] where one had, and now has none.
    pub(super) async fn get(&self) -> Result<Credential, Fault> {
        let (provider, context, kept) = match &*self.0 {
            Source::Fixed(credential) => return Ok(credential.clone()),
            Source::Chain {
                provider,
                context,
                kept,
            } => (provider, context, kept),
        };
        let mut kept = kept.lock().await;
        let lives = |credential: &Credential, life| {
            credential
                .expires_in
                .is_none_or(|end| end > Timestamp::now() + life)
        };
        if let Some(credential) = kept.as_ref().filter(|credential| lives(credential, FRESH)) {
            return Ok(credential.clone());
        }
        match provider.provide_credential(context).await {
            Ok(Some(credential)) => {
                *kept = Some(credential.clone());
                Ok(credential)
            }
            _ => match &*kept {
                Some(credential) if lives(credential, Duration::ZERO) => Ok(credential.clone()),
                Some(_) => Err(Fault::Unavailable("the AWS credentials have expired and no new ones are to be had".into())),
                None => Err(Fault::Refused(
                    "no AWS credentials: neither environment, profile, SSO, web identity, process, container nor instance has any".into(),
                )),
            },
        }
    }

    /// Asks anew at the next [`Self::get`].
    pub(super) async fn forget(&self) {
        if let Source::Chain { kept, .. } = &*self.0 {
            *kept.lock().await = None;
        }
    }
}

#[derive(Debug)]
struct Requests(HttpClient);

impl HttpSend for Requests {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign_core::Result<http::Response<Bytes>> {
        let answer = client::send(&self.0, request.map(Vec::from), PATIENCE).await;
        let answer = answer.map_err(|fault| reqsign_core::Error::unexpected(fault.to_string()))?;
        let mut response = http::Response::new(Bytes::from(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
        read.map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                reqsign_core::Error::unexpected("could not read a file").with_source(error)
            })
    }
}

/// Runs what a profile names as its `credential_process`.
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
