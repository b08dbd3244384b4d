//! One interface for both kinds of backends.
//!
//! Not here: the requests of each kind (`gateway`, `companion`). [`Capabilities`] holds their
//! differences.

use std::time::Duration;

use url::Url;

use super::bearer::Bearer;
use super::companion::Companion;
use super::completion::{BatchResults, Completion};
use super::connections::Connections;
use super::gateway::{Gateway, SignReason};
use super::options::Options;
use super::store::{ObjectReader, PartUpload, PutOutcome, StoreClient};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchComplete, BatchRequest, BeginResponse, ClaimRequest, PartCopy,
    PartSpec, ReadUrl, Receipt, SignedPart, StoredPart, UploadState, UploadStatus,
};
use upload_types::{SignedUrl, UploadId};

/// The differences between backends that affect a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The backend records uploads: it returns the same upload for the same idempotency key, takes
    /// batches, and reports the outcome of an upload. Otherwise only the journal records uploads.
    pub durable: bool,
    /// The backend needs the MD5 of each part, independent of its proof.
    pub wants_md5: bool,
}

#[derive(Debug, Clone)]
pub enum Backend {
    Gateway(Gateway),
    Companion(Companion),
}

impl Backend {
    /// # Errors
    /// [`Kind::Config`] if the certificate file or the proxy cannot be used, [`Kind::Incompatible`]
    /// for plain HTTP to another machine and if TLS cannot be set up.
    pub fn gateway(url: &Url, bearer: impl Into<Bearer>, options: Options) -> Result<Self> {
        let connections = Connections::new(url, options)?;
        Ok(Self::Gateway(Gateway::new(connections, bearer)))
    }

    /// An Uppy Companion. `url` ends before `/s3`.
    ///
    /// # Errors
    /// As [`Backend::gateway`].
    pub fn companion(url: &Url, bearer: impl Into<Bearer>, options: Options) -> Result<Self> {
        let connections = Connections::new(url, options)?;
        Ok(Self::Companion(Companion::new(connections, bearer)))
    }

