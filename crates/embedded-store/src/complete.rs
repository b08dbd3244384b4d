//! Decides the result of a `CompleteMultipartUpload`. Pure: a function from rows and the request to
//! a decision.
//!
//! Not here: the transaction, in [`crate::multipart`].

use s3s::dto::{self, ChecksumType, CompleteMultipartUploadInput, CompletedPart};
use s3s::{S3Result, s3_error};

use crate::checksums::{Algorithm, Checksum, Coverage};
use crate::conditions::WriteConditions;
use crate::etag::{object_etag, part_etag};
use crate::manifest::{Object, Part, Upload};

/// The smallest size of a part except the last.
const MIN_PART_BYTES: u64 = 5 << 20;

/// The kind of checksum of an upload, if it has any.
type ChecksumKind = Option<(Algorithm, Coverage)>;

/// The request, checked as far as possible without rows.
#[derive(Debug)]
pub struct CompleteRequest {
    pub upload_id: String,
    pub key: String,
    listed: Vec<CompletedPart>,
    /// `x-amz-mp-object-size`
    size: Option<i64>,
    /// The checksum of the object; a composite with or without `-N`.
    checksum: Option<Checksum>,
    checksum_type: Option<ChecksumType>,
    conditions: WriteConditions,
}

/// The rows that the decision depends on.
#[derive(Debug)]
pub struct CompleteRows {
    /// The object at the key of the request.
    pub object: Option<Object>,
    /// The upload with the id and key of the request, if it is open.
    pub upload: Option<Upload>,
    /// The parts of that upload, or of the object that it became, sorted by number.
    pub parts: Vec<Part>,
}

#[derive(Debug)]
pub enum CompleteDecision {
    /// The upload was completed before with the same parts: respond as before.
    AlreadyCompleted(Object),
    /// The upload becomes this object; the parts with these numbers are deleted.
    Create(Object, Vec<i32>),
}

impl CompleteRequest {
    /// # Errors
    /// `InvalidRequest` for several checksums.
    pub fn from_input(input: CompleteMultipartUploadInput) -> S3Result<Self> {
        let checksums = dto::Checksum {
            checksum_crc32: input.checksum_crc32,
            checksum_crc32c: input.checksum_crc32c,
            checksum_crc64nvme: input.checksum_crc64nvme,
            checksum_sha1: input.checksum_sha1,
            checksum_sha256: input.checksum_sha256,
            checksum_type: None,
        };
        Ok(Self {
            upload_id: input.upload_id,
            key: input.key,
            listed: input
                .multipart_upload
                .and_then(|upload| upload.parts)
                .unwrap_or_default(),
            size: input.mpu_object_size,
            checksum: Checksum::from_fields(&checksums)?,
            checksum_type: input.checksum_type,
            conditions: WriteConditions {
                if_match: input.if_match,
                if_none_match: input.if_none_match,
            },
        })
    }

    /// # Errors
    /// `NoSuchUpload`; those of [`assemble`]; `InvalidRequest` for another size or type of
    /// checksum; `BadDigest` for another checksum; `InvalidPart` if the upload was completed with
    /// other parts; those of [`WriteConditions::check`].
    pub fn decide(&self, rows: CompleteRows, now: i64) -> S3Result<CompleteDecision> {
        let existing = rows.object.as_ref().map(|object| object.etag.clone());
        let completed = rows
            .object
            .filter(|object| object.upload_id == self.upload_id);
        let kind = match (&completed, &rows.upload) {
            (Some(object), _) => {
                let checksum = object.checksum.as_ref();
                checksum.map(|checksum| (checksum.algorithm, checksum.coverage()))
            }
            (None, Some(upload)) => upload.checksum_kind,
            (None, None) => return Err(s3_error!(NoSuchUpload)),
        };
        let assembled = assemble(&rows.parts, &self.listed, kind)?;
        self.check_size(assembled.size)?;
        self.check_checksum(&assembled, kind)?;
        check_required_checksums(&self.listed, kind)?;
        let upload = match (completed, rows.upload) {
            (Some(object), _) if object.etag == assembled.etag => {
                return Ok(CompleteDecision::AlreadyCompleted(object));
            }
            (Some(_), _) => {
                return Err(s3_error!(
                    InvalidPart,
                    "The upload was completed with other parts"
                ));
            }
            (None, Some(upload)) => upload,
            (None, None) => return Err(s3_error!(NoSuchUpload)),
        };
        self.conditions.check(existing.as_deref())?;
        let object = Object {
            key: self.key.clone(),
            upload_id: self.upload_id.clone(),
            size: assembled.size,
            etag: assembled.etag,
            checksum: kind.and(assembled.checksum),
            attributes: upload.attributes,
            created_ms: now,
        };
        Ok(CompleteDecision::Create(object, assembled.omitted))
    }

