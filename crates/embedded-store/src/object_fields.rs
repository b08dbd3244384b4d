//! Converts between the fields of S3's inputs and outputs and those of rows. s3s generates a type
//! for each operation; macros copy the fields that several of them have.

use s3s::dto::{ChecksumMode, ChecksumType, Metadata};
use s3s::{S3Result, s3_error};

use crate::manifest::{Attributes, Object};

/// S3's limit for user metadata, names and values together.
const MAX_METADATA_BYTES: usize = 2048;

/// Takes the [`Attributes`] out of the input of an operation that creates an object or upload; see
/// [`checked_attributes`].
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::object_fields::checked_attributes(
            $crate::manifest::Attributes {
                content_type: $input.content_type,
                cache_control: $input.cache_control,
                content_disposition: $input.content_disposition,
                content_encoding: $input.content_encoding,
                content_language: $input.content_language,
                metadata: Default::default(),
            },
            $input.metadata,
        )
    };
}

/// Takes the [`ReadConditions`](crate::conditions::ReadConditions) out of the input of a read.
macro_rules! read_conditions_of {
    ($input:expr) => {
        $crate::conditions::ReadConditions {
            if_match: $input.if_match,
            if_none_match: $input.if_none_match,
            if_modified_since: $input.if_modified_since,
            if_unmodified_since: $input.if_unmodified_since,
        }
    };
}

/// Makes the output of a read: the fields of an object with its [`shown_checksum`], and further
/// fields.
macro_rules! object_output {
    ($output:ident { $object:expr, $checksum:expr, $($field:ident: $value:expr),* $(,)? }) => {{
        let object: $crate::manifest::Object = $object;
        let (checksum_sha256, checksum_type) = $checksum;
        $output {
            accept_ranges: Some("bytes".into()),
            e_tag: Some($crate::etag::strong(&object.etag)),
            last_modified: Some($crate::time::timestamp(object.created_ms)),
            checksum_sha256,
            checksum_type,
            metadata: $crate::object_fields::shown_metadata(&object.attributes),
            content_type: object.attributes.content_type,
            cache_control: object.attributes.cache_control,
            content_disposition: object.attributes.content_disposition,
            content_encoding: object.attributes.content_encoding,
            content_language: object.attributes.content_language,
            $($field: $value,)*
            ..$output::default()
        }
    }};
}

/// Makes the output of an operation that received a body: its ETag and checksums, and further
/// fields.
macro_rules! received_output {
    ($output:ident { $etag:expr, $checksums:expr, $($field:ident: $value:expr),* $(,)? }) => {{
        let checksums: s3s::dto::Checksum = $checksums;
        $output {
            e_tag: Some($crate::etag::strong($etag)),
            checksum_crc32: checksums.checksum_crc32,
            checksum_crc32c: checksums.checksum_crc32c,
            checksum_crc64nvme: checksums.checksum_crc64nvme,
            checksum_sha1: checksums.checksum_sha1,
            checksum_sha256: checksums.checksum_sha256,
            $($field: $value,)*
            ..$output::default()
        }
    }};
}

pub(crate) use {attributes_of, object_output, read_conditions_of, received_output};

/// Adds the user's metadata, and removes `aws-chunked` from the encoding: that is only the encoding
/// of the request.
///
/// # Errors
/// `MetadataTooLarge`.
pub fn checked_attributes(
    attributes: Attributes,
    metadata: Option<Metadata>,
) -> S3Result<Attributes> {
    let metadata = metadata.unwrap_or_default();
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(s3_error!(MetadataTooLarge));
    }
    let encoding = attributes.content_encoding.unwrap_or_default();
    let encodings: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty() && *name != "aws-chunked")
        .collect();
    Ok(Attributes {
        content_encoding: (!encodings.is_empty()).then(|| encodings.join(",")),
        metadata: metadata.into_iter().collect(),
        ..attributes
    })
}

/// The checksum that a HEAD or GET returns if `mode` requests it, with its type.
pub fn shown_checksum(
    object: &Object,
    mode: Option<&ChecksumMode>,
) -> (Option<String>, Option<ChecksumType>) {
    let Some(checksum) = object.checksum.as_ref().filter(|_| mode.is_some()) else {
        return (None, None);
    };
    let kind = if checksum.contains('-') {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    };
    let kind = ChecksumType::from_static(kind);
    (Some(checksum.clone()), Some(kind))
}

pub fn shown_metadata(attributes: &Attributes) -> Option<Metadata> {
    let metadata = &attributes.metadata;
    (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect())
}
