//! The backend as everybody else sees it: the same operations in the same words, whichever dialect is spoken.
//!
//! Border: who is asked; what is said is `native`'s and `companion`'s. What one dialect cannot is said by [`Capabilities`], once.

use std::time::Duration;

use url::Url;

use super::answer::PutOutcome;
use super::api::Api;
use super::bearer::Bearer;
use super::companion::Companion;
use super::http::{Get, Http, Options};
use super::native::Native;
use super::part_upload::PartUpload;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{SignedUrl, UploadId};
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchComplete, BatchRequest, BeginResponse, ClaimRequest, PartSpec,
    ReadUrl, Receipt, SignedPart, StoredPart, UploadState, UploadStatus,
};

/// What came of the begins and the completes of a batch.
pub type Answers = (Vec<Result<BeginResponse>>, Vec<Result<Completion>>);

/// What `complete` came to.
#[derive(Debug, Clone)]
pub enum Completion {
    Verified(Box<Receipt>),
    /// Ask again after this long.
    Pending(Duration),
}

/// What a backend does that another does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// It remembers uploads: the same idempotency key begins the same one, several calls go in one, and it can be asked what
    /// became of what was begun. Without, all that is ever known of an upload is in the journal.
    pub durable: bool,
    /// It wants the MD5 of each part, whatever its proof.
    pub wants_md5: bool,
}

/// A backend.
#[derive(Debug, Clone)]
pub enum Backend {
    Native(Native),
    Companion(Companion),
}

impl Backend {
    /// A gateway.
    ///
    /// # Errors
    /// For a certificate or a proxy that cannot be used, and for plain HTTP away from loopback.
    pub fn native(url: &Url, bearer: impl Into<Bearer>, options: Options) -> Result<Self> {
        Ok(Self::Native(Native {
            api: Api::new(url, bearer, options)?,
        }))
    }

    /// An Uppy Companion, `/s3` not included.
    ///
    /// # Errors
    /// As [`Backend::native`].
    pub fn companion(url: &Url, bearer: impl Into<Bearer>, options: Options) -> Result<Self> {
        Ok(Self::Companion(Companion::new(
            url,
            Api::new(url, bearer, options)?,
        )))
    }

