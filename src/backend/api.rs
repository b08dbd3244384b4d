//! Calls to a backend, whatever its dialect: the URL, the token, one more attempt where a newer token is found, JSON both ways.
//!
//! Border: what is asked for, and what an answer means, is the dialect's; bytes on the wire are `http`'s.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::answer::Answer;
use super::bearer::Bearer;
use super::http::{Http, Options};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;
use upload_types::wire::MAX_JSON_BYTES;

#[derive(Debug, Clone)]
pub struct Api {
    pub http: Http,
    /// With a slash at its end.
    base: Url,
    bearer: Bearer,
}

impl Api {
    /// # Errors
    /// For a certificate or a proxy that cannot be used, and for plain HTTP away from loopback.
    pub fn new(url: &Url, bearer: impl Into<Bearer>, options: Options) -> Result<Self> {
        let http = Http::new(url, options)?;
        let mut base = url.clone();
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        Ok(Self {
            http,
            base,
            bearer: bearer.into(),
        })
    }

    /// The same with new connections.
    ///
    /// # Errors
    /// As [`Api::new`].
    pub fn with_new_connections(&self) -> Result<Self> {
        Ok(Self {
            http: self.http.with_new_connections()?,
            ..self.clone()
        })
    }

    /// One call, made again where a newer token is found than one that was refused.
    ///
    /// # Errors
    /// Where no answer came; what an answer means is not looked at.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: HeaderMap,
    ) -> Result<Answer> {
        let url = self
            .base
            .join(path)
            .map_err(|error| Error::new(Kind::Other, "could not form a URL").with_source(error))?;
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|error| {
            Error::new(Kind::Other, "could not write a request").with_source(error)
        })?;
        let body = body.map(Bytes::from);
        let send = async |token: Option<&Token>| {
            let headers = carrying(token, headers.clone())?;
            self.http
                .call(
                    method.clone(),
                    url.clone(),
                    headers,
                    body.clone(),
                    MAX_JSON_BYTES,
                )
                .await
        };
        let token = self.bearer.token();
        let answer = send(token.as_ref()).await?;
        if answer.status == 401
            && let Some(newer) = token.and_then(|refused| self.bearer.instead_of(&refused))
        {
            return send(Some(&newer)).await;
        }
        Ok(answer)
    }
}

fn carrying(token: Option<&Token>, mut headers: HeaderMap) -> Result<HeaderMap> {
    if let Some(token) = token {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                Error::new(
                    Kind::Config,
                    "the token has characters that no header can carry",
                )
            })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Reads an answer's JSON.
///
/// # Errors
/// [`Kind::ProtocolError`] for what is none, or of another shape.
pub fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    let garbled = |error| {
        Error::new(
            Kind::ProtocolError,
            "what the backend answers cannot be understood",
        )
        .with_source(error)
    };
    serde_json::from_slice(&answer.body).map_err(|error| garbled(shape(&error)))
}

/// What is wrong with JSON, without what it holds: that may be a signed URL.
fn shape(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {}, column {}",
        error.classify(),
        error.line(),
        error.column()
    )
    .to_lowercase()
}
