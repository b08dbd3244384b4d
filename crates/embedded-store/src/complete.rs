//! Decides the result of a `CompleteMultipartUpload`. Pure: a function from rows and the request to
//! a decision.
//!
//! Not here: the transaction, in [`crate::multipart`].

use s3s::dto::{ChecksumType, CompleteMultipartUploadInput, CompletedPart};
use s3s::{S3Result, s3_error};

use upload_types::{Checksum, Sha256};

use crate::conditions::is_if_absent;
use crate::etag::part_etag;
use crate::manifest::{Object, Part, Upload};

/// The smallest size of a part except the last.
const MIN_PART_BYTES: u64 = 5 << 20;

/// The request, checked as far as possible without rows.
#[derive(Debug)]
pub struct CompleteRequest {
    pub upload_id: String,
    pub key: String,
    listed: Vec<CompletedPart>,
    /// `x-amz-mp-object-size`
    size: Option<i64>,
    /// The composite, with or without `-N`.
    checksum: Option<String>,
    if_absent: bool,
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
    /// `NotImplemented` and `InvalidRequest` for conditions and checksums that the store does not
    /// support.
    pub fn from_input(input: CompleteMultipartUploadInput) -> S3Result<Self> {
        let if_absent = is_if_absent(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        check_composite(input.checksum_type.as_ref())?;
        let other_checksums = [
            &input.checksum_crc32,
            &input.checksum_crc32c,
            &input.checksum_crc64nvme,
            &input.checksum_sha1,
        ];
        if other_checksums.iter().any(|checksum| checksum.is_some()) {
            return Err(s3_error!(
                NotImplemented,
                "Multipart uploads have SHA256 checksums or none"
            ));
        }
        Ok(Self {
            upload_id: input.upload_id,
            key: input.key,
            listed: input
                .multipart_upload
                .and_then(|upload| upload.parts)
                .unwrap_or_default(),
            size: input.mpu_object_size,
            checksum: input.checksum_sha256,
            if_absent,
        })
    }

    /// # Errors
    /// `NoSuchUpload`; those of [`assemble`]; `InvalidRequest` for another size; `BadDigest` for
    /// another checksum; `InvalidPart` if the upload was completed with other parts;
    /// `PreconditionFailed` if the object must not exist.
    pub fn decide(&self, rows: CompleteRows, now: i64) -> S3Result<CompleteDecision> {
        let key_is_taken = rows.object.is_some();
        let completed = rows
            .object
            .filter(|object| object.upload_id == self.upload_id);
        let requires_sha256 = match (&completed, &rows.upload) {
            (Some(object), _) => object.checksum.is_some(),
            (None, Some(upload)) => upload.requires_sha256,
            (None, None) => return Err(s3_error!(NoSuchUpload)),
        };
        let assembled = assemble(&rows.parts, &self.listed, requires_sha256)?;
        self.check_size_and_checksum(&assembled)?;
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
        if self.if_absent && key_is_taken {
            return Err(s3_error!(PreconditionFailed));
        }
        let object = Object {
            key: self.key.clone(),
            upload_id: self.upload_id.clone(),
            size: assembled.size,
            etag: assembled.etag,
            checksum: requires_sha256.then(|| assembled.checksum.to_string()),
            attributes: upload.attributes,
            created_ms: now,
        };
        Ok(CompleteDecision::Create(object, assembled.omitted))
    }

    fn check_size_and_checksum(&self, assembled: &Assembled) -> S3Result<()> {
        let size = assembled.size;
        if self
            .size
            .is_some_and(|expected| u64::try_from(expected) != Ok(size))
        {
            return Err(s3_error!(
                InvalidRequest,
                "The x-amz-mp-object-size does not match: {size}"
            ));
        }
        let composite = assembled.checksum.as_str();
        let matches = |expected: &String| {
            expected == composite
                || composite
                    .split_once('-')
                    .is_some_and(|(base64, _)| base64 == expected)
        };
        if !self.checksum.as_ref().is_none_or(matches) {
            return Err(s3_error!(
                BadDigest,
                "The SHA256 does not match the composite of the parts"
            ));
        }
        Ok(())
    }
}

/// # Errors
/// `InvalidRequest` for another type of checksum than the composite.
pub fn check_composite(checksum_type: Option<&ChecksumType>) -> S3Result<()> {
    if checksum_type.is_none_or(|kind| kind.as_str() == ChecksumType::COMPOSITE) {
        Ok(())
    } else {
        Err(s3_error!(
            InvalidRequest,
            "SHA256 checksums of multipart uploads are COMPOSITE"
        ))
    }
}

/// The object that consists of the listed parts.
#[derive(Debug, PartialEq, Eq)]
struct Assembled {
    size: u64,
    etag: String,
    checksum: Checksum,
    /// The numbers of stored parts that are not listed.
    omitted: Vec<i32>,
}

/// Compares the `listed` parts with the `stored` ones, which are sorted by number.
///
/// # Errors
/// `MalformedXML` for an empty list, or a part without number or ETag; `InvalidPartOrder`;
/// `InvalidPart` for a part that is not stored, or with another ETag or checksum; `EntityTooSmall`
/// for a part of less than 5 MiB, except the last; `InvalidRequest` if a required checksum is
/// missing.
fn assemble(
    stored: &[Part],
    listed: &[CompletedPart],
    requires_sha256: bool,
) -> S3Result<Assembled> {
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
        if etag.value() != part_etag(&part.sha256) {
            return Err(s3_error!(
                InvalidPart,
                "Part {number} is stored with another ETag"
            ));
        }
        match &listed_part.checksum_sha256 {
            Some(checksum) if *checksum != part.sha256.base64() => {
                return Err(s3_error!(
                    InvalidPart,
                    "Part {number} is stored with another checksum"
                ));
            }
            None if requires_sha256 => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The upload was created with SHA256; part {number} lacks its checksum"
                ));
            }
            _ => {}
        }
        parts.push(part);
    }
    let Some((_, before_last)) = parts.split_last() else {
        return Err(s3_error!(
            MalformedXML,
            "A list of parts must name at least one"
        ));
    };
    if let Some(small) = before_last.iter().find(|part| part.size < MIN_PART_BYTES) {
        let number = small.number;
        return Err(s3_error!(
            EntityTooSmall,
            "Part {number} is smaller than the minimum allowed size"
        ));
    }
    omitted.extend(rest.map(|part| part.number));
    let hashes: Vec<u8> = parts.iter().flat_map(|part| *part.sha256.bytes()).collect();
    Ok(Assembled {
        size: parts.iter().map(|part| part.size).sum(),
        etag: format!("{}-{}", part_etag(&Sha256::of(&hashes)), parts.len()),
        checksum: Checksum::composite(parts.iter().map(|part| &part.sha256)),
        omitted,
    })
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;

    use super::*;
    use crate::part_files::FileName;

    fn sha256(number: i32) -> Sha256 {
        Sha256::of(&number.to_be_bytes())
    }

    fn stored(numbers_and_sizes: &[(i32, u64)]) -> Vec<Part> {
        let part = |&(number, size): &(i32, u64)| Part {
            number,
            file: FileName::parse(&"0".repeat(32)).unwrap(),
            size,
            sha256: sha256(number),
            created_ms: 0,
        };
        numbers_and_sizes.iter().map(part).collect()
    }

    fn listed(numbers: &[i32]) -> Vec<CompletedPart> {
        let part = |&number: &i32| CompletedPart {
            part_number: Some(number),
            e_tag: Some(ETag::Strong(part_etag(&sha256(number)))),
            checksum_sha256: Some(sha256(number).base64()),
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
        let assembled = assemble(&stored(&sizes), &listed(&[2, 5, 9]), true).unwrap();
        assert_eq!(assembled.size, 2 * MIN_PART_BYTES + 3);
        assert_eq!(assembled.omitted, [1, 10]);
        assert!(assembled.etag.ends_with("-3") && assembled.checksum.as_str().ends_with("-3"));
    }

    #[test]
    fn wrong_lists_are_rejected() {
        const REQUIRED: bool = true;
        let parts = stored(&[(1, MIN_PART_BYTES), (2, 1), (3, 1)]);
        let changed = |change: fn(&mut CompletedPart)| {
            let mut list = listed(&[1, 2]);
            change(&mut list[1]);
            list
        };
        let other_etag = changed(|part| part.e_tag = Some(ETag::Strong("x".into())));
        let other_checksum = changed(|part| part.checksum_sha256 = Some("x".into()));
        let no_checksum = changed(|part| part.checksum_sha256 = None);
        let no_etag = changed(|part| part.e_tag = None);
        assert!(assemble(&parts, &no_checksum, !REQUIRED).is_ok());
        for (list, requires_sha256, code) in [
            (vec![], !REQUIRED, "MalformedXML"),
            (listed(&[2, 1]), REQUIRED, "InvalidPartOrder"),
            (listed(&[1, 1]), REQUIRED, "InvalidPartOrder"),
            (listed(&[1, 4]), REQUIRED, "InvalidPart"),
            (listed(&[1, 2, 3]), REQUIRED, "EntityTooSmall"),
            (other_etag, REQUIRED, "InvalidPart"),
            (other_checksum, !REQUIRED, "InvalidPart"),
            (no_checksum, REQUIRED, "InvalidRequest"),
            (no_etag, !REQUIRED, "MalformedXML"),
        ] {
            let error = assemble(&parts, &list, requires_sha256).unwrap_err();
            assert_eq!(error.code().as_str(), code, "{list:?}");
        }
    }
}
