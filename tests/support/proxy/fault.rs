//! Which request goes wrong, and how.
//!
//! Border: pure values and their bookkeeping; `relay` makes them happen.

use super::message::Head;

/// What happens to a request, in place of being passed on untouched.
#[derive(Debug, Clone)]
pub enum Fault {
    /// One bit of the body is another when it arrives: of the byte at this offset.
    FlipBit { at: u64 },
    /// The connection ends on both sides after this many bytes of the body.
    CutAfter { bytes: u64 },
    /// The body is read, and answered with this; the gateway or store never hears of it.
    Answer { status: u16, headers: &'static str, body: &'static str },
    /// It is passed on whole, and the answer is thrown away with the connection.
    DropAnswer,
}

impl Fault {
    /// What S3 says when it wants to be asked less often.
    pub fn slow_down() -> Self {
        Self::Answer {
            status: 503,
            headers: "content-type: application/xml\r\n",
            body: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your \
                   request rate.</Message></Error>",
        }
    }

    /// What S3 may say after it has begun to answer: an error behind a status of success.
    pub fn error_in_success() -> Self {
        Self::Answer {
            status: 200,
            headers: "content-type: application/xml\r\n",
            body: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n   <Error><Code>InternalError</Code><Message>We \
                   encountered an internal error. Please try again.</Message></Error>",
        }
    }

    /// What S3 says of a URL that is too old.
    pub fn expired() -> Self {
        Self::Answer {
            status: 403,
            headers: "content-type: application/xml\r\n",
            body: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has \
                   expired</Message><Expires>2026-01-01T00:00:00Z</Expires></Error>",
        }
    }
}

/// A set of requests.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    method: &'static str,
    /// How the path ends.
    suffix: &'static str,
    /// What the query has in it.
    query: &'static str,
    /// The first one meant, from 1.
    from: u64,
    count: u64,
}

impl Requests {
    fn all(method: &'static str, suffix: &'static str, query: &'static str) -> Self {
        Self { method, suffix, query, from: 1, count: u64::MAX }
    }

    /// Every PUT: parts, and objects of one part.
    pub fn put() -> Self {
        Self::all("PUT", "", "")
    }

    /// Every GET whose path ends so.
    pub fn get(suffix: &'static str) -> Self {
        Self::all("GET", suffix, "")
    }

    /// Every POST whose path ends so.
    pub fn post(suffix: &'static str) -> Self {
        Self::all("POST", suffix, "")
    }

    pub fn begin() -> Self {
        Self::post("/v1/uploads")
    }

    pub fn sign() -> Self {
        Self::post("/sign")
    }

    pub fn complete() -> Self {
        Self::post("/complete")
    }

    /// S3's `CreateMultipartUpload`, from a gateway to its store.
    pub fn store_create() -> Self {
        Self::all("POST", "", "uploads")
    }

    /// S3's `CompleteMultipartUpload`.
    pub fn store_complete() -> Self {
        Self::all("POST", "", "uploadId=")
    }

    /// S3's `HeadObject`.
    pub fn store_head() -> Self {
        Self::all("HEAD", "", "")
    }

    /// Only the `nth` of them, from 1.
    pub fn nth(self, nth: u64) -> Self {
        Self { from: nth, count: 1, ..self }
    }

    /// Only the first `count` of them.
    pub fn first(self, count: u64) -> Self {
        Self { from: 1, count, ..self }
    }

    fn matches(&self, head: &Head) -> bool {
        head.method() == self.method && head.path().ends_with(self.suffix) && head.query().contains(self.query)
    }
}

/// What was asked for so far.
#[derive(Default)]
pub struct Rules(Vec<(Requests, Fault, u64)>);

impl Rules {
    pub fn add(&mut self, requests: Requests, fault: Fault) {
        self.0.push((requests, fault, 0));
    }

    /// Counts the request, and tells what becomes of it. Where several rules meet, the oldest wins.
    pub fn judge(&mut self, head: &Head) -> Option<Fault> {
        let mut verdict = None;
        for (requests, fault, seen) in &mut self.0 {
            if requests.matches(head) {
                *seen += 1;
                let meant = *seen >= requests.from && *seen - requests.from < requests.count;
                if meant && verdict.is_none() {
                    verdict = Some(fault.clone());
                }
            }
        }
        verdict
    }
}
