//! Faults that the proxy can inject into a request.
//!
//! Not here: the selection of requests (`requests`) and the implementation (`relay`).

use std::time::Duration;

use super::response::Response;

#[derive(Debug, Clone)]
pub enum Fault {
    /// Inverts a bit of the byte at this offset of the request's body.
    FlipBit { at: u64 },
    /// Closes both connections after this many bytes of the body, as a killed process does.
    CutAfter { bytes: u64 },
    /// Resets the connection after this many bytes of the body; with [`WHOLE_BODY`], after the
    /// server has responded.
    ResetAfter { bytes: u64 },
    /// Sends a FIN after this many bytes of the body, then reads the rest and discards it.
    FinAfter { bytes: u64 },
    /// Reads and sends nothing more after this many bytes of the body; the connection stays open.
    /// With [`WHOLE_BODY`], the request is delivered and its response withheld.
    StallAfter { bytes: u64 },
    /// Delivers the request after the test calls [`super::Proxy::release`].
    Hold,
    /// Reads the body at this many bytes a second.
    Trickle { rate: u64 },
    /// Sends the response at this many bytes a second.
    TrickleResponse { rate: u64 },
    /// Delivers the request after this time.
    Delay(Duration),
    /// Reads the body and sends this response; does not deliver the request.
    Respond(Response),
    /// Sends this response after this many bytes of the body, then ends the connection.
    EarlyResponse {
        bytes: u64,
        response: Response,
        then: ConnectionEnd,
    },
    /// Delivers the request and replaces its response.
    ReplaceResponse(Response),
    /// Delivers the request, discards its response and closes the connection.
    DropResponse,
    /// Sets this header of the request, which no signature covers.
    SetRequestHeader(&'static str, &'static str),
    /// Removes this header from the response.
    RemoveHeader(&'static str),
    /// Replaces the first text with the second, of the same length, in the response's body.
    ReplaceText(String, String),
    /// Sets this header of the response.
    SetHeader(&'static str, &'static str),
    /// Sends the head of the response at once, white space for this time, and then the body, as
    /// S3's `CompleteMultipartUpload` does.
    PadResponse(Duration),
    /// Reads nothing more after the response, and closes the connection after this time.
    KeepOpen(Duration),
    /// Delivers the request twice and passes the second response on.
    DeliverTwice,
    /// Reads the request and resets the connection. [`super::Proxy::deliver_held`] delivers it.
    DeliverLater,
}

/// A length that no body reaches.
pub const WHOLE_BODY: u64 = u64::MAX;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    Reset,
    Close,
    /// The connection stays open, but the body is no longer read.
    StayOpen,
}

impl Fault {
    /// S3's error instead of a response of the store.
    pub fn s3(status: u16, code: &str) -> Self {
        Self::Respond(Response::s3(status, code))
    }

    /// S3's response to a client that sends too many requests.
    pub fn slow_down() -> Self {
        Self::Respond(Response::s3(503, "SlowDown"))
    }

    /// An error in the body of a successful response, which S3 may send if it fails after the
    /// status line.
    pub fn error_in_success() -> Self {
        Self::Respond(Response::s3(200, "InternalError"))
    }

    /// S3's response to an expired presigned URL.
    pub fn expired() -> Self {
        Self::Respond(Response::s3_with_message(
            403,
            "AccessDenied",
            "Request has expired",
        ))
    }

    /// An HTML page, as from a captive portal or an HTTP proxy.
    pub fn html_page(status: u16) -> Self {
        Self::Respond(Response::html_page(status))
    }
}
