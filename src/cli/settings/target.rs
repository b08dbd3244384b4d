//! A backend with everything that is needed to reach it.

use std::path::PathBuf;

use super::lookup::{Settings, wrong_kind};
use super::values::Connection;
use crate::cli::backend_spec::BackendSpec;
use crate::journal::{Intent, S3Service, SetIntent};
use upload_types::Sha256;
use upload_types::error::{Kind, Result};

/// The length of the digest in the name of a ledger.
const LEDGER_NAME_DIGITS: usize = 16;

/// The backend of an upload or a set in the journal.
#[derive(Debug, Clone, Copy)]
pub struct RecordedBackend<'a> {
    name: &'a str,
    s3_service: Option<&'a S3Service>,
}

impl<'a> From<&'a Intent> for RecordedBackend<'a> {
    fn from(intent: &'a Intent) -> Self {
        Self {
            name: &intent.backend,
            s3_service: intent.s3_service.as_ref(),
        }
    }
}

impl<'a> From<&'a SetIntent> for RecordedBackend<'a> {
    fn from(intent: &'a SetIntent) -> Self {
        Self {
            name: &intent.backend,
            s3_service: intent.s3_service.as_ref(),
        }
    }
}

/// A backend and how to reach it.
#[derive(Debug, Clone)]
pub struct Target {
    pub spec: BackendSpec,
    pub connection: Connection,
    /// The paths of a backend in this process.
    pub local: Option<LocalPaths>,
}

/// The files of a gateway in this process.
#[derive(Debug, Clone)]
pub struct LocalPaths {
    pub journal: PathBuf,
    /// The directory of the store of the backend `embedded`.
    pub store_dir: Option<PathBuf>,
}

impl LocalPaths {
    /// The ledger of the backend `embedded`; `None` for other backends.
    #[must_use]
    pub fn embedded_ledger(&self) -> Option<PathBuf> {
        self.store_dir.as_ref()?;
        Some(self.journal.with_file_name("embedded.db"))
    }

    /// The ledger of one `s3://` backend: of an endpoint, a bucket and a prefix. Ledgers have
    /// different instance ids, so the journal keeps the uploads of different backends apart, and
    /// no gateway looks for an upload in another store.
    #[must_use]
    pub fn s3_ledger(&self, spec: &BackendSpec, service: &S3Service) -> PathBuf {
        let endpoint = service.endpoint.as_deref().unwrap_or_default();
        let digest = Sha256::of(format!("{endpoint}\n{spec}").as_bytes()).to_string();
        let name: String = digest.chars().take(LEDGER_NAME_DIGITS).collect();
        self.journal.with_file_name(format!("s3-{name}.db"))
    }
}

impl Target {
    /// The name of the backend in journal and receipts.
    #[must_use]
    pub fn name(&self) -> String {
        self.spec.to_string()
    }

    /// For an `s3://` backend: how its bucket is reached.
    #[must_use]
    pub fn s3_service(&self) -> Option<S3Service> {
        let is_s3 = matches!(self.spec, BackendSpec::S3 { .. });
        is_s3.then(|| self.connection.s3.service())
    }

    /// Whether another process would get a token or a header.
    #[must_use]
    pub fn gets_credentials(&self) -> bool {
        self.spec.is_remote() && self.connection.has_credentials()
    }
}

impl Settings {
    /// The configured backend.
    ///
    /// # Errors
    /// [`Kind::Config`] if none is configured; otherwise as [`BackendSpec::parse`].
    pub fn target(&self, flag: Option<&str>, connection: &Connection) -> Result<Target> {
        let found = self
            .backend_setting(flag)?
            .ok_or_else(BackendSpec::not_configured)?;
        let spec = BackendSpec::parse(
            &found.value,
            connection.plain_http(),
            wrong_kind(&found.origin),
        )?;
        self.target_for(spec, connection.clone())
    }

    /// The backend of an upload or a set in the journal, reached as when that began. It gets no
    /// token and no headers if another backend is configured, because they belong to that one.
    ///
    /// # Errors
    /// As [`BackendSpec::parse`]; [`Kind::Usage`] if a flag names another S3 endpoint.
    pub fn recorded_target<'a>(
        &self,
        recorded: impl Into<RecordedBackend<'a>>,
        flag: Option<&str>,
        connection: &Connection,
    ) -> Result<Target> {
        let parse = |text: &str, kind| BackendSpec::parse(text, connection.plain_http(), kind);
        let RecordedBackend { name, s3_service } = recorded.into();
        let spec = parse(name, Kind::Config)?;
        let owns_credentials = match self.backend_setting(flag)? {
            Some(found) => parse(&found.value, wrong_kind(&found.origin))? == spec,
            None => true,
        };
        let mut connection = if owns_credentials {
            connection.clone()
        } else {
            connection.without_credentials()
        };
        if let Some(service) = s3_service {
            connection.s3 = connection.s3.of_recorded(service)?;
        }
        self.target_for(spec, connection)
    }

    fn target_for(&self, spec: BackendSpec, connection: Connection) -> Result<Target> {
        let local = match spec {
            BackendSpec::Url(_) | BackendSpec::Companion(_) => None,
            BackendSpec::Embedded | BackendSpec::S3 { .. } => {
                let is_embedded = spec == BackendSpec::Embedded;
                Some(LocalPaths {
                    journal: self.journal()?,
                    store_dir: is_embedded.then(|| self.store_dir()).transpose()?,
                })
            }
        };
        Ok(Target {
            spec,
            connection,
            local,
        })
    }
}
