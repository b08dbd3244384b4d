//! The HTTP service of the store: checks signed headers, splits forms, and calls s3s.
//!
//! Not here: the operations, in [`crate::operations`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use tokio::time::timeout;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use url::{Url, form_urlencoded};

use crate::access_keys::AccessKeys;
use crate::error::{DISK_LOG, INTERNAL_CAUSE, InternalCause};
use crate::form_body::split_form;
use crate::form_fields;
use crate::response::RequestFacts;
use crate::signed_headers::{self, UnsignedLength};
use crate::store::Store;
use crate::sub_resources;
use crate::xml_body::{ExpectedXml, MAX_XML_BYTES, XmlRejection};
use upload_types::DiskFailure;

const MAX_FORM_FILE_BYTES: u64 = 100 << 20;
const MAX_FORM_FIELDS_BYTES: usize = 64 << 10;
/// The longest time until the file of a form begins.
const FORM_FIELDS_TIMEOUT: Duration = Duration::from_mins(1);

/// The largest body of a rejected request that is read, and the longest time for it.
const MAX_DRAINED_BYTES: usize = 64 << 10;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The store as a service for `Router::fallback_service`: path style, at the root of its host.
#[derive(Clone)]
pub struct Service {
    s3: S3Service,
    browsers: Option<Arc<Browsers>>,
    unsigned_length: UnsignedLength,
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
        config.xml_max_body_size = MAX_XML_BYTES;
        let mut builder = S3ServiceBuilder::new(store);
        builder.set_auth(keys);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self {
            s3: builder.build(),
            browsers: None,
            unsigned_length: UnsignedLength::default(),
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
        let parts = UnsignedLength {
            parts: true,
            ..self.unsigned_length
        };
        Self {
            browsers: Some(Arc::new(browsers)),
            unsigned_length: parts,
            ..self
        }
    }

    /// Also accepts presigned PUTs whose length is not signed, as SDKs make them.
    #[must_use]
    pub fn with_presigned_puts(self) -> Self {
        let unsigned_length = UnsignedLength {
            parts: true,
            objects: true,
        };
        Self {
            unsigned_length,
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
        let service = self.clone();
        Box::pin(async move { Ok(service.respond(request).await) })
    }
}

/// The results of the checks of a request.
struct Admitted {
    is_form: bool,
    /// Headers that are parameters of the URL.
    headers: Vec<(HeaderName, HeaderValue)>,
    xml: Option<ExpectedXml>,
}

impl Service {
    fn admit(&self, request: &Parts) -> S3Result<Admitted> {
        if self.browsers.is_some() && signed_headers::is_form(request) {
            let max_bytes = MAX_FORM_FILE_BYTES + MAX_FORM_FIELDS_BYTES as u64;
            signed_headers::check_form(request, max_bytes)?;
            return Ok(Admitted {
                is_form: true,
                headers: Vec::new(),
                xml: None,
            });
        }
        let query = request.uri.query().unwrap_or_default();
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let headers = signed_headers::check(request, &query, self.unsigned_length)?;
        sub_resources::check(request, &query)?;
        Ok(Admitted {
            is_form: false,
            headers,
            xml: ExpectedXml::of_request(request, &query)?,
        })
    }

    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let facts = RequestFacts::new(&parts);
        let response = match self.admit(&parts) {
            Ok(admitted) if admitted.is_form => self.forward_form(parts, body).await,
            Ok(admitted) => self.forward(admitted, parts, body).await,
            Err(rejection) => {
                drain(&parts, body).await;
                rejection.to_http_response().ok()
            }
        };
        let response = if let Some(response) = response {
            self.with_location(response.map(Body::new))
        } else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        };
        facts.apply(response).await
    }

    /// Calls s3s. Returns `None` if s3s fails.
    async fn forward(
        &self,
        admitted: Admitted,
        mut parts: Parts,
        body: Body,
    ) -> Option<s3s::HttpResponse> {
        parts.headers.extend(admitted.headers);
        let rejection = XmlRejection::default();
        let body = match admitted.xml {
            Some(xml) => xml.verified(body, rejection.clone()),
            None => body,
        };
        let request = Request::from_parts(parts, s3s::Body::http_body_unsync(body));
        let response = call(&self.s3, &self.disk, request).await;
        match rejection.take() {
            Some(rejection) => rejection.to_http_response().ok(),
            None => response,
        }
    }

    /// Calls s3s with the fields of a form; its file arrives afterwards. Returns `None` if s3s
    /// fails.
    async fn forward_form(&self, parts: Parts, body: Body) -> Option<s3s::HttpResponse> {
        let split = async {
            let form = form_fields::read(&parts.headers, body, MAX_FORM_FIELDS_BYTES).await?;
            split_form(parts, form, MAX_FORM_FILE_BYTES)
        };
        let split = timeout(FORM_FIELDS_TIMEOUT, split).await;
        match split.unwrap_or_else(|_| Err(s3_error!(RequestTimeout))) {
            Ok(request) => {
                let request = request.map(s3s::Body::http_body_unsync);
                call(&self.s3, &self.disk, request).await
            }
            Err(rejection) => rejection.to_http_response().ok(),
        }
    }

    /// Completes the location of the file of a form, which is a path: the operations do not know
    /// the public host.
    fn with_location(&self, mut response: Response<Body>) -> Response<Body> {
        let path = response
            .headers()
            .get(header::LOCATION)
            .and_then(|path| path.to_str().ok())
            .filter(|path| path.starts_with('/'));
        if let Some((browsers, path)) = self.browsers.as_ref().zip(path)
            && let Ok(location) = HeaderValue::try_from(format!("{}{path}", browsers.public_url))
        {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// Reads the small body of a rejected request: a client that still sends it when the connection is
/// closed may not read the response.
async fn drain(request: &Parts, body: Body) {
    let headers = &request.headers;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // With `Expect`, the client does not send the body before the response.
    let is_small = length.is_some_and(|length| length <= MAX_DRAINED_BYTES);
    if is_small && !headers.contains_key(header::EXPECT) {
        let _ = timeout(DRAIN_TIMEOUT, axum::body::to_bytes(body, MAX_DRAINED_BYTES)).await;
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
