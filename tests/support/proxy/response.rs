//! Scripted HTTP responses of gateways, of S3, and of HTTP proxies and captive portals.

use std::io::{self, Write};

/// Status, headers and body.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    headers: String,
    body: String,
}

impl Response {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: String::new(),
            body: String::new(),
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.extend([name, ": ", value, "\r\n"]);
        self
    }

    #[must_use]
    pub fn body(self, content_type: &str, body: &str) -> Self {
        Self {
            body: body.to_owned(),
            ..self.header("content-type", content_type)
        }
    }

    /// A gateway's response.
    pub fn json(status: u16, body: &str) -> Self {
        Self::new(status)
            .header("x-upload-protocol", "1")
            .body("application/json", body)
    }

    /// A gateway's error (RFC 9457).
    pub fn problem(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"code":"{code}","title":"scripted","status":{status}}}"#);
        Self::new(status)
            .header("x-upload-protocol", "1")
            .body("application/problem+json", &body)
    }

    /// An S3 error.
    pub fn s3(status: u16, code: &str) -> Self {
        Self::s3_with_message(status, code, "scripted")
    }

    pub fn s3_with_message(status: u16, code: &str, message: &str) -> Self {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n   ";
        let error = format!("{xml}<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::new(status)
            .header("x-amz-request-id", "SCRIPTED")
            .body("application/xml", &error)
    }

    /// An HTML page, as from a captive portal or an HTTP proxy.
    pub fn html_page(status: u16) -> Self {
        let page =
            "<!doctype html><title>Welcome to the hotel</title><script>canaryPage()</script>";
        Self::new(status).body("text/html; charset=utf-8", page)
    }

    pub fn send(&self, mut to: impl Write) -> io::Result<()> {
        let Self {
            status,
            headers,
            body,
        } = self;
        let length = body.len();
        to.write_all(
            format!(
                "HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
            )
            .as_bytes(),
        )
    }
}
