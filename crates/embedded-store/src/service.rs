//! The HTTP service of the store: checks signed headers, splits forms, and calls s3s.
//!
//! Not here: the operations, in [`crate::operations`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use s3s::S3Result;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use url::Url;

use crate::access_keys::AccessKeys;
use crate::error::{INTERNAL_CAUSE, InternalCause};
use crate::form_body::split_form;
use crate::signed_headers::{self, PresignedParts};
use crate::store::Store;
use upload_types::DiskFailure;

/// The target of log lines about failures of the disk.
const DISK_LOG: &str = "upload_disk";
const MAX_FORM_FILE_BYTES: u64 = 100 << 20;
const MAX_FORM_FIELDS_BYTES: usize = 64 << 10;

/// The store as a service for `Router::fallback_service`: path style, at the root of its host.
#[derive(Clone)]
pub struct Service {
    s3: S3Service,
    browsers: Option<Arc<Browsers>>,
    disk: Arc<Disk>,
}

/// The disk of the store, and the report of its failure.
pub(crate) struct Disk {
    pub dir: PathBuf,
    pub failure: DiskFailure,
}

impl Disk {
    fn report(&self, cause: &str) {
        self.failure
            .report(|| format!("the embedded store in {}: {cause}", self.dir.display()));
    }
}

/// Present if browsers may post forms, and may send parts with a signature of `host` only.
struct Browsers {
    /// The origin of the store for clients, without a slash at its end.
    public_url: String,
}

impl Service {
    pub(crate) fn new(store: Store, keys: AccessKeys, disk: Disk) -> Self {
        let mut config = S3Config::default();
        config.post_object_max_file_size = MAX_FORM_FILE_BYTES;
        config.form_max_fields_size = MAX_FORM_FIELDS_BYTES;
        let mut builder = S3ServiceBuilder::new(store);
        builder.set_auth(keys);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self {
            s3: builder.build(),
            browsers: None,
            disk: Arc::new(disk),
        }
    }

    /// Also accepts the requests of browsers, sent to `public_url`: forms, and parts with a
    /// signature of `host` only.
    #[must_use]
    pub fn for_browsers(self, public_url: &Url) -> Self {
        let browsers = Browsers {
            public_url: public_url.as_str().trim_end_matches('/').to_owned(),
        };
        Self {
            browsers: Some(Arc::new(browsers)),
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
        let Self { s3, browsers, disk } = self.clone();
        Box::pin(async move { Ok(respond(&s3, &disk, browsers.as_deref(), request).await) })
    }
}

/// Checks a request, and prepares it for s3s.
async fn admit(browsers: Option<&Browsers>, request: Request<Body>) -> S3Result<Request<Body>> {
    let (parts, body) = request.into_parts();
    let presigned_parts = match browsers {
        None => PresignedParts::BindLength,
        Some(_) if signed_headers::is_form(&parts) => {
            let max_bytes = MAX_FORM_FILE_BYTES + MAX_FORM_FIELDS_BYTES as u64;
            signed_headers::check_form(&parts, max_bytes)?;
            return split_form(parts, body, MAX_FORM_FILE_BYTES).await;
        }
        Some(_) => PresignedParts::BindHostOnly,
    };
    signed_headers::check(&parts, presigned_parts)?;
    Ok(Request::from_parts(parts, body))
}

async fn respond(
    s3: &S3Service,
    disk: &Disk,
    browsers: Option<&Browsers>,
    request: Request<Body>,
) -> Response<Body> {
    let admitted = admit(browsers, request).await;
    let response = match admitted {
        Ok(request) => call(s3, disk, request.map(s3s::Body::http_body_unsync)).await,
        Err(rejection) => rejection.to_http_response().ok(),
    };
    if let Some(response) = response {
        with_headers(response.map(Body::new), browsers)
    } else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// Calls s3s, and logs the cause of an internal error. Returns `None` if s3s fails.
async fn call(s3: &S3Service, disk: &Disk, request: s3s::HttpRequest) -> Option<s3s::HttpResponse> {
    let call = async {
        // s3s logs whole requests with their signatures: its log is disabled.
        let response = s3.call(request).with_subscriber(Dispatch::none()).await;
        let cause = INTERNAL_CAUSE.with(RefCell::take);
        (response.ok(), cause)
    };
    let (response, cause) = INTERNAL_CAUSE.scope(RefCell::default(), call).await;
    if let Some(InternalCause {
        text,
        is_disk_failure,
    }) = cause
    {
        if is_disk_failure {
            disk.report(&text);
            // A client with the store in its process reports this itself.
            tracing::error!(target: DISK_LOG, "the embedded store failed: {text}");
        } else {
            tracing::error!("the embedded store failed: {text}");
        }
    }
    response
}

fn with_headers(mut response: Response<Body>, browsers: Option<&Browsers>) -> Response<Body> {
    // The location of the file of a form is a path: the operations do not know the public host.
    let path = response
        .headers()
        .get(header::LOCATION)
        .and_then(|path| path.to_str().ok())
        .filter(|path| path.starts_with('/'));
    if let Some((browsers, path)) = browsers.zip(path)
        && let Ok(location) = HeaderValue::try_from(format!("{}{path}", browsers.public_url))
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    // Browsers must not guess a type other than the declared one.
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
