//! Which requests go wrong: by what they ask for, by part, and by how many of them there were before.
//!
//! Border: matching and counting; what happens to them is `fault`'s.

use super::fault::Fault;
use super::message::Head;

/// A set of requests.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// Any where it is empty.
    method: &'static str,
    /// How the path ends.
    suffix: &'static str,
    /// What the query has in it.
    query: &'static str,
    part: Option<u64>,
    /// The first one meant, from 1.
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
            from: 1,
            count: u64::MAX,
        }
    }

    /// Every request there is.
    pub fn any() -> Self {
        Self::all("", "", "")
    }

    /// Every PUT: parts, and objects of one part.
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

    /// Every GET whose path ends so.
    pub fn get(suffix: &'static str) -> Self {
        Self::all("GET", suffix, "")
    }

    /// Every POST whose path ends so.
    pub fn post(suffix: &'static str) -> Self {
        Self::all("POST", suffix, "")
    }

    /// What a client asks first: `GET /v1`.
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

    /// Only those behind the first `count`.
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
            && self.part.is_none_or(|part| head.part() == Some(part))
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
