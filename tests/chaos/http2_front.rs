//! An HTTP/2 server in front of a gateway: translates each request to HTTP/1.1, as load balancers
//! do.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves one connection without TLS.
pub async fn serve(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    gateway: SocketAddr,
) -> hyper::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let service = service_fn(move |request| forward(client.clone(), gateway, request));
    Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(connection), service)
        .await
}

/// Responds with 502 if the gateway does not respond.
async fn forward(
    client: reqwest::Client,
    gateway: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    if let Some(authority) = parts.uri.authority() {
        headers.insert(header::HOST, authority.as_str().parse().unwrap());
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let response = async {
        let body = to_bytes(Body::new(body), usize::MAX).await.ok()?;
        let request = client.request(parts.method, format!("http://{gateway}{path}"));
        let response = request.headers(headers).body(body).send().await.ok()?;
        let mut forwarded = Response::builder().status(response.status());
        for (name, value) in response.headers() {
            if name != header::CONNECTION && name != header::TRANSFER_ENCODING {
                forwarded = forwarded.header(name, value);
            }
        }
        let body = response.bytes().await.ok()?;
        forwarded.body(Body::from(body)).ok()
    };
    let bad_gateway = || {
        let response = Response::builder().status(502);
        response.body(Body::empty()).unwrap()
    };
    Ok(response.await.unwrap_or_else(bad_gateway))
}
