//! Requests to a backend of either kind: the URL, the token, the user's headers, and one repetition
//! with a newer token after a rejection.
//!
//! Not here: routes, and the meaning of a response (`gateway`, `companion`).

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use url::Url;

use super::bearer::Bearer;
use super::connections::Connections;
use super::header::add_user_headers;
use super::http;
use super::response::Response;
use upload_types::Token;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::MAX_JSON_BYTES;

#[derive(Debug, Clone)]
pub struct Api {
    connections: Connections,
    /// The URL of the backend, with a trailing slash.
    base: Url,
    bearer: Bearer,
}

impl Api {
    pub fn new(connections: Connections, bearer: impl Into<Bearer>) -> Self {
        let mut base = connections.backend().clone();
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        Self {
            connections,
            base,
            bearer: bearer.into(),
        }
    }

    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.bearer.token().is_some()
    }

    #[must_use]
    pub fn with_connections(&self, connections: Connections) -> Self {
        Self {
            connections,
            ..self.clone()
        }
    }

    /// Sends one request. After status 401 it is repeated once if a newer token is available.
    ///
    /// # Errors
    /// As [`http::send`] and [`http::read_response`]. A failure status is not an error here.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: HeaderMap,
    ) -> Result<Response> {
        let url = self.base.join(path).map_err(|error| {
            Error::new(Kind::Other, "could not build the URL of a request").with_source(error)
        })?;
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|error| {
            Error::new(Kind::Other, "could not serialise a request").with_source(error)
        })?;
        let body = body.map(Bytes::from);
        let send = async |token: Option<&Token>| {
            let headers = with_token(headers.clone(), token)?;
            self.send(method.clone(), url.clone(), headers, body.clone())
                .await
        };
        let token = self.bearer.token();
        let response = send(token.as_ref()).await?;
        if response.status == 401
            && let Some(newer) = token.and_then(|token| self.bearer.replacement_of(&token))
        {
            return send(Some(&newer)).await;
        }
        Ok(response)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response> {
        add_user_headers(&mut headers, &self.connections.options().headers);
        let mut request = self.connections.api().request(method, url).headers(headers);
        let len = body.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        crash::point("backend.call.request");
        let timeouts = self.connections.timeouts();
        let response = http::send(request, timeouts.response(len), "reach the backend").await?;
        crash::point("backend.call.response");
        let response = http::read_response(response, MAX_JSON_BYTES, timeouts).await?;
        self.connections.clock().observe(&response);
        Ok(response)
    }
}

fn with_token(mut headers: HeaderMap, token: Option<&Token>) -> Result<HeaderMap> {
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| {
            let what = "could not send the token: a header cannot contain its characters";
            Error::new(Kind::Config, what)
                .with_hint("check the token: --token-file FILE or UPLOAD_TOKEN")
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}
