//! What is still to be done: which upload of the journal a source goes on with, which of its parts are outstanding, and
//! whether all of them together are the object. Pure.
//!
//! Border: decides on what journal, store and file system said; asks none of them itself.

use std::collections::BTreeMap;

use crate::journal::{Part, Upload};
use crate::source::FileVersion;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{Checksum, ETag, PartNumber, Sha256};
use upload_types::plan::Plan;
use upload_types::wire::{CompletePart, Receipt, StoredPart};

/// How a source that is put relates to what the journal knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing to go on with.
    Fresh,
    /// Go on with this unfinished upload.
    Continue(usize),
    /// This unfinished upload is of another generation: a new one takes its place.
    Replace(usize),
    /// This very file is there already.
    Finished(usize),
    /// A file of this size is there already; whether it is this one, its fingerprints tell.
    MaybeFinished(usize),
}

/// Chooses among `candidates`, newest first, all of one backend and name. `force` asks for a new object even if one
/// is there.
#[must_use]
pub fn choose(candidates: &[Upload], identity: &FileVersion, force: bool) -> Choice {
    let same_size = |upload: &Upload| upload.intent.version.size == identity.size;
    if let Some(index) = candidates
        .iter()
        .position(|upload| upload.state.is_unfinished())
    {
        return if same_size(&candidates[index]) {
            Choice::Continue(index)
        } else {
            Choice::Replace(index)
        };
    }
    let finished = |upload: &&Upload| upload.state.is_finished() && !force;
    let position =
        |test: &dyn Fn(&Upload) -> bool| candidates.iter().position(|u| finished(&u) && test(u));
    if let Some(index) = position(&|upload| upload.intent.version == *identity) {
        return Choice::Finished(index);
    }
    position(&same_size).map_or(Choice::Fresh, Choice::MaybeFinished)
}

/// The parts that need not be sent: those that journal and store agree on by number, size and SHA-256. Where the store keeps no
/// SHA-256, the `ETag` that the journal was given for these bytes must be the store's. The `ETag` is the store's: it
/// may have changed when the same bytes arrived twice.
#[must_use]
pub fn agreed(
    plan: &Plan,
    journal: &[Part],
    store: &[StoredPart],
) -> Vec<(PartNumber, Sha256, ETag)> {
    let store: BTreeMap<PartNumber, &StoredPart> =
        store.iter().map(|part| (part.number, part)).collect();
    let agree = |part: &Part| {
        let stored = store.get(&part.number)?;
        let same_bytes = match &stored.sha256 {
            Some(sha256) => *sha256 == part.sha256,
            None => part.etag.as_ref() == Some(&stored.etag),
        };
        let same_size = plan
            .range(part.number)
            .is_some_and(|range| range.len == stored.size);
        (same_bytes && same_size).then(|| (part.number, part.sha256, stored.etag.clone()))
    };
    journal.iter().filter_map(agree).collect()
}

/// Reviews the parts before `complete`: all of the plan, once each, in order, each acknowledged. Gives them and the
/// checksum the whole object must have.
///
/// # Errors
/// [`Kind::Other`] for a part that is missing: the engine would be wrong to ask.
pub fn review(
    plan: &Plan,
    parts: &BTreeMap<PartNumber, Part>,
) -> Result<(Vec<CompletePart>, Checksum)> {
    let complete: Option<Vec<CompletePart>> = plan
        .parts()
        .map(|(number, _)| {
            let part = parts.get(&number)?;
            Some(CompletePart {
                number,
                etag: part.etag.clone()?,
                sha256: part.sha256,
            })
        })
        .collect();
    let complete = complete.filter(|complete| complete.len() == parts.len());
    let complete =
        complete.ok_or_else(|| Error::new(Kind::Other, "not every part of the plan is stored"))?;
    Ok((complete, checksum(plan, parts)?))
}

