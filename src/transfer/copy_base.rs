//! The base of an upload: an earlier upload of the same file, from whose object the store may copy
//! parts. A part is copied only if the source has been hashed and the base has a part with the same
//! SHA-256. Pure.
//!
//! Not here: the copy, which the gateway requests from the store and proves.

use std::collections::HashMap;

use upload_types::plan::Plan;
use upload_types::wire::{PartCopy, PartSpec};
use upload_types::{ByteRange, Sha256, UploadId};

use crate::journal::{Part, State, Upload};
use crate::source::FileVersion;

/// After this many responses without a copied part, no further copies are requested.
const MAX_FAILED_COPIES: u32 = 3;

/// The parts of an earlier upload, by their SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    upload: UploadId,
    ranges: HashMap<Sha256, ByteRange>,
}

impl Base {
    /// `parts` are those of `upload`, which [`choose_base`] has chosen.
    #[must_use]
    pub fn new(upload: &Upload, parts: &[Part]) -> Option<Self> {
        let plan = Plan::pinned(upload.intent.version.size, upload.intent.part_size).ok()?;
        let ranges = parts
            .iter()
            .filter_map(|part| Some((part.sha256, plan.range(part.number)?)))
            .filter(|(_, range)| range.len > 0);
        Some(Self {
            upload: upload.id.clone()?,
            ranges: ranges.collect(),
        })
    }

    /// The place of the bytes of a part in the object of this base.
    #[must_use]
    pub fn copy_of(&self, part: &PartSpec) -> Option<PartCopy> {
        let range = self.ranges.get(&part.sha256)?;
        (range.len == part.size).then(|| PartCopy {
            number: part.number,
            upload: self.upload.clone(),
            start: range.start,
        })
    }
}

/// The copies of the parts of one upload.
#[derive(Debug, Default)]
pub struct Copies {
    base: Option<Base>,
    /// The begin named copies, so that the upload is a multipart upload.
    pub are_named_by_begin: bool,
    /// Bytes that the store has copied.
    pub bytes: u64,
    /// Responses in a row in which no part was copied, although some were to be.
    failed: u32,
}

impl Copies {
    #[must_use]
    pub fn from(base: Option<Base>) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    /// The base, for an upload that replaces this one.
    pub fn take_base(&mut self) -> Option<Base> {
        self.base.take()
    }

    /// The places of the bytes of these parts in the store, as far as they are known.
    #[must_use]
    pub fn of(&self, parts: &[PartSpec]) -> Vec<PartCopy> {
        let base = self.base.iter();
        base.flat_map(|base| parts.iter().filter_map(|part| base.copy_of(part)))
            .collect()
    }

    /// Notes a response about parts for which copies were requested. After several in a row without
    /// a copied part, no copies are requested any more: the object of the base may be gone.
    pub fn note_response(&mut self, has_copied: bool) {
        self.failed = if has_copied { 0 } else { self.failed + 1 };
        if self.failed == MAX_FAILED_COPIES {
            self.base = None;
        }
    }
}

