//! The embedded store: S3 in this process, on `SQLite` and part files.
//!
//! Border: behind the S3 protocol only; nothing in the gateway reaches around it. s3s speaks the protocol and checks
//! signatures; what they must cover is `guard`'s, what the operations do is `uploads`' and `objects`'.
//!
//! A part is a file, an object a row that names the parts it is made of, so completing an upload moves one row and copies no
//! byte. A file counts once a committed row names it, and goes after the commit that frees it: whatever is killed in between
//! leaves a file without a row, which is put aside when the store is opened again.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use url::Url;

use self::failure::{CAUSE, Failure};
use self::files::Files;
use self::keys::Keys;
use self::lock::Lock;
use self::manifest::Manifest;
use upload_types::error::{Error, Kind, Result};

mod failure;
mod files;
mod guard;
mod ingest;
mod keys;
mod lock;
mod manifest;
mod objects;
mod review;
mod s3;
mod schema;
mod uploads;

/// The one bucket there is.
pub const BUCKET: &str = "embedded";
pub const REGION: &str = "us-east-1";

/// The largest file in a form, in bytes, and what may stand beside it.
const FORM_MAX: u64 = 100 << 20;
const FIELDS_MAX: usize = 64 << 10;
/// Forms at the same time, how long one waits for its place, and how long it may take.
const FORMS: usize = 6;
const FORM_WAIT: Duration = Duration::from_secs(30);
const FORM_PATIENCE: Duration = Duration::from_mins(15);

/// A store under one directory, held by this process alone.
#[derive(Clone)]
pub struct Embedded {
    dir: PathBuf,
    keys: Keys,
    store: Store,
}

/// What the operations work on.
#[derive(Clone)]
struct Store {
    manifest: Arc<Manifest>,
    files: Arc<Files>,
    /// When the store was made, in milliseconds since 1970.
    made: i64,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens or makes the store, waiting up to `wait` for another process that holds it. The directory is made private (0700).
    /// The store is let go when the last clone, service and body of an answer is gone.
    ///
    /// # Errors
    /// [`Kind::Busy`] naming the process that holds it, [`Kind::Io`] for a directory that cannot be used.
    pub async fn open(dir: &Path, wait: Duration) -> Result<Self> {
        let given = dir.to_owned();
        let dir = blocking(move || private_dir(&given)).await?;
        let lock = Lock::acquire(&dir, wait).await?;
        blocking(move || Self::start(dir, lock)).await
    }

    fn start(dir: PathBuf, lock: Lock) -> Result<Self> {
        let database = dir.join("store.db");
        let failed = |what: &str| {
            let what = format!("could not open the store in {}: {what}", dir.display());
            move |cause: Failure| match cause {
                Failure::Broken(cause) => Error::new(Kind::Io, what).with_source(cause),
                Failure::Refused(refusal) => Error::new(Kind::Io, what).with_source(refusal),
            }
        };
        let file = |error: std::io::Error| failed("its files cannot be used")(error.into());
        // A new manifest knows no part, and the sweep would take all of them.
        if !database.exists() && Files::any(&dir).map_err(file)? {
            let what = format!(
                "could not open the store in {}: it has part files but no store.db",
                dir.display()
            );
            return Err(Error::new(Kind::Io, what));
        }
        let keys = Keys::open(&dir)?;
        let sweep = lock.left_behind;
        let files = Files::open(&dir, lock).map_err(file)?;
        let manifest = Manifest::open(&database, Arc::clone(&files), sweep);
        let manifest =
            manifest.map_err(|failure| failed("its manifest cannot be used")(failure))?;
        let made = fs::metadata(dir.join("keys"))
            .and_then(|file| file.modified())
            .map_err(file)?;
        let made = made
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let made = i64::try_from(made.as_millis()).unwrap_or_default();
        Ok(Self {
            dir,
            keys,
            store: Store {
                manifest: Arc::new(manifest),
                files,
                made,
            },
        })
    }

    /// Access key and secret, made once and kept with the store.
    #[must_use]
    pub fn keys(&self) -> (String, String) {
        (self.keys.access.clone(), self.keys.secret().to_owned())
    }

