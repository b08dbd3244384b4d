//! Signature Version 4 of AWS: credentials, signed requests, presigned URLs and forms.
//!
//! Not here: the requests. Nothing is sent except by the credential chain.
//!
//! A presigned URL binds its body by signed **headers**, never by query parameters: S3 ignores a
//! checksum in the query.
//!
//! | file | |
//! |---|---|
//! | `credentials` | the credential: fixed, or from the AWS chain |
//! | `signer` | signs requests with it |
//! | `part_urls` | presigns many parts of one upload, faster than the library |
//! | `post_policy` | the form of a browser |
//! | `body_headers` | the headers that bind the body of a part |
//! | `presigned`, `ttl`, `signing_key` | a presigned URL, its longest lifetime, the key |

mod body_headers;
mod credentials;
mod part_urls;
mod post_policy;
mod presigned;
mod signer;
mod signing_key;
mod ttl;

pub(crate) use body_headers::body_headers;
pub(crate) use credentials::Credentials;
pub(crate) use presigned::Presigned;
pub(crate) use signer::Signer;