/// The checksum an object of these parts has, stored or not.
///
/// # Errors
/// [`Kind::Other`] for a part without a SHA-256.
pub fn checksum(plan: &Plan, parts: &BTreeMap<PartNumber, Part>) -> Result<Checksum> {
    let fingerprints = plan
        .parts()
        .map(|(number, _)| parts.get(&number).map(|part| &part.sha256));
    let fingerprints: Option<Vec<&Sha256>> = fingerprints.collect();
    match fingerprints.as_deref() {
        Some([only]) => Ok(Checksum::whole(only)),
        Some(parts) => Ok(Checksum::composite(parts.iter().copied())),
        None => Err(Error::new(
            Kind::Other,
            "not every part of the plan has a SHA-256",
        )),
    }
}

/// Checks a receipt against what was sent: it must speak of an object of that size, that many parts and that checksum.
///
/// # Errors
/// [`Kind::Corrupt`] when it speaks of another.
pub fn confirm(receipt: &Receipt, plan: &Plan, checksum: &Checksum) -> Result<()> {
    let same = receipt.size == plan.size()
        && receipt.parts == plan.count()
        && receipt.checksum.as_ref() == Some(checksum);
    if same {
        return Ok(());
    }
    let what = format!(
        "the backend's receipt is of another object: {} bytes in {} parts with checksum {}, sent were {} bytes in {} parts \
         with checksum {checksum}",
        receipt.size,
        receipt.parts,
        receipt.checksum.as_ref().map_or("-", Checksum::as_str),
        plan.size(),
        plan.count()
    );
    Err(Error::new(Kind::Corrupt, what)
        .with_hint("do not use the object; put the file with --force"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Intent, State};

    fn number(n: u32) -> PartNumber {
        n.try_into().unwrap()
    }

    fn etag(text: &str) -> ETag {
        text.parse().unwrap()
    }

    fn part(n: u32, bytes: &[u8], acknowledged: Option<&str>) -> Part {
        Part {
            number: number(n),
            sha256: Sha256::of(bytes),
            etag: acknowledged.map(etag),
        }
    }

    fn stored(n: u32, size: u64, bytes: Option<&[u8]>, tag: &str) -> StoredPart {
        StoredPart {
            number: number(n),
            size,
            etag: etag(tag),
            sha256: bytes.map(Sha256::of),
        }
    }

    const IDENTITY: FileVersion = FileVersion {
        dev: 1,
        ino: 2,
        size: 3,
        mtime_ns: 4,
        ctime_ns: 5,
    };

    fn upload(state: State, identity: FileVersion) -> Upload {
        let intent = Intent {
            backend: String::new(),
            instance_id: String::new(),
            path: "/f".into(),
            name: "f".into(),
            content_type: String::new(),
            metadata: BTreeMap::new(),
            version: identity,
            part_size: 10,
        };
        let created_at = jiff::Timestamp::UNIX_EPOCH;
        Upload {
            row: 1,
            idempotency_key: String::new(),
            holder: String::new(),
            id: None,
            backend_state: None,
            intent,
            state,
            receipt: None,
            created_at,
        }
    }

    #[test]
    fn an_unfinished_upload_goes_before_a_finished_one() {
        let touched = FileVersion {
            mtime_ns: 9,
            ..IDENTITY
        };
        let grown = FileVersion {
            size: 9,
            ..IDENTITY
        };
        let both = [
            upload(State::Completed, IDENTITY),
            upload(State::Uploading, touched),
        ];
        assert_eq!(choose(&both, &IDENTITY, false), Choice::Continue(1));
        assert_eq!(choose(&both[..1], &IDENTITY, false), Choice::Finished(0));
        assert_eq!(
            choose(&both[..1], &touched, false),
            Choice::MaybeFinished(0)
        );
        assert_eq!(choose(&both[..1], &IDENTITY, true), Choice::Fresh);
        assert_eq!(
            choose(&[upload(State::Uploading, grown)], &IDENTITY, false),
            Choice::Replace(0)
        );
        assert_eq!(
            choose(&[upload(State::Completed, grown)], &IDENTITY, false),
            Choice::Fresh
        );
        assert_eq!(choose(&[], &IDENTITY, false), Choice::Fresh);
    }

    /// Who edits a file may put its modification time back, but not the time of that.
    #[test]
    fn a_modification_time_that_was_put_back_finishes_no_upload() {
        let edited = FileVersion {
            ctime_ns: 9,
            ..IDENTITY
        };
        assert_eq!(
            choose(&[upload(State::Completed, IDENTITY)], &edited, false),
            Choice::MaybeFinished(0)
        );
    }

    #[test]
    fn a_part_is_skipped_only_where_journal_and_store_agree() {
        let plan = Plan::pinned(25, 10).unwrap();
        let journal = [
            part(1, b"one", Some("e1")),
            part(2, b"two", None),
            part(3, b"three", Some("e3")),
        ];
        let kept = |store: &[StoredPart]| {
            agreed(&plan, &journal, store)
                .into_iter()
                .map(|(number, ..)| number.get())
                .collect::<Vec<_>>()
        };
        // The store has it, though the journal's acknowledgement was lost.
        assert_eq!(kept(&[stored(2, 10, Some(b"two"), "e2")]), [2]);
        // Other bytes, another size, no such part in the journal, none in the store.
        assert_eq!(kept(&[stored(1, 10, Some(b"other"), "e1")]), [0; 0]);
        assert_eq!(kept(&[stored(3, 10, Some(b"three"), "e3")]), [0; 0]);
        assert_eq!(kept(&[stored(3, 5, Some(b"three"), "e3")]), [3]);
        assert_eq!(kept(&[]), [0; 0]);
        // A store without SHA-256: only what was acknowledged, by that ETag.
        assert_eq!(
            kept(&[stored(1, 10, None, "e1"), stored(2, 10, None, "e2")]),
            [1]
        );
        assert_eq!(kept(&[stored(1, 10, None, "other")]), [0; 0]);
    }

    #[test]
    fn a_review_misses_no_part() {
        let plan = Plan::pinned(25, 10).unwrap();
        let parts = |numbers: &[(u32, Option<&str>)]| -> BTreeMap<_, _> {
            numbers
                .iter()
                .map(|(n, tag)| (number(*n), part(*n, b"bytes", *tag)))
                .collect()
        };
        let (complete, checksum) = review(
            &plan,
            &parts(&[(1, Some("a")), (2, Some("b")), (3, Some("c"))]),
        )
        .unwrap();
        assert_eq!(complete.len(), 3);
        assert!(checksum.as_str().ends_with("-3"));
        assert!(review(&plan, &parts(&[(1, Some("a")), (3, Some("c"))])).is_err());
        assert!(review(&plan, &parts(&[(1, Some("a")), (2, None), (3, Some("c"))])).is_err());
        let one_more = [
            (1, Some("a")),
            (2, Some("b")),
            (3, Some("c")),
            (4, Some("d")),
        ];
        assert!(review(&plan, &parts(&one_more)).is_err());
    }

    #[test]
    fn a_receipt_is_held_against_size_parts_and_checksum() {
        let plan = Plan::pinned(25, 10).unwrap();
        let of = |bytes: [&[u8]; 3]| Checksum::composite(&bytes.map(Sha256::of));
        let (ours, other) = (of([b"a", b"b", b"c"]), of([b"a", b"b", b"d"]));
        let said = |size: u64, parts: u32, checksum: &Checksum| -> Receipt {
            let (id, time) = (
                "0198c0de-0000-7000-8000-000000000000",
                "2026-01-01T00:00:00Z",
            );
            serde_json::from_value(serde_json::json!({
                "id": id, "backend": "b", "instance_id": "i", "key": "k", "location": "l", "size": size, "parts": parts,
                "part_size": 10, "etag": "e", "checksum": checksum, "proof": "sha256", "sha256": null, "started": time,
                "finished": time,
            }))
            .unwrap()
        };
        let confirmed = |receipt: &Receipt| confirm(receipt, &plan, &ours);
        assert!(confirmed(&said(25, 3, &ours)).is_ok());
        for wrong in [said(24, 3, &ours), said(25, 2, &ours), said(25, 3, &other)] {
            assert_eq!(confirmed(&wrong).unwrap_err().kind(), Kind::Corrupt);
        }
        let silent = Receipt {
            checksum: None,
            ..said(25, 3, &ours)
        };
        assert_eq!(
            confirmed(&silent).unwrap_err().kind(),
            Kind::Corrupt,
            "it proves nothing"
        );
    }
}
