//! The table of all errors of the API: code, HTTP status and title.
//!
//! Not here: the conditions of each error (the gateway), and the reaction of the client
//! (`backend`).

use std::fmt;

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $title:literal)*) => {
        /// An error of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

codes! {
    InvalidRequest      "invalid_request"      400 "the request is not valid"
    Unauthenticated     "unauthenticated"      401 "a valid token is required"
    Forbidden           "forbidden"            403 "not permitted"
    AttributeNotAllowed "attribute_not_allowed" 403 "this attribute is not allowed"
    KeyNotAllowed       "key_not_allowed"      403 "this key is not allowed"
    NotFound            "not_found"            404 "no such upload"
    LeaseHeld           "lease_held"           409 "another client drives this upload"
    LeaseLost           "lease_lost"           409 "another client has taken this upload over"
    PartPinned          "part_pinned"          409 "this part was signed with another SHA-256"
    Busy                "busy"                 409 "another call is working on this upload"
    Exists              "exists"               409 "there is an object at this key"
    KeyInUse            "key_in_use"           409 "another unfinished upload has this key"
    NotReady            "not_ready"            409 "the upload is not ready"
    NotAbortable        "not_abortable"        409 "the upload can no longer be aborted"
    Gone                "gone"                 410 "the upload was aborted, has expired, or was rejected"
    TooLarge            "too_large"            413 "too large"
    TypeNotAllowed      "type_not_allowed"     415 "this content type is not allowed"
    NameInvalid         "name_invalid"         422 "a name must have 1 to 200 characters and no control characters"
    KeyInvalid          "key_invalid"          422 "this is not a valid key"
    IdempotencyMismatch "idempotency_mismatch" 422 "the idempotency key was used for another upload"
    PartsMismatch       "parts_mismatch"       422 "the parts differ from those in the store"
    SourceMismatch      "source_mismatch"      422 "the parts do not match the upload"
    RateLimited         "rate_limited"         429 "too many requests"
    QuotaExceeded       "quota_exceeded"       429 "the quota is used up"
    StoreUnavailable    "store_unavailable"    502 "the store did not respond as expected"
    StoreRejected       "store_rejected"       502 "the store refuses the requests of the gateway"
    Unavailable         "unavailable"          503 "the gateway cannot serve this request now"
}

impl Code {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