    /// The store as a service for `Router::fallback_service`: path style, at the root of its host.
    #[must_use]
    pub fn service(&self) -> Service {
        let mut builder = S3ServiceBuilder::new(self.store.clone());
        builder.set_auth(self.keys.clone());
        let mut config = S3Config::default();
        (
            config.post_object_max_file_size,
            config.form_max_fields_size,
        ) = (FORM_MAX, FIELDS_MAX);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Service {
            s3: builder.build(),
            forms: None,
        }
    }
}

/// See [`Embedded::service`].
#[derive(Clone)]
pub struct Service {
    s3: S3Service,
    forms: Option<Arc<Forms>>,
}

struct Forms {
    places: Semaphore,
    /// What stands before the path in the place of an object.
    public: String,
}

impl Service {
    /// Takes what browsers send to `public_url`, too: parts of which `host` alone is signed, and forms. s3s keeps the file of a form in
    /// memory until it is whole, so that there are few at a time.
    #[must_use]
    pub fn for_browsers(self, public_url: &Url) -> Self {
        let public = public_url.as_str().trim_end_matches('/').to_owned();
        Self {
            forms: Some(Arc::new(Forms {
                places: Semaphore::new(FORMS),
                public,
            })),
            ..self
        }
    }
}

impl tower::Service<Request<Body>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { s3, forms } = self.clone();
        Box::pin(async move { Ok(answer(&s3, forms.as_deref(), request).await) })
    }
}

/// Whether a request may go on, and its place where it posts a form: until it is answered.
async fn admitted<'a>(
    forms: Option<&'a Forms>,
    parts: &Parts,
) -> S3Result<Option<SemaphorePermit<'a>>> {
    let Some(open) = forms.filter(|_| guard::posts_form(parts)) else {
        return guard::check(parts, forms.is_some()).map(|()| None);
    };
    guard::check_form(parts, FORM_MAX + FIELDS_MAX as u64)?;
    match timeout(FORM_WAIT, open.places.acquire()).await {
        Ok(Ok(place)) => Ok(Some(place)),
        _ => Err(s3_error!(SlowDown, "Too many forms come at the same time")),
    }
}

async fn answer(s3: &S3Service, forms: Option<&Forms>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let admitted = admitted(forms, &parts).await;
    let patience = if matches!(admitted, Ok(Some(_))) {
        FORM_PATIENCE
    } else {
        Duration::MAX
    };
    let answered = if let Err(refusal) = admitted {
        refusal.to_http_response().ok()
    } else {
        let request = Request::from_parts(parts, s3s::Body::http_body_unsync(body));
        // s3s writes whole requests to the log, with signatures in them: it gets none.
        let call = async {
            let answered = timeout(patience, s3.call(request))
                .with_subscriber(Dispatch::none())
                .await;
            (
                answered.ok().and_then(Result::ok),
                CAUSE.with(RefCell::take),
            )
        };
        let (answered, cause) = CAUSE.scope(RefCell::default(), call).await;
        if let Some(cause) = cause {
            tracing::error!("the embedded store failed: {cause}");
        }
        answered
    };
    answered.map_or_else(
        || {
            let mut broken = Response::new(Body::empty());
            *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            broken
        },
        |response| {
            let mut response = response.map(Body::new);
            // Where a form's file is: nobody within knows the host.
            let place = response
                .headers()
                .get(header::LOCATION)
                .and_then(|place| place.to_str().ok());
            if let Some((forms, place)) = forms.zip(place.filter(|place| place.starts_with('/')))
                && let Ok(place) = HeaderValue::try_from(format!("{}{place}", forms.public))
            {
                response.headers_mut().insert(header::LOCATION, place);
            }
            // What an upload says of its type is all a browser may go by.
            response.headers_mut().insert(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
            response
        },
    )
}

/// Makes the directory if need be, for us alone; its path without symbolic links, which `SQLite` would not follow.
fn private_dir(dir: &Path) -> Result<PathBuf> {
    let made = || {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        fs::canonicalize(dir)
    };
    made().map_err(|error| {
        Error::new(
            Kind::Io,
            format!("could not use the directory {}", dir.display()),
        )
        .with_source(error)
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let ended = |error| Error::new(Kind::Other, "could not open the store").with_source(error);
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
