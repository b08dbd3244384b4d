//! The comparison of a source with the object at its key: how the object was cut into parts, the
//! digests of the source for these parts, and the verdict. Pure, except for the task that hashes.
//!
//! Not here: what follows for the upload (`existing`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256 as Sha256Hasher};
use tokio::task::spawn_blocking;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::wire::{BackendInfo, ExistingObject, Proof, Receipt};
use upload_types::{ByteRange, Checksum, Key, Sha256};

use super::hashing::count_into;
use super::options::PutRequest;
use super::task::{SourceDigests, task_failed};
use crate::source::SourceFile;

/// The most parts of an object in S3 ("Amazon S3 multipart upload limits" in its user guide).
const MAX_PARTS: u32 = 10_000;

/// How a source can be compared with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The sizes differ.
    OtherSize,
    /// The store has no SHA-256 of the object, or does not report how it was cut into parts.
    Impossible,
    /// By the digests of these parts.
    Parts(Cut),
}

/// How an object was cut into parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// At least one; an empty object has an empty part.
    pub ranges: Vec<ByteRange>,
    origin: CutOrigin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CutOrigin {
    Reported,
    /// The number of parts of the object agrees with this cut, which is that of an upload of the
    /// source, or has parts of the size of the first part of the object.
    Guessed,
}

/// Whether an object has the content of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Other,
    /// The guess of its cut was wrong, or its content differs.
    Unknown,
}

impl Comparison {
    /// The comparison with a source that would be uploaded with this plan.
    #[must_use]
    pub fn with(existing: &ExistingObject, plan: &Plan) -> Self {
        let size = plan.size();
        if existing.size != size {
            return Self::OtherSize;
        }
        let Some(checksum) = &existing.checksum else {
            return Self::Impossible;
        };
        let Some(count) = checksum.part_count() else {
            return Self::reported(cut_at([size]));
        };
        if !existing.part_sizes.is_empty() {
            let sizes = existing.part_sizes.iter().copied();
            let sum = sizes.clone().try_fold(0_u64, u64::checked_add);
            let is_counted = count <= MAX_PARTS && sizes.len() as u64 == u64::from(count);
            return if is_counted && sum == Some(size) {
                Self::reported(cut_at(sizes))
            } else {
                Self::Impossible
            };
        }
        if count == 1 {
            return Self::reported(cut_at([size]));
        }
        match existing.part_size {
            Some(part_size) if has_parts(size, part_size, count) => {
                let starts = (0..u64::from(count)).map(|index| index * part_size);
                let ranges = cut_at(starts.map(|start| part_size.min(size - start)));
                if existing.part_size_is_guess {
                    let origin = CutOrigin::Guessed;
                    return Self::Parts(Cut { ranges, origin });
                }
                Self::reported(ranges)
            }
            None if plan.count() == count => Self::Parts(Cut {
                ranges: plan.parts().map(|(_, range)| range).collect(),
                origin: CutOrigin::Guessed,
            }),
            _ => Self::Impossible,
        }
    }

    fn reported(ranges: Vec<ByteRange>) -> Self {
        let origin = CutOrigin::Reported;
        Self::Parts(Cut { ranges, origin })
    }
}

impl Cut {
    /// Compares the digests of a source with the checksum of an object that was cut like this.
    #[must_use]
    pub fn verdict(&self, checksum: &Checksum, digests: &[Sha256]) -> Verdict {
        let of_source = match (checksum.part_count(), digests) {
            (None, [whole]) => Checksum::whole(whole),
            _ => Checksum::composite(digests),
        };
        match self.origin {
            _ if of_source == *checksum => Verdict::Same,
            CutOrigin::Reported => Verdict::Other,
            CutOrigin::Guessed => Verdict::Unknown,
        }
    }

    /// The size of each part but the last one. `None` if the sizes differ.
    #[must_use]
    pub fn part_size(&self) -> Option<u64> {
        let (last, others) = self.ranges.split_last()?;
        let first = others.first().unwrap_or(last).len;
        let is_equal = others.iter().all(|range| range.len == first) && last.len <= first;
        is_equal.then_some(first)
    }
}

/// Whether an object of this size has this number of parts, if each but the last one has
/// `part_size` bytes.
fn has_parts(size: u64, part_size: u64, count: u32) -> bool {
    part_size > 0 && count <= MAX_PARTS && size.div_ceil(part_size).max(1) == u64::from(count)
}

fn cut_at(sizes: impl IntoIterator<Item = u64>) -> Vec<ByteRange> {
    let mut start = 0;
    let range = |len| {
        let range = ByteRange { start, len };
        start += len;
        range
    };
    sizes.into_iter().map(range).collect()
}

