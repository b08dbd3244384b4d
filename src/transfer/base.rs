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

/// The parts of an earlier upload, by their SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    upload: UploadId,
    ranges: HashMap<Sha256, ByteRange>,
}

impl Base {
    /// `parts` are those of `upload`. Returns `None` if the upload is not complete, or is that of a
    /// stream.
    #[must_use]
    pub fn new(upload: &Upload, parts: &[Part]) -> Option<Self> {
        if upload.state != State::Completed || upload.intent.stream.is_some() {
            return None;
        }
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

/// The upload to use as the base for a source: the latest complete one of the same file, or else
/// the latest one of the same path. `candidates` are newest first.
#[must_use]
pub fn choose_base<'a>(candidates: &'a [Upload], version: &FileVersion) -> Option<&'a Upload> {
    let complete = || {
        let mut all = candidates.iter();
        std::iter::from_fn(move || all.find(|upload| upload.state == State::Completed))
    };
    let of_this_file = complete().find(|upload| upload.intent.version.is_same_file(version));
    of_this_file.or_else(|| complete().next())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::journal::Intent;

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
    fn only_complete_uploads_of_known_parts_are_bases() {
        let of = |state| Base::new(&upload(1, 1, state), &parts());
        for state in [State::Creating, State::Uploading, State::Completing] {
            assert_eq!(of(state), None);
        }
        assert_eq!(of(State::Abandoned), None);
        assert_eq!(of(State::Rejected), None);
        let mut empty = upload(1, 1, State::Completed);
        empty.intent.version.size = 0;
        let base = Base::new(&empty, &parts()[..1]).unwrap();
        assert_eq!(base.ranges.len(), 0, "an empty part is not copied");
        let mut not_begun = upload(1, 1, State::Completed);
        not_begun.id = None;
        assert_eq!(Base::new(&not_begun, &parts()), None);
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