    /// The same with new connections.
    ///
    /// # Errors
    /// As [`Backend::native`].
    pub fn with_new_connections(&self) -> Result<Self> {
        Ok(match self {
            Self::Native(native) => Self::Native(Native {
                api: native.api.with_new_connections()?,
            }),
            Self::Companion(companion) => Self::Companion(companion.with_new_connections()?),
        })
    }

    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::Native(_) => Capabilities {
                durable: true,
                wants_md5: false,
            },
            Self::Companion(_) => Capabilities {
                durable: false,
                wants_md5: true,
            },
        }
    }

    fn http(&self) -> &Http {
        match self {
            Self::Native(native) => &native.api.http,
            Self::Companion(companion) => companion.http(),
        }
    }

    /// Has parts go only where parts of this backend went before; nowhere yet is anywhere.
    pub fn restrict_stores(&self, stores: Vec<String>) {
        self.http().set_known(stores);
    }

    /// The stores that parts went to, now and before.
    pub fn stores(&self) -> Vec<String> {
        self.http().known()
    }

    /// What the journal has to keep of an upload that has just begun, for a backend that keeps nothing itself.
    #[must_use]
    pub fn opaque_state(&self, id: &UploadId) -> Option<String> {
        match self {
            Self::Native(_) => None,
            Self::Companion(companion) => companion.opaque_state(id),
        }
    }

    /// Reminds it of an upload of the journal: what [`Backend::opaque_state`] gave, and the receipt once there is one.
    pub fn restore_state(&self, id: &UploadId, memo: &str, receipt: Option<&Receipt>) {
        if let Self::Companion(companion) = self {
            companion.restore_state(id, memo, receipt);
        }
    }

    /// What is to be said of an upload that is gone after its complete was asked for.
    #[must_use]
    pub fn unconfirmed(&self, id: &UploadId) -> Error {
        let what =
            "whether the object is there is unconfirmed: its upload is gone, completed or removed";
        let error = Error::new(Kind::Unconfirmed, what);
        match self {
            Self::Native(_) => error,
            Self::Companion(companion) => error.with_hint(companion.location_hint(id)),
        }
    }

    /// What it is and takes.
    pub async fn info(&self) -> Result<BackendInfo> {
        match self {
            Self::Native(native) => native.info().await,
            Self::Companion(companion) => companion.info().await,
        }
    }

    /// Begins an upload; with a ledger, the same idempotency key again is the same upload.
    pub async fn begin(&self, begin: &BatchBegin) -> Result<BeginResponse> {
        match self {
            Self::Native(native) => native.begin(begin).await,
            Self::Companion(companion) => companion.begin(begin).await,
        }
    }

    /// Begins and completes in one call, at most [`upload_types::wire::MAX_BATCH_UPLOADS`], each answered on its own in the order asked; for a
    /// backend with a ledger.
    ///
    /// # Errors
    /// When the call as a whole fails.
    pub async fn batch(&self, request: &BatchRequest) -> Result<Answers> {
        match self {
            Self::Native(native) => native.batch(request).await,
            Self::Companion(_) => Err(Companion::cannot("take several calls in one")),
        }
    }

    /// Takes an upload to drive it; gives the epoch of that.
    pub async fn claim(&self, id: &UploadId, request: &ClaimRequest) -> Result<u64> {
        match self {
            Self::Native(native) => native.claim(id, request).await,
            // Nobody but the journal knows of it.
            Self::Companion(_) => Ok(1),
        }
    }

    /// The answer names the parts that were asked for, each once, in that order.
    pub async fn sign(
        &self,
        id: &UploadId,
        epoch: u64,
        parts: Vec<PartSpec>,
    ) -> Result<Vec<SignedPart>> {
        match self {
            Self::Native(native) => native.sign(id, epoch, parts).await,
            Self::Companion(companion) => companion.sign(id, parts).await,
        }
    }

    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        match self {
            Self::Native(native) => native.status(id).await,
            Self::Companion(companion) => companion.status(id),
        }
    }

    /// The caller's uploads in this state, newest first.
    pub async fn uploads(&self, state: UploadState) -> Result<Vec<UploadStatus>> {
        match self {
            Self::Native(native) => native.uploads(state).await,
            Self::Companion(_) => Err(Companion::cannot("list uploads")),
        }
    }

    /// What the store holds of an upload under way, in order of number.
    pub async fn parts(&self, id: &UploadId) -> Result<Vec<StoredPart>> {
        match self {
            Self::Native(native) => native.parts(id).await,
            Self::Companion(companion) => companion.parts(id).await,
        }
    }

    pub async fn complete(&self, complete: &BatchComplete) -> Result<Completion> {
        match self {
            Self::Native(native) => native.complete(complete).await,
            Self::Companion(companion) => companion.complete(complete).await,
        }
    }

    /// Once this returns, the store has none of it. With an epoch, only if that is still the lease's.
    pub async fn abort(&self, id: &UploadId, epoch: Option<u64>) -> Result<()> {
        match self {
            Self::Native(native) => native.abort(id, epoch).await,
            Self::Companion(companion) => companion.abort(id).await,
        }
    }

    /// A URL by which a finished object can be read.
    pub async fn read_url(&self, id: &UploadId, expires: Option<Duration>) -> Result<ReadUrl> {
        match self {
            Self::Native(native) => native.read_url(id, expires).await,
            Self::Companion(_) => Err(Companion::cannot("give out what was uploaded")),
        }
    }

    /// Sends a part to the store.
    pub async fn put(&self, part: PartUpload) -> Result<PutOutcome> {
        match self {
            Self::Native(native) => native.api.http.put(part, None).await,
            Self::Companion(companion) => companion.put(part).await,
        }
    }

    /// Reads an object.
    pub async fn get(&self, url: &SignedUrl) -> Result<Get> {
        self.http().get(url).await
    }
}
