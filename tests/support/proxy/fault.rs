//! What happens to a request, in place of being passed on untouched.
//!
//! Border: values only; `relay` makes them happen, `requests` says to whom.

use std::time::Duration;

use super::response::Response;

#[derive(Debug, Clone)]
pub enum Fault {
    /// One bit of the body is another when it arrives: of the byte at this offset.
    FlipBit { at: u64 },
    /// The connection ends on both sides after this many bytes of the body, as a program ends it that is killed.
    CutAfter { bytes: u64 },
    /// The connection is reset after this many bytes of the body, or, with [`WHOLE_BODY`], after all of them.
    ResetAfter { bytes: u64 },
    /// The other side says that it is done (FIN) after this many bytes of the body, and takes the rest without a word.
    FinAfter { bytes: u64 },
    /// After this many bytes of the body nothing is taken or said any more; the connection stays. With [`WHOLE_BODY`], the request is
    /// passed on and its answer never comes.
    StallAfter { bytes: u64 },
    /// It is passed on when the test says so: [`super::Proxy::release`].
    Hold,
    /// The body is taken at so many bytes a second.
    Trickle { rate: u64 },
    /// The answer comes at so many bytes a second.
    TrickleResponse { rate: u64 },
    /// It is passed on, after so long.
    Delay(Duration),
    /// The body is read, and answered with this; the gateway or store never hears of it.
    Respond(Response),
    /// This is answered after so many bytes of the body; then the connection ends so.
    EarlyResponse {
        bytes: u64,
        response: Response,
        then: ConnectionEnd,
    },
    /// It is passed on whole, and this is said instead of the answer.
    ReplaceResponse(Response),
    /// It is passed on whole, and the answer is thrown away with the connection.
    DropResponse,
    /// The answer loses this header.
    RemoveHeader(&'static str),
    /// In the answer's body one text stands for another of the same length.
    ReplaceText(String, String),
    /// The answer has this header, whatever it had before.
    SetHeader(&'static str, &'static str),
    /// The answer begins at once; what it says comes after so long, and until then white space, as from S3's Complete.
    PadResponse(Duration),
    /// After the answer nothing is taken any more, and the connection closes only after so long.
    KeepOpen(Duration),
    /// It is delivered twice; the second answer is passed on.
    DeliverTwice,
    /// It is taken whole and the connection is reset; it is delivered when the test says so: [`super::Proxy::deliver`].
    DeliverLater,
}

/// More than any body has.
pub const WHOLE_BODY: u64 = u64::MAX;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    Reset,
    Close,
    /// It does not: the body is no longer read, and the connection stays open.
    StayOpen,
}

impl Fault {
    /// S3's error, in place of an answer.
    pub fn s3(status: u16, code: &str) -> Self {
        Self::Respond(Response::s3(status, code))
    }

    /// What S3 says when it wants to be asked less often.
    pub fn slow_down() -> Self {
        Self::Respond(Response::s3(503, "SlowDown"))
    }

    /// What S3 may say after it has begun to answer: an error behind a status of success.
    pub fn error_in_success() -> Self {
        Self::Respond(Response::s3(200, "InternalError"))
    }

    /// What S3 says of a URL that is too old.
    pub fn expired() -> Self {
        Self::Respond(Response::s3_with_message(
            403,
            "AccessDenied",
            "Request has expired",
        ))
    }

    /// A page for people.
    pub fn html_page(status: u16) -> Self {
        Self::Respond(Response::html_page(status))
    }
}
