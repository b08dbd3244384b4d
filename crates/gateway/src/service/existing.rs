//! The object at a key that a client has chosen: its description for the client, and the removal of
//! the object of an upload that has ended.
//!
//! Not here: the decision whether an upload may begin (`chosen_key`).

use super::abort::removal_failed;
use super::completion_outcome::ExpiredObject;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::hooks::Disposal;
use crate::ledger::Upload;
use crate::problem::{Refusal, store_failed};
use upload_s3::{Fault, Head, NewObject};
use upload_types::attributes::Attribute;
use upload_types::wire::{ExistingObject, UploadState};
use upload_types::{Checksum, Key};

/// The object of an upload, as an obstacle for a later upload at the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// The object of a ready upload, or one that may be complete.
    None,
    /// That of an upload that has ended. It was removed, or the upload is complete now.
    Removed,
    /// The upload is unfinished, or its hooks have not decided yet.
    Undecided,
    /// A hook has rejected it, and the operator keeps rejected objects.
    Kept,
}

impl Service {
    /// Removes the object at the key of `upload`, which carries its token, if the upload has ended.
    ///
    /// # Errors
    /// `store_unavailable`, `unavailable`.
    pub(super) async fn remove_leftover_object(
        &self,
        upload: &Upload,
    ) -> Result<Leftover, Refusal> {
        match upload.state {
            UploadState::Ready => Ok(Leftover::None),
            UploadState::Pending
            | UploadState::Uploading
            | UploadState::Completing
            | UploadState::Aborting
            | UploadState::Verified => Ok(Leftover::Undecided),
            UploadState::Expired => {
                let removed = self.remove_expired(upload, &[UploadState::Expired]);
                Ok(match removed.await? {
                    ExpiredObject::Unknown => Leftover::None,
                    ExpiredObject::Verified | ExpiredObject::Leftover => Leftover::Removed,
                })
            }
            UploadState::Rejected => match upload.rejection.as_ref().map(|it| &it.disposal) {
                Some(Disposal::Keep) => Ok(Leftover::Kept),
                // A copy to the quarantine may be running.
                Some(Disposal::Quarantine(_)) => Ok(Leftover::Undecided),
                Some(Disposal::Delete) | None => self.remove_ended_object(upload).await,
            },
            UploadState::Aborted => self.remove_ended_object(upload).await,
        }
    }

    async fn remove_ended_object(&self, upload: &Upload) -> Result<Leftover, Refusal> {
        let deleted = self.delete_object(upload).await;
        deleted.map_err(|fault| removal_failed(&fault))?;
        Ok(Leftover::Removed)
    }

    /// Describes the object at a key, so that its owner can compare it with a file and with what
    /// is wanted. `creator` is the upload of any owner that has created it.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub(super) async fn describe_existing(
        &self,
        owner: &Owner,
        key: &Key,
        object: &Head,
        (wanted, creator): (&NewObject<'_>, Option<&Upload>),
    ) -> Result<ExistingObject, Refusal> {
        let checksum = whole_checksum(object);
        let count = checksum.as_ref().and_then(Checksum::part_count);
        let count = count.unwrap_or(1);
        let Shape {
            part_size,
            part_sizes,
            is_guess,
        } = match (count, creator) {
            (1, _) => shape(vec![object.size]),
            (count, Some(creator))
                if creator.plan.count() == count && creator.plan.size() == object.size =>
            {
                // The parts of a stream may have different sizes.
                shape(creator.plan.parts().map(|(_, range)| range.len).collect())
            }
            (count, _) => self.sizes_of_parts(key, object.size, count).await?,
        };
        let upload = creator.filter(|creator| creator.owner == owner.0);
        Ok(ExistingObject {
            key: self.store.key_in_bucket(key),
            size: object.size,
            etag: object.etag.clone(),
            checksum,
            part_size,
            part_size_is_guess: is_guess,
            part_sizes,
            modified: object.modified,
            differs: self.differences(object, wanted),
            upload: upload.map(|creator| creator.id.clone()),
            location: self.store.location(key),
        })
    }

    /// The names of what is wanted and the object does not have.
    fn differences(&self, object: &Head, wanted: &NewObject<'_>) -> Vec<String> {
        let found = self.store.header_differences(object, wanted);
        let mut names = found.attributes;
        if !found.encryption.is_empty() && wanted.attributes.sse.is_some() {
            names.push(Attribute::Sse.name().to_owned());
        }
        if object.content_type.as_deref() != Some(wanted.content_type) {
            names.push("content-type".to_owned());
        }
        names
    }

