//! `GetObjectAttributes`: the properties of an object and its parts, without its bytes.

use s3s::dto::{
    GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectAttributes, ObjectPart, StorageClass,
};
use s3s::{S3Result, s3_error};

use crate::bucket::check_bucket;
use crate::checksums::{Checksum, Coverage};
use crate::etag::strong;
use crate::listing::page_size;
use crate::manifest::{Object, Part};
use crate::object_fields::only_with_checksum;
use crate::objects::check_version;
use crate::store::Store;
use crate::time::timestamp;

const KNOWN: [&str; 5] = [
    ObjectAttributes::CHECKSUM,
    ObjectAttributes::ETAG,
    ObjectAttributes::OBJECT_PARTS,
    ObjectAttributes::OBJECT_SIZE,
    ObjectAttributes::STORAGE_CLASS,
];

impl Store {
    pub async fn get_object_attributes(
        &self,
        input: GetObjectAttributesInput,
    ) -> S3Result<GetObjectAttributesOutput> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        let readable = self.readable_object(&input.key).await?;
        let object = &readable.object;
        // Some clients send one header with several names.
        let requested: Vec<&str> = input
            .object_attributes
            .iter()
            .flat_map(|names| names.as_str().split(','))
            .map(str::trim)
            .collect();
        if requested.is_empty() || requested.iter().any(|name| !KNOWN.contains(name)) {
            return Err(s3_error!(
                InvalidArgument,
                "Invalid attribute name specified."
            ));
        }
        let has = |name: &str| requested.contains(&name);
        let storage_class = StorageClass::from_static(StorageClass::STANDARD);
        let object_parts = if has(ObjectAttributes::OBJECT_PARTS) && object.etag.contains('-') {
            let after = input.part_number_marker.unwrap_or_default();
            let max_parts = page_size(input.max_parts)?;
            Some(shown_parts(object, readable.parts(), after, max_parts))
        } else {
            None
        };
        Ok(GetObjectAttributesOutput {
            checksum: object
                .checksum
                .as_ref()
                .filter(|_| has(ObjectAttributes::CHECKSUM))
                .map(Checksum::to_dto),
            e_tag: has(ObjectAttributes::ETAG).then(|| strong(&object.etag)),
            last_modified: Some(timestamp(object.created_ms)),
            object_parts,
            object_size: i64::try_from(object.size)
                .ok()
                .filter(|_| has(ObjectAttributes::OBJECT_SIZE)),
            storage_class: has(ObjectAttributes::STORAGE_CLASS).then_some(storage_class),
            ..GetObjectAttributesOutput::default()
        })
    }
}

/// A page of the parts of an object, with checksums if those of the object are composite.
fn shown_parts(
    object: &Object,
    parts: &[Part],
    after: i32,
    max_parts: usize,
) -> GetObjectAttributesParts {
    let algorithm = object
        .checksum
        .as_ref()
        .filter(|checksum| checksum.coverage() == Coverage::Composite)
        .map(|checksum| checksum.algorithm);
    let rest = parts.iter().filter(|part| part.number > after).count();
    let page: Vec<&Part> = parts
        .iter()
        .filter(|part| part.number > after)
        .take(max_parts)
        .collect();
    let listed = page.iter().map(|part| {
        let checksum = algorithm.and_then(|algorithm| {
            let value = part.digests.checksum(algorithm)?;
            Some(Checksum { algorithm, value }.to_dto())
        });
        only_with_checksum!(ObjectPart {
            checksum.unwrap_or_default(),
            part_number: Some(part.number),
            size: i64::try_from(part.digests.size).ok(),
        })
    });
    GetObjectAttributesParts {
        is_truncated: Some(rest > page.len()),
        max_parts: i32::try_from(max_parts).ok(),
        next_part_number_marker: page.last().map(|part| part.number),
        part_number_marker: Some(after),
        parts: Some(listed.collect()),
        total_parts_count: i32::try_from(parts.len()).ok(),
    }
}
