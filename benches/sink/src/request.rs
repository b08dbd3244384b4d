//! The head of a request: its S3 operation, bucket and key, and the length of its body.
//!
//! Paths are `/bucket/key`. Names stay percent-encoded.

pub struct Request<'a> {
    pub method: &'a str,
    /// The first segment of the path.
    pub bucket: &'a str,
    /// The rest of the path; empty for the bucket itself.
    pub key: &'a str,
    query: &'a str,
    headers: &'a str,
}

impl<'a> Request<'a> {
    /// Returns `None` if the head is not a request.
    pub fn parse(head: &'a str) -> Option<Self> {
        let (first, headers) = head.split_once("\r\n")?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/')?;
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        Some(Self {
            method,
            bucket,
            key,
            query,
            headers,
        })
    }

    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self
            .headers
            .split("\r\n")
            .filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name, value.trim()))
    }

    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The value of a query parameter; empty if it has none.
    pub fn query(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Bytes of the body on the wire; `None` if it is chunked.
    pub fn length(&self) -> Option<u64> {
        match self.header("content-length") {
            Some(length) => length.parse().ok(),
            None if self.header("transfer-encoding").is_some() => None,
            None => Some(0),
        }
    }

    /// Bytes of the object in the body; fewer than on the wire if its chunks are signed.
    pub fn size(&self) -> u64 {
        let decoded = self
            .header("x-amz-decoded-content-length")
            .and_then(|size| size.parse().ok());
        decoded.or_else(|| self.length()).unwrap_or_default()
    }

    /// The name of the operation in the Amazon S3 API reference.
    pub fn operation(&self) -> &'static str {
        let has = |name| self.query(name).is_some();
        match (self.method, self.key.is_empty()) {
            ("PUT", false) if has("uploadId") => "UploadPart",
            ("PUT", false) => "PutObject",
            ("PUT", true) => "CreateBucket",
            ("POST", false) if has("uploads") => "CreateMultipartUpload",
            ("POST", false) if has("uploadId") => "CompleteMultipartUpload",
            ("POST", true) if has("delete") => "DeleteObjects",
            ("DELETE", false) if has("uploadId") => "AbortMultipartUpload",
            ("DELETE", false) => "DeleteObject",
            ("HEAD", false) => "HeadObject",
            ("HEAD", true) => "HeadBucket",
            ("GET", false) if has("uploadId") => "ListParts",
            ("GET", true) if has("uploads") => "ListMultipartUploads",
            ("GET", true) if has("location") => "GetBucketLocation",
            ("GET", true) if self.bucket.is_empty() => "ListBuckets",
            ("GET", true) => "ListObjects",
            _ => "Other",
        }
    }
}
