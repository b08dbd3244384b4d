//! Converts between the fields of S3's inputs and outputs and those of rows. s3s generates a type
//! for each operation; macros copy the fields that several of them have.

use std::collections::BTreeMap;

use s3s::dto::{Checksum as ChecksumFields, ChecksumMode, Expires, Metadata, TimestampFormat};
use s3s::{S3Result, s3_error};

use upload_types::attributes::{MAX_TAGS, check_tag};
use upload_types::{decode_words, encode_words};
use url::form_urlencoded;

use crate::checksums::Checksum;
use crate::manifest::{Attributes, Object, Part};

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
                ..Default::default()
            },
            $input.metadata,
            $input.expires.as_ref(),
            $input.tagging.as_deref(),
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
        let checksum: s3s::dto::Checksum = $checksum;
        let checksum_type = checksum.checksum_type.clone();
        $crate::object_fields::with_checksum!($output {
            checksum,
            checksum_type: checksum_type,
            accept_ranges: Some("bytes".into()),
            e_tag: Some($crate::etag::strong(&object.etag)),
            last_modified: Some($crate::time::timestamp(object.created_ms)),
            metadata: $crate::object_fields::shown_metadata(&object.attributes),
            expires: $crate::object_fields::shown_expires(&object.attributes),
            content_type: object.attributes.content_type,
            cache_control: object.attributes.cache_control,
            content_disposition: object.attributes.content_disposition,
            content_encoding: object.attributes.content_encoding,
            content_language: object.attributes.content_language,
            $($field: $value,)*
        })
    }};
}

/// Makes an output with the fields of checksums, and further fields.
macro_rules! with_checksum {
    ($output:ident { $checksum:expr, $($field:ident: $value:expr),* $(,)? }) => {{
        let checksum: s3s::dto::Checksum = $checksum;
        $output {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            $($field: $value,)*
            ..$output::default()
        }
    }};
}

/// As [`with_checksum`], for a type whose other fields are all given.
macro_rules! only_with_checksum {
    ($output:ident { $checksum:expr, $($field:ident: $value:expr),* $(,)? }) => {{
        let checksum: s3s::dto::Checksum = $checksum;
        $output {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            $($field: $value,)*
        }
    }};
}

pub(crate) use {
    attributes_of, object_output, only_with_checksum, read_conditions_of, with_checksum,
};

/// Adds the user's metadata, the date of expiry and the tags, and removes `aws-chunked` from the
/// encoding: that is only the encoding of the request.
///
/// # Errors
/// `MetadataTooLarge`; those of [`parse_tags`].
pub fn checked_attributes(
    attributes: Attributes,
    metadata: Option<Metadata>,
    expires: Option<&Expires>,
    tagging: Option<&str>,
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
        content_encoding: (!encodings.is_empty()).then(|| encodings.join(", ")),
        expires: expires.and_then(http_date),
        metadata: metadata.into_iter().collect(),
        tags: tagging.map(parse_tags).transpose()?.unwrap_or_default(),
        ..attributes
    })
}

/// Parses the header `x-amz-tagging`: the tags as a query.
///
/// # Errors
/// `InvalidTag` for a tag that S3 does not permit, for a key that is given twice, and for too
/// many tags.
fn parse_tags(tagging: &str) -> S3Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(tagging.as_bytes()) {
        check_tag(&key, &value).map_err(|error| s3_error!(InvalidTag, "{error}"))?;
        if tags.insert(key.into_owned(), value.into_owned()).is_some() {
            return Err(s3_error!(
                InvalidTag,
                "Cannot provide multiple Tags with the same key"
            ));
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(s3_error!(
            InvalidTag,
            "Object tags cannot be greater than {MAX_TAGS}"
        ));
    }
    Ok(tags)
}

/// The number of tags in responses, if there are any.
pub fn shown_tag_count(attributes: &Attributes) -> Option<i32> {
    let count = i32::try_from(attributes.tags.len()).ok();
    count.filter(|count| *count > 0)
}

fn http_date(time: &Expires) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// The checksum that a HEAD or GET returns if `mode` requests it, with its type.
pub fn shown_checksum(object: &Object, mode: Option<&ChecksumMode>) -> ChecksumFields {
    let checksum = object.checksum.as_ref().filter(|_| mode.is_some());
    checksum.map(Checksum::to_dto).unwrap_or_default()
}

/// The checksum of a part that a GET returns if `mode` requests it, with the type of the object's.
pub fn shown_part_checksum(
    object: &Object,
    part: &Part,
    mode: Option<&ChecksumMode>,
) -> ChecksumFields {
    let of_object = object.checksum.as_ref().filter(|_| mode.is_some());
    let shown = of_object.and_then(|of_object| {
        let algorithm = of_object.algorithm;
        let value = part.digests.checksum(algorithm)?;
        Some(ChecksumFields {
            checksum_type: Some(of_object.coverage().as_dto()),
            ..Checksum { algorithm, value }.to_dto()
        })
    });
    shown.unwrap_or_default()
}

pub fn shown_expires(attributes: &Attributes) -> Option<Expires> {
    let text = attributes.expires.as_ref()?;
    Expires::parse(TimestampFormat::HttpDate, text).ok()
}

pub fn shown_metadata(attributes: &Attributes) -> Option<Metadata> {
    let metadata = attributes.metadata.iter();
    let shown: Metadata = metadata
        .map(|(key, value)| (key.clone(), shown_value(value)))
        .collect();
    (!shown.is_empty()).then_some(shown)
}

/// The value of a metadata header. s3s decodes the encoded words of a request, and encodes only
/// texts other than ASCII in its response: a client would read some other texts differently.
fn shown_value(text: &str) -> String {
    if text.trim() == text && decode_words(text) == text {
        text.to_owned()
    } else {
        encode_words(text)
    }
}
