//! Decisions without I/O: whether a list of parts makes an object, whether a condition holds, what a page of keys shows.
//!
//! Border: rows in, an S3 refusal or a value out.

use std::ops::Range;

use s3s::dto::{CompletedPart, ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::manifest::Part;
use upload_types::names::{Checksum, Sha256};

/// The least size of any part but the last, in bytes.
const SMALLEST: u64 = 5 << 20;
/// S3's largest page.
const PAGE: i32 = 1000;

/// The store's `ETag` of a part: the first half of its SHA-256.
pub fn part_etag(sha256: &Sha256) -> String {
    sha256.to_string().chars().take(32).collect()
}

/// What an object made of parts would be.
#[derive(Debug, PartialEq, Eq)]
pub struct Reviewed {
    pub size: u64,
    pub etag: String,
    /// The composite, with `-N`.
    pub checksum: Checksum,
    /// Numbers of stored parts that are not part of the object.
    pub left_out: Vec<i32>,
}

/// Judges the list a Complete names against the `stored` parts, which are in order.
///
/// # Errors
/// `MalformedXML` for an empty list or nameless parts, `InvalidPartOrder`, `InvalidPart` for one that is not stored or is stored
/// differently, `EntityTooSmall` for one under 5 MiB before the last, `InvalidRequest` where a checksum is demanded and missing.
pub fn review(
    stored: &[Part],
    listed: &[CompletedPart],
    demands_checksum: bool,
) -> S3Result<Reviewed> {
    let mut sizes = Vec::with_capacity(listed.len());
    let mut fingerprints = Vec::with_capacity(listed.len());
    let mut left_out = Vec::new();
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
            left_out.push(skipped.number);
        }
        let part = rest.next_if(|part| part.number == number);
        let part = part.ok_or_else(|| s3_error!(InvalidPart, "Part {number} is not stored"))?;
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
            None if demands_checksum => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The upload was created with SHA256; part {number} lacks its checksum"
                ));
            }
            _ => {}
        }
        sizes.push((number, part.size));
        fingerprints.push(part.sha256);
    }
    let Some((_, before_last)) = sizes.split_last() else {
        return Err(s3_error!(
            MalformedXML,
            "A list of parts must name at least one"
        ));
    };
    if let Some((number, _)) = before_last.iter().find(|(_, size)| *size < SMALLEST) {
        return Err(s3_error!(
            EntityTooSmall,
            "Part {number} is smaller than the minimum allowed size"
        ));
    }
    let size = sizes.iter().map(|(_, size)| size).sum();
    left_out.extend(rest.map(|part| part.number));
    let all: Vec<u8> = fingerprints
        .iter()
        .flat_map(|sha256| *sha256.bytes())
        .collect();
    let etag = format!("{}-{}", part_etag(&Sha256::of(&all)), fingerprints.len());
    Ok(Reviewed {
        size,
        etag,
        checksum: Checksum::composite(&fingerprints),
        left_out,
    })
}

/// Whether an object may be written only if there is none: `If-None-Match: *`.
///
/// # Errors
/// `NotImplemented` for the other conditions.
pub fn only_if_absent(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<bool> {
    match (if_match, if_none_match) {
        (None, None) => Ok(false),
        (None, Some(ETagCondition::Any)) => Ok(true),
        _ => Err(s3_error!(
            NotImplemented,
            "A write may be conditional on If-None-Match: * only"
        )),
    }
}

/// The conditions of a read.
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "named like the headers")]
pub struct Conditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Judges them in the order of RFC 9110, section 13.2.2, for an object changed at `modified`, in whole seconds.
    ///
    /// # Errors
    /// `PreconditionFailed`, `NotModified`.
    pub fn check(&self, etag: &str, modified: &Timestamp) -> S3Result<()> {
        let is = |condition: &ETagCondition| {
            condition
                .as_etag()
                .is_none_or(|wanted| wanted.value() == etag)
        };
        let unchanged = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => is(condition),
            (None, Some(since)) => modified <= since,
            (None, None) => true,
        };
        if !unchanged {
            return Err(s3_error!(PreconditionFailed));
        }
        let wanted = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => !is(condition),
            (None, Some(since)) => modified > since,
            (None, None) => true,
        };
        if wanted {
            Ok(())
        } else {
            Err(s3_error!(NotModified))
        }
    }
}

/// The bytes a header `x-amz-copy-source-range: bytes=FIRST-LAST` names, of an object of `size` bytes.
///
/// # Errors
/// `InvalidArgument` for anything else, `InvalidRange` for bytes that are not there.
pub fn copy_range(header: &str, size: u64) -> S3Result<Range<u64>> {
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<u64>().ok())
            .flatten()
    };
    let ends = header
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let ends = ends.and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let (first, last) =
        ends.ok_or_else(|| s3_error!(InvalidArgument, "The range must be bytes=FIRST-LAST"))?;
    if first > last || last >= size {
        return Err(s3_error!(InvalidRange));
    }
    Ok(first..last + 1)
}