    /// The same backend, with its known stores and uploads, on new connections.
    ///
    /// # Errors
    /// As [`Backend::gateway`].
    pub fn with_new_connections(&self) -> Result<Self> {
        Ok(match self {
            Self::Gateway(gateway) => Self::Gateway(gateway.with_new_connections()?),
            Self::Companion(companion) => Self::Companion(companion.with_new_connections()?),
        })
    }

    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let durable = matches!(self, Self::Gateway(_));
        Capabilities {
            durable,
            wants_md5: !durable,
        }
    }

    /// The host of the backend as messages name it, with the proxy that is used; `None` if the
    /// backend runs in this process.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        self.store().backend_host()
    }

    fn store(&self) -> &StoreClient {
        match self {
            Self::Gateway(gateway) => gateway.store(),
            Self::Companion(companion) => companion.store(),
        }
    }

    /// Permits parts to go to these stores only. If there are none, the store of the first part
    /// becomes the permitted one.
    pub fn restrict_stores(&self, stores: Vec<String>) {
        self.store().set_known_stores(stores);
    }

    /// The stores that parts went to, in this run and before, as `HOST:PORT`.
    pub fn stores(&self) -> Vec<String> {
        self.store().known_stores()
    }

    /// The state of a begun upload that the journal has to keep for a backend without state.
    #[must_use]
    pub fn opaque_state(&self, id: &UploadId) -> Option<String> {
        match self {
            Self::Gateway(_) => None,
            Self::Companion(companion) => companion.opaque_state(id),
        }
    }

    /// Passes the journal's state of an upload to a backend without state: the text of
    /// [`Backend::opaque_state`], and the receipt if the upload is complete.
    pub fn restore_state(&self, id: &UploadId, state: &str, receipt: Option<&Receipt>) {
        if let Self::Companion(companion) = self {
            companion.restore_state(id, state, receipt);
        }
    }

    /// The error of an upload that is gone after a request to complete it.
    #[must_use]
    pub fn unconfirmed(&self, id: &UploadId) -> Error {
        let hint = match self {
            Self::Gateway(_) => "look for the object in the store".to_owned(),
            Self::Companion(companion) => companion.location_hint(id),
        };
        let what = "the object is unconfirmed: its upload is gone, either completed or removed";
        Error::new(Kind::Unconfirmed, what).with_hint(hint)
    }

    /// The protocol, limits and capabilities of the backend.
    pub async fn info(&self) -> Result<BackendInfo> {
        match self {
            Self::Gateway(gateway) => gateway.info().await,
            Self::Companion(companion) => companion.info().await,
        }
    }

    /// Begins an upload. A durable backend returns the same upload for the same idempotency key.
    pub async fn begin(&self, begin: &BatchBegin) -> Result<BeginResponse> {
        match self {
            Self::Gateway(gateway) => gateway.begin(begin).await,
            Self::Companion(companion) => companion.begin(begin).await,
        }
    }

    /// Sends requests to begin and to complete in one call, together at most
    /// [`upload_types::wire::MAX_BATCH_UPLOADS`]. Only for a durable backend.
    ///
    /// # Errors
    /// The call as a whole failed. The results hold the errors of the single requests.
    pub async fn batch(&self, request: &BatchRequest) -> Result<BatchResults> {
        match self {
            Self::Gateway(gateway) => gateway.batch(request).await,
            Self::Companion(_) => Err(Companion::unsupported("take batches")),
        }
    }

    /// For each upload, whether it is ready and the store's listing has its object. False if that
    /// is not known; `None` if the backend has no such call. At most
    /// [`upload_types::wire::MAX_BATCH_PRESENT`] uploads.
    pub async fn find_present(&self, ids: Vec<UploadId>) -> Result<Option<Vec<bool>>> {
        match self {
            Self::Gateway(gateway) => gateway.find_present(ids).await,
            Self::Companion(_) => Ok(None),
        }
    }

    /// Takes the lease of an upload. Returns its epoch.
    pub async fn claim(&self, id: &UploadId, request: &ClaimRequest) -> Result<u64> {
        match self {
            Self::Gateway(gateway) => gateway.claim(id, request).await,
            // Only the journal of this client records the upload.
            Self::Companion(_) => Ok(1),
        }
    }

    /// Signs parts. Returns each requested part once, in the order of the request. A gateway copies
    /// those in the store that `copies` names, if it can.
    pub async fn sign(
        &self,
        id: &UploadId,
        epoch: u64,
        parts: Vec<PartSpec>,
        copies: Vec<PartCopy>,
        reason: SignReason,
    ) -> Result<Vec<SignedPart>> {
        match self {
            Self::Gateway(gateway) => gateway.sign(id, epoch, parts, copies, reason).await,
            Self::Companion(companion) => companion.sign(id, parts).await,
        }
    }

    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        match self {
            Self::Gateway(gateway) => gateway.status(id).await,
            Self::Companion(companion) => companion.status(id),
        }
    }

    /// The owner's uploads in this state, newest first.
    pub async fn uploads(&self, state: UploadState) -> Result<Vec<UploadStatus>> {
        match self {
            Self::Gateway(gateway) => gateway.uploads(state).await,
            Self::Companion(_) => Err(Companion::unsupported("list uploads")),
        }
    }

    /// The stored parts of an unfinished upload of `planned` parts, in order of number.
    pub async fn parts(&self, id: &UploadId, planned: u32) -> Result<Vec<StoredPart>> {
        match self {
            Self::Gateway(gateway) => gateway.parts(id, planned).await,
            Self::Companion(companion) => companion.parts(id).await,
        }
    }

    pub async fn complete(&self, complete: &BatchComplete) -> Result<Completion> {
        match self {
            Self::Gateway(gateway) => gateway.complete(complete).await,
            Self::Companion(companion) => companion.complete(complete).await,
        }
    }

    /// Aborts an upload. Afterwards the store holds no part of it. With an epoch, aborts only if
    /// that is still the epoch of the lease.
    pub async fn abort(&self, id: &UploadId, epoch: Option<u64>) -> Result<()> {
        match self {
            Self::Gateway(gateway) => gateway.abort(id, epoch).await,
            Self::Companion(companion) => companion.abort(id).await,
        }
    }

    /// Removes an upload in any state, with its object.
    pub async fn remove(&self, id: &UploadId) -> Result<()> {
        match self {
            Self::Gateway(gateway) => gateway.remove(id).await,
            Self::Companion(_) => Err(Companion::unsupported("remove objects")),
        }
    }

    /// Signs a URL that reads a finished object.
    pub async fn read_url(&self, id: &UploadId, expires: Option<Duration>) -> Result<ReadUrl> {
        match self {
            Self::Gateway(gateway) => gateway.read_url(id, expires).await,
            Self::Companion(_) => Err(Companion::unsupported("sign URLs that read an object")),
        }
    }

    /// Sends a part to the store.
    pub async fn put(&self, part: PartUpload) -> Result<PutOutcome> {
        match self {
            Self::Gateway(gateway) => gateway.store().put(part, None).await,
            Self::Companion(companion) => companion.put(part).await,
        }
    }

    /// Reads an object by the URL of [`Backend::read_url`].
    pub async fn get(&self, url: &SignedUrl) -> Result<ObjectReader> {
        self.store().get(url).await
    }
}