    /// The sizes of the parts, as far as the store reports them.
    async fn sizes_of_parts(&self, key: &Key, size: u64, count: u32) -> Result<Shape, Refusal> {
        let _permit = self.store_calls.acquire().await;
        let failed = |fault| store_failed("look at the parts of an object", &fault);
        // The first of two parts determines the second one.
        if count > 2 {
            let sizes = match self.store.part_sizes(key).await {
                // The store may have sent the object instead. The next request decides.
                Err(Fault::Unavailable(_)) => None,
                sizes => sizes.map_err(failed)?,
            };
            let is_whole = |sizes: &Vec<u64>| {
                let sum = sizes
                    .iter()
                    .try_fold(0, |sum: u64, size| sum.checked_add(*size));
                u32::try_from(sizes.len()) == Ok(count) && sum == Some(size)
            };
            if let Some(sizes) = sizes.filter(is_whole) {
                return Ok(shape(sizes));
            }
        }
        let first = self.store.first_part_size(key).await.map_err(failed)?;
        if let (2, Some(rest)) = (count, first.and_then(|first| size.checked_sub(first))) {
            return Ok(shape(first.into_iter().chain([rest]).collect()));
        }
        let first = first.filter(|first| can_have_equal_parts(size, *first, count));
        Ok(Shape {
            part_size: first,
            part_sizes: Vec::new(),
            is_guess: first.is_some(),
        })
    }
}

/// The SHA-256 checksum of an object with the number of its parts, which some stores omit.
fn whole_checksum(object: &Head) -> Option<Checksum> {
    let checksum = object.checksum.as_ref()?;
    let kind = object.headers.get("x-amz-checksum-type");
    let is_whole = kind.is_some_and(|kind| kind == "FULL_OBJECT");
    let (_, count) = object.etag.as_str().rsplit_once('-').unwrap_or_default();
    if is_whole || checksum.as_str().contains('-') || count.parse::<u32>().is_err() {
        return Some(checksum.clone());
    }
    format!("{}-{count}", checksum.as_str()).parse().ok()
}

/// The sizes of the parts of an object. Both are empty if they are unknown.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    /// The size of each part but the last one.
    part_size: Option<u64>,
    /// The sizes of all parts, if they differ.
    part_sizes: Vec<u64>,
    /// Only the size of the first part is known.
    is_guess: bool,
}

/// The shape of an object with parts of these sizes.
fn shape(sizes: Vec<u64>) -> Shape {
    let is_equal = sizes.split_last().is_some_and(|(last, others)| {
        let first = others.first().unwrap_or(last);
        others.iter().all(|size| size == first) && last <= first
    });
    let part_size = sizes.first().copied().filter(|_| is_equal);
    Shape {
        part_size,
        part_sizes: if is_equal { Vec::new() } else { sizes },
        is_guess: false,
    }
}

/// Whether an object of `size` bytes can consist of `count` parts of which all but the last have
/// `part_size` bytes. Of more than two parts, others may still differ.
fn can_have_equal_parts(size: u64, part_size: u64, count: u32) -> bool {
    part_size > 0 && size.div_ceil(part_size) == u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::Sha256;

    fn object(etag: &str, checksum: Option<&str>, kind: Option<&str>) -> Head {
        Head {
            size: 1,
            etag: etag.parse().unwrap(),
            checksum: checksum.and_then(|checksum| checksum.parse().ok()),
            token: None,
            content_type: None,
            modified: None,
            version_id: None,
            headers: kind
                .map(|kind| ("x-amz-checksum-type".to_owned(), kind.to_owned()))
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn checksum_has_the_number_of_parts_that_the_etag_has() {
        let plain = Checksum::whole(&Sha256::of(b"a"));
        let plain = plain.as_str();
        let composite = format!("{plain}-3");
        let checksum = |etag: &str, checksum: &str, kind| {
            whole_checksum(&object(etag, Some(checksum), kind)).unwrap()
        };
        assert_eq!(checksum("e", plain, None).as_str(), plain);
        assert_eq!(checksum("e-3", plain, None).as_str(), composite);
        assert_eq!(checksum("e-3", &composite, None).as_str(), composite);
        assert_eq!(checksum("e-3", plain, Some("FULL_OBJECT")).as_str(), plain);
        assert_eq!(checksum("a-b", plain, None).as_str(), plain);
        assert_eq!(whole_checksum(&object("e-3", None, None)), None);
    }

    #[test]
    fn parts_have_one_size_or_a_size_each() {
        let shape_of = |sizes: &[u64]| {
            let shape = shape(sizes.to_vec());
            assert!(!shape.is_guess);
            (shape.part_size, shape.part_sizes)
        };
        for equal in [&[5, 5, 1][..], &[5, 5, 5], &[5, 1], &[5]] {
            assert_eq!(shape_of(equal), (Some(5), Vec::new()));
        }
        for different in [&[5, 6, 1][..], &[5, 5, 6], &[5, 6], &[5, 5, 10, 3], &[]] {
            assert_eq!(shape_of(different), (None, different.to_vec()));
        }
        assert!(can_have_equal_parts(11, 5, 3));
        assert!(can_have_equal_parts(10, 5, 2));
        assert!(!can_have_equal_parts(11, 5, 2));
        assert!(!can_have_equal_parts(11, 3, 3));
        assert!(!can_have_equal_parts(11, 0, 3));
    }
}