/// The size of a page: what was asked for, at most 1000.
///
/// # Errors
/// `InvalidArgument` for a negative one.
pub fn page_size(asked: Option<i32>) -> S3Result<usize> {
    usize::try_from(asked.unwrap_or(PAGE).min(PAGE))
        .map_err(|_| s3_error!(InvalidArgument, "A page cannot be negative"))
}

/// What a key is shown as under a prefix and a delimiter: the common prefix it falls under, or nothing but itself.
pub fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let end = prefix.len() + key.get(prefix.len()..)?.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// S3's `ETag` of a text of ours.
pub fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::files::FileName;
    use super::*;

    fn stored(sizes: &[(i32, u64)]) -> Vec<Part> {
        let file = FileName::parse(&"0".repeat(32)).unwrap();
        let part = |&(number, size): &(i32, u64)| Part {
            number,
            file: file.clone(),
            size,
            sha256: Sha256::of(&number.to_be_bytes()),
            created: 0,
        };
        sizes.iter().map(part).collect()
    }

    fn listed(numbers: &[i32]) -> Vec<CompletedPart> {
        let part = |&number: &i32| {
            let sha256 = Sha256::of(&number.to_be_bytes());
            CompletedPart {
                part_number: Some(number),
                e_tag: Some(ETag::Strong(part_etag(&sha256))),
                checksum_sha256: Some(sha256.base64()),
                ..CompletedPart::default()
            }
        };
        numbers.iter().map(part).collect()
    }

    fn code(result: S3Result<Reviewed>) -> String {
        result.unwrap_err().code().as_str().to_owned()
    }

    #[test]
    fn the_listed_parts_make_the_object_and_the_others_are_left_out() {
        let parts = stored(&[(1, 1), (2, SMALLEST), (5, SMALLEST), (9, 3), (10, 1)]);
        let reviewed = review(&parts, &listed(&[2, 5, 9]), true).unwrap();
        assert_eq!(
            (reviewed.size, reviewed.left_out),
            (2 * SMALLEST + 3, vec![1, 10])
        );
        assert!(reviewed.etag.ends_with("-3") && reviewed.checksum.as_str().ends_with("-3"));
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused_by_its_name() {
        let parts = stored(&[(1, SMALLEST), (2, 1), (3, 1)]);
        assert_eq!(code(review(&parts, &[], false)), "MalformedXML");
        assert_eq!(
            code(review(&parts, &listed(&[2, 1]), true)),
            "InvalidPartOrder"
        );
        assert_eq!(
            code(review(&parts, &listed(&[1, 1]), true)),
            "InvalidPartOrder"
        );
        assert_eq!(code(review(&parts, &listed(&[1, 4]), true)), "InvalidPart");
        assert_eq!(
            code(review(&parts, &listed(&[1, 2, 3]), true)),
            "EntityTooSmall"
        );
        let spoilt = |spoil: fn(&mut CompletedPart)| {
            let mut list = listed(&[1, 2]);
            spoil(&mut list[1]);
            list
        };
        let etag = spoilt(|part| part.e_tag = Some(ETag::Strong("x".into())));
        assert_eq!(code(review(&parts, &etag, true)), "InvalidPart");
        assert_eq!(
            code(review(
                &parts,
                &spoilt(|part| part.checksum_sha256 = Some("x".into())),
                false
            )),
            "InvalidPart"
        );
        assert_eq!(
            code(review(
                &parts,
                &spoilt(|part| part.checksum_sha256 = None),
                true
            )),
            "InvalidRequest"
        );
        assert!(review(&parts, &spoilt(|part| part.checksum_sha256 = None), false).is_ok());
        assert_eq!(
            code(review(&parts, &spoilt(|part| part.e_tag = None), false)),
            "MalformedXML"
        );
    }

    #[test]
    fn a_copied_range_lies_within_its_source() {
        assert_eq!(copy_range("bytes=0-4", 5).unwrap(), 0..5);
        for (header, wrong) in [
            ("bytes=0-5", "InvalidRange"),
            ("bytes=3-2", "InvalidRange"),
            ("bytes=-2", "InvalidArgument"),
            ("0-1", "InvalidArgument"),
        ] {
            assert_eq!(
                copy_range(header, 5).unwrap_err().code().as_str(),
                wrong,
                "{header}"
            );
        }
    }

    #[test]
    fn keys_fold_at_the_first_delimiter_behind_the_prefix() {
        assert_eq!(common_prefix("a/b/c", "", Some("/")), Some("a/"));
        assert_eq!(common_prefix("a/b/c", "a/", Some("/")), Some("a/b/"));
        assert_eq!(common_prefix("a/b/c", "a/b/", Some("/")), None);
        assert_eq!(common_prefix("äö", "", Some("ö")), Some("äö"));
        assert_eq!(common_prefix("a/b", "", None), None);
    }
}
