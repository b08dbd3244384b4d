//! The JSON schemas of the types that are texts or numbers with a pattern, for `openapi.json`.
//!
//! Not here: the schemas of messages, which are derived in `wire`.

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::{Checksum, ETag, Key, Md5, PartNumber, Sha256, SignedUrl, UploadId};

/// Checked texts, each with the pattern that is checked.
macro_rules! texts {
    ($($name:ty, $schema:tt;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                serde_json::from_value(json!($schema)).unwrap_or(RefOr::T(Schema::default()))
            }
        }
        impl ToSchema for $name {}
    )*};
}

texts! {
    UploadId, {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$", "description": "The id of an upload. The ids of the gateway are UUIDs."};
    Key, {"type": "string", "minLength": 1, "maxLength": 1024, "description": "The key of the object in the store, chosen by the gateway."};
    ETag, {"type": "string", "pattern": "^[!#-~]{1,128}$", "description": "The opaque ETag of the store, without quotes."};
    Sha256, {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 in lower-case hex."};
    Md5, {"type": "string", "minLength": 24, "maxLength": 24, "description": "MD5 in base64."};
    Checksum, {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=(-[1-9][0-9]{0,4})?$", "description": "S3's SHA-256 in base64; followed by -N if it is the composite checksum of N parts."};
    PartNumber, {"type": "integer", "format": "int32", "minimum": 1, "maximum": 4_294_967_295_u32};
    SignedUrl, {"type": "string", "format": "uri", "description": "A presigned URL. It is a secret, as a token is."};
}