    fn check_size(&self, size: u64) -> S3Result<()> {
        let is_other = |expected| u64::try_from(expected) != Ok(size);
        if self.size.is_some_and(is_other) {
            return Err(s3_error!(
                InvalidRequest,
                "The x-amz-mp-object-size does not match: {size}"
            ));
        }
        Ok(())
    }

    fn check_checksum(&self, assembled: &Assembled, kind: ChecksumKind) -> S3Result<()> {
        let coverage = kind.map(|(_, coverage)| coverage.name());
        let requested = self.checksum_type.as_ref().map(ChecksumType::as_str);
        if requested.is_some() && coverage.is_some() && requested != coverage {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created with another checksum type"
            ));
        }
        let (Some(expected), Some(computed)) = (&self.checksum, &assembled.checksum) else {
            return Ok(());
        };
        if expected.algorithm != computed.algorithm {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created with another checksum algorithm"
            ));
        }
        let without_count = computed.value.split('-').next().unwrap_or_default();
        if expected.value != computed.value && expected.value != without_count {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                computed.algorithm.name()
            ));
        }
        Ok(())
    }
}

/// The object that consists of the listed parts.
#[derive(Debug, PartialEq, Eq)]
struct Assembled {
    size: u64,
    etag: String,
    /// For an upload without checksums: the composite of SHA-256.
    checksum: Option<Checksum>,
    /// The numbers of stored parts that are not listed.
    omitted: Vec<i32>,
}

/// Compares the `listed` parts with the `stored` ones, which are sorted by number.
///
/// # Errors
/// `MalformedXML` for an empty list, or a part without number or ETag; `InvalidPartOrder`;
/// `InvalidPart` for a part that is not stored, or with another ETag or checksum; `EntityTooSmall`
/// for a part of less than 5 MiB, except the last.
fn assemble(stored: &[Part], listed: &[CompletedPart], kind: ChecksumKind) -> S3Result<Assembled> {
    let mut parts: Vec<&Part> = Vec::with_capacity(listed.len());
    let mut omitted = Vec::new();
    let mut rest = stored.iter().peekable();
    if !listed.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(InvalidPartOrder));
    }
    for listed_part in listed {
        let (Some(number), Some(etag)) = (listed_part.part_number, &listed_part.e_tag) else {
            return Err(s3_error!(
                MalformedXML,
                "A part needs its number and its ETag"
            ));
        };
        while let Some(skipped) = rest.next_if(|part| part.number < number) {
            omitted.push(skipped.number);
        }
        let part = rest
            .next_if(|part| part.number == number)
            .ok_or_else(|| s3_error!(InvalidPart, "Part {number} is not stored"))?;
        if etag.value() != part_etag(&part.digests) {
            return Err(s3_error!(
                InvalidPart,
                "Part {number} is stored with another ETag"
            ));
        }
        check_listed_checksum(listed_part, part)?;
        parts.push(part);
    }
    let Some((_, before_last)) = parts.split_last() else {
        return Err(s3_error!(
            MalformedXML,
            "A list of parts must name at least one"
        ));
    };
    if let Some(small) = before_last
        .iter()
        .find(|part| part.digests.size < MIN_PART_BYTES)
    {
        let number = small.number;
        return Err(s3_error!(
            EntityTooSmall,
            "Part {number} is smaller than the minimum allowed size"
        ));
    }
    omitted.extend(rest.map(|part| part.number));
    let (algorithm, coverage) = kind.unwrap_or((Algorithm::Sha256, Coverage::Composite));
    let checksums: Vec<(String, u64)> = parts
        .iter()
        .map(|part| {
            let checksum = part.digests.checksum(algorithm).unwrap_or_default();
            (checksum, part.digests.size)
        })
        .collect();
    let checksums = checksums
        .iter()
        .map(|(checksum, size)| (checksum.as_str(), *size));
    Ok(Assembled {
        size: parts.iter().map(|part| part.digests.size).sum(),
        etag: object_etag(parts.iter().map(|part| &part.digests)),
        checksum: algorithm.assemble(coverage, checksums),
        omitted,
    })
}

/// # Errors
/// `InvalidPart` for a checksum that is not that of the stored part.
fn check_listed_checksum(listed: &CompletedPart, stored: &Part) -> S3Result<()> {
    let number = stored.number;
    let checksums = dto::Checksum {
        checksum_crc32: listed.checksum_crc32.clone(),
        checksum_crc32c: listed.checksum_crc32c.clone(),
        checksum_crc64nvme: listed.checksum_crc64nvme.clone(),
        checksum_sha1: listed.checksum_sha1.clone(),
        checksum_sha256: listed.checksum_sha256.clone(),
        checksum_type: None,
    };
    for algorithm in Algorithm::ALL {
        let Some(expected) = algorithm.value_in(checksums.clone()) else {
            continue;
        };
        if stored.digests.checksum(algorithm) != Some(expected) {
            return Err(s3_error!(
                InvalidPart,
                "Part {number} is stored with another checksum"
            ));
        }
    }
    Ok(())
}