/// Hashes ranges of a source, except those that `known` has. With `with_whole`, reads all of it.
pub async fn hash_ranges(
    source: SourceFile,
    ranges: Vec<ByteRange>,
    known: Vec<(ByteRange, Sha256)>,
    with_whole: bool,
    read: Arc<AtomicU64>,
) -> Result<SourceDigests> {
    let hash = move || {
        let mut whole = with_whole.then(Sha256Hasher::new);
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let known = known.iter().find(|(known, _)| *known == range);
            let digest = match (known, &mut whole) {
                (Some((_, digest)), None) => *digest,
                (_, whole) => {
                    let on_bytes = |bytes: &[u8]| {
                        if let Some(whole) = whole {
                            whole.update(bytes);
                        }
                    };
                    source.hash_and_pass(range, on_bytes, count_into(&read))?
                }
            };
            parts.push(digest);
        }
        let whole = whole.map(|whole| Sha256::new(whole.finalize().into()));
        Ok(SourceDigests { parts, whole })
    };
    spawn_blocking(hash).await.map_err(task_failed)?
}

/// The receipt for an object that was there before and has the content of the source.
#[must_use]
pub fn receipt_of_existing(
    existing: &ExistingObject,
    cut: &Cut,
    digests: &SourceDigests,
    of: &Facts<'_>,
) -> Receipt {
    let only = match digests.parts.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let finished = existing.modified.unwrap_or(of.now);
    let bucket = of.backend.strip_prefix("s3://");
    Receipt {
        id: existing.upload.clone(),
        backend: of.backend.to_owned(),
        instance_id: of.instance_id.to_owned(),
        name: of.name.to_owned(),
        bucket: bucket.map(|rest| rest.split('/').next().unwrap_or(rest).to_owned()),
        key: existing.key.clone(),
        location: Some(existing.location.clone()),
        version_id: None,
        size: existing.size,
        parts: saturating::to_u32(cut.ranges.len()),
        part_size: cut.ranges.iter().map(|range| range.len).max().unwrap_or(0),
        double_after: None,
        etag: existing.etag.clone(),
        checksum: existing.checksum.clone(),
        // The store has the SHA-256 of the source.
        proof: Proof::Sha256,
        unproven: Vec::new(),
        sha256: only.or(digests.whole),
        started: finished,
        finished,
    }
}

/// The facts of a receipt that the backend does not report about an object.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub backend: &'a str,
    pub instance_id: &'a str,
    pub name: &'a str,
    /// The time of the object, if the store does not report it.
    pub now: Timestamp,
}

/// Checks that the backend lets its clients choose keys, if the request does.
///
/// # Errors
/// [`Kind::NotAcceptable`] if it does not.
pub fn check_key(put: &PutRequest, info: &BackendInfo) -> Result<()> {
    if put.key.is_none() || info.client_keys {
        return Ok(());
    }
    let what = "the backend makes the keys itself: it does not permit this token to choose one";
    Err(Error::new(Kind::NotAcceptable, what).with_hint(
        "run `upload put FILE --key-style uuid` to let the backend make the key, or ask its operator \
         to permit keys (`upload serve --client-keys`)",
    ))
}

