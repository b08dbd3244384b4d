//! The selection of requests for a fault: by method and path, by part, and by order.

use super::fault::Fault;
use super::message::Head;

/// A set of requests.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// Any if it is empty.
    method: &'static str,
    /// The end of the path.
    suffix: &'static str,
    /// A part of the query.
    query: &'static str,
    part: Option<u64>,
    /// A text in the request line or a header.
    head: &'static str,
    /// The number of the first selected match, from 1.
    from: u64,
    count: u64,
}

impl Requests {
    fn all(method: &'static str, suffix: &'static str, query: &'static str) -> Self {
        Self {
            method,
            suffix,
            query,
            part: None,
            head: "",
            from: 1,
            count: u64::MAX,
        }
    }

    /// Every request.
    pub fn any() -> Self {
        Self::all("", "", "")
    }

    /// Every PUT: parts, and objects that are sent whole.
    pub fn put() -> Self {
        Self::all("PUT", "", "")
    }

    /// PUTs of one part of a multipart upload.
    pub fn part(number: u64) -> Self {
        Self {
            part: Some(number),
            ..Self::put()
        }
    }

    /// Every GET whose path ends with `suffix`.
    pub fn get(suffix: &'static str) -> Self {
        Self::all("GET", suffix, "")
    }

    /// Every POST whose path ends with `suffix`.
    pub fn post(suffix: &'static str) -> Self {
        Self::all("POST", suffix, "")
    }

    /// The first request of a client: `GET /v1`.
    pub fn info() -> Self {
        Self::get("/v1")
    }

    pub fn begin() -> Self {
        Self::post("/v1/uploads")
    }

    pub fn batch() -> Self {
        Self::post("/v1/batch")
    }

    pub fn claim() -> Self {
        Self::post("/claim")
    }

    pub fn sign() -> Self {
        Self::post("/sign")
    }

    /// The list of stored parts, from the gateway.
    pub fn parts() -> Self {
        Self::get("/parts")
    }

    pub fn complete() -> Self {
        Self::post("/complete")
    }

    pub fn abort() -> Self {
        Self::all("DELETE", "", "")
    }

    /// S3's `CreateMultipartUpload`, from a gateway to its store.
    pub fn store_create() -> Self {
        Self::all("POST", "", "uploads")
    }

    /// S3's `ListParts`.
    pub fn store_list() -> Self {
        Self::all("GET", "", "uploadId=")
    }

    /// S3's `CompleteMultipartUpload`.
    pub fn store_complete() -> Self {
        Self::all("POST", "", "uploadId=")
    }

    /// S3's `HeadObject`.
    pub fn store_head() -> Self {
        Self::all("HEAD", "", "")
    }

    /// Only those with this text in the request line or a header.
    pub fn with_text(self, head: &'static str) -> Self {
        Self { head, ..self }
    }

    /// Only the `nth` of them, from 1.
    pub fn nth(self, nth: u64) -> Self {
        Self {
            from: nth,
            count: 1,
            ..self
        }
    }

    /// Only the first `count` of them.
    pub fn first(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// All but the first `count` of them.
    pub fn after(self, count: u64) -> Self {
        Self {
            from: count + 1,
            ..self
        }
    }

    fn matches(&self, head: &Head) -> bool {
        (self.method.is_empty() || head.method() == self.method)
            && head.path().ends_with(self.suffix)
            && head.query().contains(self.query)
            && head.contains(self.head)
            && self.part.is_none_or(|part| head.part() == Some(part))
    }
}

/// The faults to inject, each with the number of its matches so far.
#[derive(Default)]
pub struct Rules(Vec<(Requests, Fault, u64)>);

impl Rules {
    pub fn add(&mut self, requests: Requests, fault: Fault) {
        self.0.push((requests, fault, 0));
    }

    /// Counts the request and returns its fault. If several rules select it, the oldest applies.
    pub fn fault_for(&mut self, head: &Head) -> Option<Fault> {
        let mut chosen = None;
        for (requests, fault, seen) in &mut self.0 {
            if requests.matches(head) {
                *seen += 1;
                let selected = *seen >= requests.from && *seen - requests.from < requests.count;
                if selected && chosen.is_none() {
                    chosen = Some(fault.clone());
                }
            }
        }
        chosen
    }
}