/// # Errors
/// `InvalidRequest` if the upload was created with SHA-256, and a part is listed without it.
fn check_required_checksums(listed: &[CompletedPart], kind: ChecksumKind) -> S3Result<()> {
    let requires_sha256 = kind.is_some_and(|(algorithm, _)| algorithm == Algorithm::Sha256);
    let lacks_sha256 = |part: &&CompletedPart| part.checksum_sha256.is_none();
    match listed.iter().find(lacks_sha256) {
        Some(part) if requires_sha256 => Err(s3_error!(
            InvalidRequest,
            "The upload was created with SHA256; part {} lacks its checksum",
            part.part_number.unwrap_or_default()
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;
    use upload_types::Sha256;

    use super::*;
    use crate::manifest::Digests;
    use crate::part_files::FileName;

    const SHA256: ChecksumKind = Some((Algorithm::Sha256, Coverage::Composite));

    fn digests(number: i32, size: u64) -> Digests {
        Digests {
            size,
            sha256: Sha256::of(&number.to_be_bytes()),
            md5: None,
            checksum: None,
        }
    }

    fn stored(numbers_and_sizes: &[(i32, u64)]) -> Vec<Part> {
        let part = |&(number, size): &(i32, u64)| Part {
            number,
            file: FileName::parse(&"0".repeat(32)).unwrap(),
            digests: digests(number, size),
            created_ms: 0,
        };
        numbers_and_sizes.iter().map(part).collect()
    }

    fn listed(numbers: &[i32]) -> Vec<CompletedPart> {
        let part = |&number: &i32| CompletedPart {
            part_number: Some(number),
            e_tag: Some(ETag::Strong(part_etag(&digests(number, 0)))),
            checksum_sha256: Some(digests(number, 0).sha256.base64()),
            ..CompletedPart::default()
        };
        numbers.iter().map(part).collect()
    }

    #[test]
    fn listed_parts_make_the_object_and_others_are_omitted() {
        let sizes = [
            (1, 1),
            (2, MIN_PART_BYTES),
            (5, MIN_PART_BYTES),
            (9, 3),
            (10, 1),
        ];
        let assembled = assemble(&stored(&sizes), &listed(&[2, 5, 9]), SHA256).unwrap();
        assert_eq!(assembled.size, 2 * MIN_PART_BYTES + 3);
        assert_eq!(assembled.omitted, [1, 10]);
        assert!(assembled.etag.ends_with("-3"));
        assert!(assembled.checksum.unwrap().value.ends_with("-3"));
    }

    #[test]
    fn wrong_lists_are_rejected() {
        let parts = stored(&[(1, MIN_PART_BYTES), (2, 1), (3, 1)]);
        let changed = |change: fn(&mut CompletedPart)| {
            let mut list = listed(&[1, 2]);
            change(&mut list[1]);
            list
        };
        let other_etag = changed(|part| part.e_tag = Some(ETag::Strong("x".into())));
        let other_checksum = changed(|part| part.checksum_sha256 = Some("x".into()));
        let unknown_checksum = changed(|part| part.checksum_crc32 = Some("x".into()));
        let no_checksum = changed(|part| part.checksum_sha256 = None);
        let no_etag = changed(|part| part.e_tag = None);
        assert!(assemble(&parts, &no_checksum, SHA256).is_ok());
        assert!(check_required_checksums(&no_checksum, None).is_ok());
        assert!(check_required_checksums(&no_checksum, SHA256).is_err());
        for (list, kind, code) in [
            (vec![], None, "MalformedXML"),
            (listed(&[2, 1]), SHA256, "InvalidPartOrder"),
            (listed(&[1, 1]), SHA256, "InvalidPartOrder"),
            (listed(&[1, 4]), SHA256, "InvalidPart"),
            (listed(&[1, 2, 3]), SHA256, "EntityTooSmall"),
            (other_etag, SHA256, "InvalidPart"),
            (other_checksum, None, "InvalidPart"),
            (unknown_checksum, None, "InvalidPart"),
            (no_etag, None, "MalformedXML"),
        ] {
            let error = assemble(&parts, &list, kind).unwrap_err();
            assert_eq!(error.code().as_str(), code, "{list:?}");
        }
    }
}
