//! What came by: each request with the bytes of its body and the status it was answered with.
//!
//! Border: counts and no judgement. No query is kept: it holds signatures.

use std::time::Instant;

#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    /// The number of the part, for requests that name one.
    pub part: Option<u64>,
    /// Bytes of the request's body that arrived here.
    pub bytes: u64,
    /// None while it is under way, and where no answer was passed on.
    pub status: Option<u16>,
    /// When its head arrived here.
    pub began: Instant,
}

#[derive(Debug, Clone, Default)]
pub struct Traffic(pub Vec<Exchange>);

impl Traffic {
    /// What came by after `earlier` was looked at.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(self.0[earlier.0.len()..].to_vec())
    }

    pub fn by_method<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Exchange> + 'a {
        self.0
            .iter()
            .filter(move |exchange| exchange.method == method)
    }

    /// Requests by that method.
    pub fn count(&self, method: &str) -> u64 {
        self.by_method(method).count() as u64
    }

    /// Bytes of the bodies of requests by that method.
    pub fn bytes(&self, method: &str) -> u64 {
        self.by_method(method).map(|exchange| exchange.bytes).sum()
    }

    /// Requests of any kind.
    pub fn requests(&self) -> u64 {
        self.0.len() as u64
    }

    /// POSTs to a path that ends so.
    pub fn posts(&self, suffix: &str) -> u64 {
        self.by_method("POST")
            .filter(|exchange| exchange.path.ends_with(suffix))
            .count() as u64
    }

    /// PUTs that were answered with success.
    pub fn stored(&self) -> usize {
        self.by_method("PUT")
            .filter(|put| put.status == Some(200))
            .count()
    }

    /// Parts that were signed, by how long the requests are: the SHA-256 of a part alone is 64 bytes.
    pub fn signed(&self) -> u64 {
        let answered = self
            .by_method("POST")
            .filter(|post| post.path.ends_with("/sign") && post.status == Some(200));
        answered.map(|post| post.bytes / 100).sum()
    }

    /// How often a part was begun to be sent.
    pub fn attempts(&self, part: u64) -> u64 {
        self.by_method("PUT")
            .filter(|exchange| exchange.part == Some(part))
            .count() as u64
    }
}
