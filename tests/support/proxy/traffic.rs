//! The requests that passed the proxy, with the length of their bodies and their status. Queries
//! are not kept, because they hold signatures.

use std::time::Instant;

#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    /// The part number, if the request names one.
    pub part: Option<u64>,
    /// Bytes of the request's body that the proxy read.
    pub bytes: u64,
    /// `None` until a response is passed on.
    pub status: Option<u16>,
    /// When the proxy read the head.
    pub began: Instant,
}

#[derive(Debug, Clone, Default)]
pub struct Traffic(pub Vec<Exchange>);

impl Traffic {
    /// The requests after `earlier` was taken.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(self.0[earlier.0.len()..].to_vec())
    }

    pub fn by_method<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Exchange> + 'a {
        self.0
            .iter()
            .filter(move |exchange| exchange.method == method)
    }

    /// The number of requests with this method.
    pub fn count(&self, method: &str) -> u64 {
        self.by_method(method).count() as u64
    }

    /// Bytes in the bodies of requests with this method.
    pub fn bytes(&self, method: &str) -> u64 {
        self.by_method(method).map(|exchange| exchange.bytes).sum()
    }

    /// The number of all requests.
    pub fn requests(&self) -> u64 {
        self.0.len() as u64
    }

    /// The number of POSTs to a path that ends with `suffix`.
    pub fn posts(&self, suffix: &str) -> u64 {
        self.by_method("POST")
            .filter(|exchange| exchange.path.ends_with(suffix))
            .count() as u64
    }

    /// The number of PUTs that succeeded.
    pub fn stored(&self) -> usize {
        self.by_method("PUT")
            .filter(|put| put.status == Some(200))
            .count()
    }

    /// The number of signed parts, estimated from the length of the requests: each part takes
    /// about 100 bytes, of which its SHA-256 takes 64.
    pub fn signed(&self) -> u64 {
        let signed = self
            .by_method("POST")
            .filter(|post| post.path.ends_with("/sign") && post.status == Some(200));
        signed.map(|post| post.bytes / 100).sum()
    }

    /// The number of PUTs of this part, complete or not.
    pub fn attempts(&self, part: u64) -> u64 {
        self.by_method("PUT")
            .filter(|exchange| exchange.part == Some(part))
            .count() as u64
    }
}