/// Checks that the backend has begun an upload at the key that the client has chosen.
///
/// # Errors
/// [`Kind::Incompatible`] if it has chosen another one.
pub fn check_begun_key(chosen: Option<&str>, begun: &Key) -> Result<()> {
    let Some(chosen) = chosen else { return Ok(()) };
    let is_chosen = match begun.as_str().strip_suffix(chosen) {
        Some(prefix) => prefix.is_empty() || prefix.ends_with('/'),
        None => false,
    };
    if is_chosen {
        return Ok(());
    }
    let what =
        format!("the backend has begun the upload at the key `{begun}` instead of `{chosen}`");
    Err(Error::new(Kind::Incompatible, what)
        .with_hint("use versions of upload and of the backend that match"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(size: u64, checksum: impl Into<Option<Checksum>>) -> ExistingObject {
        ExistingObject {
            key: "in/app.tar".parse().unwrap(),
            size,
            etag: "e".parse().unwrap(),
            checksum: checksum.into(),
            part_size: None,
            part_sizes: Vec::new(),
            modified: None,
            part_size_is_guess: false,
            differs: Vec::new(),
            upload: None,
            location: "s3://media/in/app.tar".into(),
        }
    }

    fn digests(count: u32) -> Vec<Sha256> {
        (0..count).map(|n| Sha256::of(&n.to_be_bytes())).collect()
    }

    fn composite(count: u32) -> Checksum {
        Checksum::composite(&digests(count))
    }

    fn cut(comparison: &Comparison) -> Vec<u64> {
        match comparison {
            Comparison::Parts(cut) => cut.ranges.iter().map(|range| range.len).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn object_is_compared_as_it_was_cut() {
        let plan = Plan::pinned(25, 10).unwrap();
        let with = |existing: &ExistingObject| Comparison::with(existing, &plan);
        let whole = existing(25, Some(Checksum::whole(&Sha256::of(b"x"))));
        assert_eq!(cut(&with(&whole)), [25]);
        assert_eq!(cut(&with(&existing(25, composite(1)))), [25]);
        let equal = ExistingObject {
            part_size: Some(7),
            ..existing(25, composite(4))
        };
        assert_eq!(cut(&with(&equal)), [7, 7, 7, 4]);
        let growing = ExistingObject {
            part_sizes: vec![5, 8, 12],
            ..existing(25, composite(3))
        };
        assert_eq!(cut(&with(&growing)), [5, 8, 12]);
        let guessed = existing(25, composite(3));
        assert_eq!(cut(&with(&guessed)), [10, 10, 5]);
        let empty = existing(0, Some(Checksum::whole(&Sha256::of(b""))));
        let of_empty = Comparison::with(&empty, &Plan::pinned(0, 10).unwrap());
        assert_eq!(cut(&of_empty), [0]);
    }

    #[test]
    fn other_checksum_for_guessed_parts_proves_nothing() {
        let plan = Plan::pinned(25, 10).unwrap();
        for (part_size_is_guess, expected) in [(false, Verdict::Other), (true, Verdict::Unknown)] {
            let object = ExistingObject {
                part_size: Some(7),
                part_size_is_guess,
                ..existing(25, composite(4))
            };
            let Comparison::Parts(cut) = Comparison::with(&object, &plan) else {
                panic!("it is comparable")
            };
            assert_eq!(cut.verdict(&composite(4), &digests(4)), Verdict::Same);
            let others: Vec<Sha256> = (9..13_u32).map(|n| Sha256::of(&n.to_be_bytes())).collect();
            assert_eq!(cut.verdict(&composite(4), &others), expected);
        }
    }

    #[test]
    fn object_that_cannot_be_compared_is_not_compared() {
        let plan = Plan::pinned(25, 10).unwrap();
        let with = |existing: &ExistingObject| Comparison::with(existing, &plan);
        assert_eq!(with(&existing(24, composite(3))), Comparison::OtherSize);
        assert_eq!(with(&existing(24, None)), Comparison::OtherSize);
        assert_eq!(with(&existing(25, None)), Comparison::Impossible);
        assert_eq!(with(&existing(25, composite(4))), Comparison::Impossible);
        for part_size in [0, 1, 25, u64::MAX] {
            let wrong = ExistingObject {
                part_size: Some(part_size),
                ..existing(25, composite(3))
            };
            assert_eq!(with(&wrong), Comparison::Impossible, "{part_size}");
        }
        for part_sizes in [vec![10, 10], vec![10, 10, 6], vec![u64::MAX, 20, 6]] {
            let wrong = ExistingObject {
                part_sizes,
                ..existing(25, composite(3))
            };
            assert_eq!(with(&wrong), Comparison::Impossible);
        }
    }

    #[test]
    fn only_a_reported_cut_proves_other_content() {
        let plan = Plan::pinned(25, 10).unwrap();
        let verdict = |existing: &ExistingObject, digests: &[Sha256]| {
            let Comparison::Parts(cut) = Comparison::with(existing, &plan) else {
                panic!("not compared")
            };
            cut.verdict(existing.checksum.as_ref().unwrap(), digests)
        };
        let other = [&digests(2)[..], &[Sha256::of(b"other")]].concat();
        let reported = ExistingObject {
            part_size: Some(10),
            ..existing(25, composite(3))
        };
        assert_eq!(verdict(&reported, &digests(3)), Verdict::Same);
        assert_eq!(verdict(&reported, &other), Verdict::Other);
        let guessed = existing(25, composite(3));
        assert_eq!(verdict(&guessed, &digests(3)), Verdict::Same);
        assert_eq!(verdict(&guessed, &other), Verdict::Unknown);
        let single = existing(25, composite(1));
        assert_eq!(verdict(&single, &digests(1)), Verdict::Same);
        assert_eq!(verdict(&single, &other[2..]), Verdict::Other);
        let whole = existing(25, Some(Checksum::whole(&other[2])));
        assert_eq!(verdict(&whole, &other[2..]), Verdict::Same);
        assert_eq!(verdict(&whole, &digests(1)), Verdict::Other);
    }

    #[test]
    fn key_of_the_backend_ends_with_the_chosen_one() {
        let check = |chosen, begun: &str| check_begun_key(chosen, &begun.parse().unwrap()).is_ok();
        assert!(check(Some("a/b"), "a/b"));
        assert!(check(Some("a/b"), "in/a/b"));
        assert!(check(None, "uploads/x"));
        for other in ["xa/b", "a/b/c", "uploads/local/0198.b", "b"] {
            assert!(!check(Some("a/b"), other), "{other}");
        }
    }
}