/// The upload to use as the base for a source: the latest complete one of the same file, or else
/// the latest one of the same path. The parts of streams have sizes of their own. `candidates` are
/// newest first.
#[must_use]
pub fn choose_base<'a>(candidates: &'a [Upload], version: &FileVersion) -> Option<&'a Upload> {
    let is_base = |upload: &&Upload| {
        let is_complete = upload.state == State::Completed && upload.id.is_some();
        is_complete && upload.intent.stream.is_none()
    };
    let mut bases = candidates.iter().filter(is_base);
    let is_this_file = |upload: &&Upload| upload.intent.version.is_same_file(version);
    bases.clone().find(is_this_file).or_else(|| bases.next())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use upload_types::PartNumber;

    use super::*;
    use crate::journal::{Intent, StreamTerms};

    fn upload(row: i64, inode: u64, state: State) -> Upload {
        let version = FileVersion {
            dev: 1,
            ino: inode,
            size: 25,
            mtime_ns: 0,
            ctime_ns: 0,
        };
        let intent = Intent {
            backend: String::new(),
            s3_service: None,
            instance_id: String::new(),
            path: "/f".into(),
            name: "f".into(),
            content_type: "a/b".into(),
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: None,
            if_exists: None,
            version,
            part_size: 10,
            stream: None,
            file_set: None,
        };
        Upload {
            row,
            idempotency_key: String::new(),
            holder: String::new(),
            id: format!("id-{row}").parse().ok(),
            backend_state: None,
            intent,
            state,
            receipt: None,
            may_be_mapped: false,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn parts() -> Vec<Part> {
        let part = |number: u32| Part {
            number: number.try_into().unwrap(),
            sha256: Sha256::of(&[u8::try_from(number).unwrap()]),
            etag: None,
        };
        (1..=3).map(part).collect()
    }

    #[test]
    fn part_with_the_same_digest_and_size_is_copied_from_its_place() {
        let base = Base::new(&upload(1, 1, State::Completed), &parts()).unwrap();
        let copy = |number: u32, size, content: u8| {
            let spec = PartSpec {
                number: number.try_into().unwrap(),
                size,
                sha256: Sha256::of(&[content]),
                md5: None,
            };
            base.copy_of(&spec)
                .map(|copy| (copy.number.get(), copy.start))
        };
        assert_eq!(copy(1, 10, 1), Some((1, 0)));
        assert_eq!(copy(3, 5, 3), Some((3, 20)));
        assert_eq!(copy(7, 10, 2), Some((7, 10)), "at another place");
        assert_eq!(copy(2, 9, 2), None);
        assert_eq!(copy(2, 10, 4), None);
    }

    #[test]
    fn only_complete_uploads_with_an_id_and_a_plan_are_bases() {
        let version = upload(0, 1, State::Completed).intent.version;
        let is_base = |upload| choose_base(&[upload], &version).is_some();
        assert!(is_base(upload(1, 1, State::Completed)));
        for state in [
            State::Creating,
            State::Uploading,
            State::Completing,
            State::Abandoned,
            State::Rejected,
        ] {
            assert!(!is_base(upload(1, 1, state)), "{state:?}");
        }
        let mut not_begun = upload(1, 1, State::Completed);
        not_begun.id = None;
        assert!(!is_base(not_begun));
        let mut stream = upload(1, 1, State::Completed);
        stream.intent.stream = Some(StreamTerms {
            expected_size: None,
            double_after: None,
        });
        assert!(!is_base(stream));
    }

    #[test]
    fn copies_end_after_several_responses_without_one() {
        let base = Base::new(&upload(1, 1, State::Completed), &parts());
        let spec = PartSpec {
            number: PartNumber::FIRST,
            size: 10,
            sha256: Sha256::of(&[1]),
            md5: None,
        };
        let mut copies = Copies::from(base);
        for has_copied in [false, false, true, false, false] {
            copies.note_response(has_copied);
            assert_eq!(copies.of(&[spec]).len(), 1);
        }
        copies.note_response(false);
        assert!(copies.of(&[spec]).is_empty());
    }

    #[test]
    fn empty_part_is_not_copied() {
        let mut empty = upload(1, 1, State::Completed);
        empty.intent.version.size = 0;
        let base = Base::new(&empty, &parts()[..1]).unwrap();
        assert_eq!(base.ranges.len(), 0);
    }

    #[test]
    fn same_file_is_preferred_to_the_same_path() {
        let version = upload(0, 5, State::Completed).intent.version;
        let chosen = |candidates: &[Upload]| choose_base(candidates, &version).map(|base| base.row);
        let unfinished = upload(9, 5, State::Uploading);
        let of_path = upload(8, 4, State::Completed);
        let of_file = upload(7, 5, State::Completed);
        let older = upload(6, 5, State::Completed);
        let all = [unfinished.clone(), of_path, of_file, older];
        assert_eq!(chosen(&all), Some(7));
        assert_eq!(chosen(&all[..2]), Some(8));
        assert_eq!(chosen(&[unfinished]), None);
    }
}
